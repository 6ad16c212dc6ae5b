"""How right are the bands of crystals that the training has not seen?

Trains on one or more stores of labels, and predicts those of others: H(R), the occupied bands along the path of each
crystal and its gap, beside H0 and against bands of the labels' own H(R). Then the same crystal is predicted in its
primitive cell, its conventional cell and a 3×3×3 supercell, whose bands must agree after folding.

    hampred generate generate/silicon --out labels/silicon
    python benchmarks/crystals.py --train labels/silicon/labels.h5 --test NAME=STORE … [--out crystals]
"""

import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from record import arguments_of, print_table, run, say, write_record
from runs import add_training_arguments, read_training, train_timed

from hampred.blocks.supercell import repeated, unfolded
from hampred.data.sample import HamiltonianSample
from hampred.data.store import Store
from hampred.electronic.band_error import band_errors
from hampred.electronic.crystal import CrystalState
from hampred.electronic.kpath import band_path
from hampred.errors import HampredError
from hampred.evaluation.crystal_spectrum import aligned
from hampred.evaluation.states import baseline_state, label_state
from hampred.inference import Predictor
from hampred.model_file import load_model
from hampred.units import MILLI_EV

COLUMNS = {
    "n_labels": "labels",
    "atoms": "atoms",
    "H_mae_meV": "H(R) MAE",
    "occupied_mae_meV": "bands, mean",
    "occupied_max_meV": "bands, max",
    "gap_mean_meV": "gap, mean",
    "gap_max_meV": "gap, max",
    "baseline_H_mae_meV": "H0: H(R) MAE",
    "baseline_occupied_mae_meV": "H0: bands, mean",
    "predict_s": "predict / s",
}
POINTS = 60
"""k-points on the path of a crystal with more than `LARGE` atoms."""
LARGE = 16
CELLS = {"conventional": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]], "3×3×3": [3, 3, 3]}


def measure(predictor: Predictor, sample: HamiltonianSample) -> dict[str, float]:
    """Errors of one label, of the model and of H0 (meV), and the seconds of the prediction."""
    start = time.perf_counter()
    prediction = predictor.predict(sample.atoms)
    seconds = time.perf_counter() - start
    label = label_state(sample)
    assert isinstance(label, CrystalState)
    path = band_path(sample.atoms)
    if len(sample.atoms) > LARGE:
        length = path.distances[-1]
        path = band_path(sample.atoms, spacing=max(length / POINTS, 1e-3))
    reference = label.bands(path)
    figures: dict[str, float] = {"n_atoms": len(sample.atoms), "n_kpoints": len(path.kpoints), "predict_s": seconds}
    for prefix, state in (("", prediction), ("baseline_", baseline_state(prediction, label))):
        error = aligned(state.hamiltonian, label.hamiltonian, label.overlap).error(label.hamiltonian)
        bands = band_errors(state.bands(path), reference)
        figures |= {f"{prefix}H_mae_meV": MILLI_EV * error["all"]}
        figures |= {f"{prefix}{name}": value for name, value in bands.items() if name != "shift_meV"}
    return figures


def summary(name: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    """One line of the table: means over labels of one size, and the largest errors of any."""
    found: dict[str, Any] = {"test": name, "n_labels": len(rows), "rows": rows}
    found["atoms"] = int(rows[0]["n_atoms"])
    for key in ("H_mae_meV", "occupied_mae_meV", "predict_s", "baseline_H_mae_meV", "baseline_occupied_mae_meV"):
        found[key] = float(np.mean([row[key] for row in rows]))
    found["occupied_max_meV"] = max(row["occupied_max_meV"] for row in rows)
    gaps = np.abs([row["gap_error_meV"] for row in rows])
    found["gap_mean_meV"], found["gap_max_meV"] = float(np.nanmean(gaps)), float(np.nanmax(gaps))
    return found


def folding_error(predictor: Predictor, atoms: Any) -> dict[str, float]:
    """Largest difference of the bands of a primitive cell and of larger cells of the same crystal, meV."""
    small, found = predictor.predict(atoms), {}
    for name, size in CELLS.items():
        large = repeated(atoms, size)
        large.positions += 0.1  # atoms elsewhere in the cell
        large.wrap()
        state, worst = predictor.predict(large), 0.0
        for k in ([0.0, 0.0, 0.0], [0.1, 0.2, 0.3]):
            folded = np.sort(np.concatenate([small.solve(q)[0] for q in unfolded(k, size)]))
            worst = max(worst, float(np.abs(state.solve(k)[0] - folded).max()))
        found[name] = MILLI_EV * worst
    return found


def main():
    parser = arguments_of(__doc__, "crystals")
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="STORE", help="labels to train on")
    parser.add_argument("--test", nargs="+", required=True, metavar="NAME=STORE", help="labels to test on")
    add_training_arguments(parser, "train/silicon")
    arguments = parser.parse_args()
    tests = dict(item.split("=", 1) for item in arguments.test if "=" in item)
    if len(tests) < len(arguments.test):
        raise HampredError("--test takes NAME=STORE, such as strained=labels/test/labels.h5.")
    config = read_training(arguments, arguments.train)
    opened = {name: Store(path) for name, path in tests.items()}
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    times = train_timed(config, arguments.out / "run")
    model = load_model(arguments.out / "run" / "model.safetensors")
    predictor = Predictor(model)
    table = []
    for name, store in opened.items():
        rows = []
        for sample in store:
            rows.append(measure(predictor, sample))
            say(f"{name}: {len(rows)}/{len(store)}, bands {rows[-1]['occupied_mae_meV']:.2f} meV")
        sizes = sorted({row["n_atoms"] for row in rows})
        table += [summary(name, [row for row in rows if row["n_atoms"] == size]) for size in sizes]
    smallest = min((sample for store in opened.values() for sample in store), key=lambda sample: len(sample.atoms))
    folding = folding_error(predictor, smallest.atoms)
    figures = {"train": [str(path) for path in arguments.train], "config": config.model_dump(mode="json")}
    figures |= {"training": times, "provenance": model.provenance, "tests": table, "folding_meV": folding}
    write_record(arguments.out / "crystals.json", figures)
    title = f"crystals, meV; {model.provenance['n_train']} training labels, {times['cpu_s'] / 60:.1f} CPU min"
    print_table(title, ("test", *COLUMNS.values()), [[row["test"], *(row[key] for key in COLUMNS)] for row in table])
    print(
        "bands of one crystal in other cells, largest difference / meV: "
        + ", ".join(f"{name} {value:.1e}" for name, value in folding.items())
    )


if __name__ == "__main__":
    run(main)
