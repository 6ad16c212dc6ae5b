"""The molecules on which the model is worst."""

from hampred.evaluation.evaluate import Evaluation
from hampred.evaluation.sections.html import note, table

SHOWN = 10
COLUMNS = {
    "H_mae_uEh": "H / µE_h",
    "occupied_mae_meV": "occupied / meV",
    "homo_mae_meV": "HOMO / meV",
    "lumo_mae_meV": "LUMO / meV",
    "orbital_similarity": "orbital similarity",
}


def worst_molecules(evaluation: Evaluation) -> str:
    """Table of the largest errors of H."""
    worst = sorted(evaluation.molecules, key=lambda m: m.metrics["H_mae_uEh"], reverse=True)[:SHOWN]
    if not worst:
        return ""
    rows = [(m.name, m.key[:8], *(m.metrics[name] for name in COLUMNS)) for m in worst]
    text = f"The {len(worst)} samples with the largest mean absolute error of H."
    return note(text) + table(("molecule", "sample", *COLUMNS.values()), rows)
