"""How far the orbitals of two elements overlap, and which atoms of a structure do."""

from functools import lru_cache

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import load_element
from hampred.interop.neighbors import neighbor_pairs, pair_keys
from hampred.interop.two_centre import TwoCentre
from hampred.units import BOHR

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEGLIGIBLE = 1e-10
"""Overlap of two atoms (norm of their block) below which blocks are left out."""


def overlap_range(basis: str, first: int, second: int, threshold: float = NEGLIGIBLE) -> float:
    """Distance of two elements (atomic numbers) beyond which the norm of their overlap is below a threshold, Å."""
    distances, norms = _overlap_decay(basis, *sorted((int(first), int(second))))
    above = np.flatnonzero(norms > threshold)
    return float(distances[min(above[-1] + 1, len(distances) - 1)])


def overlapping(atoms: Atoms, basis: str, threshold: float = NEGLIGIBLE) -> tuple[IntArray, IntArray]:
    """Pairs of atoms whose orbitals overlap, each atom with itself among them.

    Args:
        atoms: Positions and cell in Å; only lattice vectors along periodic directions count.
        basis: Name of a basis set that PySCF knows.
        threshold: Norm of a block below which a pair is left out.

    Returns:
        Atoms i, j [n_pairs, 2] and cell shifts R [n_pairs, 3], sorted by (i, j, R).

    Raises:
        HampredError: An unknown basis or element.
    """
    ranges, kind = _ranges(atoms, basis, threshold)
    pairs, shifts, vectors = neighbor_pairs(atoms, ranges.max())
    near = np.linalg.norm(vectors, axis=1) <= ranges[kind[pairs[:, 0]], kind[pairs[:, 1]]]
    pairs = np.concatenate([pairs[near], np.repeat(np.arange(len(atoms))[:, None], 2, axis=1)])
    shifts = np.concatenate([shifts[near], np.zeros((len(atoms), 3), dtype=np.int64)])
    order = np.argsort(pair_keys(pairs, shifts))
    return pairs[order], shifts[order]


def fading(atoms: Atoms, basis: str, pairs: IntArray, shifts: IntArray) -> Array:
    """How an operator of longer range than the overlap ends with it: (1 − x²⁴)³, x = r / range; 0.8 of the way ≈ 1.

    Args:
        atoms: Positions and cell in Å.
        basis: Name of a basis set that PySCF knows.
        pairs: Atoms i, j [n_pairs, 2].
        shifts: Cell shifts R [n_pairs, 3].

    Returns:
        Factors between 1 and 0 [n_pairs].
    """
    ranges, kind = _ranges(atoms, basis, NEGLIGIBLE)
    vectors = atoms.positions[pairs[:, 1]] + shifts @ atoms.cell.array - atoms.positions[pairs[:, 0]]
    x = np.linalg.norm(vectors, axis=1) / ranges[kind[pairs[:, 0]], kind[pairs[:, 1]]]
    return np.asarray((1 - np.minimum(x, 1) ** 24) ** 3, dtype=np.float64)


def _ranges(atoms: Atoms, basis: str, threshold: float) -> tuple[Array, IntArray]:
    """`overlap_range` between the elements of a structure [n_elements, n_elements], and which one each atom is of."""
    elements, kind = np.unique(atoms.numbers, return_inverse=True)
    return np.array([[overlap_range(basis, a, b, threshold) for b in elements] for a in elements]), kind


@lru_cache(maxsize=1024)
def _overlap_decay(basis: str, first: int, second: int) -> tuple[Array, Array]:
    """Distances (Å) and Frobenius norms of the overlap of two elements, which no rotation changes."""
    shells = {z: load_element(basis, chemical_symbols[z])[0] for z in (first, second)}
    diffuse = min(primitive[0] for element in shells.values() for shell in element for primitive in shell[1:])
    distances = BOHR * np.arange(0, 1.5 * np.sqrt(-2 * np.log(NEGLIGIBLE) / diffuse), 0.25)
    n = len(distances)
    positions = np.zeros((n + 1, 3))
    positions[1:, 2] = distances
    line = Atoms([first] + [second] * n, positions)
    pairs = np.stack([np.zeros(n, dtype=np.int64), np.arange(1, n + 1)], axis=1)
    rows = next(TwoCentre(line, pairs, np.zeros((n, 3), dtype=np.int64)).integrals("int1e_ovlp_sph", shells, shells))
    return distances, np.linalg.norm(rows.reshape(len(rows), n, -1), axis=(0, 2))
