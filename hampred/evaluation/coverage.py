"""Whether the bounds that predictions carry hold: how many of the errors lie within them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hampred.confidence.calibration import SHARE

if TYPE_CHECKING:
    from hampred.evaluation.evaluate import MoleculeResult

HEAD = (f"bounds of {100 * SHARE:g} % of the errors", "errors within, %", "median bound")
"""Titles of the columns of `coverage_rows`."""


def coverage(molecules: Sequence["MoleculeResult"]) -> dict[str, dict[str, float]]:
    """Metric → ``within``, the share of errors within their bounds, and ``bound``, the median bound.

    Labels of one molecule are alike: the share is the mean over molecules of the share of their labels; where there
    is only one molecule, it is the share of all labels.

    Args:
        molecules: Results of an evaluation; those without confidence do not count.
    """
    known = [m for m in molecules if m.confidence is not None]
    names = np.array([m.name for m in known])
    found = {}
    for metric in dict.fromkeys(name for m in known if m.confidence for name in m.confidence.bounds):
        values = np.array([m.metrics.get(metric, np.nan) for m in known])
        bounds = np.array([m.confidence.bounds.get(metric, np.nan) for m in known if m.confidence])
        has = np.isfinite(values) & np.isfinite(bounds)
        if has.any():
            within = [float((values <= bounds)[has & (names == name)].mean()) for name in np.unique(names[has])]
            found[metric] = {"within": float(np.mean(within)), "bound": float(np.median(bounds[has]))}
    return found


def coverage_rows(
    covered: Mapping[str, Mapping[str, float]], names: Mapping[str, str]
) -> list[tuple[str, float, float]]:
    """Rows of a table: what a metric says, % of errors within, and the median bound.

    Args:
        covered: From `coverage`.
        names: Metric → what it says.
    """
    return [(names[metric], 100 * row["within"], row["bound"]) for metric, row in covered.items() if metric in names]
