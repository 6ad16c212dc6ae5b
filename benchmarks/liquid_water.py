"""Makes `liquid_water.xyz`, from which `scaling.py` cuts droplets and columns: a periodic box of liquid water.

Molecular dynamics at 300 K and 1 g/cm³ with ASE's TIP3P, whose bonds are springs here (force constants of CHARMM's
flexible TIP3P), from a cubic lattice of random orientations. Six minutes of one core.

    python benchmarks/liquid_water.py [--out FOLDER]
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import all_changes
from ase.calculators.tip3p import TIP3P, rOH, thetaHOH
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from record import arguments_of, run, say

from hampred.harmonics import random_rotation

EDGE = 5
"""Molecules along each edge of the box."""

VOLUME = 18.015 / 0.602214
"""Of a molecule at 1 g/cm³, Å³."""

PICOSECONDS, STEP_FS = 8.0, 0.5

# MacKerell et al., J. Phys. Chem. B 102, 3586 (1998); the angle's constant is taken over to the distance H–H.
BONDS = ((0, 1), (0, 2), (1, 2))
H_H = 2 * rOH * np.sin(thetaHOH / 2)
LENGTHS = np.array([rOH, rOH, H_H])
STIFFNESS = 2 * np.array([450.0, 450.0, 55.0 / (rOH * np.cos(thetaHOH / 2)) ** 2]) * units.kcal / units.mol


class FlexibleTIP3P(TIP3P):
    """ASE's rigid TIP3P with springs in place of the constraints."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Adds ½ k (d − d₀)² of every bond."""
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions.reshape(-1, 3, 3)
        forces = self.results["forces"].reshape(-1, 3, 3)
        for (a, b), length, k in zip(BONDS, LENGTHS, STIFFNESS):
            bond = x[:, b] - x[:, a]
            d = np.linalg.norm(bond, axis=1, keepdims=True)
            pull = k * (d - length) * bond / d
            forces[:, a] += pull
            forces[:, b] -= pull
            self.results["energy"] += 0.5 * k * float(((d - length) ** 2).sum())


def lattice(generator: np.random.Generator) -> Atoms:
    """Molecules (O, H, H) on a cubic lattice."""
    shape = molecule("H2O").positions
    spacing = VOLUME ** (1 / 3)
    sites = spacing * np.stack(np.meshgrid(*3 * [np.arange(EDGE)], indexing="ij"), -1).reshape(-1, 3)
    placed = [(shape - shape[0]) @ random_rotation(generator).T + site for site in sites]
    return Atoms([8, 1, 1] * len(sites), np.concatenate(placed), cell=3 * [EDGE * spacing], pbc=True)


def equilibrate(atoms: Atoms, generator: np.random.Generator) -> None:
    """Runs the dynamics, and says where it is."""
    atoms.calc = FlexibleTIP3P(rc=atoms.cell[0, 0] / 2 - 0.1)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=generator)
    friction = 0.01 / units.fs
    dynamics = Langevin(atoms, STEP_FS * units.fs, temperature_K=300, friction=friction, rng=generator)

    def tell() -> None:
        energy = atoms.get_potential_energy() / EDGE**3
        say(f"{dynamics.nsteps * STEP_FS / 1000:.1f} ps: {atoms.get_temperature():.0f} K, {energy:.3f} eV per molecule")

    n_steps = round(1000 * PICOSECONDS / STEP_FS)
    dynamics.attach(tell, n_steps // 80)
    dynamics.run(n_steps)


def wrapped(atoms: Atoms) -> Atoms:
    """Whole molecules, their oxygens in the box, rounded to 0.001 Å."""
    edge, molecules = atoms.cell[0, 0], atoms.positions.reshape(-1, 3, 3)
    molecules = molecules - edge * np.floor(molecules[:, :1] / edge)
    return Atoms(atoms.numbers, molecules.reshape(-1, 3).round(3), cell=atoms.cell, pbc=True)


def main() -> None:
    options = arguments_of(__doc__, "benchmarks").parse_args()
    generator = np.random.default_rng(0)
    atoms = lattice(generator)
    equilibrate(atoms, generator)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "liquid_water.xyz", wrapped(atoms), format="extxyz", columns=["symbols", "positions"])
    say(f"wrote {options.out / 'liquid_water.xyz'}")


if __name__ == "__main__":
    run(main)
