"""Surroundings tell atoms apart by geometry, charge and field, and nothing else."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from hampred.evaluation.surroundings import CUTOFF, Surroundings
from hampred.harmonics import random_rotation

SURROUNDINGS = Surroundings([8, 6, 1])
NO_FIELD = np.zeros(3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_no_rotation_mirror_or_order_changes_them(seed, mirrored):
    rng = np.random.default_rng(seed)
    atoms, field = molecule("CH3CH2OH"), rng.normal(size=3)
    atoms.rattle(0.05, rng=rng)
    turn = random_rotation(rng) * (-1 if mirrored else 1)
    order = rng.permutation(len(atoms))
    turned = atoms[order]
    turned.positions = turned.positions @ turn.T
    here, there = SURROUNDINGS.invariants(atoms, 1, 0, field), SURROUNDINGS.invariants(turned, 1, 0, turn @ field)
    np.testing.assert_allclose(there, here[order], rtol=0, atol=1e-11 * abs(here).max())


def test_charge_spin_and_field_are_seen():
    atoms = molecule("H2O")
    kinds = [(0, 0, NO_FIELD), (1, 0, NO_FIELD), (0, 2, NO_FIELD), (0, 0, np.array([0, 0, 0.1]))]
    rows = [SURROUNDINGS.invariants(atoms, *kind) for kind in [*kinds, (0, 0, np.array([0, 0, -0.1]))]]
    for k, one in enumerate(rows):
        assert all(abs(one - other).max() > 1e-3 for other in rows[:k])


def test_a_bond_tells_how_long_it_is():
    """Two atoms with one neighbour each: nothing but the distance can tell a stretched molecule from another."""
    short, long = (SURROUNDINGS.invariants(Atoms("OH", [[0, 0, 0], [0, 0, d]]), 0, 0, NO_FIELD) for d in (0.85, 1.05))
    assert np.linalg.norm(short - long) > 0.3 * np.linalg.norm(short)


def test_they_are_smooth_where_a_neighbour_leaves():
    rows = [SURROUNDINGS.invariants(Atoms("OH", [[0, 0, 0], [0, 0, CUTOFF + d]]), 0, 0, NO_FIELD) for d in (-1e-4, 0.0)]
    assert abs(rows[0] - rows[1]).max() < 1e-8


def test_the_choice_of_the_cell_of_a_crystal_does_not_matter():
    primitive, cubic = bulk("NaCl", "rocksalt", 5.6), bulk("NaCl", "rocksalt", 5.6, cubic=True)
    known = Surroundings([11, 17])
    one, other = (known.invariants(atoms, 0, 0, NO_FIELD) for atoms in (primitive, cubic))
    for z in (11, 17):
        rows = other[cubic.numbers == z]
        np.testing.assert_allclose(rows, one[primitive.numbers == z].repeat(len(rows), 0), rtol=0, atol=1e-12)


def test_a_single_atom_has_surroundings_too():
    alone = SURROUNDINGS.invariants(Atoms("O"), 0, 0, NO_FIELD)
    assert alone.shape[0] == 1 and alone[0] == pytest.approx(0.0)
