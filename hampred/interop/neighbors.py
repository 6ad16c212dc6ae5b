"""Pairs of atoms within a cutoff, in molecules and crystals."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def neighbor_pairs(atoms: Atoms, cutoff: float) -> tuple[IntArray, IntArray, NDArray[np.float64]]:
    """All ordered pairs (i, j, R) of different atoms or images closer than the cutoff, sorted.

    Args:
        atoms: Structure, positions in Å.
        cutoff: Largest distance, Å.

    Returns:
        Atoms [n_pairs, 2], cell shifts R [n_pairs, 3], and vectors r_j + R·cell − r_i [n_pairs, 3] in Å.
    """
    from vesin import NeighborList

    neighbors = NeighborList(cutoff=cutoff, full_list=True)
    first, second, shifts = neighbors.compute(atoms.positions, atoms.cell.array, tuple(map(bool, atoms.pbc)), "ijS")
    shifts = shifts.astype(np.int64)
    pairs = np.stack([first, second], axis=1).astype(np.int64)
    order = np.argsort(pair_keys(pairs, shifts))
    pairs, shifts = pairs[order], shifts[order]
    positions: NDArray[np.float64] = atoms.positions
    vectors: NDArray[np.float64] = positions[pairs[:, 1]] + shifts @ atoms.cell.array - positions[pairs[:, 0]]
    return pairs, shifts, vectors


def pair_keys(pairs: IntArray, shifts: IntArray) -> IntArray:
    """A number for each pair (i, j, R) [n_pairs], by which they are sorted as by i, then j, then R."""
    table = np.concatenate([pairs, shifts], axis=1)
    if not len(table):
        return np.empty(0, dtype=np.int64)
    lowest = table.min(axis=0)
    keys = np.ravel_multi_index(tuple((table - lowest).T), tuple(np.ptp(table, axis=0) + 1))
    return np.asarray(keys, dtype=np.int64)
