"""How good is a model of small molecules on molecules, and on sizes, that it has never seen?

Trains on the store TRAIN, whole molecules left out (split by molecule, seed fixed), and tests on those and on all of
the larger molecules of the store TEST. Beside the model, on the same molecules: the Fock matrix of PySCF's minao
density, which costs a whole Fock build, the baseline H0, and the superposition of atomic potentials, as published and
fitted to the same labels.

    python benchmarks/transfer.py TRAIN TEST [--config train/molecules] [--out transfer]
    python benchmarks/transfer.py TRAIN TEST --run RUN          # a model that is trained already
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from fitted_sap import FittedSap
from record import arguments_of, print_table, run, say, write_record
from runs import add_training_arguments, read_training, train_timed

import hampred
from hampred.baseline import Baseline, make_baseline
from hampred.cli.output import write_json
from hampred.cli.progress import ProgressLine
from hampred.data.store import Store
from hampred.evaluation.evaluate import choose, evaluate
from hampred.evaluation.spectrum import finite
from hampred.evaluation.states import compare_states, label_state
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.units import MILLI_EV

COLUMNS = {  # metric → title, factor from the unit of the metric
    "H_mae_uEh": ("H MAE / µE_h", 1.0),
    "H_onsite_mae_uEh": ("onsite", 1.0),
    "H_offsite_mae_uEh": ("offsite", 1.0),
    "occupied_mae_meV": ("occupied ε / mE_h", 1e3 / MILLI_EV),
    "homo_mae_meV": ("HOMO / meV", 1.0),
    "lumo_mae_meV": ("LUMO / meV", 1.0),
    "gap_mae_meV": ("gap / meV", 1.0),
}
FITTED = 200
"""Training labels that the fitted SAP reads; more change nothing."""

Errors = dict[str, dict[str, dict[str, float | None]]]
"""Method → key of a label → metric → error."""


def main():
    parser = arguments_of(__doc__, "transfer")
    parser.add_argument("train", type=Path, metavar="TRAIN", help="store of small molecules")
    parser.add_argument("test", type=Path, metavar="TEST", help="store of larger molecules")
    parser.add_argument("--run", type=Path, help="run folder or model to evaluate instead of training")
    parser.add_argument("--bin", type=int, default=4, help="width of a bin of sizes, atoms (4)")
    parser.add_argument("--no-minao", action="store_true", help="leave out the minao Fock matrix, which takes longest")
    add_training_arguments(parser, "train/molecules")
    arguments = parser.parse_args()
    model, times = arguments.run, {}
    if model is None:
        model = arguments.out / "run"
        times = train_timed(read_training(arguments, [arguments.train], ["split.by=molecule"]), model)
    predictor = hampred.load(model)
    with Store(arguments.train) as small, Store(arguments.test) as large:
        references = reference_baselines(predictor, small, not arguments.no_minao)
        sets = [
            measure(predictor, references, store, chosen, arguments.out)
            for store, chosen in ((small, part(predictor, small, "test")), (large, unseen(predictor, small, large)))
        ]
    groups = group(sets, arguments.bin)
    figures = {
        "model": str(model),
        "train": {"path": str(arguments.train), **composition(predictor, arguments.train)},
        "n_weights": predictor.model.net.n_parameters,
        "config": predictor.header["provenance"].get("config"),
        "training": times,
        "groups": groups,
        "labels": sets,
    }
    show(figures, predictor.level.functional)
    write_record(arguments.out / "transfer.json", figures)


def part(predictor: Predictor, store: Store, name: str) -> list[int]:
    """Indices of the labels of one part of the model's split."""
    return choose(store, predictor.header["split"], name)


def unseen(predictor: Predictor, small: Store, large: Store) -> list[int]:
    """Indices of the labels of molecules that neither trained nor validated."""
    names = small.molecules
    seen = {names[k] for name in ("train", "validation") for k in part(predictor, small, name)}
    chosen = [index for index, name in enumerate(large.molecules) if name not in seen]
    if len(chosen) < len(large):
        say(f"{len(large) - len(chosen)} labels of {large.path} are left out: their molecules are in the training")
    return chosen


def composition(predictor: Predictor, path: Path) -> dict[str, int]:
    """Molecules and labels of each part of the split."""
    counts = {}
    with Store(path) as store:
        names = store.molecules
        for name in ("train", "validation", "test"):
            chosen = part(predictor, store, name)
            counts |= {f"n_{name}_labels": len(chosen), f"n_{name}_molecules": len({names[k] for k in chosen})}
    return counts


def reference_baselines(predictor: Predictor, store: Store, with_minao: bool) -> dict[str, Baseline]:
    """The baselines that stand beside the model: its own, SAP as published and fitted to the same labels, and minao."""
    own = predictor.model.baseline
    found = {own.name: own} if own.name != "none" else {}
    found.setdefault("sap", make_baseline("sap", store.level))
    found["fitted_sap"] = FittedSap.fitted(store[k] for k in fitting(predictor, store))
    if with_minao:
        found.setdefault("minao", make_baseline("minao", store.level))
    return found


def fitting(predictor: Predictor, store: Store) -> list[int]:
    """`FITTED` random training labels, and those beyond that hold an element that no other before them holds."""
    seen: set[int] = set()
    chosen: list[int] = []
    for k in np.random.default_rng(0).permutation(part(predictor, store, "train")).tolist():
        elements = set(store[k].atoms.numbers.tolist())
        if len(chosen) < FITTED or not elements <= seen:
            chosen.append(k)
            seen |= elements
    return chosen


def measure(
    predictor: Predictor, references: Mapping[str, Baseline], store: Store, chosen: list[int], out: Path
) -> list[dict]:
    """Errors of the model and of the references on some labels of a store.

    Returns:
        For each label its molecule, key, number of atoms and the errors of every method.
    """
    keys, names, sizes = store.keys, store.molecules, store.n_atoms
    asked = Predictor(replace(predictor.model, split={"test": [keys[k] for k in chosen]}))
    with ProgressLine() as line:
        result = evaluate(asked, store, "test", report=lambda label, *of: line.show(f"{store.path.name}: {label}", *of))
        errors: Errors = {"hampred": {m.key: finite(m.metrics) for m in result.molecules}}
        for name, baseline in references.items():
            kept = out / f"{name}_{store.path.stem}.json" if name == "minao" else None  # nothing else takes long
            errors[name] = baseline_errors(baseline, store, chosen, kept, line)
    return [
        {"name": names[k], "key": keys[k], "n_atoms": int(sizes[k])}
        | {"errors": {method: of[keys[k]] for method, of in errors.items()}}
        for k in chosen
    ]


def baseline_errors(baseline: Baseline, store: Store, chosen: list[int], kept: Path | None, line: ProgressLine) -> dict:
    """Errors of H0 for each key; those in the file `kept` are taken from there, new ones are added to it."""
    found = json.loads(kept.read_text()) if kept and kept.is_file() else {}
    keys = store.keys
    for done, index in enumerate(chosen, start=1):
        if keys[index] not in found:
            sample = store[index]
            label = label_state(sample)
            h0 = baseline.blocks(Integrals(sample.atoms, sample.level.basis, sample.charge)).to_dense()
            found[keys[index]] = finite(compare_states(replace(label, hamiltonian=h0), label))
            if kept:
                write_json(kept, found)
        line.show(f"{store.path.name}: {baseline.name}", done, len(chosen))
    return {keys[index]: found[keys[index]] for index in chosen}


def group(sets: list[list[dict]], width: int) -> list[dict]:
    """Means over the left-out small molecules, over the larger ones, and over bins of their size."""
    small, large = sets
    groups = [("small, left out", small), ("larger, all", large)]
    for first in sorted({m["n_atoms"] // width * width for m in large}):
        groups.append(
            (f"larger, {first}–{first + width - 1} atoms", [m for m in large if m["n_atoms"] // width * width == first])
        )
    return [mean_errors(name, molecules, small) for name, molecules in groups]


def mean_errors(name: str, molecules: list[dict], small: list[dict]) -> dict:
    """Means over the labels of a group, in the units of `COLUMNS`, and the model's ratio to the small molecules."""
    sizes = [m["n_atoms"] for m in molecules]
    methods = {}
    for method in molecules[0]["errors"]:
        means = {key: mean(molecules, method, key) for key in COLUMNS}
        means["ratio_to_small"] = means["H_mae_uEh"] / mean(small, method, "H_mae_uEh")
        methods[method] = means
    counts = {"n_molecules": len({m["name"] for m in molecules}), "n_labels": len(molecules)}
    return {"name": name, **counts, "n_atoms": [min(sizes), max(sizes)], "methods": methods}


def mean(molecules: list[dict], method: str, key: str) -> float:
    """Mean of a metric over labels, in the unit of its metric."""
    values = [m["errors"][method][key] for m in molecules]
    return float(np.mean([value for value in values if value is not None]))


def show(figures: dict, functional: str):
    """The table: a block of methods for each group of molecules."""
    counts = figures["train"]
    title = (
        f"{functional.upper()}, trained on {counts['n_train_molecules']} molecules, {counts['n_train_labels']} labels, "
        "none of which is in this table"
    )
    head = ("molecules", "atoms", "labels", "H", *(name for name, _ in COLUMNS.values()), "ratio")
    rows = []
    for g in figures["groups"]:
        for k, (method, means) in enumerate(g["methods"].items()):
            number = f"{g['n_molecules']} {g['name']}", "{}–{}".format(*g["n_atoms"]), str(g["n_labels"])
            values = [means[key] * factor for key, (_, factor) in COLUMNS.items()]
            rows.append((*(("",) * 3 if k else number), method, *values, means["ratio_to_small"]))
    print_table(title, head, rows, group=len(figures["groups"][0]["methods"]))


if __name__ == "__main__":
    run(main)
