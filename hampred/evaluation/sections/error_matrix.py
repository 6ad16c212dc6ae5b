"""Errors of H by element pair and by pair of shells."""

from typing import Any

import numpy as np
from ase.data import chemical_symbols

from hampred.evaluation.evaluate import Evaluation
from hampred.pages.html import number, table
from hampred.pages.plots import image

MOST_SHELLS = 60
"""Shells of all elements up to which each gets its label."""


def error_matrix(evaluation: Evaluation) -> str:
    """Table by element pair, and two images by element and shell."""
    if not evaluation.errors.sums:
        return ""
    unit, size = evaluation.unit
    model, baseline = evaluation.errors.element_pairs(size), evaluation.baseline_errors.element_pairs(size)
    head = ("element pair", f"model, mean absolute error / {unit}", f"baseline / {unit}")
    rows = [(pair, value, baseline.get(pair)) for pair, value in model.items()]

    def draw(onsite: Any, offsite: Any) -> None:
        for axes, kind in ((onsite, True), (offsite, False)):
            _image(axes, evaluation, kind)

    return table(head, rows) + image(draw, 2, 6.2, 5.4)


def _image(axes: Any, evaluation: Evaluation, onsite: bool) -> None:
    from matplotlib.colors import LogNorm

    unit, size = evaluation.unit
    rows, values = evaluation.errors.matrix(onsite, size)
    shown = np.where(values > 0, values, np.nan)
    axes.set_title("onsite blocks" if onsite else "offsite blocks")
    axes.grid(False)
    if np.isnan(shown).all():
        axes.text(
            0.5, 0.5, "no error" if (values == 0).any() else "no such blocks", ha="center", transform=axes.transAxes
        )
        axes.set(xticks=[], yticks=[])
        return
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    high = high if high > low else 2 * low
    picture = axes.imshow(shown, cmap="cividis", norm=LogNorm(low, high))
    bar = axes.figure.colorbar(picture, ax=axes, label=f"mean absolute error / {unit}", shrink=0.8)
    bar.set_ticks(np.geomspace(low, high, 5), labels=[number(x) for x in np.geomspace(low, high, 5)], minor=False)
    bar.minorticks_off()
    shells = evaluation.about.get("shells", {})
    names = [f"{chemical_symbols[z]} {_shell(shells, z, k)}" for z, k in rows]
    font = 10 if len(rows) <= 10 else 8 if len(rows) <= 30 else 5
    if len(rows) <= MOST_SHELLS:
        axes.set_xticks(range(len(rows)), names, rotation=90, fontsize=font)
        axes.set_yticks(range(len(rows)), names, fontsize=font)


def _shell(shells: dict[str, list[str]], number: int, index: int) -> str:
    names = shells.get(chemical_symbols[number], [])
    return names[index] if index < len(names) else str(index + 1)
