"""Spherical charges at the atoms, and the repulsion of pairs of orbitals by them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST_ARRAY = 8_000_000
"""Integrals held at once: 64 MB."""


@dataclass(frozen=True)
class SphericalGaussians:
    """Densities of charge g_f(r) = Σ_p c_fp exp(−a_fp |r − R_f|²).

    Attributes:
        centres: Positions R_f [n_functions, 3], Bohr.
        exponents: a_fp of each function, Bohr⁻².
        coefficients: c_fp of each function.
    """

    centres: Array
    exponents: Sequence[Array]
    coefficients: Sequence[Array]

    def integrals(self, mole: Any) -> Iterator[Array]:
        """Integrals ⟨i|∫ g(r')/|r−r'| dr'|j⟩ in portions of bounded memory.

        Args:
            mole: PySCF molecule.

        Yields:
            The lower triangles [n_orbitals (n_orbitals + 1) / 2, m] of the next m functions, in their order.
        """
        from pyscf.gto.mole import conc_env
        from pyscf.gto.moleintor import getints, make_cintopt

        tables = conc_env(mole._atm, mole._bas, mole._env, *self._tables())
        optimizer = make_cintopt(*tables, "int3c2e_sph")
        portion = max(1, LARGEST_ARRAY // (mole.nao * (mole.nao + 1) // 2))
        first, last = mole.nbas, mole.nbas + len(self.centres)
        for start in range(first, last, portion):
            shells = (0, mole.nbas, 0, mole.nbas, start, min(start + portion, last))
            yield getints("int3c2e_sph", *tables, shls_slice=shells, comp=1, aosym="s2ij", cintopt=optimizer)

    def summed(self, mole: Any) -> Array:
        """Sum of the integrals of all functions, a symmetric matrix [n_orbitals, n_orbitals]."""
        from pyscf.lib import unpack_tril

        return unpack_tril(sum(block.sum(axis=1) for block in self.integrals(mole)))

    def _tables(self) -> tuple[NDArray[np.int32], NDArray[np.int32], Array]:
        """PySCF's integral tables (atm, bas, env) of one contracted s shell a function."""
        from pyscf.gto import mole as m

        n = len(self.centres)
        lengths = np.array([len(a) for a in self.exponents], dtype=np.int32)
        starts = m.PTR_ENV_START + 3 * n + 2 * (np.cumsum(lengths) - lengths)
        atm, bas = np.zeros((n, m.ATM_SLOTS), np.int32), np.zeros((n, m.BAS_SLOTS), np.int32)
        atm[:, m.PTR_COORD] = m.PTR_ENV_START + 3 * np.arange(n)
        bas[:, m.ATOM_OF], bas[:, m.NCTR_OF], bas[:, m.NPRIM_OF] = np.arange(n), 1, lengths
        bas[:, m.PTR_EXP], bas[:, m.PTR_COEFF] = starts, starts + lengths
        norm = 2 * np.sqrt(np.pi)  # libcint multiplies an s function by Y_00
        numbers = [np.concatenate([a, norm * np.asarray(c)]) for a, c in zip(self.exponents, self.coefficients)]
        return atm, bas, np.concatenate([np.zeros(m.PTR_ENV_START), np.ravel(self.centres), *numbers])
