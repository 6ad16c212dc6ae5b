"""From matrices H(k) on a mesh of k-points to blocks H_ij(R): the inverse Bloch sum with minimum images.

A mesh of N₁ × N₂ × N₃ points determines H(R) up to a lattice vector of the N₁ × N₂ × N₃ supercell. Each block of two
atoms is given to the R for which τ_j + R·cell − τ_i is shortest, in equal shares where several are (the Wigner–Seitz
construction of interpolated bands: Yates, Wang, Vanderbilt, Souza, Phys. Rev. B 75, 195121 (2007); here by pairs of
atoms, as Pizzi et al., J. Phys. Condens. Matter 32, 165902 (2020), sec. 4.2).
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import BasisLayout
from hampred.blocks.matrix import BlockMatrix

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

TIE = 1e-4
"""Å: images whose distances differ by less share a block."""

IMAGES = 2
"""Supercells searched on either side for the minimum image: more than any cell needs that is not absurdly skewed."""


def mesh_kpoints(mesh: Sequence[int] | IntArray) -> tuple[Array, IntArray]:
    """One of each k and −k of a Γ-centred odd mesh.

    Args:
        mesh: Odd numbers of points along the reciprocal cell vectors [3].

    Returns:
        k in units of the reciprocal cell vectors [n_k, 3], Γ first, and how many points each stands for [n_k].
    """
    box = _box(mesh)
    half = box[len(box) // 2 :]  # −R stands at the mirrored place of R
    return half / np.asarray(mesh), np.where(half.any(axis=1), 2, 1)


def fold(layout: BasisLayout, atoms: Atoms, mesh: Sequence[int] | IntArray, matrices: NDArray) -> BlockMatrix:
    """Blocks of a matrix that is known on a mesh of k-points.

    Args:
        layout: Orbitals of each atom.
        atoms: Positions (Å), cell and periodicity.
        mesh: Odd numbers of points along the reciprocal cell vectors [3].
        matrices: Hermitian M(k) at the k-points of `mesh_kpoints` [n_k, n_orbitals, n_orbitals]; M(−k) = M(k)*.

    Returns:
        Real blocks M_ij(R) = M_ji(−R)ᵀ, sorted by (i, j, R), whose Bloch sums on the mesh are the matrices given.
    """
    k, weights = mesh_kpoints(mesh)
    box = _box(mesh)
    angles = 2 * np.pi * box @ k.T  # [n_R, n_k]
    scale = weights / weights.sum()
    flat = np.asarray(matrices).reshape(len(k), -1)
    folded = (np.cos(angles) * scale) @ flat.real + (np.sin(angles) * scale) @ flat.imag  # Re e^{−ikR} M(k)
    folded = folded.reshape(len(box), layout.n_orbitals, layout.n_orbitals)
    pairs, shifts, shares = minimum_images(atoms, mesh)
    empty = BlockMatrix(layout, pairs, shifts, np.empty(0))
    half = np.asarray(mesh) // 2
    place = np.ravel_multi_index(tuple(((shifts + half) % mesh).T), tuple(map(int, mesh)))
    values = folded[place[empty.pair_of_value], empty.rows, empty.columns] * shares[empty.pair_of_value]
    return BlockMatrix(layout, pairs, shifts, values).hermitized()


def minimum_images(atoms: Atoms, mesh: Sequence[int] | IntArray) -> tuple[IntArray, IntArray, Array]:
    """The shortest of all vectors between two atoms that a mesh of k-points cannot tell apart.

    Args:
        atoms: Positions (Å), cell and periodicity.
        mesh: Odd numbers of points along the reciprocal cell vectors [3]; 1 where the structure is not periodic.

    Returns:
        Atoms i, j [n_pairs, 2], cell shifts R [n_pairs, 3] and shares [n_pairs], sorted by (i, j, R).
    """
    box, cell = _box(mesh), atoms.cell.array
    steps = [
        np.arange(-IMAGES, IMAGES + 1) * n if periodic else np.zeros(1, int) for n, periodic in zip(mesh, atoms.pbc)
    ]
    images = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    candidates = box[:, None] + images  # [n_R, n_images, 3]
    found: list[IntArray] = []
    shares: list[Array] = []
    for i in range(len(atoms)):
        between: Array = atoms.positions - atoms.positions[i]  # [n_atoms, 3]
        wrapped = np.where(atoms.pbc, np.round(between @ np.linalg.inv(cell)), 0).astype(np.int64)
        nearest = between - wrapped @ cell
        distances = np.linalg.norm(nearest[:, None, None] + candidates @ cell, axis=-1)  # [n_atoms, n_R, n_images]
        shortest = distances <= distances.min(axis=-1, keepdims=True) + TIE
        j, place, image = np.nonzero(shortest)
        found.append(np.column_stack([np.full(len(j), i), j, candidates[place, image] - wrapped[j]]))
        shares.append(1 / shortest.sum(axis=-1)[j, place])
    table, share = np.concatenate(found), np.concatenate(shares)
    order = np.lexsort(table.T[::-1])
    return table[order, :2], table[order, 2:], share[order]


def _box(mesh: Sequence[int] | IntArray) -> IntArray:
    """Integer vectors with components −(n − 1)/2 … (n − 1)/2, n odd [n_points, 3]."""
    sides = [np.arange(int(n)) - int(n) // 2 for n in mesh]
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
