"""The rotation test: the same molecules or crystals under random elements of O(3), half of them improper."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.crystal import CrystalState
from hampred.electronic.open_shell import OpenShellState
from hampred.evaluation.open_shells import SPIN_METRICS
from hampred.evaluation.spectrum import finite
from hampred.evaluation.states import State, compare_states, hamiltonian_blocks, metrics_of
from hampred.harmonics import random_rotation

Array = NDArray[np.float64]


class Predicts(Protocol):
    """What is tested: a `Predictor`."""

    def predict_stream(self, structures: Any, charge: int = 0) -> Iterator[Any]:
        """Predicts structures one after the other."""
        ...


@dataclass(frozen=True, eq=False)
class RotationTest:
    """Result of a rotation test over molecules × rotations.

    Attributes:
        improper: Whether each rotation has determinant −1 [n_rotations].
        absolute: max|H(Qx) − D H(x) Dᵀ| [n_molecules, n_rotations], Hartree.
        relative: The same relative to max|H(x)| [n_molecules, n_rotations].
        metrics: Metric → value against the rotated label [n_molecules, n_rotations].
        unrotated: Metric → value in the orientation of the data [n_molecules].
        seed: Of the rotations.
    """

    improper: NDArray[np.bool_]
    absolute: Array
    relative: Array
    metrics: dict[str, Array]
    unrotated: dict[str, Array]
    seed: int

    @property
    def n_molecules(self) -> int:
        """Molecules that were rotated."""
        return len(self.absolute)

    def changes(self) -> dict[str, float]:
        """Largest change of each metric by a rotation, in the unit of the metric; NaN where a metric has no value."""
        result = {}
        for name, values in self.metrics.items():
            change = np.abs(values - self.unrotated[name][:, None])
            result[name] = float(np.nanmax(change)) if not np.isnan(change).all() else float("nan")
        return result

    def to_dict(self) -> dict[str, Any]:
        """Summary as plain JSON types."""
        return {
            "n_molecules": self.n_molecules,
            "n_rotations": len(self.improper),
            "n_improper": int(self.improper.sum()),
            "seed": self.seed,
            "max_error_Eh": float(self.absolute.max()),
            "max_relative_error": float(self.relative.max()),
            "max_relative_error_proper": _largest(self.relative[:, ~self.improper]),
            "max_relative_error_improper": _largest(self.relative[:, self.improper]),
            "mean_rotated": {name: float(np.nanmean(v)) for name, v in self.metrics.items() if not np.isnan(v).all()},
            "largest_change": finite(self.changes()),
        }


def _largest(values: Array) -> float | None:
    return float(values.max()) if values.size else None


def rotations(count: int, seed: int) -> list[Array]:
    """Random elements of O(3), every second one improper [count × [3, 3]]."""
    generator = np.random.default_rng(seed)
    return [random_rotation(generator, improper=bool(k % 2)) for k in range(count)]


def rotation_test(
    predictor: Predicts,
    labels: Sequence[State],
    predictions: Sequence[State],
    count: int,
    seed: int = 0,
    report: Callable[[int], None] = lambda done: None,
) -> RotationTest:
    """Predicts rotated structures and compares with the rotated prediction and the rotated label.

    Args:
        predictor: The model.
        labels: References, whose atoms are rotated about the origin.
        predictions: Predictions of the model for them, unrotated.
        count: Rotations for each molecule.
        seed: Of the rotations.
        report: Told the number of finished predictions.
    """
    elements = rotations(count, seed)
    absolute, relative = (np.empty((len(labels), count)) for _ in range(2))
    names = [*metrics_of(isinstance(labels[0], CrystalState))]
    names += SPIN_METRICS if any(isinstance(label, OpenShellState) for label in labels) else []
    metrics = {name: np.full((len(labels), count), np.nan) for name in names}
    unrotated = {name: np.full(len(labels), np.nan) for name in names}
    for m, (label, prediction) in enumerate(zip(labels, predictions)):
        for name, value in compare_states(prediction, label).items():
            unrotated[name][m] = value
        turned = [label.rotated(q) for q in elements]
        found_ones = predictor.predict_stream((state.atoms for state in turned), getattr(label, "charge", 0))
        for k, (q, rotated, found) in enumerate(zip(elements, turned, found_ones)):
            expected = prediction.rotated(q)
            exact = hamiltonian_blocks(expected)
            absolute[m, k] = np.abs(hamiltonian_blocks(found).on_pairs_of(exact).values - exact.values).max()
            relative[m, k] = absolute[m, k] / np.abs(exact.values).max()
            for name, value in compare_states(found, rotated).items():
                metrics[name][m, k] = value
            report(m * count + k + 1)
    improper = np.array([np.linalg.det(q) < 0 for q in elements])
    return RotationTest(improper, absolute, relative, metrics, unrotated, seed)
