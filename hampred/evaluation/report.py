"""The report of an evaluation: one HTML file that needs nothing else."""

from pathlib import Path

from hampred.evaluation.evaluate import Evaluation
from hampred.evaluation.sections import SECTIONS
from hampred.files import replacing
from hampred.pages.html import page


def render(evaluation: Evaluation) -> str:
    """The report as HTML, without any outside resource; sections that have nothing to show are left out."""
    return page("Evaluation of a predicted Hamiltonian", ((title, section(evaluation)) for title, section in SECTIONS))


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Writes the report; it appears under its name only when complete.

    Raises:
        HampredError: The path cannot be written.
    """
    content = render(evaluation)
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
