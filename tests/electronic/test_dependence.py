"""Corrections count where orbitals are independent of each other."""

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from hampred.electronic.dependence import DEPENDENT, INDEPENDENT, independent_part
from hampred.electronic.eigen import solve
from hampred.harmonics import random_rotation
from hampred.interop.integrals import Integrals

CYANOGEN = Atoms("NC2N", [[0, 0, 0], [0, 0, 1.14], [0, 0, 2.46], [0, 0, 3.60]])


def symmetric(rng: np.random.Generator, n: int, scale: float = 1.0) -> np.ndarray:
    matrix = scale * rng.normal(size=(n, n))
    return matrix + matrix.T


def with_eigenvalues(rng: np.random.Generator, eigenvalues: list[float]) -> tuple[np.ndarray, np.ndarray]:
    vectors = np.linalg.qr(rng.normal(size=2 * (len(eigenvalues),)))[0]
    return (vectors * eigenvalues) @ vectors.T, vectors


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_only_directions_of_small_eigenvalues_lose_anything(seed: int):
    rng = np.random.default_rng(seed)
    overlap, vectors = with_eigenvalues(rng, [0.3 * DEPENDENT, 6e-4, 1.01 * INDEPENDENT, 0.4, 1.9])
    correction = symmetric(rng, 5)
    kept = vectors.T @ independent_part(correction, overlap) @ vectors
    whole = vectors.T @ correction @ vectors
    assert np.abs(kept[2:, 2:] - whole[2:, 2:]).max() < 1e-12
    assert np.abs(kept[0]).max() < 1e-9  # eigenvectors of small eigenvalues are known to rounding over their distance
    shares = kept[1, 2:] / whole[1, 2:]
    assert np.allclose(shares, shares[0]) and 0 < shares[0] < 1
    assert kept[1, 1] == pytest.approx(shares[0] ** 2 * whole[1, 1])


def test_nothing_changes_where_all_orbitals_are_independent(rng: np.random.Generator):
    overlap, _ = with_eigenvalues(rng, [1.01 * INDEPENDENT, 0.5, 1.5])
    correction = symmetric(rng, 3)
    assert independent_part(correction, overlap) is correction


def test_it_turns_with_the_molecule(rng: np.random.Generator):
    q = random_rotation(rng, improper=True)
    turned = Atoms(CYANOGEN.numbers, CYANOGEN.positions @ q.T)
    before, after = (Integrals(atoms, "def2-svp").overlap.to_dense() for atoms in (CYANOGEN, turned))
    assert np.linalg.eigvalsh(before)[0] < INDEPENDENT
    d = Integrals(CYANOGEN, "def2-svp").layout.rotation(q)
    correction = symmetric(rng, len(before))
    found = independent_part(d @ correction @ d.T, after)
    assert np.abs(found - d @ independent_part(correction, before) @ d.T).max() < 1e-10
    assert np.array_equal(found, found.T)


def test_small_errors_make_no_states(rng: np.random.Generator):
    """Errors of some 10⁻⁴ Hartree, and a spectrum that starts at 0 without them."""
    integrals = Integrals(CYANOGEN, "def2-svp")
    s, h = integrals.overlap.to_dense(), integrals.kinetic.to_dense()
    lowest = [
        min(solve(h + change(symmetric(rng, len(s), 2e-4), s), s)[0][0] for _ in range(5))
        for change in (lambda error, s: error, independent_part)
    ]
    assert lowest[0] < -1.0 and lowest[1] > -0.2
