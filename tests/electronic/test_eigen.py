"""Energies without orbitals are those of the orbitals."""

import numpy as np
import pytest

from hampred.electronic.eigen import DEPENDENCE, NearDependentBasis, energies, solve
from hampred.errors import HampredError


def problem(rng: np.random.Generator, smallest: float, unit: complex = 1j) -> tuple[np.ndarray, np.ndarray]:
    """H and S [12, 12] with a smallest eigenvalue of S."""
    h, a = rng.normal(size=(2, 12, 12)) + unit * rng.normal(size=(2, 12, 12))
    q, _ = np.linalg.qr(a)
    s = (q * np.geomspace(smallest, 2, 12)) @ q.conj().T
    return h + h.conj().T, 0.5 * (s + s.conj().T)


@pytest.mark.parametrize("unit", [1j, 0])
@pytest.mark.parametrize("smallest", [0.1, 2 * DEPENDENCE])
def test_energies_are_those_of_solve(rng: np.random.Generator, smallest: float, unit: complex):
    """With 2e-7 the bound on the smallest eigenvalue is too weak, and the eigenvalue itself decides."""
    h, s = problem(rng, smallest, unit)
    found, coefficients = solve(h, s)
    assert len(found) == 12 and np.abs(energies(h, s) - found).max() < 1e-13 / smallest
    assert np.abs(coefficients.conj().T @ s @ coefficients - np.eye(12)).max() < 1e-13 / smallest


def test_dependent_orbitals_are_projected_out(rng: np.random.Generator):
    h, s = problem(rng, 0.1 * DEPENDENCE)
    with pytest.warns(NearDependentBasis, match="of 12"):
        found = energies(h, s)
    assert len(found) < 12


def test_a_complex_matrix_without_imaginary_part_counts_as_real(rng: np.random.Generator):
    h, s = problem(rng, 0.1, 0)
    assert np.array_equal(energies(h.astype(complex), s), energies(h, s))


def test_what_has_no_energies(rng: np.random.Generator):
    h, s = problem(rng, 0.1)
    for message, arguments in {
        "not finite": (h * np.nan, s),
        "square": (h[:3], s[:3]),
        "not positive definite": (h, -s),
    }.items():
        with pytest.raises(HampredError, match=message):
            energies(*arguments)
