"""Pairs within a cutoff, with ASE as the oracle."""

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from hampred.interop.neighbors import neighbor_pairs


@pytest.mark.parametrize("pbc", [(False,) * 3, (True,) * 3, (True, True, False)])
@given(seed=st.integers(0, 10**6))
def test_pairs_are_those_of_ase(pbc, seed):
    generator = np.random.default_rng(seed)
    cell = 4 * np.eye(3) + generator.uniform(-0.8, 0.8, (3, 3)) if any(pbc) else None
    atoms = Atoms("H6", generator.uniform(-3, 6, (6, 3)), cell=cell, pbc=pbc)
    pairs, shifts, vectors = neighbor_pairs(atoms, 4.5)
    i, j, s, d = primitive_neighbor_list("ijSD", atoms.pbc, atoms.cell.array, atoms.positions, 4.5)
    found = {(*pair, *shift): vector for pair, shift, vector in zip(pairs.tolist(), shifts.tolist(), vectors)}
    expected = {(a, b, *shift): vector for a, b, shift, vector in zip(i.tolist(), j.tolist(), s.tolist(), d)}
    assert found.keys() == expected.keys()
    assert all(np.allclose(found[key], expected[key]) for key in found)
    assert [*map(tuple, np.concatenate([pairs, shifts], 1).tolist())] == sorted(found)
