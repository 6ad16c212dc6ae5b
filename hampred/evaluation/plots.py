"""Figures of the report: one style, PNG inside HTML, no file and no network."""

import base64
import io
from collections.abc import Callable
from typing import Any

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


def image(draw: Callable[..., None], n_columns: int = 1, width: float = 5.0, height: float = 4.0) -> str:
    """Draws a figure and gives it as an HTML image.

    Args:
        draw: Takes `n_columns` matplotlib axes.
        n_columns: Axes side by side.
        width: Of each, inch.
        height: Inch.

    Returns:
        ``<img>`` element with the PNG inside.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * n_columns, height), dpi=130)
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, n_columns, squeeze=False)[0]
        draw(*axes)
        content = io.BytesIO()
        figure.savefig(content, format="png")
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="" src="data:image/png;base64,{data}">'
