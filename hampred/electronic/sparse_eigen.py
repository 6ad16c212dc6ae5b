"""Orbitals around the gap of large sparse H C = S C ε: counted by inertia, found by shift-and-invert Lanczos.

H − σS = L D Lᵀ has as many negative eigenvalues as there are levels below σ (Sylvester's law of inertia), so that one
factorisation in the gap proves which levels are the HOMO and the LUMO, and serves to find them (Ericsson and Ruhe,
Math. Comp. 35, 1251 (1980)). After reverse Cuthill–McKee ordering the matrix is block-tridiagonal; its blocks are
dense and factorised by LAPACK (Bunch–Kaufman), and the inertia of the matrix is the sum of those of the Schur
complements (Haynsworth 1968). A chain costs linear time, a compact cluster what a dense factorisation costs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.linalg.blas import dtrsm
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from hampred.errors import FailedError

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

SMALLEST_BLOCK = 256
"""Rows of a diagonal block below which LAPACK is not fast."""

ATTEMPTS = 12
"""Factorisations until a shift lies near the gap."""

FEW = 40
"""Levels between shift and gap up to which Lanczos finds the gap faster than further factorisations."""

CLOSE = 0.003
"""Distance of a shift from the HOMO or LUMO next to which levels lie densely, in units of that of the first shift."""

RESTARTS = 2
"""Of Lanczos from the middle of the gap; levels not found by then lie so densely that closer shifts are due."""

LANCZOS_VECTORS = 120
"""Smallest Krylov space: memory is cheap beside the factors, and restarts are not."""


class Unconverged(FailedError):
    """Lanczos did not find the levels that it was asked for."""


def block_order(matrix: csr_array) -> tuple[IntArray, IntArray]:
    """An order in which a symmetric sparse matrix is block-tridiagonal.

    Args:
        matrix: Only its pattern counts [n, n].

    Returns:
        Permutation [n], and the first row of each block, with n at the end [n_blocks + 1].
    """
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True).astype(np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    farthest = np.maximum.reduceat(place[matrix.indices], matrix.indptr[:-1])[order]  # in each row
    reach = np.maximum.accumulate(farthest) + 1
    starts = [0, int(reach[0])]
    while starts[-1] < len(order):
        starts.append(int(max(reach[starts[-1] - 1], min(starts[-1] + SMALLEST_BLOCK, len(order)))))
    size = np.append(np.diff(starts), 0).astype(float)
    work = size[:-1] ** 3 / 3 + size[:-1] ** 2 * size[1:] + 2 * size[:-1] * size[1:] ** 2
    return order, np.array(starts if work.sum() < len(order) ** 3 / 3 else [0, len(order)])


class DenseFactorisation:
    """P A Pᵀ = L D Lᵀ of a dense symmetric matrix by Bunch and Kaufman, D with blocks of 1×1 and 2×2.

    Attributes:
        n_negative: Number of negative eigenvalues of A.
    """

    def __init__(self, matrix: Array) -> None:
        """Factorises the lower triangle of A [n, n], in place where it is in Fortran order.

        Raises:
            FailedError: A is singular.
        """
        factor, pivots, info = lapack.dsytrf(matrix, lower=1, lwork=64 * len(matrix), overwrite_a=1)
        if info:
            raise FailedError("A shift fell on a level, and H − σS is singular: displace an atom by 0.001 Å.")
        self._lower, offdiagonal, _ = lapack.dsyconv(factor, pivots, lower=1, overwrite_a=1)
        self._diagonal = np.diag(self._lower).copy()
        self._paired = pivots < 0
        self._double = np.flatnonzero(self._paired)[::2]  # first row of each 2×2 block
        self._coupling = offdiagonal[self._double]
        self._permutation = _permutation(pivots)
        # by its choice of pivots, a 2×2 block has one eigenvalue of each sign
        self.n_negative = int((self._diagonal[~self._paired] < 0).sum()) + len(self._double)

    def forward(self, right: Array) -> Array:
        """L⁻¹ P B for B [n, m]."""
        return dtrsm(1.0, self._lower, right[self._permutation], lower=1, diag=1)

    def divide(self, right: Array) -> Array:
        """D⁻¹ B for B [n, m]."""
        result = right / np.where(self._paired, 1.0, self._diagonal)[:, None]
        first, second = self._double, self._double + 1
        a, b, c = self._diagonal[first, None], self._diagonal[second, None], self._coupling[:, None]
        determinant = a * b - c**2
        result[first] = (b * right[first] - c * right[second]) / determinant
        result[second] = (a * right[second] - c * right[first]) / determinant
        return result

    def backward(self, right: Array) -> Array:
        """Pᵀ L⁻ᵀ B for B [n, m]."""
        result = np.empty_like(right)
        result[self._permutation] = dtrsm(1.0, self._lower, right, lower=1, diag=1, trans_a=1)
        return result


def _permutation(pivots: NDArray[np.int32]) -> IntArray:
    """Rows of P from the interchanges of LAPACK's ``dsytrf`` (lower triangle) [n]."""
    order, k = list(range(len(pivots))), 0
    while k < len(pivots):
        if pivots[k] > 0:
            i, j, k = k, pivots[k] - 1, k + 1
        else:
            i, j, k = k + 1, -pivots[k + 1] - 1, k + 2
        order[i], order[j] = order[j], order[i]
    return np.array(order)


class Factorisation:
    """L D Lᵀ of a symmetric block-tridiagonal matrix A: its inertia, and solutions of A x = b.

    Attributes:
        n_negative: Number of negative eigenvalues.
    """

    def __init__(self, matrix: csr_array, order: IntArray, starts: IntArray) -> None:
        """Factorises.

        Args:
            matrix: Symmetric A [n, n].
            order: Permutation from `block_order` [n].
            starts: First row of each block [n_blocks + 1].

        Raises:
            FailedError: A is singular.
        """
        self.order, self.starts = order, starts
        permuted = matrix[order][:, order].tocsr()
        self._blocks: list[DenseFactorisation] = []
        self._couplings: list[Array] = []  # W_k = L_k⁻¹ P_k A_k,k+1
        update: Array | None = None
        for first, last, end in zip(starts[:-1], starts[1:], [*starts[2:], starts[-1]]):
            diagonal = permuted[first:last, first:last].toarray(order="F")
            if update is not None:
                diagonal -= update
            block = DenseFactorisation(diagonal)
            coupling = block.forward(permuted[first:last, last:end].toarray(order="F"))
            update = coupling.T @ block.divide(coupling)  # of the Schur complement
            self._blocks.append(block)
            self._couplings.append(coupling)
        self.n_negative = sum(block.n_negative for block in self._blocks)

    def solve(self, right: Array) -> Array:
        """x [n] of A x = b for b [n]."""
        parts = np.split(right[self.order, None], self.starts[1:-1])
        for k, (block, coupling) in enumerate(zip(self._blocks, self._couplings)):
            parts[k] = block.divide(block.forward(parts[k]))
            if k + 1 < len(parts):
                parts[k + 1] = parts[k + 1] - coupling.T @ parts[k]
        for k in reversed(range(len(parts))):
            block = self._blocks[k]
            known = block.divide(self._couplings[k] @ parts[k + 1]) if k + 1 < len(parts) else 0.0
            parts[k] = block.backward(parts[k] - known)
        solution = np.empty_like(right)
        solution[self.order] = np.concatenate(parts)[:, 0]
        return solution


@dataclass(frozen=True, eq=False)
class FrontierOrbitals:
    """Orbitals next to the gap.

    Attributes:
        first: Index of the first of them among all orbitals, counted from 0.
        energies: Hartree, ascending [m].
        coefficients: As columns, orthonormal in S [n, m].
        n_occupied: Doubly occupied orbitals of the molecule.
    """

    first: int
    energies: Array
    coefficients: Array
    n_occupied: int

    @property
    def homo(self) -> float:
        """Energy of the highest occupied orbital, Hartree."""
        return float(self.energies[self.n_occupied - 1 - self.first])

    @property
    def lumo(self) -> float:
        """Energy of the lowest empty orbital, Hartree."""
        return float(self.energies[self.n_occupied - self.first])

    @property
    def gap(self) -> float:
        """LUMO − HOMO, Hartree."""
        return self.lumo - self.homo


class SparseEigenproblem:
    """H C = S C ε of a large molecule."""

    def __init__(self, hamiltonian: csr_array, overlap: csr_array) -> None:
        """Takes symmetric H (Hartree) and positive definite S [n, n]."""
        self.hamiltonian, self.overlap = hamiltonian, overlap
        self.n_orbitals = len(hamiltonian.indptr) - 1

    @cached_property
    def _blocks(self) -> tuple[IntArray, IntArray]:
        return block_order(abs(self.hamiltonian) + abs(self.overlap))

    def factorised(self, shift: float) -> Factorisation:
        """H − σS; its `n_negative` is the number of levels below the shift σ (Hartree)."""
        return Factorisation((self.hamiltonian - shift * self.overlap).tocsr(), *self._blocks)

    def around(
        self,
        factorisation: Factorisation,
        shift: float,
        count: int,
        tolerance: float = 1e-10,
        restarts: int | None = None,
    ) -> tuple[int, Array, Array]:
        """The levels next to a shift.

        Args:
            factorisation: Of H − σS.
            shift: σ, Hartree.
            count: How many levels on each side.
            tolerance: Relative residual of 1 / (ε − σ), whose error is of second order in it.
            restarts: After how many Lanczos gives up; without it after ten for each orbital.

        Returns:
            Index of the first of them, energies [2 · count] (Hartree, ascending), coefficients [n, 2 · count].

        Raises:
            Unconverged: Lanczos does not converge.
        """
        energies, coefficients = self._lanczos(factorisation, shift, 2 * count, "BE", tolerance, restarts)
        return factorisation.n_negative - int((energies < shift).sum()), energies, coefficients

    def _lanczos(
        self,
        factorisation: Factorisation,
        shift: float,
        count: int,
        which: str,
        tolerance: float = 1e-10,
        restarts: int | None = None,
    ) -> tuple[Array, Array]:
        """Levels whose 1 / (ε − σ) are the largest (LA), the smallest (SA), or half of each (BE); see `around`."""
        n = self.n_orbitals
        inverse = LinearOperator((n, n), matvec=lambda b: factorisation.solve(np.ravel(b)), dtype=np.float64)
        arguments = {
            "sigma": shift,
            "OPinv": inverse,
            "v0": np.random.default_rng(0).normal(size=n),
            "which": which,
            "ncv": min(n, max(LANCZOS_VECTORS, 4 * count)),
            "tol": tolerance,
            "maxiter": restarts,
        }
        try:
            energies, coefficients = eigsh(self.hamiltonian, count, self.overlap, **arguments)
        except ArpackNoConvergence as error:
            raise Unconverged(
                f"Lanczos found {len(error.eigenvalues)} of {count} levels at the gap: predict a smaller piece of "
                "the molecule, whose matrices are dense."
            ) from error
        order = np.argsort(energies)
        return energies[order], coefficients[:, order]

    def _levels(
        self, factorisation: Factorisation, shift: float, first: int, last: int, count: int
    ) -> tuple[Array, Array]:
        """Levels and orbitals from the first to before the last, which are among so many on each side of a shift."""
        below = factorisation.n_negative
        restarts = RESTARTS if first < below < last else None
        try:
            start, energies, coefficients = self.around(factorisation, shift, count, restarts=restarts)
        except Unconverged:
            if restarts is None:
                raise
            return self._at_edges(factorisation, shift, below - first, last - below)
        return energies[first - start : last - start], coefficients[:, first - start : last - start]

    def _at_edges(self, factorisation: Factorisation, shift: float, n_below: int, n_above: int) -> tuple[Array, Array]:
        """So many levels below and above a shift, each from a shift close to them: they may lie densely."""
        _, edges, _ = self.around(factorisation, shift, 1, tolerance=1e-3)
        found = []
        for edge, count, which in zip(edges, (n_below, n_above), ("SA", "LA")):
            close = edge + CLOSE * (shift - edge)
            near = self.factorised(close)
            if near.n_negative != factorisation.n_negative:  # a level was missed, and the shift is beyond it
                close, near = shift, factorisation
            found.append(self._lanczos(near, close, count, which))
        energies, coefficients = zip(*found)
        return np.concatenate(energies), np.concatenate(coefficients, axis=1)

    def frontier(self, n_occupied: int, k: int, guess: float) -> FrontierOrbitals:
        """The k highest occupied and k lowest empty orbitals (fewer where there are no more).

        Args:
            n_occupied: Doubly occupied orbitals.
            k: Orbitals on each side of the gap.
            guess: An energy near the gap, Hartree.

        Raises:
            FailedError: No shift in the gap was found, or Lanczos did not converge.
        """
        n = self.n_orbitals
        first, last = max(n_occupied - k, 0), min(n_occupied + k, n)
        low, high, shift = (-np.inf, 0), (np.inf, n), guess
        for attempt in range(ATTEMPTS):
            factorisation = self.factorised(shift)
            below = factorisation.n_negative
            count = min(max(below - first, last - below), (n - 1) // 2)
            if below == n_occupied or (attempt and count <= FEW):
                energies, coefficients = self._levels(factorisation, shift, first, last, count)
                return FrontierOrbitals(first, energies, coefficients, n_occupied)
            low, high = (max(low, (shift, below)), high) if below < n_occupied else (low, min(high, (shift, below)))
            count = abs(below - n_occupied) + 1
            if count <= FEW:
                start, energies, _ = self.around(factorisation, shift, count, tolerance=1e-3)
                if 0 < n_occupied - start < len(energies):
                    shift = float(energies[n_occupied - start - 1 : n_occupied - start + 1].mean())
                    continue
            shift = _next_shift(low, high, n_occupied, shift, 0.05 * 2**attempt)
        raise FailedError(
            f"No shift in the gap after {ATTEMPTS} factorisations: predict a smaller piece of the molecule, to see "
            "whether the model gives it a gap."
        )


def _next_shift(low: tuple[float, int], high: tuple[float, int], wanted: int, shift: float, step: float) -> float:
    """Between the shifts (σ, levels below) that are too low and too high: by bisection; outside: a step, Hartree."""
    if np.isinf(low[0]):
        return shift - step
    if np.isinf(high[0]):
        return shift + step
    fraction = (wanted - low[1]) / max(high[1] - low[1], 1)
    return low[0] + float(np.clip(fraction, 0.2, 0.8)) * (high[0] - low[0])
