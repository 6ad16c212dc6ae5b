"""How good is each baseline H0, and what does it cost?

Labels small molecules with PBE/def2-SVP, fits `projectors` to some of them, and compares every baseline with the labels
of others that no fit has seen:

    python benchmarks/baselines.py [--out baselines.json]
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms
from ase.build import molecule
from rich.console import Console
from rich.table import Table

from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.baseline import BASELINES, Baseline, make_baseline
from hampred.config import LevelConfig
from hampred.data.sample import HamiltonianSample
from hampred.electronic.eigen import solve
from hampred.harmonics import random_rotation
from hampred.interop.integrals import Integrals
from hampred.units import HARTREE, MICRO_HARTREE, MILLI_EV

FITTED = ("H2O", "NH3", "CH4", "CH3OH", "H2CO", "C2H4", "C2H6", "CH3CHO", "HCN", "N2H4")
HELD_OUT = ("CH3CH2OH", "CH3OCH3", "H3CNH2", "HCOOH")
COLUMNS = {
    "h_mae_uEh": "H MAE (µE_h)",
    "occupied_mae_meV": "occupied ε MAE (meV)",
    "gap_error_eV": "|gap error| (eV)",
    "rotation_mae_uEh": "rotation error MAE (µE_h)",
    "cost_ms": "cost (ms)",
}


def labels(backend: PySCFMolecule, names: tuple[str, ...], rattles: int) -> list[HamiltonianSample]:
    """Labels of rattled g2 molecules (0.05 Å)."""
    samples = []
    for number, name in enumerate(names):
        for seed in range(rattles):
            atoms = Atoms(molecule(name).numbers, molecule(name).positions)
            atoms.rattle(0.05, seed=100 * number + seed)
            samples.append(backend.label(atoms))
            print(f"labelled {name} {seed + 1}/{rattles}", file=sys.stderr)
    return samples


def measure(baseline: Baseline, sample: HamiltonianSample) -> dict[str, float]:
    """Errors and CPU time of a baseline on one label."""
    basis = sample.level.basis
    label = sample.hamiltonian.to_dense()
    baseline.blocks(Integrals(sample.atoms, basis))  # tables of the elements are read once in a process
    integrals = Integrals(sample.atoms, basis)
    s = integrals.overlap.to_dense()  # every prediction needs it
    start = time.process_time()
    h0 = baseline.blocks(integrals).to_dense()
    cost = time.process_time() - start

    energies, _ = solve(h0, s)
    n, reference = sample.n_occupied, sample.orbital_energies
    gap_error = (energies[n] - energies[n - 1]) - (reference[n] - reference[n - 1])

    q = random_rotation(np.random.default_rng(0), improper=True)
    d = sample.hamiltonian.layout.rotation(q)
    turned = Atoms(sample.atoms.numbers, sample.atoms.positions @ q.T)
    rotation_error = np.abs(d @ h0 @ d.T - baseline.blocks(Integrals(turned, basis)).to_dense()).mean()
    return {
        "h_mae_uEh": float(np.abs(h0 - label).mean() * MICRO_HARTREE),
        "occupied_mae_meV": float(np.abs(energies[:n] - reference[:n]).mean() * MILLI_EV),
        "gap_error_eV": float(abs(gap_error) * HARTREE),
        "rotation_mae_uEh": float(rotation_error * MICRO_HARTREE),
        "cost_ms": 1e3 * cost,
    }


def report(results: dict[str, dict[str, dict[str, float]]], scf_ms: float):
    """One table: means over the held-out molecules."""
    table = Table(title=f"H0 on {', '.join(HELD_OUT)} (PBE/def2-SVP; a whole SCF costs {scf_ms:.0f} ms)")
    table.add_column("baseline")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, rows in results.items():
        table.add_row(name, *[f"{np.mean([row[key] for row in rows.values()]):.4g}" for key in COLUMNS])
    Console(width=120).print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("baselines.json"), help="JSON file with every figure")
    out: Path = parser.parse_args().out

    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="def2-svp"))
    training = labels(backend, FITTED, rattles=2)
    held_out = labels(backend, HELD_OUT, rattles=1)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name in BASELINES:
        baseline = make_baseline(name, backend.level)
        baseline.fit(training)
        results[name] = {formula: measure(baseline, sample) for formula, sample in zip(HELD_OUT, held_out)}
    scf_ms = 1e3 * float(np.mean([sample.provenance["cpu_s"] for sample in held_out]))
    report(results, scf_ms)
    out.write_text(json.dumps({"level": backend.level.to_dict(), "scf_ms": scf_ms, "baselines": results}, indent=2))
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
