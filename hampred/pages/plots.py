"""Figures: one style; PNG inside HTML for the report, without file and network, or a file of its own."""

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from hampred.errors import HampredError
from hampred.files import replacing

COLOURS = {
    "label": "#000000",
    "prediction": "#0072B2",
    "baseline": "#E69F00",
    "onsite": "#0072B2",
    "offsite": "#D55E00",
}
"""The palette of Okabe and Ito, which colour-blind readers tell apart."""

STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def image(
    draw: Callable[..., None], n_columns: int = 1, width: float = 5.0, height: float = 4.0, meaning: str = ""
) -> str:
    """Draws a figure and gives it as an HTML image.

    Args:
        draw: Takes `n_columns` matplotlib axes.
        n_columns: Axes side by side.
        width: Of each, inch.
        height: Inch.
        meaning: What it shows, for those who do not see it.

    Returns:
        ``<img>`` element with the PNG inside.
    """
    content = io.BytesIO()
    _print(content, "png", draw, [width] * n_columns, height, share_y=False)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{escape(meaning)}" src="data:image/png;base64,{data}">'


def save(path: Path, draw: Callable[..., None], widths: Sequence[float], height: float = 4.0) -> None:
    """Draws a figure into a file; its axes stand side by side and share the vertical scale.

    Args:
        path: File whose name ends in ``.png``, ``.svg`` or ``.pdf``.
        draw: Takes as many matplotlib axes as there are widths.
        widths: Of each, inch.
        height: Inch.

    Raises:
        HampredError: Another ending, or a path that cannot be written.
    """
    ending = path.suffix.lower().lstrip(".")
    if ending not in ("png", "svg", "pdf"):
        raise HampredError(f"Cannot draw into {path.name}: give a name that ends in .png, .svg or .pdf.")
    content = io.BytesIO()
    _print(content, ending, draw, widths, height, share_y=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _print(
    content: io.BytesIO, form: str, draw: Callable[..., None], widths: Sequence[float], height: float, share_y: bool
) -> None:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(sum(widths), height), dpi=130)
        FigureCanvasAgg(figure)
        options = {"width_ratios": list(widths), "squeeze": False, "sharey": share_y}
        draw(*figure.subplots(1, len(widths), **options)[0])
        figure.savefig(content, format=form)
