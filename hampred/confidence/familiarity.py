"""How far the atoms of a structure are from those that a network was trained on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hampred.errors import HampredError

Array = NDArray[np.float64]

FLOOR = 1e-2
"""Added to the diagonal of the correlation matrix, in units of a variance: what training never varied has a width."""

PREFIX = "familiarity."
"""Of the arrays in a model file."""


@dataclass(frozen=True, eq=False)
class KnownAtoms:
    """Invariants of the atoms of one element in the training labels: x = (invariants − mean) / width.

    Attributes:
        mean: [d].
        width: Standard deviations [d].
        gram: Σ x xᵀ over the atoms [d, d].
        count: Number of atoms.
    """

    mean: Array
    width: Array
    gram: Array
    count: int

    def standardised(self, invariants: Array) -> Array:
        """x of some atoms [n, d]."""
        return (invariants - self.mean) / self.width

    def precision(self) -> Array:
        """Inverse of the correlation matrix, damped by `FLOOR` [d, d]."""
        return np.asarray(np.linalg.inv(self.gram / self.count + FLOOR * np.eye(len(self.mean))), dtype=np.float64)


class Familiarity:
    """Mahalanobis distances of atoms in the last layer of a network, element by element.

    A ridge regression on these features has a posterior variance proportional to xᵀ (Σ x xᵀ + λ)⁻¹ x (Rasmussen and
    Williams 2006, eq. 2.9; for networks Bigi et al. 2024, "A prediction rigidity formalism"). Told here as a multiple
    of its mean over the atoms of the training labels, so that 1 is an atom like those.
    """

    def __init__(self, elements: Mapping[int, KnownAtoms]) -> None:
        """Takes the statistics of each atomic number."""
        self.elements = dict(elements)
        self._precisions = {z: known.precision() for z, known in self.elements.items()}

    @classmethod
    def fit(cls, structures: Iterable[tuple[Array, Array]]) -> "Familiarity":
        """Statistics of training structures.

        Args:
            structures: Atomic numbers [n_atoms] and invariants [n_atoms, d] of each.
        """
        collected: dict[int, list[Array]] = {}
        for numbers, invariants in structures:
            for z in np.unique(numbers):
                collected.setdefault(int(z), []).append(np.asarray(invariants[numbers == z], dtype=float))
        elements = {}
        for z, parts in sorted(collected.items()):
            rows = np.concatenate(parts)
            mean, width = rows.mean(axis=0), rows.std(axis=0)
            width = np.maximum(width, 1e-6 * max(float(np.abs(rows).max()), 1e-12))  # some never change
            x = (rows - mean) / width
            elements[z] = KnownAtoms(mean, width, x.T @ x, len(rows))
        return cls(elements)

    def novelty(self, numbers: Array, invariants: Array) -> Array:
        """How new each atom is: about 1 for those of the training labels, and the larger the stranger [n_atoms].

        Args:
            numbers: Atomic numbers [n_atoms].
            invariants: Of the same network [n_atoms, d].

        Raises:
            HampredError: An element that the training labels lack.
        """
        found = np.zeros(len(numbers))
        for z in np.unique(numbers):
            if int(z) not in self.elements:
                raise HampredError(f"The training labels hold no atom of number {int(z)}.")
            x = self.elements[int(z)].standardised(np.asarray(invariants[numbers == z], dtype=float))
            found[numbers == z] = np.einsum("ni,ij,nj->n", x, self._precisions[int(z)], x) / x.shape[1]
        return found

    def arrays(self) -> dict[str, Tensor]:
        """Everything as arrays of a model file."""
        return {
            f"{PREFIX}{z}.{name}": torch.tensor(getattr(known, name), dtype=torch.float64 if name == "count" else None)
            for z, known in self.elements.items()
            for name in ("mean", "width", "gram", "count")
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Tensor]) -> "Familiarity | None":
        """Inverse of `arrays`; other entries are ignored, and None is returned where there is nothing else.

        Raises:
            KeyError: A part is missing.
        """
        numbers = sorted({int(name.split(".")[1]) for name in arrays if name.startswith(PREFIX)})
        elements = {}
        for z in numbers:
            mean, width, gram = (arrays[f"{PREFIX}{z}.{name}"].double().numpy() for name in ("mean", "width", "gram"))
            elements[z] = KnownAtoms(mean, width, gram, int(arrays[f"{PREFIX}{z}.count"]))
        return cls(elements) if elements else None


def most_novel(
    familiarity: Familiarity, pool: Sequence[tuple[Array, Array]], count: int
) -> tuple[list[int], list[float]]:
    """Structures that a model would learn most from, one after the other.

    Greedy D-optimal design: the structure of the largest mean novelty is taken, its atoms join the known ones, and the
    novelty of all others falls accordingly, so that look-alikes are not taken twice.

    Args:
        familiarity: Of the training labels.
        pool: Atomic numbers [n_atoms] and invariants [n_atoms, d] of each structure.
        count: How many to take.

    Returns:
        Indices in the order of the choice, and the mean novelty of each when it was taken.

    Raises:
        HampredError: An element that the training labels lack.
    """
    known = {z: each.precision() / each.count for z, each in familiarity.elements.items()}  # (Σ x xᵀ + λ)⁻¹
    scale = {z: each.count / len(each.mean) for z, each in familiarity.elements.items()}
    atoms = [_by_element(familiarity, numbers, invariants) for numbers, invariants in pool]
    chosen: list[int] = []
    values: list[float] = []
    scores = np.array([_mean_novelty(parts, known, scale) for parts in atoms])
    while len(chosen) < min(count, len(pool)):
        best = int(scores.argmax())
        chosen.append(best)
        values.append(float(scores[best]))
        for z, x in atoms[best].items():
            px = known[z] @ x.T
            known[z] = known[z] - px @ np.linalg.solve(np.eye(len(x)) + x @ px, px.T)  # Woodbury
        scores = np.array([_mean_novelty(parts, known, scale) for parts in atoms])
        scores[chosen] = -np.inf
    return chosen, values


def _by_element(familiarity: Familiarity, numbers: Array, invariants: Array) -> dict[int, Array]:
    familiarity.novelty(numbers, invariants)  # refuses unknown elements
    return {
        int(z): familiarity.elements[int(z)].standardised(np.asarray(invariants[numbers == z], dtype=float))
        for z in np.unique(numbers)
    }


def _mean_novelty(parts: Mapping[int, Array], known: Mapping[int, Array], scale: Mapping[int, float]) -> float:
    total = sum(scale[z] * float(np.einsum("ni,ij,nj->", x, known[z], x)) for z, x in parts.items())
    return total / sum(map(len, parts.values()))
