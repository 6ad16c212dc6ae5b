"""Supercells of blocks: order of the atoms, Hermiticity, and the folding of wave vectors."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.blocks.supercell import lattice_points, repeated, supercell, supercell_matrix, unfolded
from hampred.errors import HampredError

SIZES = [(1, 1, 1), (2, 1, 3), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]], [[1, 2, 0], [0, -1, 0], [3, 0, 2]]]


@pytest.fixture
def crystal(rng: np.random.Generator) -> BlockMatrix:
    """Random Hermitian blocks of H and C with invented cell shifts."""
    layout = OrbitalBasis.from_name("def2-svp", [1, 6]).layout([1, 6])
    half = [(0, 0, 1, 0, 0), (0, 1, 0, 0, 0), (0, 1, -1, 2, 0), (1, 1, 0, 1, -1), (1, 0, 0, 0, 3)]
    both = half + [(j, i, -a, -b, -c) for i, j, a, b, c in half] + [(0, 0, 0, 0, 0), (1, 1, 0, 0, 0)]
    table = np.array(both)
    empty = BlockMatrix(layout, table[:, :2], table[:, 2:], np.empty(0))
    return replace(empty, values=rng.normal(size=empty.starts[-1])).hermitized()


@pytest.fixture
def atoms() -> Atoms:
    return Atoms("HC", [[0.1, 0.2, 0.3], [1.0, 0.7, -4.0]], cell=[[2, 0, 0.3], [0.5, 3, 0], [0, 0.1, 4]], pbc=True)


@pytest.mark.parametrize("size", SIZES)
def test_pairs_keep_their_vectors(crystal: BlockMatrix, atoms: Atoms, size):
    large, structure = supercell(crystal, size), repeated(atoms, size)
    assert np.array_equal(large.layout.numbers, structure.numbers)

    def vectors(of: Atoms, matrix: BlockMatrix) -> np.ndarray:
        first, second = of.positions[matrix.pairs.T]
        return second + matrix.cell_shifts @ of.cell.array - first

    expected = np.tile(vectors(atoms, crystal), (len(lattice_points(size)), 1))
    assert np.allclose(vectors(structure, large), expected, atol=1e-12)
    assert np.array_equal(large.hermitized().values, large.values)  # every pair beside its reverse


@pytest.mark.parametrize("size", SIZES)
def test_bands_are_the_folded_ones(crystal: BlockMatrix, size, rng: np.random.Generator):
    k = rng.uniform(-1, 1, size=3)
    large = np.linalg.eigvalsh(supercell(crystal, size).bloch(k))
    folded = np.concatenate([np.linalg.eigvalsh(crystal.bloch(q)) for q in unfolded(k, size)])
    assert np.abs(large - np.sort(folded)).max() < 1e-12


def test_order_of_a_diagonal_supercell_is_that_of_ase(atoms: Atoms):
    assert np.allclose(repeated(atoms, (2, 1, 3)).positions, atoms.repeat((2, 1, 3)).positions)
    assert np.allclose(repeated(atoms, (2, 1, 3)).cell, atoms.repeat((2, 1, 3)).cell)


@pytest.mark.parametrize("size", [(2, 0, 1), (1.5, 1, 1), (2, 2), [[1, 1, 0], [1, 1, 0], [0, 0, 1]]])
def test_no_supercell(size):
    with pytest.raises(HampredError, match="supercell"):
        supercell_matrix(size)
