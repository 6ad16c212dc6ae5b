"""The rotation test: does a rotated molecule get the rotated Hamiltonian?"""

from typing import Any

import numpy as np

from hampred.evaluation.evaluate import Evaluation, as_read
from hampred.evaluation.spectrum import ORIENTATION_DEPENDENT
from hampred.pages.html import note, table
from hampred.pages.plots import COLOURS, image

ROTATION_HEAD = ("mean over the rotated structures", "as given", "rotated", "largest change")
"""Titles of the columns of `rotation_rows`."""

ASTERISK = (
    "Metrics with an asterisk are sums of absolute matrix elements, which change when an error matrix is rotated; "
    "for an equivariant model the others do not."
)


def rotations(evaluation: Evaluation) -> str:
    """Largest errors, change of every metric, histogram; empty without the test."""
    test = evaluation.rotations
    if test is None:
        return ""
    told = test.to_dict()
    text = (
        f"{told['n_molecules']} structures under {told['n_rotations']} random elements of O(3), "
        f"{told['n_improper']} of them improper. Largest |H(Qx) − D H(x) Dᵀ|: {told['max_error_Eh']:.1e} E_h, "
        f"{told['max_relative_error']:.1e} of max|H|. {ASTERISK}"
    )

    def draw(axes: Any) -> None:
        values = np.maximum(test.relative, 1e-17)
        low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
        bins = np.logspace(low, max(high, low + 1), 40)
        for mask, name, colour in ((~test.improper, "proper", "label"), (test.improper, "improper", "baseline")):
            if mask.any():
                axes.hist(
                    values[:, mask].ravel(), bins=bins, histtype="step", label=name, color=COLOURS[colour], lw=1.6
                )
        axes.set(xscale="log", xlabel="max|H(Qx) − D H(x) Dᵀ| / max|H|", ylabel="predictions")
        axes.legend()

    return note(text) + table(ROTATION_HEAD, rotation_rows(evaluation)) + image(draw, 1, 6.0, 3.6)


def rotation_rows(evaluation: Evaluation) -> list[tuple[Any, ...]]:
    """Each metric with its means over the rotated structures, as given and rotated, and its largest change.

    Args:
        evaluation: With a rotation test.
    """
    test = evaluation.rotations
    assert test is not None
    told, rows = test.to_dict(), []
    for name, values in test.unrotated.items():
        given = float(np.nanmean(values)) if not np.isnan(values).all() else None
        title, *means = as_read(name, evaluation.metrics[name], given, told["mean_rotated"].get(name))
        title += " *" if name in ORIENTATION_DEPENDENT else ""
        rows.append((title, *means, told["largest_change"][name]))
    return rows
