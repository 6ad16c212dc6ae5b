"""The molecules on which the model is worst."""

from hampred.evaluation.evaluate import Evaluation, as_read
from hampred.pages.html import note, table

SHOWN = 10
COLUMNS = {
    "H_mae_uEh": "H / µE_h",
    "H_mae_meV": "H(R) / meV",
    "occupied_mae_meV": "occupied / meV",
    "occupied_max_meV": "occupied, largest / meV",
    "homo_mae_meV": "HOMO / meV",
    "lumo_mae_meV": "LUMO / meV",
    "gap_mae_meV": "gap / meV",
    "orbital_similarity": "orbital similarity",
}
"""Metrics that are shown, of those that the structures have."""


def worst_molecules(evaluation: Evaluation) -> str:
    """Table of the largest errors of H."""
    first, *_ = evaluation.metrics
    worst = sorted(evaluation.molecules, key=lambda m: m.metrics[first], reverse=True)[:SHOWN]
    if not worst:
        return ""
    columns = [name for name in COLUMNS if name in evaluation.metrics]
    titles = [as_read(name, COLUMNS[name])[0] for name in columns]
    rows = [(m.name, m.key[:8], *(as_read(name, "", m.metrics[name])[1] for name in columns)) for m in worst]
    text = f"The {len(worst)} samples with the largest mean absolute error of H."
    return note(text) + table(("structure", "sample", *titles), rows)
