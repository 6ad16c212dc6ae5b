"""Orbitals as a Molden file, which most programs that draw orbitals read."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def write_molden(path: Path, mole: Any, energies: Array, coefficients: Array, occupations: Array) -> None:
    """Writes orbitals.

    Args:
        path: File to write.
        mole: Built PySCF Mole.
        energies: Orbital energies [n], Hartree.
        coefficients: Orbitals as columns [n_orbitals, n], PySCF's AO order.
        occupations: Electrons in each orbital [n].
    """
    from pyscf.tools import molden

    molden.from_mo(mole, str(path), coefficients, ene=energies, occ=occupations)
