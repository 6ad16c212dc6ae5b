"""Which structures of a pool are most worth labelling: those whose labels would say most about its atoms."""

import heapq
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from hampred.confidence.familiarity import Familiarity, KnownAtoms, evenly

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

MOST_CENTRES = 400
"""Atoms of each element, evenly over the pool, on which the kernel is expanded."""

RANK = 1e-4
"""Directions in which the kernel is smaller, in units of the largest, are left out."""

NOISE = 0.03
"""Of what a label tells of an atom, in units of the variance without labels: what a network does not make of it."""

ALIKE = 0.1
"""Smallest length ℓ, in widths of the invariants in the training labels: a pool of one atom, or of atoms all alike."""

REACH = 2.0
"""Length ℓ over which a label tells something, in units of the median distance between the atoms of the pool."""


class Doubt:
    """What is unknown of the atoms of one element in a pool: variances of a Gaussian process, given those labelled.

    The kernel is exp(−d²/ℓ²), written as a dot product of features by its values at some atoms of the pool, the centres
    (Nyström: Williams and Seeger, NIPS 13, 682 (2000)), so that the process is a linear regression on these features
    (Rasmussen and Williams 2006, section 2.1).
    """

    def __init__(self, known: KnownAtoms, invariants: Sequence[Array], shares: Sequence[float]) -> None:
        """Takes the known atoms of the element, and of each structure invariants [n_atoms, d] and an atom's share."""
        atoms = [known.points(rows) for rows in invariants]
        every = np.concatenate(atoms)
        self._centres = every[evenly(len(every), MOST_CENTRES)]
        apart = pdist(self._centres)
        self._length = max(REACH * float(np.median(apart)) if len(apart) else 0.0, ALIKE)
        sizes, directions = np.linalg.eigh(self._kernel(self._centres))
        kept = sizes > RANK * sizes[-1]
        self._directions = directions[:, kept] / np.sqrt(sizes[kept])
        self._features = [self._kernel(rows) @ self._directions for rows in atoms]
        targets = sum(share * of.T @ of for share, of in zip(shares, self._features))
        self._targets = np.asarray(targets)
        labelled = self._kernel(known.points(known.rows)) @ self._directions
        told = labelled.T @ labelled * (known.count / max(len(known.rows), 1) / NOISE)
        self._covariance = np.linalg.inv(np.eye(len(told)) + told)
        self._worth = self._covariance @ self._targets @ self._covariance

    def gain(self, structure: int) -> float:
        """By how much the variances, each times its share, would fall in all if a structure were labelled."""
        x = self._features[structure]
        return float(np.trace(np.linalg.solve(self._told(x), x @ self._worth @ x.T)))

    def learn(self, structure: int) -> None:
        """Adds a structure to the labelled ones."""
        x = self._features[structure]
        ours = x @ self._covariance
        self._covariance = self._covariance - ours.T @ np.linalg.solve(self._told(x), ours)
        self._worth = self._covariance @ self._targets @ self._covariance

    def _told(self, x: Array) -> Array:
        """Covariance of the labels of some atoms [n, n] from their features."""
        return np.asarray(x @ self._covariance @ x.T + NOISE * np.eye(len(x)))

    def _kernel(self, points: Array) -> Array:
        """exp(−d²/ℓ²) between some points [n, d] and the centres [n, n_centres]."""
        return np.exp(-cdist(points, self._centres, "sqeuclidean") / self._length**2)


def most_representative(
    familiarity: Familiarity,
    pool: Sequence[tuple[Array, Array]],
    count: int,
    weights: Mapping[int, float],
    report: Report = lambda label, done, total: None,
) -> list[int]:
    """Structures whose labels would say most about the atoms of a pool, one after the other.

    Errors grow with the distance from the labels in the last layer of a network (Janet et al., Chem. Sci. 10, 7913
    (2019)), and a network of finite reach learns from atoms. The structure is taken that lowers the mean variance (see
    `Doubt`) of the atoms of a structure most, summed over the pool, then the next, with the first one counted as
    labelled (Bayesian A-optimal design: Chaloner and Verdinelli, Statist. Sci. 10, 273 (1995)): what many atoms of the
    pool resemble comes first, what is known already hardly counts, and a broken structure that resembles nothing else
    counts as one structure. Gains fall from one choice to the next, so that few of them are computed again (Minoux
    1978).

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
