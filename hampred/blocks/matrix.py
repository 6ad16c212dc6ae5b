"""BlockMatrix: a one-electron matrix as blocks M_ij(R) between the orbitals of two atoms."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import cosdg, sindg

from hampred.basis import BasisLayout
from hampred.blocks.row_order import RowOrder
from hampred.errors import HampredError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Places = NDArray[np.int32]

PORTION = 2**16
"""Values that are worked on at a time, so that what is in between stays in the caches."""

PLACES = [
    "shapes",
    "starts",
    "pair_of_value",
    "local_indices",
    "rows",
    "columns",
    "onsite",
    "lower",
    "reverse",
    "_keys",
    "row_order",
]
"""What follows from layout and pairs alone."""


@dataclass(frozen=True, eq=False)
class BlockMatrix:
    """Blocks M_ij(R) = ⟨φ_i(0)| M |φ_j(R)⟩ of a molecule (every R = 0) or a crystal.

    Attributes:
        layout: Orbitals of each atom.
        pairs: Atoms i, j of each block [n_pairs, 2].
        cell_shifts: Lattice vector R of each block in units of the cell vectors [n_pairs, 3].
        values: The blocks in row-major order, one behind the other [n_values]; Hartree for a Hamiltonian.
    """

    layout: BasisLayout
    pairs: IntArray
    cell_shifts: IntArray
    values: Array

    @classmethod
    def from_dense(cls, layout: BasisLayout, matrix: Array, pairs: IntArray | None = None) -> "BlockMatrix":
        """Cuts a dense matrix of a molecule into blocks.

        Args:
            layout: Orbitals of each atom.
            matrix: [n_orbitals, n_orbitals] in AO order.
            pairs: Blocks to keep [n_pairs, 2]; all n_atoms² without it.

        Raises:
            HampredError: The matrix does not have the shape of the layout.
        """
        if matrix.shape != (layout.n_orbitals, layout.n_orbitals):
            raise HampredError(
                f"Matrix of shape {matrix.shape} given where the basis has {layout.n_orbitals} orbitals: "
                "check basis set and order of atoms."
            )
        if pairs is None:
            pairs = np.stack(np.meshgrid(*2 * [np.arange(layout.n_atoms)], indexing="ij"), axis=-1).reshape(-1, 2)
        empty = cls(layout, pairs, np.zeros((len(pairs), 3), dtype=np.int64), np.empty(0))
        return empty.with_values(np.asarray(matrix, dtype=np.float64)[empty.rows, empty.columns])

    def with_values(self, values: Array) -> "BlockMatrix":
        """The same blocks with other values [n_values]; what is known of their places is kept."""
        other = replace(self, values=values)
        other.__dict__.update({name: self.__dict__[name] for name in PLACES if name in self.__dict__})
        return other

    @cached_property
    def shapes(self) -> IntArray:
        """Rows and columns of each block [n_pairs, 2]."""
        return self.layout.sizes[self.pairs]

    @cached_property
    def starts(self) -> IntArray:
        """First value of each block, and the number of values at the end [n_pairs + 1]."""
        return np.concatenate([[0], np.cumsum(self.shapes.prod(axis=1))]).astype(np.int64)

    @cached_property
    def pair_of_value(self) -> IntArray:
        """Pair to which each value belongs [n_values]."""
        return np.repeat(np.arange(len(self.pairs)), np.diff(self.starts))

    @cached_property
    def local_indices(self) -> tuple[Places, Places]:
        """Row and column of each value within its own block, 2 × [n_values]."""
        _, row, width = self._block_rows
        return np.repeat(row, width), _counted(width)

    @cached_property
    def rows(self) -> Places:
        """Row of each value in the dense matrix [n_values]."""
        pair, row, width = self._block_rows
        return np.repeat((self.layout.offsets[self.pairs[pair, 0]] + row).astype(np.int32), width)

    @cached_property
    def columns(self) -> Places:
        """Column of each value in the dense matrix [n_values]."""
        pair, _, width = self._block_rows
        return _counted(width, self.layout.offsets[self.pairs[pair, 1]])

    @property
    def _block_rows(self) -> tuple[IntArray, Places, IntArray]:
        """Pair, row within the block, and number of values of each row of each block, one behind the other."""
        heights, widths = self.shapes.T
        pair = np.repeat(np.arange(len(self.pairs)), heights)
        return pair, _counted(heights), widths[pair]

    @cached_property
    def onsite(self) -> NDArray[np.bool_]:
        """Whether a pair is an atom with itself [n_pairs]."""
        return (self.pairs[:, 0] == self.pairs[:, 1]) & ~self.cell_shifts.any(axis=1)

    @cached_property
    def lower(self) -> bool:
        """Whether no block is above the diagonal, as in half of a matrix."""
        return bool((self.pairs[:, 0] >= self.pairs[:, 1]).all())

    @cached_property
    def reverse(self) -> IntArray:
        """Index of the pair (j, i, −R) of each pair (i, j, R) [n_pairs].

        Raises:
            HampredError: A pair stands there without its reverse.
        """
        index = self.find(self.pairs[:, ::-1], -self.cell_shifts)
        if (index < 0).any():
            raise HampredError("A pair of atoms stands in the matrix without its reverse: give both (i, j) and (j, i).")
        return index

    @property
    def once(self) -> NDArray[np.bool_]:
        """Of each pair and its reverse one, and each atom with itself [n_pairs].

        Raises:
            HampredError: As `reverse`.
        """
        return np.arange(len(self.pairs)) <= self.reverse

    def block(self, pair: int) -> Array:
        """View of one block [n_orbitals_i, n_orbitals_j]."""
        return self.values[self.starts[pair] : self.starts[pair + 1]].reshape(self.shapes[pair])

    def groups(self) -> Iterator[tuple[int, int, IntArray, IntArray]]:
        """Pairs of like elements: (Z_i, Z_j, pairs [m], value indices [m, n_orbitals_i, n_orbitals_j]).

        No more than `PORTION` values, or one block, come at a time, so that two elements may come several times.
        """
        first, second = self.layout.numbers[self.pairs].T
        for z_i, z_j in itertools.product(np.unique(first), np.unique(second)):
            members = np.flatnonzero((first == z_i) & (second == z_j))
            if len(members):
                n_i, n_j = self.shapes[members[0]]
                step = max(PORTION // (n_i * n_j), 1)
                for k in range(0, len(members), step):
                    some = members[k : k + step]
                    yield int(z_i), int(z_j), some, self._indices(some, n_i, n_j)

    def _indices(self, pairs: IntArray, n_i: int, n_j: int) -> IntArray:
        """Places of the values of some pairs with so many orbitals [m, n_i, n_j]."""
        return self.starts[pairs, None, None] + np.arange(n_i * n_j).reshape(n_i, n_j)

    def to_sparse(self) -> csr_array:
        """Sparse matrix Σ_R M(R) [n_orbitals, n_orbitals]: a molecule's matrix, or a crystal's at Γ.

        Matrices on one list of pairs share the arrays that say where their elements stand.
        """
        if self.row_order is None:
            return csr_array((self.values, (self.rows, self.columns)), shape=2 * (self.layout.n_orbitals,))
        return self.row_order.sparse(self.values[self.row_order.index])

    def sparse_from(self, halves: Sequence["BlockMatrix"]) -> list[csr_array]:
        """Hermitian matrices on these pairs, sorted by (i, j), from their halves, as `completed` takes them.

        Args:
            halves: On one list of pairs, which holds each of these or its reverse.

        Returns:
            Sparse [n_orbitals, n_orbitals]; they share the arrays that say where their elements stand.
        """
        order, filled = RowOrder(self), [np.empty(self.starts[-1]) for _ in halves]
        for members, _, sources in halves[0]._sources(self):
            here = order.place(members)
            for values, half in zip(filled, halves):
                values[here] = half.values[sources]
        return [order.sparse(values) for values in filled]

    @cached_property
    def row_order(self) -> RowOrder | None:
        """The values row by row, if the pairs are sorted by (i, j) and each stands there once."""
        rising = np.diff(self.pairs[:, 0] * self.layout.n_atoms + self.pairs[:, 1]) > 0
        return RowOrder(self.with_values(np.empty(0))) if rising.all() else None  # values are not kept alive by it

    def to_dense(self) -> Array:
        """Dense matrix Σ_R M(R) [n_orbitals, n_orbitals]: a molecule's matrix, or a crystal's at Γ."""
        return self.to_sparse().toarray()

    def bloch(self, k: Array) -> NDArray[np.complex128]:
        """Bloch sum Σ_R e^{2πi k·R} M(R) in the lattice gauge, as PySCF.

        Args:
            k: One or many wave vectors in units of the reciprocal cell vectors [..., 3].

        Returns:
            Complex matrix at each of them [..., n_orbitals, n_orbitals]; its imaginary part is exactly zero where
            2k is a whole number of reciprocal vectors.
        """
        k = np.asarray(k, dtype=float)
        cells, by_cell = self._by_cell
        degrees = 360 * (cells @ k.reshape(-1, 3).T)  # [n_cells, n_k]
        n = degrees.shape[1]
        parts = by_cell @ np.concatenate([cosdg(degrees), sindg(degrees)], axis=1)  # [n_orbitals², 2 n_k]
        sums = np.empty((n, len(parts)), dtype=np.complex128)
        sums.real, sums.imag = parts[:, :n].T, parts[:, n:].T
        return sums.reshape(*k.shape[:-1], *2 * (self.layout.n_orbitals,))

    @cached_property
    def _by_cell(self) -> tuple[IntArray, csr_array]:
        """Lattice vectors R [n_cells, 3], and M(R) as columns [n_orbitals², n_cells], for sums at many k."""
        cells, index = np.unique(self.cell_shifts, axis=0, return_inverse=True)
        places = self.rows.astype(np.int64) * self.layout.n_orbitals + self.columns
        shape = (self.layout.n_orbitals**2, len(cells))
        return cells, csr_array((self.values, (places, index.ravel()[self.pair_of_value])), shape=shape)

    def transposed(self) -> "BlockMatrix":
        """The adjoint on the same list of pairs: M_ij(R) becomes M_ji(−R)ᵀ."""
        values = np.empty_like(self.values)
        for _, _, members, index in self.groups():
            _, n_i, n_j = index.shape
            values[index] = self.values[self._indices(self.reverse[members], n_j, n_i)].transpose(0, 2, 1)
        return self.with_values(values)

    def hermitized(self) -> "BlockMatrix":
        """Hermitian part ½ (M_ij(R) + M_ji(−R)ᵀ)."""
        hermitian = self.transposed()
        hermitian.values[:] += self.values
        hermitian.values[:] *= 0.5
        return hermitian

    def rotated(self, rotation: Array) -> "BlockMatrix":
        """The matrix of the structure whose positions r became Q r: D M Dᵀ.

        Args:
            rotation: Element Q of O(3), [3, 3].
        """
        basis = self.layout.basis
        d = {int(z): basis.layout([z]).rotation(rotation) for z in np.unique(self.layout.numbers)}
        values = np.empty_like(self.values)
        for z_i, z_j, _, index in self.groups():
            values[index] = d[z_i] @ self.values[index] @ d[z_j].T
        return self.with_values(values)

    def find(self, pairs: IntArray, cell_shifts: IntArray) -> IntArray:
        """Index of given pairs in the list of this matrix, −1 where it has no such block.

        Args:
            pairs: Atoms i, j [n, 2].
            cell_shifts: R of each [n, 3].
        """
        keys, order, reach = self._keys
        inside = (np.abs(cell_shifts) <= reach).all(axis=1)
        wanted = _key(pairs, cell_shifts, self.layout.n_atoms, reach)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(inside & (keys[place] == wanted), order[place], -1)

    @cached_property
    def _keys(self) -> tuple[IntArray, IntArray, int]:
        """Pairs as single numbers in ascending order, the index of each, and the largest component of a cell shift."""
        reach = int(np.abs(self.cell_shifts).max(initial=0))
        keys = _key(self.pairs, self.cell_shifts, self.layout.n_atoms, reach)
        order = np.argsort(keys)
        return keys[order], order, reach

    def on_pairs_of(self, other: "BlockMatrix") -> "BlockMatrix":
        """The same matrix on the list of pairs of another: blocks that are not there are zero, others are left out."""
        index = self.find(other.pairs, other.cell_shifts)
        values = np.zeros(other.starts[-1])
        for _, _, members, places in other.groups():
            known = index[members] >= 0
            values[places[known]] = self.values[self._indices(index[members[known]], *places.shape[1:])]
        return other.with_values(values)

    def completed(self, other: "BlockMatrix") -> "BlockMatrix":
        """The Hermitian matrix on the pairs of another, of which this one holds either (i, j, R) or (j, i, −R).

        Of the block of an atom with itself the lower triangle counts; blocks of which neither is there are zero.
        """
        values = np.zeros(other.starts[-1])
        for _, places, sources in self._sources(other):
            values[places] = self.values[sources]
        return other.with_values(values)

    def _sources(self, other: "BlockMatrix") -> Iterator[tuple[IntArray, IntArray, IntArray]]:
        """Pairs [m] of another matrix, where its values stand, and from where `completed` takes them [m, n_i, n_j]."""
        index = self.find(other.pairs, other.cell_shifts)
        given = index >= 0
        index = np.where(given, index, index[other.reverse])
        known, start = index >= 0, self.starts[index]
        for z_i, z_j, members, places in other.groups():
            if not known[members].all():
                members, places = members[known[members]], places[known[members]]
            _, n_i, n_j = places.shape
            k = np.arange(n_i * n_j)
            there, transposed = k.reshape(n_i, n_j), k.reshape(n_j, n_i).T
            within = np.where(given[members, None, None], there, transposed)
            if z_i == z_j:
                within[other.onsite[members]] = np.maximum(there, transposed)
            yield members, places, start[members, None, None] + within

    def plus(self, other: "BlockMatrix") -> "BlockMatrix":
        """Sum with another matrix on the pairs of this one: other blocks are left out."""
        total = self.with_values(self.values.copy())
        total.add(other)
        return total

    def add(self, other: "BlockMatrix") -> None:
        """As `plus`, in place: large matrices are not copied for it."""
        index = self.find(other.pairs, other.cell_shifts)
        for _, _, members, places in other.groups():
            known = index[members] >= 0
            self.values[self._indices(index[members[known]], *places.shape[1:])] += other.values[places[known]]

    def minus(self, other: "BlockMatrix") -> "BlockMatrix":
        """Difference of two matrices on the same list of pairs."""
        return self.with_values(self.values - other.values)

    def error(self, other: "BlockMatrix") -> dict[str, float]:
        """Mean absolute difference of the elements, in the unit of the values.

        Returns:
            ``all``, ``onsite``, ``offsite`` (NaN for a single atom) and ``max``.
        """
        difference = np.abs(self.values - other.values)
        onsite = self.onsite[self.pair_of_value]
        return {
            "all": float(difference.mean()),
            "onsite": float(difference[onsite].mean()),
            "offsite": float(difference[~onsite].mean()) if (~onsite).any() else float("nan"),
            "max": float(difference.max()),
        }


def _counted(lengths: IntArray, first: IntArray | int = 0) -> Places:
    """Runs of given lengths [n], none of them 0, each of which counts up from a first number [n]; all in one array."""
    first = np.broadcast_to(first, lengths.shape)
    steps = np.ones(lengths.sum(), dtype=np.int32)
    steps[np.cumsum(lengths) - lengths] = np.diff(first, prepend=0) - np.append(0, lengths - 1)[: len(lengths)]
    return np.cumsum(steps, dtype=np.int32, out=steps)


def _key(pairs: IntArray, cell_shifts: IntArray, n_atoms: int, reach: int) -> IntArray:
    """One number for each pair (i, j, R) whose R has components of at most `reach`."""
    width = 2 * reach + 1
    x, y, z = (cell_shifts + reach).T
    return (((pairs[:, 0] * n_atoms + pairs[:, 1]) * width + x) * width + y) * width + z
