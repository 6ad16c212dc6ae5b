"""Multipole moments of nuclei and electrons."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hampred.interop.pyscf import charge_centre, dipole_integrals, second_moment_integrals

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]


def dipole(state: "ElectronicState") -> Array:
    """Dipole moment Σ_A Z_A R_A − tr(D r) [3] about the origin of the coordinates, e·a0.

    Nuclear charges leave out the electrons that core potentials replace. Of a molecule with charge q, a shift of the
    coordinates by t adds q t.
    """
    mole = state.mole
    nuclei = mole.atom_charges() @ mole.atom_coords()
    return nuclei - np.einsum("xij,ij->x", dipole_integrals(mole), state.density_matrix)


def quadrupole(state: "ElectronicState") -> Array:
    """Traceless quadrupole moment Θ = ½ (3 M − 1 tr M) [3, 3] about the centre of nuclear charge, e·a0².

    M = Σ_A Z_A R_A R_Aᵀ − tr(D r rᵀ) (Buckingham, Q. Rev. Chem. Soc. 13, 183 (1959)). The centre moves with the
    molecule, so that Θ of a polar molecule does not depend on where it stands.
    """
    mole = state.mole
    centre = charge_centre(mole)
    nuclei = mole.atom_coords() - centre
    moments = np.einsum("a,ax,ay->xy", mole.atom_charges(), nuclei, nuclei)
    moments -= np.einsum("xyij,ij->xy", second_moment_integrals(mole, centre), state.density_matrix)
    return 0.5 * (3 * moments - np.eye(3) * np.trace(moments))
