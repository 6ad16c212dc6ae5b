"""What is each ingredient worth on molecules that the training has not seen, and what does it trade for what?

Trains every variant of a preset below on the store TRAIN with the same number of steps, tests it on whole molecules
that were left out, and shows which variants no other one beats in the error of H and of the orbital energies at once:

    python benchmarks/ablations.py TRAIN [--steps 1500] [--only NAME …] [--scf N] [--out ablations]
"""

import argparse
import json
import os
import re
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from record import arguments_of, drawing, print_table, run, say, write_record
from runs import add_training_arguments, read_training, train_timed, with_steps

import hampred
from hampred.cli.output import write_json
from hampred.cli.progress import ProgressLine
from hampred.config import TrainConfig
from hampred.data.store import Store
from hampred.errors import FailedError, HampredError
from hampred.evaluation.evaluate import choose
from hampred.evaluation.spectrum import compare, finite
from hampred.evaluation.states import label_state
from hampred.inference import Prediction
from hampred.training.run import read_data

VARIANTS: dict[str, list[str]] = {  # name → what it changes in the preset
    "preset": [],
    # what the network is given, and how it answers
    "no inputs, covariant": ["net.inputs=[]", "net.forms=[covariant]"],
    "all inputs, covariant": ["net.forms=[covariant]"],
    "overlap given": ["net.inputs=[overlap]"],
    "overlap and H0 given": ["net.inputs=[overlap, baseline]"],
    "covariant, mixed": ["net.forms=[covariant, mixed]"],
    "covariant, contravariant": ["net.forms=[covariant, contravariant]"],
    "mixed": ["net.forms=[mixed]"],
    # loss
    "no orbital loss": ["loss.orbitals=0"],
    "orbital loss 0.3": ["loss.orbitals=0.3"],
    "orbital loss 3": ["loss.orbitals=3"],
    "orbital loss only": ["loss.elements=0"],
    # baseline
    "no baseline": ["baseline=none"],
    "baseline core": ["baseline=core"],
    "baseline sap": ["baseline=sap"],
    "baseline minao": ["baseline=minao"],  # a Fock build for each label: minutes
    # network
    "1 layer": ["net.n_layers=1"],
    "3 layers": ["net.n_layers=3"],
    "lmax 5": ["net.lmax=5"],
    "24 + 8 channels": ["net.natural=24", "net.unnatural=8"],
    "4 unnatural channels": ["net.unnatural=4"],
    "messages to 4 Å": ["net.cutoff=4.0"],
    "blocks to 6 Å": ["net.pair_cutoff=6.0"],
    "blocks to 5 Å": ["net.cutoff=5.0", "net.pair_cutoff=5.0"],
    "blocks to 4.5 Å": ["net.cutoff=4.5", "net.pair_cutoff=4.5"],
    "tensor_product": ["net={name: tensor_product}"],
    # optimisation
    "no averaged weights": ["optimizer.ema_decay=0"],
    "constant learning rate": ["optimizer.schedule=constant"],
    "learning rate 2e-3": ["optimizer.learning_rate=2.0e-3"],
}

COLUMNS = {
    "H_mae_uEh": "H / µE_h",
    "H_onsite_mae_uEh": "onsite",
    "H_offsite_mae_uEh": "offsite",
    "occupied_mae_meV": "occ. ε / meV",
    "homo_mae_meV": "HOMO / meV",
    "lumo_mae_meV": "LUMO / meV",
    "gap_mae_meV": "gap / meV",
    "density_error": "‖ΔD‖ / e",
    "scf_cycles": "cycles",
    "scf_cycles_default": "default",
    "step_cpu_ms": "step / ms",
}
RIVALS = {"occupied_mae_meV": "occupied ε (meV)", "gap_mae_meV": "gap (meV)", "density_error": "‖ΔD‖ per electron"}
"""Errors that stand against H MAE in the search for the front and in the plot."""


def main():
    parser = arguments_of(__doc__, "ablations")
    parser.add_argument("train", type=Path, metavar="TRAIN", help="store of labels of many molecules")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each variant (1500)")
    parser.add_argument("--scf", type=int, default=0, metavar="N", help="molecules whose SCF cycles are counted (0)")
    add_training_arguments(parser, "train/molecules")
    arguments = parser.parse_args()
    rows = {}
    for k, name in enumerate(arguments.only or VARIANTS, start=1):
        say(f"variant {k}/{len(arguments.only or VARIANTS)}: {name}")
        try:
            rows[name] = measure(name, arguments)
        except (HampredError, FailedError, RuntimeError) as error:  # one variant must not cost the others their table
            say(f"{name} is left out: {error}")
    if not rows:
        raise HampredError("No variant could be trained: see above.")
    show(rows, arguments.steps)
    plot(rows, arguments.out / "ablations.png")
    write_record(arguments.out / "ablations.json", {"train": str(arguments.train), "variants": rows})


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and tests one variant; what is finished already is taken."""
    out = arguments.out / re.sub(r"\W+", "_", name)
    config = read_training(arguments, [arguments.train], ["split.by=molecule", *VARIANTS[name]])
    config = with_steps(config, n_train(config), arguments.steps)
    times = train_timed(config, out, name)
    kept = out / f"test_scf{arguments.scf}.json"
    if not kept.is_file():
        write_json(kept, test(out, arguments.train, arguments.scf))
    return {"overrides": VARIANTS[name], **times, **json.loads(kept.read_text())}


def n_train(config: TrainConfig) -> int:
    """Number of labels that the split of a configuration trains on."""
    return len(read_data(config).split["train"])


def test(run_folder: Path, data: Path, n_scf: int) -> dict[str, float | None]:
    """Mean errors over the labels of the molecules that were left out."""
    predictor, rows = hampred.load(run_folder), []
    with Store(data) as store, ProgressLine() as line:
        chosen = choose(store, predictor.header["split"], "test")
        counted = set(np.linspace(0, len(chosen) - 1, min(n_scf, len(chosen))).astype(int))
        for k, index in enumerate(chosen):
            sample = store[index]
            prediction = predictor.predict(sample.atoms, sample.charge)
            label = label_state(sample)
            error = density_error(prediction.density_matrix - label.density_matrix, label.overlap, sample.n_electrons)
            cycles = scf_cycles(prediction) if k in counted else {}
            rows.append({**compare(prediction, label), "density_error": error, **cycles})
            line.show("testing", k + 1, len(chosen))
    metrics = {key: [row[key] for row in rows if key in row and np.isfinite(row[key])] for key in COLUMNS}
    means = {key: mean(values) for key, values in metrics.items() if values}
    notes = {"n_weights": predictor.model.net.n_parameters, "n_steps": predictor.header["provenance"]["n_steps"]}
    return {**finite(means), **notes, "n_labels": len(rows)}


def density_error(error: np.ndarray, overlap: np.ndarray, n_electrons: int) -> float:
    """‖S^½ ΔD S^½‖ / n, which turning the molecule does not change: (tr ΔD S ΔD S)^½ over the number of electrons."""
    product = error @ overlap
    return float(np.sqrt(max(np.einsum("ij,ji->", product, product), 0.0)) / n_electrons)


def scf_cycles(prediction: Prediction) -> dict[str, float]:
    """Cycles of PySCF's SCF from the predicted density and from its default guess; NaN where it does not converge."""
    cycles = {}
    for name, density in (("scf_cycles", prediction.density_matrix), ("scf_cycles_default", None)):
        field = prediction.to_pyscf()
        field.kernel(dm0=density)
        cycles[name] = float(field.cycles) if field.converged else float("nan")
    return cycles


def front(rows: dict[str, dict], rival: str) -> list[str]:
    """Variants that no other one beats in H MAE and the rival at once, by falling H MAE."""
    points = {name: (row["H_mae_uEh"], row[rival]) for name, row in rows.items()}
    best = [n for n, p in points.items() if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points.values())]
    return sorted(best, key=lambda name: -points[name][0])


def show(rows: dict[str, dict], n_steps: int):
    """The table, best H first, with a star for each front that a variant stands on."""
    fronts = {rival: front(rows, rival) for rival in RIVALS}
    columns = {key: title for key, title in COLUMNS.items() if any(key in row for row in rows.values())}
    ordered = sorted(rows.items(), key=lambda item: item[1]["H_mae_uEh"])
    table = [
        (name, *(row.get(key) for key in columns), " ".join("★" if name in of else "·" for of in fronts.values()))
        for name, row in ordered
    ]
    title = f"{n_steps} steps each, mean errors over {ordered[0][1]['n_labels']} labels of molecules left out"
    print_table(title, ("variant", *columns.values(), "front: ε gap D"), table)


def plot(rows: dict[str, dict], path: Path):
    """H MAE against each rival, with the front."""
    with drawing(path, len(RIVALS)) as all_axes:
        for axes, (rival, title) in zip(all_axes, RIVALS.items()):
            for name, row in rows.items():
                axes.loglog(row["H_mae_uEh"], row[rival], "o", color="C1" if name == "preset" else "C0")
                axes.annotate(name, (row["H_mae_uEh"], row[rival]), (3, 3), textcoords="offset points", fontsize=6)
            line = [(rows[name]["H_mae_uEh"], rows[name][rival]) for name in front(rows, rival)]
            axes.loglog(*zip(*line), "-", color="0.6", zorder=0, label="front")
            axes.set_xlabel("H MAE (µE$_h$)")
            axes.set_ylabel(title)
            axes.legend()


if __name__ == "__main__":
    run(main)
