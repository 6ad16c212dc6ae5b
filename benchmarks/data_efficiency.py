"""How does the error fall with the number of labels?

Trains on 25, 50, 100, 250 and 500 of the waters of `accuracy_water.py`, each subset inside the next, and tests every
model on the same 1000 geometries that none of them saw. Each training has the same number of steps, so that only the
labels differ; 25 further labels tell which weights of a training are kept.

    python benchmarks/data_efficiency.py [--labels FOLDER] [--counts 25 50 …] [--steps N] [--out data_efficiency]
"""

import json
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from accuracy_water import add_label_arguments, describe, make_labels, split_of, store_path
from record import arguments_of, drawing, print_table, run, write_record
from runs import add_training_arguments, read_training, train_timed, with_steps

from hampred.cli.progress import ProgressLine
from hampred.data.split import split_samples
from hampred.data.store import Store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import evaluate
from hampred.inference import Predictor
from hampred.model_file import load_model

COLUMNS = {
    "n_train": "training geometries",
    "H_mae_uEh": "H MAE / µE_h",
    "H_onsite_mae_uEh": "onsite",
    "H_offsite_mae_uEh": "offsite",
    "occupied_mae_meV": "occupied ε MAE / meV",
    "homo_mae_meV": "HOMO / meV",
    "lumo_mae_meV": "LUMO / meV",
    "n_steps": "steps",
    "cpu_min": "training, CPU / min",
}


def main():
    parser = arguments_of(__doc__, "data_efficiency")
    add_label_arguments(parser)
    parser.add_argument("--counts", type=int, nargs="+", default=[25, 50, 100, 250, 500], help="training geometries")
    parser.add_argument("--validation", type=int, default=25, help="geometries that validate (25)")
    parser.add_argument("--test", type=int, default=1000, help="geometries that test, the same for all (1000)")
    parser.add_argument("--steps", type=int, default=6000, help="training steps of each (6000)")
    add_training_arguments(parser, "train/water")
    arguments = parser.parse_args()
    read_training(arguments, [store_path(arguments)])  # a misspelt key is told at once
    make_labels(arguments)
    with Store(store_path(arguments)) as store:
        data, test = describe(store), test_keys(store, max(arguments.counts) + arguments.validation, arguments.test)
        rows = [measure(arguments, store, n, test) for n in sorted(arguments.counts)]
    figures = {"data": data, "n_test": len(test), "n_validation": arguments.validation, "rows": rows}
    figures["slope"] = slope(rows)
    title = f"water, the same {len(test)} test geometries; H MAE falls as n to the power {figures['slope']:.2f}"
    print_table(title, list(COLUMNS.values()), [[row[key] for key in COLUMNS] for row in rows])
    plot(rows, arguments.out / "data_efficiency.png")
    write_record(arguments.out / "data_efficiency.json", figures)


def test_keys(store: Store, n_used: int, n_test: int) -> set[str]:
    """The last samples of the permutation whose first ones train and validate, whatever their numbers."""
    if n_used + n_test > len(store):
        raise HampredError(
            f"{n_used} + {n_test} geometries asked of {len(store)}: give smaller numbers or a larger --count."
        )
    parts = split_samples(store.molecules, len(store) - n_test - 1, 1, n_test, "geometry", 0)
    keys = store.keys
    return {keys[k] for k in parts["test"]}


def measure(arguments, store: Store, n_train: int, test: set[str]) -> dict:
    """Trains on `n_train` geometries and tests; what is finished already is taken."""
    out = arguments.out / f"train_{n_train}"
    overrides = [*split_of(n_train, arguments.validation, 0), "split.seed=0"]
    config = with_steps(read_training(arguments, [store.path], overrides), n_train, arguments.steps)
    times = train_timed(config, out, f"{n_train} geometries")
    kept = out / "test.json"
    if not kept.is_file():
        model = load_model(out)
        if test & {key for keys in model.split.values() for key in keys}:
            raise HampredError("The training holds test geometries: leave split.* out of --set.")
        with ProgressLine() as line:
            result = evaluate(Predictor(replace(model, split={"test": list(test)})), store, report=line.show)
        means = {name: row["model"] for name, row in result.table().items()}
        kept.write_text(json.dumps({**means, "n_steps": model.provenance["n_steps"]}))
    return {"n_train": n_train, **json.loads(kept.read_text()), "cpu_min": times["cpu_s"] / 60, "training": times}


def slope(rows: list[dict]) -> float:
    """Exponent of H MAE against the number of geometries, least squares in the logarithms."""
    n, error = (np.log([row[key] for row in rows]) for key in ("n_train", "H_mae_uEh"))
    return float(np.polyfit(n, error, 1)[0]) if len(rows) > 1 else 0.0


def plot(rows: list[dict], path: Path):
    """Errors against the number of geometries, both axes logarithmic."""
    counts = [row["n_train"] for row in rows]
    with drawing(path, 2) as (left, right):
        for key, name in (("H_mae_uEh", "all"), ("H_onsite_mae_uEh", "onsite"), ("H_offsite_mae_uEh", "offsite")):
            left.loglog(counts, [row[key] for row in rows], "o-", label=name)
        left.set_ylabel("mean |δH| (µE$_h$)")
        for key, name in (("occupied_mae_meV", "occupied"), ("homo_mae_meV", "HOMO"), ("lumo_mae_meV", "LUMO")):
            right.loglog(counts, [row[key] for row in rows], "o-", label=name)
        right.set_ylabel("mean error of orbital energies (meV)")
        for axes in (left, right):
            axes.set_xlabel("training geometries")
            axes.set_xticks(counts, [str(n) for n in counts])
            axes.xaxis.minorticks_off()
            axes.legend()


if __name__ == "__main__":
    run(main)
