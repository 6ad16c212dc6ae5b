"""The rotation test: does a rotated molecule get the rotated Hamiltonian?"""

from typing import Any

import numpy as np

from hampred.evaluation.evaluate import Evaluation
from hampred.evaluation.spectrum import ORIENTATION_DEPENDENT
from hampred.pages.html import note, table
from hampred.pages.plots import COLOURS, image


def rotations(evaluation: Evaluation) -> str:
    """Largest errors, change of every metric, histogram; empty without the test."""
    test = evaluation.rotations
    if test is None:
        return ""
    told = test.to_dict()
    text = (
        f"{told['n_molecules']} structures under {told['n_rotations']} random elements of O(3), "
        f"{told['n_improper']} of them improper. Largest |H(Qx) − D H(x) Dᵀ|: {told['max_error_Eh']:.1e} E_h, "
        f"{told['max_relative_error']:.1e} of max|H|. Metrics with an asterisk are sums of absolute matrix elements, "
        "which change when an error matrix is rotated; for an equivariant model the others do not."
    )
    before = {name: float(np.nanmean(v)) if not np.isnan(v).all() else None for name, v in test.unrotated.items()}
    changes = told["largest_change"]
    rows = [
        (_title(evaluation, name), before[name], told["mean_rotated"].get(name), changes[name]) for name in test.metrics
    ]
    head = ("mean over the rotated structures", "as given", "rotated", "largest change")

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

    return note(text) + table(head, rows) + image(draw, 1, 6.0, 3.6)


def _title(evaluation: Evaluation, name: str) -> str:
    return evaluation.metrics[name] + (" *" if name in ORIENTATION_DEPENDENT else "")
