"""How large the errors of a model are, learned from labels that it was not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHARE = 0.9
"""Of the errors that lie within the bounds."""

FEWEST = round(SHARE / (1 - SHARE))
"""Labels that such a bound needs: of fewer, even the largest error is too small (split conformal prediction)."""

PRIOR, WIDTH, STEEPEST = 0.5, 0.3, 1.5
"""Power of the novelty with which a bound grows: expected, since a novelty is a variance; its width; and the largest.

Validation labels of one molecule are all about as novel, and say little of the power by themselves.
"""

LEAST = 1e-6
"""Mean novelties count as no smaller: atoms that training never varied have none, and powers need one."""

LEVELS = ("usual", "unusual", "unlike the labels")
"""Warning levels; bounds hold for the first two, and were not tested for the third."""


@dataclass(frozen=True, eq=False)
class Confidence:
    """What is known of the errors of one prediction before its label is.

    Attributes:
        novelty: Of each atom [n_atoms], below about 1 for those of the training labels (`Familiarity`).
        level: 0, 1 or 2, the number of one of `LEVELS`.
        bounds: Metric → bound that `SHARE` of the errors stay within, in the unit that the name of the metric carries.
    """

    novelty: Array
    level: int
    bounds: Mapping[str, float]

    @property
    def warning(self) -> str:
        """The warning level in words."""
        return LEVELS[self.level]

    @property
    def tested(self) -> bool:
        """Whether the bounds were tested on structures as new as this one."""
        return self.level < len(LEVELS) - 1

    def notes(self, atoms: Atoms) -> list[str]:
        """What the user should know, if anything.

        Args:
            atoms: The structure of the prediction.
        """
        if not self.level:
            return []
        newest = int(self.novelty.argmax())
        place = f"atom {newest + 1} ({atoms.get_chemical_symbols()[newest]}) is the newest to the model"
        told = f"{self.warning}, mean novelty {self.novelty.mean():.3g}, and {place}, {self.novelty[newest]:.3g}"
        return [told if self.level == 1 else f"{told}: bounds of errors were not tested so far away"]


@dataclass(frozen=True)
class Calibration:
    """Bounds of errors as powers of the mean novelty u of a structure's atoms: q u^b.

    The power is fitted (`PRIOR`); q makes `SHARE` of the errors of the calibration labels lie within (split conformal
    prediction with a scaled score: Papadopoulos et al. 2002, Lei et al. 2018). Labels of one molecule are alike, so
    that each molecule counts once.

    What is usual is told of the mean and of the newest atom, which one broken bond in a large molecule shows alone.
    Bounds shrink no further than to those of the least novel calibration structure: nothing is known of the errors on
    perfect crystals, whose atoms are all alike, from rattled ones.

    Attributes:
        laws: Metric → (b, q).
        usual: Mean novelty that 90 % of the calibration structures stay below.
        largest: Largest mean novelty among them.
        n_molecules: Different molecules among them.
        n_structures: Structures.
        newest: As ``usual`` and ``largest``, of the newest atom in place of the mean; None of older model files.
        smallest: Smallest mean novelty among them.
    """

    laws: Mapping[str, tuple[float, float]]
    usual: float
    largest: float
    n_molecules: int
    n_structures: int
    newest: tuple[float, float] | None = None
    smallest: float = LEAST

    @classmethod
    def fit(
        cls, novelties: Sequence[Array], errors: Sequence[Mapping[str, float]], molecules: Sequence[str]
    ) -> "Calibration":
        """Learns the bounds.

        Args:
            novelties: Of the atoms [n_atoms] of each calibration structure.
            errors: Metric → absolute error of each; those that are not finite are left out.
            molecules: Name of each one's molecule. Where there is only one, every structure counts as one.
        """
        u, newest = (np.array([float(f(each)) for each in novelties]) for f in (np.mean, np.max))
        u, names = np.maximum(u, LEAST), np.asarray(molecules)
        if len(set(molecules)) == 1:
            names = np.arange(len(names))
        laws = {}
        for metric in errors[0]:
            e = np.abs([each[metric] for each in errors])
            known = np.isfinite(e)
            if known.any():
                laws[metric] = _law(u[known], e[known], _weights(names[known]))
        mean, most = ((weighted_quantile(each, _weights(names), SHARE), float(each.max())) for each in (u, newest))
        return cls(laws, *mean, len(set(molecules)), len(u), most, float(u.min()))

    def confidence(self, novelty: Array) -> Confidence:
        """What is known of a prediction.

        Args:
            novelty: Of its atoms [n_atoms].
        """
        mean = float(novelty.mean())
        level = int(mean > self.usual) + int(mean > self.largest)
        if self.newest is not None:
            level = max(level, sum(float(novelty.max()) > limit for limit in self.newest))
        return Confidence(novelty, level, self.bounds(mean))

    def bounds(self, mean_novelty: float) -> dict[str, float]:
        """Metric → bound of a structure whose atoms have some mean novelty, such as `usual`."""
        tested = max(mean_novelty, self.smallest)
        return {metric: q * tested**power for metric, (power, q) in self.laws.items()}

    @property
    def independent(self) -> tuple[int, str]:
        """How many structures, or molecules of several, tell something of their own; and which of both."""
        return (self.n_structures, "label") if self.n_molecules == 1 else (self.n_molecules, "molecule")

    @property
    def coverage(self) -> tuple[float, float]:
        """Share of the errors of new structures, drawn like the n independent ones, that is expected within the bounds.

        The k-th smallest of n scores covers a share that follows the distribution Beta(k, n + 1 − k) (Vovk 2012);
        exactly so for one structure of each molecule and a power that is given.

        Returns:
            Mean and standard deviation over draws of the calibration structures.
        """
        n = self.independent[0]
        mean = min(int(np.ceil(SHARE * (n + 1) - 1e-9)), n) / (n + 1)
        return mean, float(np.sqrt(mean * (1 - mean) / (n + 2)))

    @property
    def notes(self) -> list[str]:
        """What the user should know of the bounds, if anything."""
        n, what = self.independent
        if n >= FEWEST:
            return []
        counted = f"{n} calibration {what}{'' if n == 1 else 's'}"
        return [
            f"bounds from {counted} are too small: {100 * SHARE:.0f} % need {FEWEST} (raise split.validation, or "
            "calibrate on more labels: hampred calibrate)"
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        newest = None if self.newest is None else list(self.newest)
        return {**asdict(self), "laws": {name: list(law) for name, law in self.laws.items()}, "newest": newest}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Calibration":
        """Inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: Something is missing or no number.
        """
        laws = {str(name): (float(b), float(q)) for name, (b, q) in data["laws"].items()}
        counts = int(data["n_molecules"]), int(data["n_structures"])
        newest = None
        if data.get("newest") is not None:
            usual, largest = data["newest"]
            newest = float(usual), float(largest)
        smallest = float(data.get("smallest", LEAST))
        return cls(laws, float(data["usual"]), float(data["largest"]), *counts, newest, smallest)


def weighted_quantile(values: Array, weights: Array, share: float) -> float:
    """Smallest value below or at which lies a share of the weights.

    Args:
        values: [n].
        weights: [n], not negative.
        share: Between 0 and 1.
    """
    order = np.argsort(values)
    below = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(below, share - 1e-12)), len(values) - 1)])


def _weights(names: NDArray[Any]) -> Array:
    """Weights [n] that give every molecule the same."""
    _, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    return 1.0 / counts[which]


def _law(u: Array, e: Array, weights: Array) -> tuple[float, float]:
    """Power b and factor q of a bound q u^b; b by least squares with a normal prior about `PRIOR`."""
    x = np.log(u)
    y = np.log(np.maximum(e, 1e-3 * max(float(np.median(e)), 1e-12)))  # no error is zero but by chance
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    noise = float(np.average((y - PRIOR * x) ** 2, weights=weights))
    spread, together = float(np.sum(weights * x * x)), float(np.sum(weights * x * (y - PRIOR * x)))
    power = PRIOR + together / max(spread + noise / WIDTH**2, 1e-12)
    power = float(np.clip(power, 0.0, STEEPEST))
    n = float(weights.sum())  # molecules
    return power, weighted_quantile(e / u**power, weights, min(SHARE * (1 + 1 / n), 1.0))
