"""Which structures of a pool are most worth labelling: those whose atoms stand for most of what the labels lack."""

import heapq
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hampred.confidence.familiarity import Familiarity, KnownAtoms, evenly

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

MOST_TARGETS = 2000
"""Atoms of each element, evenly over the pool, whose distances from the labels are added up."""


class Coverage:
    """How far the atoms of one element in a pool are from the nearest labelled one.

    Attributes:
        nearest: That distance for some of the atoms [n_targets].
    """

    def __init__(self, known: KnownAtoms, invariants: Sequence[Array]) -> None:
        """Takes the known atoms of the element, and invariants [n_atoms, d] of those in each structure of the pool."""
        self._atoms = [known.points(rows).astype(np.float32) for rows in invariants]
        every = np.concatenate(self._atoms)
        self._targets = every[evenly(len(every), MOST_TARGETS)]
        self._squares = (self._targets**2).sum(axis=1)
        self._weight = len(every) / len(self._targets)
        self.nearest = self._distances(known.points(known.rows).astype(np.float32))

    def gain(self, structure: int) -> float:
        """By how much the distances would fall in all if a structure were labelled."""
        if not len(self._atoms[structure]):
            return 0.0
        falls = np.maximum(self.nearest - self._distances(self._atoms[structure]), 0)
        return self._weight * float(falls.sum(dtype=np.float64))

    def learn(self, structure: int) -> None:
        """Adds a structure to the labelled ones."""
        if len(self._atoms[structure]):
            self.nearest = np.minimum(self.nearest, self._distances(self._atoms[structure]))

    def _distances(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of each target from the nearest of some points [n_targets]."""
        square = (points**2).sum(axis=1) - 2 * self._targets @ points.T
        return np.sqrt(np.maximum(square.min(axis=1) + self._squares, 0))


def most_representative(
    familiarity: Familiarity,
    pool: Sequence[tuple[Array, Array]],
    count: int,
    report: Report = lambda label, done, total: None,
) -> list[int]:
    """Structures whose labels bring the atoms of a pool closest to labelled ones, one after the other.

    Errors grow with the distance from the nearest label in the last layer of a network (Janet et al., Chem. Sci. 10,
    7913 (2019)), and a network of finite reach learns from atoms. The structure is taken whose atoms lower the sum of
    that distance over the pool most, then the next with those among the labelled: what many atoms of the pool resemble
    comes first, nothing twice, and a broken structure that resembles nothing else late (greedy facility location,
    within 1 − 1/e of the best choice: Nemhauser, Wolsey and Fisher, Math. Program. 14, 265 (1978)). Gains only fall
    from one choice to the next, so that few of them are computed again (Minoux 1978).

    Args:
        familiarity: Of the training labels.
        pool: Atomic numbers [n_atoms] and invariants [n_atoms, d] of each structure.
        count: How many to take.
        report: Told what is being done, how much is done, and of how much.

    Returns:
        Indices in the order of the choice.

    Raises:
        HampredError: An element that the training labels lack.
    """
    elements = [
        Coverage(familiarity.known(int(z)), [invariants[numbers == z] for numbers, invariants in pool])
        for z in np.unique(np.concatenate([numbers for numbers, _ in pool]))
    ]
    waiting: list[tuple[float, int, int]] = []  # −gain, structure, and of how many choices the gain knows
    for k in range(len(pool)):
        waiting.append((-sum(element.gain(k) for element in elements), k, 0))
        report("comparing structures", k + 1, len(pool))
    heapq.heapify(waiting)
    chosen: list[int] = []
    while len(chosen) < min(count, len(pool)):
        _, best, seen = heapq.heappop(waiting)
        if seen < len(chosen):
            gain = sum(element.gain(best) for element in elements)
            heapq.heappush(waiting, (-gain, best, len(chosen)))
            continue
        for element in elements:
            element.learn(best)
        chosen.append(best)
    return chosen
