"""Predicted against true matrix elements, onsite and offsite apart."""

from typing import Any

import numpy as np

from hampred.evaluation.evaluate import Evaluation
from hampred.pages.html import note
from hampred.pages.plots import COLOURS, image

SHOWN_RANGE = 1e9
"""Largest over smallest error that is shown: elements that symmetry makes zero have errors of rounding."""


def parity(evaluation: Evaluation) -> str:
    """Two parity plots of H − H0 and the distribution of the errors."""
    if not evaluation.points:
        return ""

    def draw(onsite: Any, offsite: Any, errors: Any) -> None:
        for axes, kind in ((onsite, "onsite"), (offsite, "offsite")):
            _parity(axes, kind, evaluation)
        _distribution(errors, evaluation)

    text = "What the network adds to the baseline: elements of H − H0; a random part of all elements."
    return note(text) + image(draw, 3, 4.2, 4.0)


def _parity(axes: Any, kind: str, evaluation: Evaluation) -> None:
    points = evaluation.points[kind]
    if len(points):
        low, high = float(points.min()), float(points.max())
        axes.plot([low, high], [low, high], color="#888888", linewidth=1, zorder=1)
        axes.scatter(points[:, 0], points[:, 1], s=5, alpha=0.4, color=COLOURS[kind], linewidths=0, zorder=2)
    axes.set(title=kind, xlabel="label H − H0 / E_h", ylabel="prediction H − H0 / E_h")


def _distribution(axes: Any, evaluation: Evaluation) -> None:
    name_of_unit, unit = evaluation.unit
    for kind, points in evaluation.points.items():
        error, size = unit * np.abs(points[:, 1] - points[:, 0]), unit * np.abs(points[:, 0])
        for values, style, name in ((error, "-", f"{kind}: model"), (size, "--", f"{kind}: baseline")):
            shown = np.sort(values[values > 0])
            if len(shown):
                share = np.arange(1, len(shown) + 1) / len(shown)
                axes.plot(shown, share, linestyle=style, color=COLOURS[kind], label=name)
    axes.set(xscale="log", xlabel=f"absolute error of an element / {name_of_unit}", title="errors")
    axes.set_ylabel("share of elements below")
    axes.set_xlim(left=max(axes.get_xlim()[0], axes.get_xlim()[1] / SHOWN_RANGE))
    axes.legend(fontsize=8)
