"""RowOrder: the values of blocks row by row."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from hampred.blocks.matrix import BlockMatrix

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


class RowOrder:
    """Where the values of a matrix stand row by row, as sparse matrices hold them.

    Attributes:
        columns: Column of each [n_values].
        starts: First one of each row, with their number at the end [n_orbitals + 1].
    """

    def __init__(self, matrix: "BlockMatrix") -> None:
        """Takes a matrix whose pairs are sorted by (i, j), each of them there once."""
        self._matrix, sizes = matrix, matrix.layout.sizes
        self._first = matrix.starts[np.searchsorted(matrix.pairs[:, 0], np.arange(len(sizes) + 1))]
        self._lengths = np.diff(self._first) // sizes  # of the rows of each atom
        integer = np.int32 if matrix.starts[-1] < 2**31 else np.int64  # scipy wants one kind for all
        self.starts = np.append(0, np.cumsum(np.repeat(self._lengths, sizes))).astype(integer)
        self.columns = np.empty(matrix.starts[-1], dtype=integer)
        for _, _, members, places in matrix.groups():
            first = matrix.layout.offsets[matrix.pairs[members, 1]]
            self.columns[self.place(members)] = first[:, None, None] + np.arange(places.shape[2])

    @cached_property
    def index(self) -> NDArray[np.integer]:
        """Place of each value in the list of the blocks [n_values]."""
        index = np.empty_like(self.columns)
        for _, _, members, places in self._matrix.groups():
            index[self.place(members)] = places
        return index

    def place(self, pairs: IntArray) -> IntArray:
        """Where the values of some pairs with equally large blocks stand [m, n_i, n_j]."""
        (n_i, n_j), i = self._matrix.shapes[pairs[0]], self._matrix.pairs[pairs, 0]
        before = (self._matrix.starts[pairs] - self._first[i]) // n_i  # blocks of one atom have equally many rows
        rows = (self._first[i] + before)[:, None] + self._lengths[i, None] * np.arange(n_i)
        return rows[:, :, None] + np.arange(n_j)

    def sparse(self, values: Array) -> csr_array:
        """The matrix with these values, which stand row by row [n_orbitals, n_orbitals]."""
        return csr_array((values, self.columns, self.starts), shape=2 * (len(self.starts) - 1,))
