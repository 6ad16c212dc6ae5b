"""How far the atoms of a structure are from those that a network was trained on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from hampred.errors import HampredError

Array = NDArray[np.float64]

FLOOR = 1e-2
"""Added to the diagonal of the correlation matrix, in units of a variance: what training never varied has a width."""

PREFIX = "familiarity."
"""Of the arrays in a model file."""

ARRAYS = ("mean", "width", "gram", "count", "rows")
PRECISIONS = {"count": torch.float64, "rows": torch.float32}
"""What is kept of an element, and what is kept in another precision than it has."""

STIFFNESS = 0.1
"""Added to the widths of invariants in distances, in units of their mean: what hardly varies makes no distance."""

MOST_ROWS = 500
"""Atoms of an element that are remembered one by one, evenly over the training labels."""


@dataclass(frozen=True, eq=False)
class KnownAtoms:
    """Invariants of the atoms of one element in the training labels: x = (invariants − mean) / width.

    Attributes:
        mean: [d].
        width: Standard deviations [d].
        gram: Σ x xᵀ over the atoms [d, d].
        count: Number of atoms.
        rows: Invariants of some of them [n ≤ `MOST_ROWS`, d]; none where nothing is labelled yet.
    """

    mean: Array
    width: Array
    gram: Array
    count: int
    rows: Array

    def standardised(self, invariants: Array) -> Array:
        """x of some atoms [n, d]."""
        return (invariants - self.mean) / self.width

    def points(self, invariants: Array) -> Array:
        """Atoms [n, d] as points whose distances tell how alike they are: as `standardised`, with `STIFFNESS`."""
        return (invariants - self.mean) / (self.width + STIFFNESS * self.width.mean())

    def precision(self) -> Array:
        """Inverse of the correlation matrix, damped by `FLOOR` [d, d]."""
        return np.asarray(
            np.linalg.inv(self.gram / max(self.count, 1) + FLOOR * np.eye(len(self.mean))), dtype=np.float64
        )


class Familiarity:
    """Mahalanobis distances of atoms in the last layer of a network, element by element.

    A ridge regression on these features has a posterior variance proportional to xᵀ (Σ x xᵀ + λ)⁻¹ x (Rasmussen and
    Williams 2006, eq. 2.9; for networks Bigi et al. 2024, "A prediction rigidity formalism"). Told here as a multiple
    of what its mean over the training labels is at full rank: atoms like those stay below about 1.
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
        elements = {}
        for z, rows in _by_element(structures).items():
            mean, width = _scales(rows)
            x = (rows - mean) / width
            elements[z] = KnownAtoms(mean, width, x.T @ x, len(rows), rows[evenly(len(rows), MOST_ROWS)])
        return cls(elements)

    @classmethod
    def unlabelled(cls, structures: Iterable[tuple[Array, Array]]) -> "Familiarity":
        """Scales of the invariants of some structures, as in `fit`; no atom is known, as nothing is labelled yet."""
        elements = {}
        for z, rows in _by_element(structures).items():
            d = rows.shape[1]
            elements[z] = KnownAtoms(*_scales(rows), np.zeros((d, d)), 0, np.empty((0, d)))
        return cls(elements)

    def novelty(self, numbers: Array, invariants: Array) -> Array:
        """How new each atom is: below about 1 for those of the labels, and the larger the stranger [n_atoms].

        Args:
            numbers: Atomic numbers [n_atoms].
            invariants: Of the same network [n_atoms, d].

        Raises:
            HampredError: An element that the training labels lack.
        """
        found = np.zeros(len(numbers))
        for z in np.unique(numbers):
            x = self.known(int(z)).standardised(np.asarray(invariants[numbers == z], dtype=float))
            found[numbers == z] = ((x @ self._precisions[int(z)]) * x).mean(axis=1)
        return found

    def known(self, z: int) -> KnownAtoms:
        """What is known of an element.

        Args:
            z: Atomic number.

        Raises:
            HampredError: The training labels lack it.
        """
        if z not in self.elements:
            symbol = chemical_symbols[z]
            raise HampredError(f"The training labels hold no {symbol}: leave it out, or train with labels that do.")
        return self.elements[z]

    def arrays(self) -> dict[str, Tensor]:
        """Everything as arrays of a model file."""
        return {
            f"{PREFIX}{z}.{name}": torch.tensor(getattr(known, name), dtype=PRECISIONS.get(name))
            for z, known in self.elements.items()
            for name in ARRAYS
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
            parts = {name: arrays[f"{PREFIX}{z}.{name}"].double().numpy() for name in ARRAYS[:3]}
            rows = arrays.get(f"{PREFIX}{z}.rows")  # files of the first versions have none
            parts["rows"] = parts["mean"][None] if rows is None else rows.double().numpy()
            elements[z] = KnownAtoms(count=int(arrays[f"{PREFIX}{z}.count"]), **parts)
        return cls(elements) if elements else None


def _by_element(structures: Iterable[tuple[Array, Array]]) -> dict[int, Array]:
    """Invariants [n, d] of all atoms of each element."""
    collected: dict[int, list[Array]] = {}
    for numbers, invariants in structures:
        for z in np.unique(numbers):
            collected.setdefault(int(z), []).append(np.asarray(invariants[numbers == z], dtype=float))
    return {z: np.concatenate(parts) for z, parts in sorted(collected.items())}


def _scales(rows: Array) -> tuple[Array, Array]:
    """Mean and width [d] of invariants [n, d]."""
    mean, width = rows.mean(axis=0), rows.std(axis=0)
    return mean, np.maximum(width, 1e-6 * max(float(np.abs(rows).max()), 1e-12))  # some never change


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Indices of at most so many of n things, evenly over all of them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
