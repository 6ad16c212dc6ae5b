"""What does one prediction cost on one core, part by part, against PySCF on the same molecules in the same run?

Precision is that of the network: assembly and diagonalisation are always in float64.

A prediction goes from the geometry to the orbital energies and includes everything: PySCF's molecule, H0, S, the
network, the assembly of H and its diagonalisation. PySCF runs RKS at the level of the model from its default guess,
with its default grid and convergence. Times are CPU seconds on one thread, which other processes hardly change; the
JSON file has wall times as well.

    python benchmarks/inference_speed.py [--model RUN] [--molecules NAME …] [--repeats N] [--out inference_speed]

Without ``--model``, a model of the preset `train/molecules` is trained for a step on a few labels: a prediction costs
what one of a trained model costs.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from ase import Atoms
from pyscf import dft, lib
from record import arguments_of, print_table, run, say, write_record

import hampred
from data_gen.geometries.molecules import smiles_structures
from data_gen.pipeline import generate
from hampred.blocks.matrix import BlockMatrix
from hampred.cli.generate import show_progress
from hampred.cli.progress import ProgressLine
from hampred.config import GenerateConfig, TrainConfig, load_config
from hampred.data import system
from hampred.electronic import eigen
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import build_mole
from hampred.training.run import train
from hampred.units import MICRO_HARTREE

MOLECULES = {
    "ethanol": "CCO",
    "benzene": "c1ccccc1",
    "cyclohexane": "C1CCCCC1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "tetramethylpentane": "CC(C)(C)CC(C)(C)C",
}
QHNET_SECONDS = {"ethanol": 0.4, "cyclohexane": 1.3, "tetramethylpentane": 3.0}
"""Published cost of QHNet's network on one core for 9, 18 and 29 atoms."""

START = """
import json, sys, time
begin = time.perf_counter()
import hampred
from ase import Atoms
hampred.load
imported = time.perf_counter()
predictor = hampred.load(sys.argv[1])
loaded = time.perf_counter()
atoms = Atoms(**json.loads(sys.argv[2]))
predictor.predict(atoms).orbital_energies
first = time.perf_counter()
predictor.predict(atoms).orbital_energies
times = imported - begin, loaded - imported, first - loaded, time.perf_counter() - first
print(json.dumps(dict(zip(("import", "load", "first prediction", "second prediction"), times))))
"""


def parts_of(predictor: Predictor) -> dict[str, list[tuple[Any, str]]]:
    """Part of a prediction → the functions in which it happens, as (owner, name)."""
    net, baseline = type(predictor.model.net), type(predictor.model.baseline)
    return {
        "graph": [(system, "build_graph")],
        "S and T": [(Integrals, "_half"), (Integrals, "completed")],
        "H0": [(baseline, "blocks")],
        "inputs": [(system, "input_values")],
        "network": [(net, "with_invariants")],
        "assembly": [(net, "matrix_elements"), (BlockMatrix, "to_dense")],
        "diagonalise": [(eigen, "solve")],
    }


@contextmanager
def timed(parts: dict[str, list[tuple[Any, str]]]) -> Iterator[dict[str, float]]:
    """Adds up the CPU seconds of each part while the block runs; a part within another counts for itself alone."""
    seconds, running = dict.fromkeys(parts, 0.0), [""]

    def watch(name: str, function: Callable) -> Callable:
        def watched(*arguments: Any, **keywords: Any) -> Any:
            start = time.process_time()
            running.append(name)
            try:
                return function(*arguments, **keywords)
            finally:
                running.pop()
                spent = time.process_time() - start
                seconds[name] += spent
                if running[-1]:
                    seconds[running[-1]] -= spent

        return watched

    with ExitStack() as stack:
        for name, places in parts.items():
            for owner, attribute in places:
                if hasattr(owner, attribute):
                    stack.enter_context(patch.object(owner, attribute, watch(name, getattr(owner, attribute))))
        yield seconds


def both_times(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds of a piece of work."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure_prediction(predictor: Predictor, atoms: Atoms, repeats: int) -> dict[str, Any]:
    """Medians of the CPU seconds of one prediction and of each of its parts, and its wall seconds."""

    def predict() -> None:
        _ = predictor.predict(atoms).orbital_energies

    predict()  # tables of the elements are read once in a process
    totals = [both_times(predict) for _ in range(repeats)]
    rows = []
    for _ in range(repeats):
        with timed(parts_of(predictor)) as seconds:
            cpu, _ = both_times(predict)
        rows.append({**seconds, "rest": cpu - sum(seconds.values())})
    return {
        "cpu_s": median(cpu for cpu, _ in totals),
        "wall_s": median(wall for _, wall in totals),
        "parts_cpu_s": {name: median(row[name] for row in rows) for name in rows[0]},
    }


def measure_batch(predictor: Predictor, atoms: Atoms, count: int) -> float:
    """Predictions in a CPU second where many are asked for at once, orbital energies included."""
    structures = [atoms] * count
    cpu, _ = both_times(lambda: [p.orbital_energies for p in predictor.predict_stream(structures)])
    return count / cpu


def measure_pyscf(predictor: Predictor, atoms: Atoms) -> dict[str, Any]:
    """One SCF of PySCF from its default guess."""
    fields = []

    def scf() -> None:
        field = dft.RKS(build_mole(atoms, predictor.level.basis), xc=predictor.level.functional)
        field.kernel()
        fields.append(field)

    cpu, wall = both_times(scf)
    return {"cpu_s": cpu, "wall_s": wall, "cycles": int(fields[0].cycles), "converged": bool(fields[0].converged)}


def measure_start(model: Path, atoms: Atoms, times: int) -> dict[str, float]:
    """Wall seconds of a fresh process, from its start to a prediction; the best of a few."""
    given = json.dumps({"numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist()})
    found = []
    for _ in range(times):
        start = time.perf_counter()
        command = [sys.executable, "-c", START, str(model), given]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append({"process": time.perf_counter() - start, **json.loads(done.stdout.splitlines()[-1])})
    return min(found, key=lambda start: start["process"])


def stand_in(out: Path, arguments: argparse.Namespace) -> Path:
    """Run folder of a model that was trained for a step on labels of H, C, N and O."""
    level = [f"level.functional={arguments.functional}", f"level.basis={arguments.basis}", "label_noise=false"]
    source = {"kind": "g2", "names": ["CH4", "NH3", "H2O", "HCN", "CO", "N2"]}
    labels = load_config(GenerateConfig, {"geometries": [source]}, level)
    with ProgressLine() as line:
        store = generate(labels, out / "labels", 1, progress=partial(show_progress, line)).store
        short = ["epochs=1", "split.train=5", "split.validation=1", "split.by=geometry", "trainer.accelerator=cpu"]
        config = load_config(
            TrainConfig, arguments.config, [f"data={json.dumps([str(store)])}", *short, *arguments.set]
        )
        train(config, out / "run", line.show)
    return out / "run"


def measure(models: tuple[Predictor, Predictor], name: str, atoms: Atoms, repeats: int) -> dict[str, Any]:
    """Every figure of one molecule, for a model in float64 and in float32."""
    double, single = models
    figures: dict[str, Any] = {"n_atoms": len(atoms), "n_orbitals": double.basis.layout(atoms.numbers).n_orbitals}
    figures["float64"], figures["float32"] = (measure_prediction(model, atoms, repeats) for model in models)
    figures["batched_per_cpu_s"] = measure_batch(double, atoms, max(2, 300 // len(atoms)))
    figures["batched_float32_per_cpu_s"] = measure_batch(single, atoms, max(2, 300 // len(atoms)))
    say(f"{name}: {1e3 * figures['float64']['cpu_s']:.0f} ms a prediction; PySCF runs")
    figures["pyscf"] = measure_pyscf(double, atoms)
    for precision in ("float64", "float32"):
        figures[f"ratio_{precision}"] = figures["pyscf"]["cpu_s"] / figures[precision]["cpu_s"]
    exact, rounded = double.predict(atoms), single.predict(atoms)
    figures["float32_error_in_H_uEh"] = float(abs(exact.hamiltonian - rounded.hamiltonian).max() * MICRO_HARTREE)
    figures["float32_error_in_energies_uEh"] = float(
        abs(exact.orbital_energies - rounded.orbital_energies).max() * MICRO_HARTREE
    )
    figures["qhnet_network_s"] = QHNET_SECONDS.get(name)
    return figures


def main():
    parser = arguments_of(__doc__, "inference_speed")
    parser.add_argument("--model", type=Path, help="run folder or model file")
    parser.add_argument("--molecules", nargs="+", choices=MOLECULES, default=list(MOLECULES), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=7, help="predictions of which the median is shown (7)")
    parser.add_argument("--functional", default="b3lyp", help="of the model that stands in (b3lyp)")
    parser.add_argument("--basis", default="def2-svp", help="of the model that stands in (def2-svp)")
    parser.add_argument("--config", default="train/molecules", help="preset of the model that stands in")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides it; repeatable")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lib.num_threads(1)
    model = arguments.model or stand_in(arguments.out, arguments)
    structures = {name: next(smiles_structures([MOLECULES[name]], 1, seed=0)) for name in arguments.molecules}
    models = predictor, _ = hampred.load(model), hampred.load(model, "float32")
    rows = {}
    for k, (name, atoms) in enumerate(structures.items(), start=1):
        say(f"molecule {k}/{len(structures)}: {name}, {len(atoms)} atoms")
        rows[name] = measure(models, name, atoms, arguments.repeats)
    figures = {
        "model": str(model),
        "level": predictor.level.to_dict(),
        "baseline": predictor.baseline_name,
        "net": predictor.header["net"],
        "n_weights": predictor.model.net.n_parameters,
        "molecules": rows,
        "start_wall_s": measure_start(model, structures[arguments.molecules[0]], min(arguments.repeats, 3)),
    }
    show(figures)
    write_record(arguments.out / "inference_speed.json", figures)


def show(figures: dict):
    """The tables: whole predictions against PySCF, their parts, and the start of a process."""
    rows, level = figures["molecules"], figures["level"]
    title = f"{level['functional'].upper()}/{level['basis']}, one thread, CPU time"
    head = (
        "molecule",
        "atoms",
        "orbitals",
        "float64 / ms",
        "float32 / ms",
        "batched / s⁻¹",
        "PySCF / s",
        "cycles",
        "ratio, float64",
        "ratio, float32",
        "float32 changes ε by / µE_h",
    )
    table = [
        (name, r["n_atoms"], r["n_orbitals"], 1e3 * r["float64"]["cpu_s"], 1e3 * r["float32"]["cpu_s"])
        + (r["batched_per_cpu_s"], r["pyscf"]["cpu_s"], r["pyscf"]["cycles"], r["ratio_float64"], r["ratio_float32"])
        + (r["float32_error_in_energies_uEh"],)
        for name, r in rows.items()
    ]
    print_table(title, head, table)
    parts = list(next(iter(rows.values()))["float64"]["parts_cpu_s"])
    table = [
        (name, *(1e3 * r["float64"]["parts_cpu_s"][part] for part in parts))
        + (1e3 * r["float32"]["parts_cpu_s"]["network"], 1e3 * r["qhnet_network_s"] if r["qhnet_network_s"] else None)
        for name, r in rows.items()
    ]
    head = ("molecule", *parts, "network, float32", "QHNet's network, published")
    print_table("parts of one prediction / ms (network in float64 unless it says float32)", head, table)
    start = figures["start_wall_s"]
    print_table("a fresh process / s", list(start), [list(start.values())])


if __name__ == "__main__":
    run(main)
