"""The density of atoms that do not feel each other, which a difference density is compared with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.interop.pyscf import threads_for

Array = NDArray[np.float64]


def superposed_atoms(mole: Any) -> Array:
    """Density matrix D [n, n] of superposed neutral atoms, a block for each.

    Each atom is a spherical Hartree–Fock atom in the orbitals that it has in the molecule, its open shells spread
    evenly (PySCF's guess ``atom``). It holds as many electrons as the nuclei have charge, to rounding, also beside
    effective core potentials; PySCF's guess ``minao``, which projects tabulated atoms, loses 1.7 electrons in HI.

    Args:
        mole: Built PySCF Mole.
    """
    from pyscf.scf.hf import init_guess_by_atom

    with threads_for(mole):
        return np.asarray(init_guess_by_atom(mole))
