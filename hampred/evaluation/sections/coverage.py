"""How sure the predictions were, and whether they were right to be."""

from collections import Counter

from hampred.confidence.calibration import LEVELS
from hampred.evaluation.coverage import HEAD, coverage, coverage_rows
from hampred.evaluation.evaluate import Evaluation
from hampred.pages.html import note, table


def bounds(evaluation: Evaluation) -> str:
    """Table of the bounds, and how many structures have each warning level."""
    rows = coverage_rows(coverage(evaluation.molecules), evaluation.metrics)
    if not rows:
        return ""
    counts = Counter(m.confidence.level for m in evaluation.molecules if m.confidence)
    told = ", ".join(f"{counts[level]} {name}" for level, name in enumerate(LEVELS))
    return note(f"Structures by how new their atoms are to the model: {told}.") + table(HEAD, rows)
