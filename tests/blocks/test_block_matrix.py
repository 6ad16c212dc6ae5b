"""BlockMatrix: blocks ↔ dense ↔ Bloch sums, with PySCF's integrals as the oracle."""

import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.pyscf import build_mole, kinetic


@pytest.fixture
def atoms(scattered: Callable) -> Atoms:
    return scattered("H2CO", 3)


@pytest.fixture
def matrix(atoms: Atoms) -> BlockMatrix:
    mole = build_mole(atoms, "def2-svp")
    return BlockMatrix.from_dense(OrbitalBasis.from_mole(mole).layout(atoms.numbers), kinetic(mole))


@pytest.fixture
def crystal(rng: np.random.Generator) -> BlockMatrix:
    """Random blocks of two atoms with invented cell shifts, every pair with its reverse."""
    layout = OrbitalBasis.from_name("def2-svp", [1, 6]).layout([1, 6])
    half = [(0, 0, 1, 0, 0), (0, 1, 0, 0, 0), (0, 1, -1, 2, 0), (1, 1, 0, 1, -1), (1, 0, 0, 0, 3)]
    both = half + [(j, i, -a, -b, -c) for i, j, a, b, c in half] + [(0, 0, 0, 0, 0), (1, 1, 0, 0, 0)]
    table = np.array(both)[rng.permutation(len(both))]
    empty = BlockMatrix(layout, table[:, :2], table[:, 2:], np.empty(0))
    return replace(empty, values=rng.normal(size=empty.starts[-1])).hermitized()


def test_dense_round_trip(atoms: Atoms, matrix: BlockMatrix):
    dense = kinetic(build_mole(atoms, "def2-svp"))
    assert np.array_equal(matrix.to_dense(), dense)
    assert np.array_equal(matrix.to_sparse().toarray(), dense)
    for pair, (i, j) in enumerate(matrix.pairs):
        rows, columns = matrix.layout.orbitals(i), matrix.layout.orbitals(j)
        assert np.array_equal(matrix.block(pair), dense[rows, columns])


def test_selected_pairs_leave_the_rest_zero(matrix: BlockMatrix):
    pairs = np.array([[0, 1], [1, 0], [2, 2]])
    dense = BlockMatrix.from_dense(matrix.layout, matrix.to_dense(), pairs).to_dense()
    kept = dense != 0
    assert np.array_equal(dense[kept], matrix.to_dense()[kept])
    assert np.count_nonzero(dense[matrix.layout.orbitals(3)]) == 0


def test_sparse_matrices_depend_on_no_order_and_share_their_places(matrix: BlockMatrix, rng: np.random.Generator):
    some = matrix.pairs[rng.choice(len(matrix.pairs), 9, replace=False)]
    ordered = some[np.lexsort(some.T[::-1])]
    a, b = (BlockMatrix.from_dense(matrix.layout, matrix.to_dense(), pairs) for pairs in (some, ordered))
    assert a.row_order is None and b.row_order is not None
    assert a.to_sparse().has_canonical_format and b.to_sparse().has_canonical_format
    assert np.array_equal(a.to_sparse().toarray(), b.to_sparse().toarray())
    twice = b.with_values(2 * b.values).to_sparse()
    assert np.shares_memory(twice.indices, b.to_sparse().indices)
    assert np.array_equal(twice.toarray(), 2 * a.to_dense())


def test_memory_is_given_back_without_the_garbage_collector(matrix: BlockMatrix):
    copy = matrix.with_values(matrix.values.copy())
    copy.to_dense()
    values = weakref.ref(copy.values)
    del copy
    assert values() is None


def test_wrong_shape_is_refused(matrix: BlockMatrix):
    with pytest.raises(HampredError, match="orbitals"):
        BlockMatrix.from_dense(matrix.layout, np.eye(3))


def test_rotated_is_the_matrix_of_the_rotated_molecule(atoms: Atoms, matrix: BlockMatrix, rng: np.random.Generator):
    for improper in (False, True):
        q = random_rotation(rng, improper)
        other = atoms.copy()
        other.positions = atoms.positions @ q.T
        difference = matrix.rotated(q).to_dense() - kinetic(build_mole(other, "def2-svp"))
        assert np.abs(difference).max() < 1e-12


def test_transposed_and_hermitized(matrix: BlockMatrix, rng: np.random.Generator):
    dense = rng.normal(size=matrix.to_dense().shape)
    general = BlockMatrix.from_dense(matrix.layout, dense)
    assert np.array_equal(general.transposed().to_dense(), dense.T)
    assert np.array_equal(general.hermitized().to_dense(), (dense + dense.T) / 2)


def test_reverse_is_its_own_inverse(crystal: BlockMatrix):
    reverse = crystal.reverse
    assert np.array_equal(crystal.pairs[reverse], crystal.pairs[:, ::-1])
    assert np.array_equal(crystal.cell_shifts[reverse], -crystal.cell_shifts)
    assert np.array_equal(reverse[reverse], np.arange(len(reverse)))


def test_one_of_each_pair_is_completed(crystal: BlockMatrix, rng: np.random.Generator):
    one = [rng.choice([k, other]) for k, other in enumerate(crystal.reverse) if k <= other]
    values = np.concatenate([crystal.block(k).ravel() for k in one])
    half = BlockMatrix(crystal.layout, crystal.pairs[one], crystal.cell_shifts[one], values)
    assert np.array_equal(half.completed(crystal).values, crystal.values)


def test_blocks_that_a_half_lacks_are_zero(crystal: BlockMatrix):
    some = np.flatnonzero(crystal.once)[::2]
    values = np.concatenate([crystal.block(k).ravel() for k in some])
    half = BlockMatrix(crystal.layout, crystal.pairs[some], crystal.cell_shifts[some], values)
    completed, given = half.completed(crystal), np.isin(np.arange(len(crystal.pairs)), [some, crystal.reverse[some]])
    assert not given.all()
    for pair, held in enumerate(given):
        assert np.array_equal(completed.block(pair), crystal.block(pair) if held else 0 * crystal.block(pair))


def test_sums_leave_out_what_is_not_there(crystal: BlockMatrix, rng: np.random.Generator):
    some = rng.permutation(len(crystal.pairs))[::2]
    values = np.concatenate([crystal.block(k).ravel() for k in some])
    part = BlockMatrix(crystal.layout, crystal.pairs[some], crystal.cell_shifts[some], values)
    assert np.array_equal(crystal.plus(part).values, crystal.values + part.on_pairs_of(crystal).values)
    assert np.array_equal(part.plus(crystal).values, 2 * part.values)


def test_missing_reverse_is_an_error(crystal: BlockMatrix):
    lost = np.flatnonzero(crystal.reverse != np.arange(len(crystal.pairs)))[0]
    pairs, shifts = np.delete(crystal.pairs, lost, axis=0), np.delete(crystal.cell_shifts, lost, axis=0)
    with pytest.raises(HampredError, match="reverse"):
        BlockMatrix(crystal.layout, pairs, shifts, np.zeros(1)).hermitized()


def test_bloch_sums_are_hermitian(crystal: BlockMatrix, rng: np.random.Generator):
    k = rng.uniform(size=3)
    h = crystal.bloch(k)
    assert np.abs(h - h.conj().T).max() < 1e-14
    assert np.abs(crystal.bloch(-k) - h.conj()).max() < 1e-14
    assert np.abs(crystal.bloch(k + [1, -2, 3]) - h).max() < 1e-12  # periodic in reciprocal space
    assert np.abs(crystal.bloch(np.zeros(3)) - crystal.to_dense()).max() < 1e-14
    expected = np.zeros_like(h)
    for (i, j), shift in zip(crystal.pairs, crystal.cell_shifts):
        block = crystal.layout.orbitals(i), crystal.layout.orbitals(j)
        expected[block] += np.exp(2j * np.pi * shift @ k)
    assert np.allclose(replace(crystal, values=np.ones_like(crystal.values)).bloch(k), expected)


def test_bloch_sums_at_many_k(crystal: BlockMatrix, rng: np.random.Generator):
    k = rng.uniform(size=(2, 3, 3))
    assert np.array_equal(crystal.bloch(k), [[crystal.bloch(point) for point in row] for row in k])
    assert not crystal.bloch(np.array([[0, 0, 0], [0.5, -1.5, 0], [0.5, 0.5, 0.5]])).imag.any()  # real there


def test_groups_cover_every_value_once(crystal: BlockMatrix, monkeypatch: pytest.MonkeyPatch):
    whole = len(list(crystal.groups()))
    monkeypatch.setattr("hampred.blocks.matrix.PORTION", 200)
    assert len(list(crystal.groups())) > whole == 4
    seen = np.concatenate([index.ravel() for _, _, _, index in crystal.groups()])
    assert np.array_equal(np.sort(seen), np.arange(len(crystal.values)))
    for z_i, z_j, members, index in crystal.groups():
        assert np.array_equal(crystal.layout.numbers[crystal.pairs[members]], [[z_i, z_j]] * len(members))
        assert np.array_equal(crystal.values[index[0]], crystal.block(members[0]))


def test_error_separates_onsite_and_offsite(matrix: BlockMatrix):
    shifted = replace(matrix, values=matrix.values + 2.0 * matrix.onsite[matrix.pair_of_value])
    error = shifted.error(matrix)
    assert error["onsite"] == pytest.approx(2.0) and error["offsite"] == 0.0 and error["max"] == pytest.approx(2.0)
    assert 0 < error["all"] < 2.0
