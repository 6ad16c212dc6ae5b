"""Do 90 % of the errors lie within the bounds that predictions carry, on molecules that the model has never seen?

Takes the labels of STORE that the model was not trained on, and all of the further stores. First the bounds that the
model file carries, learned from the labels that validated it, on all others. Then what the recipe gives for other draws
of molecules: random halves of the unseen molecules, one to learn the bounds and one to test them.

    python benchmarks/coverage.py MODEL STORE [MORE …] [--draws 300] [--out coverage]
"""

import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from record import arguments_of, print_table, run, write_record

from hampred.cli.progress import ProgressLine
from hampred.confidence import Calibration
from hampred.confidence.calibration import SHARE
from hampred.data.store import Store
from hampred.errors import HampredError
from hampred.evaluation.confidence import BOUNDED
from hampred.evaluation.coverage import coverage
from hampred.evaluation.evaluate import MoleculeResult, evaluate
from hampred.evaluation.spectrum import METRICS
from hampred.inference import Predictor
from hampred.model_file import Model, load_model

NEAR = 0.05
"""How far from the share that bounds promise a draw may lie to be counted as right."""

HEAD = [
    "error",
    "model file / %",
    "redrawn, mean / %",
    "standard deviation / %",
    f"draws within {100 * SHARE:.0f} ± {100 * NEAR:.0f} % / %",
]


def main():
    parser = arguments_of(__doc__, "coverage")
    parser.add_argument("model", type=Path, metavar="MODEL", help="run folder or model file, calibrated")
    parser.add_argument("stores", type=Path, nargs="+", metavar="STORE", help="labels; the first has the training's")
    parser.add_argument("--draws", type=int, default=300, help="random halves of the unseen molecules (300)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    if model.calibration is None:
        raise HampredError(f"{arguments.model} has no bounds: train it with a validation split.")
    validated = set(model.split["validation"])
    unseen = [row for path in arguments.stores for row in measure(model, path)]
    fresh = [row for row in unseen if row.key not in validated]
    shipped = coverage(fresh)
    if len({row.name for row in unseen}) < 2:
        raise HampredError("The labels are of one molecule, so that no half can learn bounds: give more molecules.")
    drawn = redrawn(unseen, arguments.draws, np.random.default_rng(arguments.seed))
    n_molecules = len({row.name for row in fresh})
    rows = [
        [METRICS[name], 100 * shipped[name]["within"], *(100 * f(part) for f in (np.mean, np.std, near))]
        for name, part in drawn.items()
    ]
    n_all = len({row.name for row in unseen})
    (n_known, _), (share, spread) = model.calibration.independent, model.calibration.coverage
    print_table(f"{len(unseen)} labels of {n_all} molecules that the model was not trained on", HEAD, rows)
    print(f"model file: bounds from {n_known} molecules, expected {share:.1%} ± {spread:.1%}; {n_molecules} test them")
    print(f"redrawn: bounds from {n_all // 2} molecules, {n_all - n_all // 2} test them, {arguments.draws} draws")
    figures = {
        "n_labels": len(unseen),
        "n_molecules": n_all,
        "n_calibration_molecules": n_known,
        "n_fresh_molecules": n_molecules,
        "model_file": shipped,
        "redrawn": {
            name: {"mean": float(part.mean()), "std": float(part.std()), "near": near(part)}
            for name, part in drawn.items()
        },
    }
    write_record(arguments.out / "coverage.json", figures)


def near(shares: np.ndarray) -> float:
    """Share of the draws in which the coverage is what it should be."""
    return float((abs(shares - SHARE) <= NEAR).mean())


def measure(model: Model, path: Path) -> list[MoleculeResult]:
    """Errors and novelties of the labels of a store that the model was not trained on."""
    trained = set(model.split["train"])
    with Store(path) as store, ProgressLine() as line:
        unseen = replace(model, split={"test": [key for key in store.keys if key not in trained]})
        return evaluate(Predictor(unseen), store, report=line.show).molecules


def redrawn(results: list[MoleculeResult], draws: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Metric → coverage [draws] of bounds learned from one random half of the molecules and tested on the other."""
    names = sorted({row.name for row in results})
    shares: dict[str, list[float]] = {}
    for _ in range(draws):
        half = set(generator.permutation(names)[: len(names) // 2])
        learn, test = ([row for row in results if (row.name in half) == first] for first in (True, False))
        errors = [{metric: row.metrics[metric] for metric in BOUNDED if metric in row.metrics} for row in learn]
        law = Calibration.fit([row.confidence.novelty for row in learn], errors, [row.name for row in learn])
        bounded = [replace(row, confidence=law.confidence(row.confidence.novelty)) for row in test]
        for metric, row in coverage(bounded).items():
            shares.setdefault(metric, []).append(row["within"])
    return {metric: np.array(part) for metric, part in shares.items()}


if __name__ == "__main__":
    run(main)
