"""How many cycles and how much time does an SCF save that starts from a prediction, and what does a bad model cost?

Runs PySCF at the level of the model on molecules of a store: from its default guess, and through `hampred.warm_start`
from three models: the trained one; the same network with its initial weights; and with its trained weights exchanged
at random, which is worse. Times go from the built mean field to the converged energy, and those of a warm start include
checks, prediction and guard; each is the best of ``--repeats``. Ratios are warm start / default guess.

    python benchmarks/warm_start.py MODEL STORE [--split test] [--n N] [--out warm_start]

Molecules that are done are kept in ``rows.json``: the same command goes on. ``--n`` takes labels evenly over the part.
"""

import argparse
import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from pyscf import lib
from record import arguments_of, print_table, run, write_record

import hampred
from hampred.cli.output import write_json
from hampred.cli.progress import ProgressLine
from hampred.data.sample import HamiltonianSample
from hampred.data.store import Store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import SPLITS, choose
from hampred.evaluation.scf_comparison import DEFINITIONS, ScfRun, default_scf, load_tables, warm_scf
from hampred.inference import Predictor
from hampred.model_file import model_path
from hampred.nn.models import build_net

LARGE = 18
"""Atoms from which on the target for the time is meant."""

STARTS = ("trained", "initial weights", "exchanged weights")


def main():
    parser = arguments_of(__doc__, "warm_start")
    parser.add_argument("model", type=Path, metavar="MODEL", help="run folder or model file")
    parser.add_argument("store", type=Path, metavar="STORE", help="store of labels, whose geometries are taken")
    parser.add_argument("--split", choices=SPLITS, default="test", help="part of the model's split (test)")
    parser.add_argument("--n", type=int, help="labels, evenly over the part; all of it without")
    parser.add_argument(
        "--starts", nargs="+", choices=STARTS, default=list(STARTS), metavar="NAME", help="models (all)"
    )
    parser.add_argument("--repeats", type=int, default=1, help="times each SCF runs, of which the best counts (1)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lib.num_threads(1)
    predictor = hampred.load(arguments.model)
    rows = measure_all(predictor, arguments)
    figures = {
        "model": str(arguments.model),
        "store": str(arguments.store),
        "split": arguments.split,
        "repeats": arguments.repeats,
        "level": predictor.level.to_dict(),
        "baseline": predictor.baseline_name,
        "definitions": DEFINITIONS,
        "groups": groups(rows, arguments.starts),
        "labels": rows,
    }
    show(figures)
    write_record(arguments.out / "warm_start.json", figures)


def measure_all(predictor: Predictor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of all labels; those of an earlier start are taken."""
    models = random_models(predictor)
    kept = arguments.out / "rows.json"
    digest = hashlib.sha256(model_path(arguments.model).read_bytes()).hexdigest()
    known = json.loads(kept.read_text()) if kept.is_file() else {"model": digest, "rows": {}}
    if known["model"] != digest:
        raise HampredError(f"{kept} holds results of another model: choose another --out.")
    rows, ready = [], False
    with Store(arguments.store) as store, ProgressLine() as line:
        chosen = choose(store, predictor.header["split"], arguments.split)
        if arguments.n:
            chosen = [chosen[k] for k in np.unique(np.linspace(0, len(chosen) - 1, arguments.n).astype(int))]
        for k, index in enumerate(chosen):
            sample, key = store[index], store.keys[index]
            line.show("SCF", k, len(chosen), more=f"{store.molecules[index]}, {len(sample.atoms)} atoms")
            row = known["rows"].setdefault(key, {"key": key, "molecule": store.molecules[index]})
            missing = [name for name in arguments.starts if name not in row.get("starts", {})]
            if missing and not ready:
                ready = True
                load_tables(predictor, sample.atoms, sample.charge)
            if missing:
                measure(row, {name: models[name] for name in missing}, sample, arguments.repeats)
                write_json(kept, known)
            rows.append(row)
    return rows


def measure(row: dict[str, Any], models: dict[str, Predictor], sample: HamiltonianSample, repeats: int):
    """Adds the SCFs of one molecule from the default guess and from the models to its row."""
    atoms, charge = sample.atoms, sample.charge
    row |= {"n_atoms": len(atoms), "n_orbitals": sample.hamiltonian.layout.n_orbitals}
    starts = row.setdefault("starts", {})
    predictor = next(iter(models.values()))
    if "default" not in row:
        row["default"] = asdict(best([default_scf(predictor, atoms, charge) for _ in range(repeats)]))
    for name, model in models.items():
        found = [warm_scf(model, atoms, charge) for _ in range(repeats)]
        starts[name] = asdict(best([scf for scf, _ in found])) | {"guard": asdict(found[0][1])}


def best(runs: list[ScfRun]) -> ScfRun:
    """One SCF with the shortest times of several that are the same."""
    return replace(runs[0], wall_s=min(scf.wall_s for scf in runs), cpu_s=min(scf.cpu_s for scf in runs))


def random_models(predictor: Predictor) -> dict[str, Predictor]:
    """The trained model, and two with random weights; all scale their outputs by the statistics of the labels."""
    torch.manual_seed(0)
    trained, header = predictor.model.net, predictor.header["net"]
    parameters = dict(trained.named_parameters())
    nets = {name: build_net(header["name"], predictor.basis, header["settings"]) for name in STARTS[1:]}
    exchanged = {name: p.flatten()[torch.randperm(p.numel())].view_as(p) for name, p in parameters.items()}
    weights = {"initial weights": dict(nets["initial weights"].named_parameters()), "exchanged weights": exchanged}
    models = {STARTS[0]: predictor}
    for name, net in nets.items():
        net.load_weights({**trained.weights(), **weights[name]})
        models[name] = Predictor(replace(predictor.model, net=net))
    return models


def groups(rows: list[dict[str, Any]], starts: list[str]) -> list[dict[str, Any]]:
    """Figures of each start over all molecules, the small and the large ones."""
    sizes = {
        "all": rows,
        f"< {LARGE} atoms": [row for row in rows if row["n_atoms"] < LARGE],
        f"≥ {LARGE} atoms": [row for row in rows if row["n_atoms"] >= LARGE],
    }
    return [summary(size, name, part) for size, part in sizes.items() if part for name in starts]


def summary(size: str, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one start over one group."""
    default, warm = [row["default"] for row in rows], [row["starts"][name] for row in rows]
    ratios = {q: [w[q] / d[q] for w, d in zip(warm, default)] for q in ("cycles", "wall_s", "cpu_s")}
    differences = [w["energy_Eh"] - d["energy_Eh"] for w, d in zip(warm, default)]
    return {
        "molecules": size,
        "start": name,
        "n": len(rows),
        "cycles_default": mean(d["cycles"] for d in default),
        "cycles": mean(w["cycles"] for w in warm),
        "ratio_of_mean_cycles": sum(w["cycles"] for w in warm) / sum(d["cycles"] for d in default),
        "largest_ratio_of_cycles": max(ratios["cycles"]),
        **{f"mean_ratio_{q}": mean(ratios[q]) for q in ("wall_s", "cpu_s")},
        **{f"largest_ratio_{q}": max(ratios[q]) for q in ("wall_s", "cpu_s")},
        "n_taken": sum(w["guard"]["taken"] for w in warm),
        "n_lost_fock_matrices": sum(not w["guard"]["taken"] and w["guard"]["gradient"] is not None for w in warm),
        "n_unconverged": sum(not w["converged"] for w in warm),
        "n_unconverged_default": sum(not d["converged"] for d in default),
        "largest_energy_difference_Eh": max(map(abs, differences)),
    }


def show(figures: dict[str, Any]):
    """Two tables, with a line for each group and start: cycles, and times."""
    level, n_starts = figures["level"], len({group["start"] for group in figures["groups"]})
    cycles = {
        "n": "n",
        "cycles_default": "default",
        "cycles": "cycles",
        "ratio_of_mean_cycles": "ratio",
        "largest_ratio_of_cycles": "largest",
        "n_taken": "taken",
        "n_lost_fock_matrices": "lost F",
        "n_unconverged": "failed",
        "largest_energy_difference_Eh": "max |ΔE| / E_h",
    }
    times = {
        "n": "n",
        "mean_ratio_wall_s": "wall ratio",
        "largest_ratio_wall_s": "largest",
        "mean_ratio_cpu_s": "CPU ratio",
        "largest_ratio_cpu_s": "largest",
    }
    where = f"{level['functional'].upper()}/{level['basis']}, {figures['split']} of {figures['store']}"
    titles = (
        f"cycles of an SCF, {where} (ratio of the means, and the largest of one molecule)",
        "time of an SCF, prediction included, one thread (mean of the ratios, and the largest of one molecule)",
    )
    for title, columns in zip(titles, (cycles, times)):
        rows = [[group[key] for key in ("molecules", "start", *columns)] for group in figures["groups"]]
        print_table(title, ("molecules", "start", *columns.values()), rows, n_starts)


if __name__ == "__main__":
    run(main)
