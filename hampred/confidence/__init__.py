"""How sure a prediction is: how new its atoms are to the model, and how large its errors are then."""

from hampred.confidence.calibration import Calibration, Confidence
from hampred.confidence.familiarity import Familiarity
from hampred.confidence.representatives import most_representative

__all__ = ["Calibration", "Confidence", "Familiarity", "most_representative"]
