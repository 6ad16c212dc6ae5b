"""Properties of a density matrix."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.interop.pyscf import dipole_integrals

Array = NDArray[np.float64]


def dipole(mole: Any, density: Array) -> Array:
    """Dipole moment Σ_A Z_A R_A − tr(D r) about the origin of the coordinates.

    Args:
        mole: Built PySCF Mole; its nuclear charges leave out the electrons that a core potential replaces.
        density: Density matrix D [n, n] in its orbitals.

    Returns:
        [3] in atomic units (e·a0); it depends on the origin where the molecule is charged.
    """
    nuclei = mole.atom_charges() @ mole.atom_coords()
    return nuclei - np.einsum("xij,ij->x", dipole_integrals(mole), density)
