"""Which structures of a pool a model would learn most from."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hampred.confidence.familiarity import Familiarity, KnownAtoms

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]


class Candidates:
    """Atoms of one element in a pool of structures, and how new they are while some of the structures become known.

    Attributes:
        owners: Index of each atom's structure [n].
        novelty: Of each atom [n].
    """

    def __init__(self, known: KnownAtoms, invariants: Array, owners: NDArray[np.int64]) -> None:
        """Takes the known atoms of the element, and invariants [n, d] and owners [n] of those of the pool."""
        self.owners, self._x = owners, known.standardised(invariants)
        self._covariance = known.precision() / known.count  # (Σ x xᵀ + λ)⁻¹
        self._scale = known.count / len(known.mean)
        self.novelty = self._scale * ((self._x @ self._covariance) * self._x).sum(axis=1)

    def learn(self, structure: int) -> None:
        """Adds the atoms of a structure to the known ones: all that are like them become less new.

        With rows X of those atoms and P = (Σ x xᵀ + λ)⁻¹, P becomes P − W Wᵀ, where W = P Xᵀ (1 + X P Xᵀ)^(-1/2)
        (Woodbury): to look at all atoms again costs n d for each atom that is added, and not n d².
        """
        x = self._x[self.owners == structure]
        px = self._covariance @ x.T
        values, vectors = np.linalg.eigh(x @ px)
        w = px @ vectors / np.sqrt(1 + np.maximum(values, 0.0))
        self._covariance -= w @ w.T
        self.novelty -= self._scale * ((self._x @ w) ** 2).sum(axis=1)


def most_novel(
    familiarity: Familiarity,
    pool: Sequence[tuple[Array, Array]],
    count: int,
    report: Report = lambda label, done, total: None,
) -> tuple[list[int], list[float]]:
    """Structures that a model would learn most from, one after the other.

    The structure of the largest mean novelty is taken, its atoms join the known ones, and the novelty of all others
    falls accordingly, so that look-alikes are not taken twice. For structures of one atom that is greedy D-optimal
    design; of more, the mean over the atoms stands in place of log det (1 + X P Xᵀ), which would favour large ones.

    Args:
        familiarity: Of the training labels.
        pool: Atomic numbers [n_atoms] and invariants [n_atoms, d] of each structure.
        count: How many to take.
        report: Told what is being done, how much is done, and of how much.

    Returns:
        Indices in the order of the choice, and the mean novelty of each when it was taken.

    Raises:
        HampredError: An element that the training labels lack.
    """
    sizes = np.array([len(numbers) for numbers, _ in pool])
    numbers, owners = np.concatenate([numbers for numbers, _ in pool]), np.repeat(np.arange(len(pool)), sizes)
    parts = []
    for z in np.unique(numbers):
        rows = np.concatenate([np.asarray(x[n == z], dtype=float) for n, x in pool])
        parts.append(Candidates(familiarity.known(int(z)), rows, owners[numbers == z]))
    chosen: list[int] = []
    values: list[float] = []
    total = min(count, len(pool))
    while len(chosen) < total:
        scores = sum(np.bincount(part.owners, part.novelty, len(pool)) for part in parts) / sizes
        scores[chosen] = -np.inf
        best = int(np.argmax(scores))
        chosen.append(best)
        values.append(float(scores[best]))
        for part in parts:
            part.learn(best)
        report("choosing structures", len(chosen), total)
    return chosen, values
