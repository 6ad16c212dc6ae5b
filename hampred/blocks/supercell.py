"""Supercells: the blocks of a repeated cell, and the k-points that fold onto one of its own."""

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from hampred.basis import BasisLayout
from hampred.blocks.matrix import Array, BlockMatrix, IntArray
from hampred.errors import HampredError


def supercell_matrix(size: ArrayLike) -> IntArray:
    """Integer matrix P [3, 3] of the supercell with cell vectors P·cell.

    Args:
        size: Repetitions along each cell vector [3], or P itself [3, 3].

    Raises:
        HampredError: Not integers, or a supercell without volume.
    """
    given = np.asarray(size, dtype=float)
    if given.shape not in ((3,), (3, 3)) or not np.array_equal(given, np.rint(given)):
        raise HampredError(f"A supercell of {np.asarray(size).tolist()}: give three integers, or a 3 × 3 of integers.")
    matrix = np.rint(np.diag(given) if given.ndim == 1 else given).astype(np.int64)
    if not _determinant(matrix):
        raise HampredError(f"The supercell {matrix.tolist()} has no volume: give three independent vectors.")
    return matrix


def lattice_points(size: ArrayLike) -> IntArray:
    """Lattice vectors of the primitive cell inside a supercell [n_cells, 3], the last index running fastest.

    Of all vectors that differ by one of the supercell it is the one with coordinates in [0, 1) there. For a diagonal
    matrix the order is that of `ase.Atoms.repeat`.
    """
    matrix = supercell_matrix(size)
    corners = np.stack(np.meshgrid(*3 * [[0, 1]], indexing="ij"), axis=-1).reshape(-1, 3) @ matrix
    ranges = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0))]
    points = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    return points[~_cells(points, matrix).any(axis=1)]


def repeated(atoms: Atoms, size: ArrayLike) -> Atoms:
    """The supercell as a structure: for each of `lattice_points` all atoms of the cell, none moved back into it."""
    shifts = lattice_points(size) @ atoms.cell.array
    return Atoms(
        numbers=np.tile(atoms.numbers, len(shifts)),
        positions=(shifts[:, None] + atoms.positions).reshape(-1, 3),
        cell=supercell_matrix(size) @ atoms.cell.array,
        pbc=atoms.pbc,
    )


def supercell(matrix: BlockMatrix, size: ArrayLike) -> BlockMatrix:
    """The same one-electron operator on a supercell whose atoms stand as in `repeated`.

    Args:
        matrix: Blocks of the primitive cell.
        size: Repetitions along each cell vector [3], or an integer matrix P [3, 3] (cell vectors P·cell).

    Returns:
        Every block once for each cell: M_(t,i)(t',j)(R') = M_ij(R) where t + R = t' + R'·P.
    """
    p, points = supercell_matrix(size), lattice_points(size)
    index = {tuple(point): k for k, point in enumerate(points.tolist())}
    reached = (points[:, None] + matrix.cell_shifts).reshape(-1, 3)  # cell of the column atom, primitive units
    shifts = _cells(reached, p)
    cells = np.array([index[tuple(point)] for point in (reached - shifts @ p).tolist()], dtype=np.int64)
    n, m = len(points), matrix.layout.n_atoms
    rows = np.repeat(np.arange(n) * m, len(matrix.pairs)) + np.tile(matrix.pairs[:, 0], n)
    columns = cells * m + np.tile(matrix.pairs[:, 1], n)
    layout = BasisLayout(matrix.layout.basis, np.tile(matrix.layout.numbers, n))
    return BlockMatrix(layout, np.stack([rows, columns], axis=1), shifts, np.tile(matrix.values, n))


def unfolded(k: ArrayLike, size: ArrayLike) -> Array:
    """The k-points of the primitive cell that fold onto one of a supercell: P⁻¹ (k + G).

    Args:
        k: Wave vector in units of the reciprocal vectors of the supercell [3].
        size: Repetitions along each cell vector [3], or an integer matrix [3, 3].

    Returns:
        Wave vectors in units of the reciprocal vectors of the primitive cell [n_cells, 3].
    """
    p = supercell_matrix(size)
    return (np.asarray(k, dtype=float) + lattice_points(p.T)) @ np.linalg.inv(p).T


def _determinant(matrix: IntArray) -> int:
    return round(float(np.linalg.det(matrix)))


def _cells(points: NDArray[np.int64], matrix: IntArray) -> IntArray:
    """Supercell in which each lattice point lies [n, 3], in exact integers: ⌊point · P⁻¹⌋."""
    determinant = _determinant(matrix)
    adjugate = np.rint(determinant * np.linalg.inv(matrix)).astype(np.int64)
    return (points @ adjugate) // determinant
