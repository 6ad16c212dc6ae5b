"""What was evaluated, and every metric beside the baseline's own error and the label noise."""

from hampred.evaluation.evaluate import Evaluation
from hampred.pages.html import note, table


def summary(evaluation: Evaluation) -> str:
    """Table of the metrics."""
    about = evaluation.about
    level = about.get("level", {})
    method = f"{level.get('functional', '?')}/{level.get('basis', '?')}"
    if level.get("crystal"):
        method += " with {pseudo}, plane waves up to {ke_cutoff:g} E_h".format(**level["crystal"])
    facts = (
        f"{len(evaluation.molecules)} structures ({about.get('split', '?')} split of {about.get('data', '?')}), "
        f"{method}; model {about.get('model', '?')}; {evaluation.seconds:.3g} s a structure."
    )
    head = ("mean over structures", "model", f"baseline ({about.get('baseline', '?')})", "label noise")
    return note(facts) + table(head, evaluation.rows())
