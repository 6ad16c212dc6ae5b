"""Sections of the report: one file each, with one function from an evaluation to HTML (empty: nothing to show)."""

from collections.abc import Callable

from hampred.evaluation.evaluate import Evaluation
from hampred.evaluation.sections.bands import bands
from hampred.evaluation.sections.coverage import bounds
from hampred.evaluation.sections.error_matrix import error_matrix
from hampred.evaluation.sections.learning_curve import learning_curve
from hampred.evaluation.sections.levels import levels
from hampred.evaluation.sections.molecules import worst_molecules
from hampred.evaluation.sections.parity import parity
from hampred.evaluation.sections.rotations import rotations
from hampred.evaluation.sections.summary import summary

SECTIONS: tuple[tuple[str, Callable[[Evaluation], str]], ...] = (
    ("Summary", summary),
    ("Any orientation", rotations),
    ("Matrix elements by block type", parity),
    ("Where the error is", error_matrix),
    ("Orbital energies", levels),
    ("Bands", bands),
    ("How sure the model was", bounds),
    ("Largest errors", worst_molecules),
    ("Learning curve", learning_curve),
)
"""Title and content of each section, in the order of the report."""
