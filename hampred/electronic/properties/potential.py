"""Electrostatic potential of nuclei and electrons, at any points and at the nuclei."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hampred.errors import HampredError
from hampred.interop.grid import electronic_potential
from hampred.units import BOHR

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]


def electrostatic_potential(state: "ElectronicState", points: Array) -> Array:
    """Potential Σ_A Z_A / |r − R_A| − ∫ ρ(r') / |r − r'| dr' at some points.

    Args:
        state: The molecule.
        points: Where, [n, 3] in Å.

    Returns:
        [n] in Hartree/e; infinite on a nucleus.

    Raises:
        HampredError: The points are no array [n, 3].
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3:
        raise HampredError(f"Points of shape {points.shape}: give an array [n, 3] in Å.")
    with np.errstate(divide="ignore"):
        inverse = 1 / cdist(points / BOHR, state.mole.atom_coords())
    return inverse @ state.mole.atom_charges() + electronic_potential(state.mole, points, state.density_matrix)


def potential_at_nuclei(state: "ElectronicState") -> Array:
    """Potential of all electrons and all other nuclei at each nucleus [n_atoms], Hartree/e."""
    distances = cdist(state.mole.atom_coords(), state.mole.atom_coords())
    np.fill_diagonal(distances, np.inf)
    electrons = electronic_potential(state.mole, state.atoms.positions, state.density_matrix)
    return (1 / distances) @ state.mole.atom_charges() + electrons
