"""Bands of some crystals: label and prediction on one path."""

from typing import Any

from hampred.evaluation.band_figure import draw_bands
from hampred.evaluation.evaluate import Evaluation
from hampred.pages.html import note
from hampred.pages.plots import image


def bands(evaluation: Evaluation) -> str:
    """One figure for each of some crystals; empty for molecules."""
    shown = evaluation.bands
    if not shown:
        return ""

    def draw(*axes: Any) -> None:
        for one, pair in zip(axes, shown):
            draw_bands(one, pair.prediction, pair.label, pair.zero, pair.zero_name)
            one.set_title(pair.name[:40], parse_math=False)  # a name may hold dollar signs
            lines, _ = one.get_legend_handles_labels()
            one.legend(lines, ("label", "prediction"), loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2)

    text = (
        "The label is shifted to the prediction over the occupied bands, as the potential of an infinite crystal has "
        "no zero."
    )
    return note(text) + image(draw, len(shown), 6.2, 4.8)
