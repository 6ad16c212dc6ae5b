"""The metrics that a training run logged beside its model."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def find_metrics(model: Path) -> Path | None:
    """The ``metrics.csv`` of the run to which a model file, a checkpoint or a run folder belongs; None without one."""
    folder = model if model.is_dir() else model.parent
    if folder.name == "checkpoints":
        folder = folder.parent
    path = folder / "metrics.csv"
    return path if path.is_file() else None


def read_metrics(path: Path) -> dict[str, Array]:
    """Columns of a ``metrics.csv`` in Lightning's form, where a row fills only some of them.

    Returns:
        Name → [n, 2] (step, value); cells that are no finite numbers are left out, and so are columns without any.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = _number(row.get("step"))
            for name, text in row.items():
                value = _number(text)
                if name and name not in ("step", "epoch") and step is not None and value is not None:
                    lines.setdefault(name, []).append((step, value))
    return {name: np.array(values) for name, values in lines.items()}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
