"""How good are geometries and dynamics of a molecule on the predicted density, without and with some SCF steps?

Optimises a molecule (ASE's BFGS) with PySCF at the level of the model and with `hampred.HampredCalculator`, and
compares energies, bond lengths and angles. Then runs dynamics at constant energy (velocity Verlet) from PySCF's
optimum, always with the same velocities, without momentum and angular momentum, and tells how well all three are
conserved. What is left with PySCF's own SCF is the error of the time step and of the integration grid.

    python benchmarks/dynamics.py MODEL [STRUCTURE] [--scf-steps 0 1] [--n N] [--timestep FS] [--out dynamics]
"""

import argparse
import os
import time
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import natural_cutoffs, neighbor_list
from ase.optimize import BFGS
from pyscf import lib
from record import arguments_of, print_table, run, write_record

import hampred
from hampred.cli.progress import ProgressLine
from hampred.data.sample import LevelOfTheory
from hampred.errors import FailedError
from hampred.interop.pyscf import build_mole, unsolved_field
from hampred.interop.structures import read_charge, read_structures
from hampred.units import BOHR, HARTREE

MOST_STEPS = 100
"""Of an optimiser."""


class PySCFCalculator(Calculator):
    """Energies and forces of PySCF, from its default guess."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, level: LevelOfTheory):
        super().__init__()
        self.level = level

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        mole = build_mole(self.atoms, self.level.basis, read_charge(self.atoms, "The molecule"))
        field = unsolved_field(mole, self.level)
        energy = field.kernel()
        if not field.converged:
            raise FailedError("PySCF's SCF did not converge.")
        forces = -np.asarray(field.nuc_grad_method().set(verbose=0).kernel()) / BOHR
        self.results = {"energy": HARTREE * energy, "forces": HARTREE * forces}


def main():
    parser = arguments_of(__doc__, "dynamics")
    parser.add_argument("model", type=Path, metavar="MODEL", help="run folder or model file")
    parser.add_argument("structure", type=Path, nargs="?", metavar="STRUCTURE", help="any file of ASE; else water")
    parser.add_argument(
        "--scf-steps", type=int, nargs="+", default=[0, 1], metavar="N", help="before forces are taken (0 1)"
    )
    parser.add_argument("--fmax", type=float, default=1e-3, help="eV/Å, where optimisers end (0.001)")
    parser.add_argument("--n", type=int, default=200, help="steps of the dynamics (200)")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs (0.5)")
    parser.add_argument("--temperature", type=float, default=300.0, help="of the first velocities, K (300)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lib.num_threads(1)
    predictor = hampred.load(arguments.model)
    atoms = read_structures(arguments.structure)[0] if arguments.structure else molecule("H2O")
    predictor.check(atoms)
    calculators: dict[str, Calculator] = {"PySCF": PySCFCalculator(predictor.level)}
    calculators |= {f"{n} SCF steps": hampred.HampredCalculator(predictor, n) for n in arguments.scf_steps}
    with ProgressLine() as line:
        optima = {}
        for k, (name, calculator) in enumerate(calculators.items()):
            line.show("optimising", k, len(calculators), more=name)
            optima[name] = optimised(atoms, calculator, arguments.fmax)
        start = optima["PySCF"][0]
        set_velocities(start, arguments.temperature)
        runs = [dynamics(name, start, calculator, arguments, line) for name, calculator in calculators.items()]
    figures = {
        "model": str(arguments.model),
        "level": predictor.level.to_dict(),
        "formula": atoms.get_chemical_formula(),
        "settings": {key: getattr(arguments, key) for key in ("fmax", "n", "timestep", "temperature")},
        "optima": [compared(name, found, n_steps, start) for name, (found, n_steps) in optima.items()],
        "dynamics": runs,
    }
    show(figures)
    write_record(arguments.out / "dynamics.json", figures)


def optimised(atoms: Atoms, calculator: Calculator, fmax: float) -> tuple[Atoms, int]:
    """Where the forces vanish, and the steps of BFGS that led there.

    Raises:
        FailedError: It was not found.
    """
    found = atoms.copy()
    found.calc = calculator
    optimiser = BFGS(found, logfile=None)
    if not optimiser.run(fmax=fmax, steps=MOST_STEPS):
        raise FailedError(f"BFGS did not reach {fmax} eV/Å in {MOST_STEPS} steps.")
    return found, optimiser.nsteps


def compared(name: str, found: Atoms, n_steps: int, reference: Atoms) -> dict[str, Any]:
    """Bonds and angles of an optimum beside those of PySCF; its energy is the calculator's own."""
    cutoffs = natural_cutoffs(reference, mult=1.2)
    bonds = [(i, j) for i, j in zip(*neighbor_list("ij", reference, cutoffs)) if i < j]
    ends = {i: sorted({*(k for bond in bonds if i in bond for k in bond)} - {i}) for i in range(len(reference))}
    angles = [(j, i, k) for i, others in ends.items() for j, k in combinations(others, 2)]
    lengths = [np.array([structure.get_distance(*bond) for bond in bonds]) for structure in (found, reference)]
    degrees = [np.array([structure.get_angle(*angle) for angle in angles]) for structure in (found, reference)]
    return {
        "forces": name,
        "n_steps": n_steps,
        "energy_eV": float(found.get_potential_energy()),
        "bonds_A": lengths[0].tolist(),
        "angles_deg": degrees[0].tolist(),
        "largest_bond_error_A": float(np.abs(lengths[0] - lengths[1]).max()),
        "largest_angle_error_deg": float(np.abs(degrees[0] - degrees[1]).max()) if angles else None,
    }


def set_velocities(atoms: Atoms, temperature: float):
    """Velocities of a temperature (K), without momentum and angular momentum."""
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=np.random.default_rng(0))
    Stationary(atoms)
    ZeroRotation(atoms)


def dynamics(
    name: str, start: Atoms, calculator: Calculator, arguments: argparse.Namespace, line: ProgressLine
) -> dict[str, Any]:
    """A run at constant energy, and what it conserves."""
    atoms = start.copy()  # with its velocities
    atoms.calc = calculator
    states, began = [], time.process_time()
    integrator = VelocityVerlet(atoms, arguments.timestep * units.fs)
    for k, _ in enumerate(integrator.irun(arguments.n)):
        line.show(f"dynamics, {name}", k, arguments.n)
        p, r = atoms.get_momenta(), atoms.positions - atoms.get_center_of_mass()
        arms = np.cross(r, p)
        states.append(
            (
                atoms.get_total_energy(),
                np.linalg.norm(p.sum(axis=0)) / np.linalg.norm(p, axis=1).sum(),
                np.linalg.norm(arms.sum(axis=0)) / np.linalg.norm(arms, axis=1).sum(),
            )
        )
    energies, momenta, angular = np.array(states).T
    times = 1e-3 * arguments.timestep * np.arange(len(energies))
    slope, offset = np.polyfit(times, energies, 1)
    return {
        "forces": name,
        "drift_meV_per_ps": 1e3 * slope,
        "fluctuation_meV": 1e3 * float(np.std(energies - slope * times - offset)),
        "largest_change_meV": 1e3 * float(np.abs(energies - energies[0]).max()),
        "momentum_share": float(momenta.max()),
        "angular_momentum_share": float(angular.max()),
        "cpu_s_per_step": (time.process_time() - began) / max(arguments.n, 1),
        "energies_eV": energies.tolist(),
    }


def show(figures: dict[str, Any]):
    """Two tables: geometries, and what dynamics conserves."""
    level, optima = figures["level"], figures["optima"]
    where = f"{figures['formula']}, {level['functional'].upper()}/{level['basis']}"
    reference = optima[0]["energy_eV"]
    rows = [
        [
            row["forces"],
            f"{np.mean(row['bonds_A']):.5f}",
            f"{np.mean(row['angles_deg']):.3f}" if row["angles_deg"] else "–",
            1e3 * row["largest_bond_error_A"],
            row["largest_angle_error_deg"],
            1e3 * (row["energy_eV"] - reference),
            row["n_steps"],
        ]
        for row in optima
    ]
    head = ("forces", "mean bond / Å", "mean angle / °", "max |Δ bond| / mÅ", "max |Δ angle| / °", "ΔE / meV", "BFGS")
    print_table(f"optimum of {where}", head, rows)
    columns = {
        "drift_meV_per_ps": "drift / meV/ps",
        "fluctuation_meV": "rms about it / meV",
        "largest_change_meV": "max |ΔE| / meV",
        "momentum_share": "|P| / Σ|p|",
        "angular_momentum_share": "|L| / Σ|l|",
        "cpu_s_per_step": "CPU / step / s",
    }
    settings = figures["settings"]
    title = f"{settings['n']} steps of {settings['timestep']} fs from {settings['temperature']:g} K"
    rows = [[row["forces"], *(row[key] for key in columns)] for row in figures["dynamics"]]
    print_table(f"constant energy, {where}, {title}", ("forces", *columns.values()), rows)


if __name__ == "__main__":
    run(main)
