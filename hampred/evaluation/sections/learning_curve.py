"""The learning curve of the training run, where its metrics.csv was found."""

from typing import Any

from hampred.evaluation.evaluate import Evaluation
from hampred.pages.plots import image

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def learning_curve(evaluation: Evaluation) -> str:
    """Losses on the left, errors with a unit on the right; empty without a run."""
    losses = {name: line for name, line in evaluation.learning.items() if name.endswith("loss")}
    errors = {name: line for name, line in evaluation.learning.items() if name.endswith(("_uEh", "_meV"))}
    panels = [(title, lines) for title, lines in (("loss", losses), ("error", errors)) if lines]
    if not panels:
        return ""

    def draw(*axes: Any) -> None:
        for one, (title, lines) in zip(axes, panels):
            for colour, (name, line) in zip(PALETTE, lines.items()):
                mark = "." if len(line) < 60 else ""
                one.plot(line[:, 0], line[:, 1], label=name, color=colour, linewidth=1.3, marker=mark)
            unit = "loss / mE$_h$" if title == "loss" else "error, unit in the name"
            one.set(yscale="log", xlabel="training step", ylabel=unit)
            one.legend(fontsize=8)

    return image(draw, len(panels), 5.5, 4.0)
