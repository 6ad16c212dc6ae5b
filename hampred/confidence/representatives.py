"""Which structures of a pool are most worth labelling: those whose labels would say most about its atoms."""

import heapq
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from hampred.confidence.familiarity import Familiarity, KnownAtoms, evenly

Array = NDArray[np.float64]
Points = NDArray[np.float32]
Report = Callable[[str, int, int], None]

MOST_TARGETS = 2000
"""Atoms of each element, evenly over the pool, whose variances are added up."""

ALIKE = 0.1
"""Smallest length ℓ, in widths of the invariants in the training labels: a pool of one atom, or of atoms all alike."""

REACH = 2.0
"""Length ℓ over which a label tells something, in units of the median distance between the atoms of the pool."""


class Doubt:
    """What is unknown of the atoms of one element in a pool: variances of a Gaussian process with the nearest label.

    Attributes:
        variance: 1 − exp(−d²/ℓ²) of some of the atoms [n_targets], with the distance d from the nearest labelled atom.
    """

    def __init__(self, known: KnownAtoms, invariants: Sequence[Array], shares: Sequence[float]) -> None:
        """Takes the known atoms of the element, and of each structure invariants [n_atoms, d] and an atom's share."""
        self._atoms = [known.points(rows).astype(np.float32) for rows in invariants]
        every = np.concatenate(self._atoms)
        some = evenly(len(every), MOST_TARGETS)
        self._targets = every[some]
        counts = np.repeat(np.asarray(shares), [len(rows) for rows in invariants])
        self._counts = counts[some] * len(every) / len(some)
        self._norms = (self._targets**2).sum(axis=1)
        apart = pdist(self._targets)
        self._length = max(REACH * float(np.median(apart)) if len(apart) else 0.0, ALIKE)
        self.variance = self._variance(known.points(known.rows).astype(np.float32))

    def gain(self, structure: int) -> float:
        """By how much the variances, each times its share, would fall in all if a structure were labelled."""
        if not len(self._atoms[structure]):
            return 0.0
        return float(self._counts @ np.maximum(self.variance - self._variance(self._atoms[structure]), 0))

    def learn(self, structure: int) -> None:
        """Adds a structure to the labelled ones."""
        if len(self._atoms[structure]):
            self.variance = np.minimum(self.variance, self._variance(self._atoms[structure]))

    def _variance(self, points: Points) -> Points:
        """What would be unknown of each target if some points, or none, were all that is labelled [n_targets]."""
        return -np.expm1(-self._squares(points).min(axis=1, initial=np.inf) / self._length**2)

    def _squares(self, points: Points) -> Points:
        """Squared distances of the targets from some points [n_targets, n]."""
        return np.maximum(self._norms[:, None] + (points**2).sum(axis=1) - 2 * self._targets @ points.T, 0)


def most_representative(
    familiarity: Familiarity,
    pool: Sequence[tuple[Array, Array]],
    count: int,
    weights: Mapping[int, float],
    report: Report = lambda label, done, total: None,
) -> list[int]:
    """Structures whose labels would say most about the atoms of a pool, one after the other.

    Errors grow with the distance from the nearest label in the last layer of a network (Janet et al., Chem. Sci. 10,
    7913 (2019)), and a network of finite reach learns from atoms. The structure is taken that lowers the mean variance
    (see `Doubt`) of the atoms of a structure most, summed over the pool, then the next, with the first one counted as
    labelled: what many atoms of the pool resemble comes first, nothing twice, and a broken structure that resembles
    nothing else counts as one structure (greedy facility location, within 1 − 1/e of the best choice: Nemhauser, Wolsey
    and Fisher, Math. Program. 14, 265 (1978)). Gains only fall from one choice to the next, so that few of them are
    computed again (Minoux 1978).

    Args:
        familiarity: Of the training labels.
        pool: Atomic numbers [n_atoms] and invariants [n_atoms, d] of each structure.
        count: How many to take.
        weights: What an atom of each element counts in its structure, such as how many orbitals it has.
        report: Told what is being done, how much is done, and of how much.

    Returns:
        Indices in the order of the choice.

    Raises:
        HampredError: An element that the training labels lack.
    """
    known = {int(z): familiarity.known(int(z)) for z in np.unique(np.concatenate([numbers for numbers, _ in pool]))}
    totals = np.array([sum(weights[int(z)] for z in numbers) for numbers, _ in pool])
    elements = [
        Doubt(atoms, [rows[numbers == z] for numbers, rows in pool], weights[z] / totals) for z, atoms in known.items()
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
