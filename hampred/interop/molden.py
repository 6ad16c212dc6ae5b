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
        energies: Orbital energies [n], Hartree; with an axis of 2 before the others, here as below, those of α and β.
        coefficients: Orbitals as columns [n_orbitals, n], PySCF's AO order.
        occupations: Electrons in each orbital [n].
    """
    from pyscf.tools import molden

    n_orbitals, n = coefficients.shape[-2:]
    solved = energies.reshape(-1, n), coefficients.reshape(-1, n_orbitals, n), occupations.reshape(-1, n)
    with path.open("w", encoding="utf-8") as file:
        molden.header(mole, file)
        for spin, (e, c, filled) in zip(("Alpha", "Beta"), zip(*solved)):
            molden.orbital_coeff(mole, file, c, spin=spin, ene=e, occ=filled)
