"""Two-centre integrals over lists of pairs (i, j, R), of molecules and crystals alike, at linear cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.interop.neighbors import pair_keys
from hampred.units import BOHR

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Table = NDArray[np.int32]

Shells = Mapping[int, Sequence[Any]]
"""Functions at the atoms of each element (atomic number), as PySCF writes contracted shells: [l, [exponent, c], …]."""


@dataclass(frozen=True, eq=False)
class TwoCentre:
    """Atoms i in the home cell and atoms j in the cells R, sorted by i; every atom i has a partner, such as itself.

    Attributes:
        atoms: The structure, positions in Å.
        pairs: i, j [n_pairs, 2].
        shifts: R in units of the cell vectors [n_pairs, 3].
    """

    atoms: Atoms
    pairs: IntArray
    shifts: IntArray

    @cached_property
    def images(self) -> tuple[IntArray, IntArray]:
        """Different (j, R) [n_images, 4], and which of them each pair ends at [n_pairs]."""
        ends = self.pairs[:, 1:]
        _, first, index = np.unique(pair_keys(ends, self.shifts), return_index=True, return_inverse=True)
        return np.concatenate([ends, self.shifts], axis=1)[first], index

    @cached_property
    def starts(self) -> IntArray:
        """First pair of each atom i, and the number of pairs at the end [n_atoms + 1]."""
        return np.searchsorted(self.pairs[:, 0], np.arange(len(self.atoms) + 1))

    def integrals(self, name: str, bra: Shells, ket: Shells) -> Iterator[Array]:
        """Integrals ⟨bra of i | operator | ket of j at R⟩.

        Args:
            name: Of libcint, such as ``int1e_ovlp_sph``.
            bra: Functions of atoms i.
            ket: Functions of atoms j.

        Yields:
            For each atom i: [n_functions of i, n_functions of all its partners one after the other], atomic units.
        """
        from pyscf.gto.moleintor import getints

        atm, environment, bra_of, ket_of = self._tables(bra, ket)
        end_of = self.images[1]
        for atom, (first, last) in enumerate(zip(self.starts, self.starts[1:])):
            rows = bra_of[atom]
            columns = [ket_of[image] for image in end_of[first:last]]
            table = np.concatenate([rows, *columns])
            where = (0, len(rows), len(rows), len(table))
            yield getints(name, atm, table, environment, shls_slice=where)

    def _tables(self, bra: Shells, ket: Shells) -> tuple[Table, Array, list[Table], list[Table]]:
        """PySCF's tables: atoms, numbers, shells of the bra at each atom, shells of the ket at each image."""
        from pyscf.gto import mole as m

        n, (images, _) = len(self.atoms), self.images
        ends = self.atoms.positions[images[:, 0]] + images[:, 1:] @ self.atoms.cell.array
        centres = np.concatenate([self.atoms.positions, ends]) / BOHR
        atm = np.zeros((len(centres), m.ATM_SLOTS), np.int32)
        atm[:, m.PTR_COORD] = m.PTR_ENV_START + 3 * np.arange(len(centres))
        numbers = [np.zeros(m.PTR_ENV_START), centres.ravel()]
        length = m.PTR_ENV_START + centres.size
        tables: list[dict[int, Table]] = []
        for functions in (bra, ket):
            tables.append({})
            for z in np.unique(self.atoms.numbers):
                shells, extra = m.make_bas_env(functions[int(z)], 0, length)
                tables[-1][int(z)] = shells
                numbers.append(extra)
                length += len(extra)
        places = [(atom, z) for atom, z in enumerate(self.atoms.numbers)]
        bra_of = [_at(atom, tables[0][int(z)]) for atom, z in places]
        ket_of = [_at(n + k, tables[1][int(self.atoms.numbers[j])]) for k, j in enumerate(images[:, 0])]
        return atm, np.concatenate(numbers), bra_of, ket_of


def _at(centre: int, shells: Table) -> Table:
    """A table of shells at a centre."""
    moved = shells.copy()
    moved[:, 0] = centre
    return moved
