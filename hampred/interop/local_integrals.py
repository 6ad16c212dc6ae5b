"""Integrals of large molecules at linear cost: only orbitals that overlap, only potentials that are near.

The most diffuse exponents a, b of two atoms and g of a potential at a third atom C bound integrals by exp(−E), where

    E = (a b r_ij² + a g r_iC² + b g r_jC²) / (a + b + g)

(the Gaussian product theorem for three centres; Helgaker, Jørgensen, Olsen, Molecular Electronic-Structure Theory,
sec. 9.2); larger exponents make E larger. Atoms are sorted into cells of space, and PySCF integrates whole cells at
once, so that the Python loop runs over pairs of cells.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from hampred.errors import HampredError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Table = NDArray[np.int32]

THRESHOLD = 1e-10
"""Blocks of two atoms are left out where the bound exp(−E) of their overlap lies below this."""

POTENTIAL_THRESHOLD = 1e-11
"""Three-centre integrals (Hartree) are left out where their bound lies below this: dozens of them make a block."""

CELL = 4.0
"""Edge of the cells of space, Bohr."""

LARGEST_ARRAY = 4_000_000
"""Integrals held at once by a thread: 32 MB."""

POINT = 1e16
"""Exponent (Bohr⁻²) of the Gaussian that stands for a point charge, as in PySCF."""


@dataclass(frozen=True)
class ScreenedNucleus:
    """A nucleus and the Gaussian charges that screen it, with the short-ranged potential Σ_p q_p (erf(√a_p r) − 1) / r.

    Attributes:
        exponents: a_p, Bohr⁻².
        charges: q_p (e), which add up to the charge of the nucleus.
    """

    exponents: Array
    charges: Array


class LocalIntegrals:
    """Sparse one-electron matrices of one molecule, in PySCF's AO order."""

    def __init__(self, mole: Any) -> None:
        """Takes a molecule from `hampred.interop.pyscf.build_mole`."""
        self.mole, self.positions = mole, np.asarray(mole.atom_coords())
        slices = mole.aoslice_by_atom()
        self.shells, self.orbitals = slices[:, :2], slices[:, 2:]
        self.numbers = np.array([atomic_numbers[mole.atom_pure_symbol(atom)] for atom in range(mole.natm)])
        self.diffuse = np.array([min(mole.bas_exp(s).min() for s in range(*shells)) for shells in self.shells])

    def overlap(self) -> csr_array:
        """S [n_orbitals, n_orbitals]."""
        return self._assembled(lambda rows, cells: self._two_centre("int1e_ovlp_sph", rows, cells))

    def hamiltonian(self, potentials: Mapping[int, ScreenedNucleus]) -> csr_array:
        """Kinetic energy and the sum of atomic potentials [n_orbitals, n_orbitals], Hartree.

        Args:
            potentials: Atomic number → potential.

        Raises:
            HampredError: An element has an effective core potential.
        """
        if len(self.mole._ecpbas):
            raise HampredError("Effective core potentials have no sparse integrals yet: choose an all-electron basis.")
        field = _Field(self, potentials)
        return self._assembled(lambda *cells: self._two_centre("int1e_kin_sph", *cells) + field.integrals(*cells))

    @cached_property
    def cells(self) -> list[IntArray]:
        """Atoms of each occupied cell of space; together all atoms."""
        index = np.floor((self.positions - self.positions.min(axis=0)) / CELL).astype(np.int64)
        _, cell = np.unique(index, axis=0, return_inverse=True)
        order = np.argsort(cell, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(cell[order])) + 1)

    def near_cells(self) -> Iterator[tuple[IntArray, list[IntArray]]]:
        """Each cell with itself and those of the following cells that it overlaps."""
        middle = np.array([self.positions[cell].mean(axis=0) for cell in self.cells])
        reach = np.sqrt(-2 * np.log(THRESHOLD) / self.diffuse.min()) + 2 * np.sqrt(3) * CELL
        for k, near in enumerate(cKDTree(middle).query_ball_point(middle, reach, return_sorted=True)):
            cell = self.cells[k]
            following = [self.cells[other] for other in near if other > k]
            yield cell, [cell, *(other for other in following if self.overlapping(cell, other).any())]

    def overlapping(self, rows: IntArray, columns: IntArray) -> NDArray[np.bool_]:
        """Whether two atoms overlap by more than `THRESHOLD` [n_rows, n_columns]."""
        a, b = self.diffuse[rows][:, None], self.diffuse[columns]
        squared = cdist(self.positions[rows], self.positions[columns], "sqeuclidean")
        return a * b / (a + b) * squared < -np.log(THRESHOLD)

    def shell_table(self, atoms: IntArray) -> Table:
        """PySCF's table of the shells of some atoms [n_shells, 8]."""
        return np.concatenate([self.mole._bas[slice(*self.shells[atom])] for atom in atoms])

    def _two_centre(self, integral: str, rows: IntArray, cells: list[IntArray]) -> Array:
        """Elements [n_orbitals of rows, n_orbitals of all cells]."""
        from pyscf.gto.moleintor import getints

        first, second = self.shell_table(rows), self.shell_table(np.concatenate(cells))
        where = (0, len(first), len(first), len(first) + len(second))
        return getints(integral, self.mole._atm, np.concatenate([first, second]), self.mole._env, shls_slice=where)

    def _assembled(self, integrals: Callable[[IntArray, list[IntArray]], Array]) -> csr_array:
        """Sparse symmetric matrix of the blocks of overlapping atoms."""
        from pyscf.lib import num_threads, with_omp_threads

        # each call is too small for threads inside PySCF
        with ThreadPoolExecutor(num_threads()) as pool, with_omp_threads(1):
            parts = list(pool.map(lambda cells: self._entries(integrals(*cells), *cells), self.near_cells()))
        values, i, j = (np.concatenate(part) for part in zip(*parts))
        del parts
        other = i != j
        entries = np.concatenate([values, values[other]])
        places = np.concatenate([i, j[other]]), np.concatenate([j, i[other]])
        return coo_array((entries, places), shape=2 * (self.mole.nao,)).tocsr()

    def _entries(self, elements: Array, rows: IntArray, cells: list[IntArray]) -> tuple[Array, Table, Table]:
        """Values, rows and columns of the elements of overlapping atoms; of (i, j) and (j, i) only one."""
        columns = np.concatenate(cells)
        sizes = np.ptp(self.orbitals, axis=1)
        kept = self.overlapping(rows, columns).repeat(sizes[rows], axis=0).repeat(sizes[columns], axis=1)
        kept[:, : len(kept)] &= np.tri(len(kept), dtype=bool).T  # the cell with itself
        i, j = (np.concatenate([np.arange(*self.orbitals[k], dtype=np.int32) for k in x]) for x in (rows, columns))
        local = np.nonzero(kept)
        return elements[local], i[local[0]], j[local[1]]


class _Charges:
    """Screening charges at the atoms, most diffuse first; those too sharp to reach a pair of cells are left out.

    Attributes:
        exponents: Of each element [n], Bohr⁻², ascending.
        bounds: Largest E of each of them [n].
        shells: Rows of PySCF's shell table for the first 0, 1, … n charges of each element [n + 1, 8]; each comes with
            the opposite point charge.
    """

    def __init__(self, nuclei: Mapping[int, ScreenedNucleus], environment: list[float]) -> None:
        """Appends the numbers of the shells to PySCF's environment ``env``, which grows."""
        from pyscf.gto import mole as m

        self.exponents: dict[int, Array] = {}
        self.bounds: dict[int, Array] = {}
        self.shells: dict[int, Table] = {}
        for z, nucleus in nuclei.items():
            order = np.argsort(nucleus.exponents)
            exponents, charges = nucleus.exponents[order], nucleus.charges[order]
            strongest = np.maximum.accumulate(np.abs(charges)[::-1])[::-1]  # of this and all sharper ones
            self.exponents[z] = exponents
            self.bounds[z] = np.maximum(np.log(np.maximum(strongest, 1e-99) / POTENTIAL_THRESHOLD), 0.0)
            rows = self.shells[z] = np.zeros((len(exponents) + 1, m.BAS_SLOTS), np.int32)
            for n, row in enumerate(rows):
                a, q = np.append(exponents[:n], POINT), np.append(charges[:n], -charges[:n].sum())
                row[m.NCTR_OF], row[m.NPRIM_OF] = 1, len(a)
                row[m.PTR_EXP], row[m.PTR_COEFF] = len(environment), len(environment) + len(a)
                # libcint multiplies an s function by Y_00
                environment += [*a, *(2 * np.sqrt(np.pi) * q * (a / np.pi) ** 1.5)]

    def reach(self, diffuse: float) -> float:
        """Largest distance (Bohr) from an atom with this most diffuse exponent at which any of the Gaussians count."""
        series = [pair for z, exponents in self.exponents.items() for pair in zip(exponents, self.bounds[z])]
        return float(np.sqrt(max((bound * (diffuse + g) / (diffuse * g) for g, bound in series), default=0.0)))

    def counts(self, z: int, pair: Array, centre: Array, total: float) -> IntArray:
        """How many of the charges of an element count at each centre [n_centres].

        Args:
            z: Atomic number.
            pair: a b r_ij² (Bohr⁻²).
            centre: a r_iC² + b r_jC² [n_centres].
            total: a + b.
        """
        counts, alive = np.zeros(len(centre), dtype=np.int64), np.arange(len(centre))
        for g, bound in zip(self.exponents[z], self.bounds[z]):
            alive = alive[pair + g * centre[alive] < bound * (total + g)]
            counts[alive] += 1
        return counts


class _Field:
    """The potentials of all atoms as shells of contracted Gaussians."""

    def __init__(self, local: LocalIntegrals, potentials: Mapping[int, ScreenedNucleus]) -> None:
        self.local, environment = local, list(local.mole._env)
        self.charges = _Charges(potentials, environment)
        self.environment = np.array(environment)
        self.atoms = {z: np.flatnonzero(local.numbers == z) for z in potentials}
        self.trees = {z: cKDTree(local.positions[atoms]) for z, atoms in self.atoms.items() if len(atoms)}
        self.reach = self.charges.reach(local.diffuse.min())

    def integrals(self, rows: IntArray, cells: list[IntArray]) -> Array:
        """Elements [n_orbitals of rows, n_orbitals of all cells], Hartree."""
        near = {z: self._near(rows, z) for z in self.trees}
        return np.concatenate([self._block(rows, cell, near) for cell in cells], axis=1)

    def _near(self, cell: IntArray, z: int) -> IntArray:
        """Atoms of an element whose potential may reach a cell."""
        found = self.trees[z].query_ball_point(self.local.positions[cell], self.reach)
        return self.atoms[z][np.unique(np.concatenate(found).astype(np.int64))]

    def _block(self, rows: IntArray, columns: IntArray, near: Mapping[int, IntArray]) -> Array:
        local, x = self.local, self.local.positions
        a, b = local.diffuse[rows].min(), local.diffuse[columns].min()
        pair = a * b * cdist(x[rows], x[columns], "sqeuclidean").min()
        shells = [local.shell_table(rows), local.shell_table(columns)]
        block = np.zeros([int(np.ptp(local.orbitals[atoms], axis=1).sum()) for atoms in (rows, columns)])
        centre = {
            z: a * _squared_distance(x[rows], x[atoms]) + b * _squared_distance(x[columns], x[atoms])
            for z, atoms in near.items()
        }
        found = []
        for z, atoms in near.items():
            counts = self.charges.counts(z, pair, centre[z], a + b)
            table = self.charges.shells[z][counts[counts > 0]]
            table[:, 0] = atoms[counts > 0]
            found.append(table)
        self._add(block, shells, np.concatenate(found))
        return block

    def _add(self, block: Array, shells: list[Table], potentials: Table) -> None:
        """Adds the integrals over the two sets of shells, summed over all potentials."""
        from pyscf.gto.moleintor import getints

        ends = np.cumsum([len(table) for table in shells])
        portion = max(1, LARGEST_ARRAY // block.size)
        for start in range(0, len(potentials), portion):
            tables = np.concatenate([*shells, potentials[start : start + portion]])
            where = (0, ends[0], ends[0], ends[1], ends[1], len(tables))
            integrals = getints("int3c2e_sph", self.local.mole._atm, tables, self.environment, shls_slice=where)
            block += integrals.sum(axis=-1)


def _squared_distance(cell: Array, points: Array) -> Array:
    """Of each point to the nearest atom of a cell [n_points], Bohr²."""
    return cdist(cell, points, "sqeuclidean").min(axis=0)
