"""Folding: the inverse of the Bloch sum, with every block at its minimum images."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hampred.interop.crystal_level import CrystalLevel, heights
from hampred.interop.folding import fold, mesh_kpoints, minimum_images
from hampred.interop.integrals import Integrals


def silicon(stdev: float = 0.0) -> Atoms:
    atoms = bulk("Si")
    atoms.rattle(stdev, seed=3)
    return atoms


@pytest.mark.parametrize("mesh", [(1, 1, 1), (3, 3, 3), (5, 3, 1)])
@pytest.mark.parametrize("stdev", [0.0, 0.1])
def test_bloch_sums_on_the_mesh_are_what_was_folded(mesh, stdev, rng):
    atoms = silicon(stdev)
    atoms.positions[1] -= 3 * atoms.cell[1]  # not in the home cell
    k, weights = mesh_kpoints(mesh)
    assert weights.sum() == np.prod(mesh) and not k[0].any()
    matrices = rng.normal(size=(2, len(k), 8, 8))
    matrices = matrices[0] + 1j * matrices[1] * k.any(axis=1)[:, None, None]  # real at Γ
    matrices = matrices + matrices.conj().transpose(0, 2, 1)
    layout = Integrals(atoms, "gth-szv").overlap.layout
    folded = fold(layout, atoms, mesh, matrices)
    for point, matrix in zip(k, matrices):
        np.testing.assert_allclose(folded.bloch(point), matrix, atol=1e-12)
    np.testing.assert_array_equal(folded.transposed().values, folded.values)


def test_a_matrix_of_short_range_comes_back():
    atoms = Atoms("He2", [(0, 0, 0), (1, 2, 2.5)], cell=[(5, 0, 0), (1, 5, 0), (0, -1, 6)], pbc=True)
    s = Integrals(atoms, "sto-3g").overlap
    mesh = (5, 5, 5)
    folded = fold(s.layout, atoms, mesh, np.array([s.bloch(k) for k in mesh_kpoints(mesh)[0]]))
    np.testing.assert_allclose(folded.on_pairs_of(s).values, s.values, atol=1e-9)
    for k in ((0.11, 0.23, 0.37), (0.5, 0.0, 0.0)):
        np.testing.assert_allclose(folded.bloch(k), s.bloch(k), atol=1e-7)


def test_blocks_stand_at_their_minimum_images():
    atoms, mesh = silicon(), np.array((3, 3, 3))
    pairs, shifts, shares = minimum_images(atoms, mesh)
    lengths = np.linalg.norm(atoms.positions[pairs[:, 1]] - atoms.positions[pairs[:, 0]] + shifts @ atoms.cell, axis=1)
    for step in np.eye(3, dtype=int):
        for sign in (3, -3):
            moved = (
                (shifts + sign * step) @ atoms.cell.array + atoms.positions[pairs[:, 1]] - atoms.positions[pairs[:, 0]]
            )
            assert (lengths <= np.linalg.norm(moved, axis=1) + 1e-4).all()
    assert shares.sum() == pytest.approx(4 * 27) and shares.min() < 1  # ties are shared


def test_meshes_follow_the_cell():
    level = CrystalLevel(kpoint_length=10, folding_length=14)
    primitive, conventional = bulk("Si"), bulk("Si", cubic=True)
    np.testing.assert_allclose(heights(primitive.cell.array), 5.43 / np.sqrt(3))
    assert level.kpoint_mesh(primitive).tolist() == [4, 4, 4]
    assert level.kpoint_mesh(conventional).tolist() == [2, 2, 2]
    assert level.kpoint_mesh(primitive.repeat((2, 1, 4))).tolist() == [2, 4, 1]
    assert level.folding_mesh(primitive).tolist() == [5, 5, 5]
    conventional.pbc = (True, True, False)
    assert level.folding_mesh(conventional).tolist() == [3, 3, 1]
