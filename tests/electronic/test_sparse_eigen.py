"""Orbitals around the gap by inertia and shift-and-invert are those of dense diagonalisation."""

import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.sparse import csr_array

from hampred.electronic import sparse_eigen
from hampred.electronic.sparse_eigen import DenseFactorisation, SparseEigenproblem, block_order


def chain(n: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Banded symmetric H and positive definite S [n, n], rows and columns shuffled."""
    generator = np.random.default_rng(seed)
    near = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width
    h, s = (generator.normal(size=(n, n)) * near for _ in range(2))
    shuffle = generator.permutation(n)
    h, s = h + h.T, np.eye(n) + 0.1 * (s + s.T) / width
    return h[shuffle][:, shuffle], s[shuffle][:, shuffle]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(sparse_eigen, "SMALLEST_BLOCK", 16)


@pytest.mark.parametrize(("n", "width"), [(300, 5), (40, 39), (2, 1)])
def test_inertia_counts_the_levels(n: int, width: int):
    h, s = chain(n, width)
    problem, energies = SparseEigenproblem(csr_array(h), csr_array(s)), eigh(h, s, eigvals_only=True)
    for shift in np.quantile(energies, [0.0, 0.3, 0.5, 0.9]) + 1e-3:
        assert problem.factorised(shift).n_negative == (energies < shift).sum()
    assert problem.factorised(energies[0] - 1).n_negative == 0
    assert problem.factorised(energies[-1] + 1).n_negative == n


@pytest.mark.parametrize(("n", "width"), [(300, 5), (40, 39)])
def test_solutions(n: int, width: int, rng: np.random.Generator):
    h, s = chain(n, width)
    right = rng.normal(size=n)
    x = SparseEigenproblem(csr_array(h), csr_array(s)).factorised(0.1).solve(right)
    assert np.abs((h - 0.1 * s) @ x - right).max() < 1e-8


def test_a_chain_has_small_blocks():
    h, _ = chain(300, 5)
    order, starts = block_order(csr_array(h))
    banded = h[order][:, order]
    assert sorted(order) == list(range(300)) and np.diff(starts).max() < 40
    for first, beyond in zip(starts[:-2], [*starts[3:], 300]):  # only neighbouring blocks touch
        last = starts[np.searchsorted(starts, first) + 1]
        assert not banded[first:last, beyond:].any()


def test_pairs_of_pivots(rng: np.random.Generator):
    """A zero diagonal forces 2×2 pivots."""
    a = rng.normal(size=(30, 30))
    a = a + a.T - np.diag(2 * np.diag(a))
    block = DenseFactorisation(np.asfortranarray(a))
    right = rng.normal(size=(30, 2))
    x = block.backward(block.divide(block.forward(right)))
    assert np.abs(a @ x - right).max() < 1e-9
    assert block.n_negative == (np.linalg.eigvalsh(a) < 0).sum()


@pytest.mark.parametrize("guess", ["middle", "far below", "far above"])
@pytest.mark.parametrize("k", [1, 4])
def test_frontier_from_any_guess(guess: str, k: int):
    h, s = chain(300, 5)
    energies, orbitals = eigh(h, s)
    n = 120
    start = {"middle": energies[n], "far below": energies[0] - 3, "far above": energies[-1] + 3}[guess] + 1e-4
    found = SparseEigenproblem(csr_array(h), csr_array(s)).frontier(n, k, float(start))
    assert found.first == n - k and np.abs(found.energies - energies[n - k : n + k]).max() < 1e-10
    assert (found.homo, found.lumo) == (found.energies[k - 1], found.energies[k])
    overlaps = np.abs(np.diag(found.coefficients.T @ s @ orbitals[:, n - k : n + k]))
    assert np.abs(overlaps - 1).max() < 1e-7


@pytest.mark.parametrize("n_occupied", [1, 299])
def test_frontier_at_the_ends_of_the_spectrum(n_occupied: int):
    h, s = chain(300, 5)
    energies = eigh(h, s, eigvals_only=True)
    found = SparseEigenproblem(csr_array(h), csr_array(s)).frontier(n_occupied, 3, 0.0)
    wanted = energies[max(n_occupied - 3, 0) : n_occupied + 3]
    assert np.abs(found.energies - wanted).max() < 1e-10


@pytest.mark.parametrize("missed", [False, True])
def test_levels_that_lie_densely_are_found_from_closer_shifts(monkeypatch, rng: np.random.Generator, missed: bool):
    """Also where the first look takes the second level for the edge."""
    monkeypatch.setattr(sparse_eigen, "LANCZOS_VECTORS", 20)
    monkeypatch.setattr(sparse_eigen, "RESTARTS", 1)
    energies = np.concatenate([np.linspace(-1, -0.2, 100), 0.1 + 1e-6 * np.arange(200.0) ** 2])
    energies[101] = energies[100]  # exactly degenerate
    q, _ = np.linalg.qr(rng.normal(size=(300, 300)))
    problem, shifts = SparseEigenproblem(csr_array(q * energies @ q.T), csr_array(np.eye(300))), []
    factorised, around = problem.factorised, problem.around

    def counted(shift: float):
        shifts.append(shift)
        return factorised(shift)

    def coarse(*arguments, tolerance: float = 1e-10, **more):
        start, found, coefficients = around(*arguments, tolerance=tolerance, **more)
        return start, found + (1e-2 if missed and tolerance == 1e-3 else 0), coefficients

    monkeypatch.setattr(problem, "factorised", counted)
    monkeypatch.setattr(problem, "around", coarse)
    found = problem.frontier(100, 4, -0.05)
    assert len(shifts) == 3 and np.abs(found.energies - energies[96:104]).max() < 1e-11
    residual = q * energies @ q.T @ found.coefficients - found.coefficients * found.energies
    assert np.abs(residual).max() < 1e-9
    assert np.abs(found.coefficients.T @ found.coefficients - np.eye(8)).max() < 1e-9
