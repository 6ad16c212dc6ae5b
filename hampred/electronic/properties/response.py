"""Static response of independent electrons in the orbitals: H does not follow the field.

Sums over pairs of an occupied orbital i and an empty one a. They need H, S and integrals alone; a field that the
electrons screen, as in an SCF, gives smaller polarizabilities.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hampred.errors import HampredError
from hampred.interop.pyscf import angular_integrals, charge_centre, dipole_integrals

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]


def polarizability(state: "ElectronicState") -> Array:
    """Uncoupled static dipole polarizability α = 4 Σ_ia r_ia r_iaᵀ / (ε_a − ε_i) [3, 3], e²·a0²/E_h.

    The derivative of the dipole by a field E where H becomes H + E·r and changes no further.

    Raises:
        HampredError: Orbitals are partly filled.
    """
    energies, (positions,) = _between_orbitals(state, dipole_integrals(state.mole))
    return 4 * np.einsum("xia,yia,ia->xy", positions, positions, 1 / energies)


def optical_rotation_tensor(state: "ElectronicState") -> Array:
    """Uncoupled static G'/ω = 2 Σ_ia r_ia (r × ∇)_aiᵀ / (ε_a − ε_i)² [3, 3], e²·a0³/E_h, about the nuclear charge.

    Rows belong to the electric dipole and columns to the magnetic one (Barron, Molecular Light Scattering and Optical
    Activity, eqs. 2.6.27 at ω → 0, with transitions from i to a in place of states). The parts that are not in its
    trace depend on the origin, which is the centre of nuclear charge.

    Raises:
        HampredError: Orbitals are partly filled.
    """
    mole = state.mole
    angular = angular_integrals(mole, charge_centre(mole))
    energies, (positions, angular) = _between_orbitals(state, dipole_integrals(mole), angular)
    return -2 * np.einsum("xia,yia,ia->xy", positions, angular, energies**-2)  # (r × ∇)_ai = −(r × ∇)_ia


def optical_rotation(state: "ElectronicState") -> float:
    """β = −⅓ tr G'/ω, e²·a0³/E_h: the optical rotation of freely tumbling molecules is proportional to it.

    It vanishes for every molecule that equals its mirror image (Rosenfeld, Z. Phys. 52, 161 (1929)).

    Raises:
        HampredError: Orbitals are partly filled.
    """
    return -float(np.trace(optical_rotation_tensor(state))) / 3


def _between_orbitals(state: "ElectronicState", *operators: Array) -> tuple[Array, list[Array]]:
    """Differences ε_a − ε_i [n_occupied, n_empty], and operators [3, n, n] between occupied and empty orbitals."""
    if state.temperature:
        raise HampredError("Response properties are for filled and empty orbitals: set the temperature to 0.")
    levels, orbitals = state.orbital_energies, state.orbital_coefficients
    occupied, empty = np.split(orbitals, [state.n_occupied], axis=1)
    differences = levels[None, state.n_occupied :] - levels[: state.n_occupied, None]
    return differences, [occupied.T @ operator @ empty for operator in operators]
