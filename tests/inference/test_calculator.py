"""The ASE calculator: its units and its cache, what holds whatever the model, and PySCF where the SCF has converged."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from untrained import crystal_model

import hampred
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.units import BOHR, HARTREE

GRID = 2e-3
"""eV/Å; error of forces from an integration grid of level 4, whose points do not move with the nuclei."""

CONVERGED = 12


@pytest.fixture(scope="module")
def predictor(run_folder):
    """Of H and O, PBE/sto-3g, hardly trained, with a finer grid than that of its labels."""
    model = hampred.load(run_folder).model
    return Predictor(replace(model, level=replace(model.level, grid_level=4)))


@pytest.fixture
def water():
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=3)
    return atoms


def test_results_are_those_of_the_prediction(predictor, water):
    water.calc = hampred.HampredCalculator(predictor)
    p = predictor.predict(water)
    assert water.get_potential_energy() == pytest.approx(HARTREE * p.energy, abs=1e-9)
    assert np.allclose(water.get_forces(), HARTREE * p.forces, atol=1e-9)
    assert np.allclose(water.get_dipole_moment(), BOHR * p.dipole, atol=1e-12)
    assert np.allclose(water.get_charges(), p.properties["mulliken_charges"], atol=1e-12)
    for name in ("homo", "lumo", "gap"):
        assert water.calc.get_property(name, water) == water.calc.results[name] == HARTREE * getattr(p, name)
    assert dict(water.calc.export_properties()).keys() == {"natoms", "energy", "forces", "dipole", "charges"}


def test_only_what_is_asked_is_computed_and_only_once(predictor, water, monkeypatch):
    asked = []
    predict = predictor.predict
    monkeypatch.setattr(predictor, "predict", lambda *words: asked.append(words) or predict(*words))
    water.calc = hampred.HampredCalculator(predictor)
    water.get_dipole_moment()
    assert set(water.calc.results) == {"dipole", "homo", "lumo", "gap"} and len(asked) == 1
    assert "_energy_and_fock" not in vars(water.calc.prediction)
    water.get_forces()
    assert len(asked) == 1 and "energy" not in water.calc.results
    water.positions[0] += 0.01
    water.get_charges()
    assert len(asked) == 2 and set(water.calc.results) == {"charges", "homo", "lumo", "gap"}
    with pytest.raises(PropertyNotImplementedError):
        water.get_stress()


def test_the_charge_counts_as_a_change(predictor):
    atoms = Atoms(
        "OH", [[0, 0, 0], [0.97, 0.1, 0]], info={"charge": -1}, calculator=hampred.HampredCalculator(predictor)
    )
    negative = atoms.get_potential_energy()
    atoms.info["charge"] = 1
    positive = Atoms("OH", atoms.positions, info={"charge": 1}, calculator=hampred.HampredCalculator(predictor))
    assert atoms.get_potential_energy() == pytest.approx(positive.get_potential_energy(), abs=1e-6)
    assert atoms.get_potential_energy() > negative + 1


def test_forces_turn_with_the_molecule_and_sum_to_zero(predictor, water):
    water.calc = hampred.HampredCalculator(predictor)
    forces, q = water.get_forces(), random_rotation(np.random.default_rng(1), improper=True)
    assert np.abs(forces).max() > 1
    assert np.abs(forces.sum(axis=0)).max() < GRID
    water.positions = water.positions @ q.T
    turned = water.get_forces()
    assert np.abs(turned - forces @ q.T).max() < GRID
    water.translate([3.0, -1.0, 2.0])
    assert np.abs(water.get_forces() - turned).max() < 1e-6


def test_steps_lead_to_the_scf(predictor, water):
    energies = []
    for n_steps in (0, 1, CONVERGED):
        water.calc = hampred.HampredCalculator(predictor, n_scf_steps=n_steps)
        energies.append(water.get_potential_energy())
    mf = predictor.predict(water).to_pyscf()
    mf.conv_tol = 1e-10
    energy = mf.kernel()
    assert energies[0] > energies[1] > energies[2] - 1e-6
    assert energies[2] == pytest.approx(HARTREE * energy, abs=1e-6)
    reference = -HARTREE / BOHR * mf.nuc_grad_method().kernel()
    assert np.abs(water.get_forces() - reference).max() < 1e-3


def test_converged_forces_are_the_derivative_of_the_energy(predictor, water):
    """And so there is no torque, which forces of a density that is not self-consistent leave."""
    water.calc = hampred.HampredCalculator(predictor, n_scf_steps=CONVERGED)
    forces, step, energies = water.get_forces(), 1e-2, []
    assert np.abs(np.cross(water.positions, forces).sum(axis=0)).max() < GRID
    for sign in (1, -1):
        moved = water.copy()
        moved.positions[0, 2] += sign * step
        moved.calc = water.calc
        energies.append(moved.get_potential_energy())
    assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(forces[0, 2], abs=GRID)


def test_optimiser_and_dynamics_run(predictor, water, tmp_path):
    water.calc = hampred.HampredCalculator(predictor, n_scf_steps=1)
    before = water.get_potential_energy()
    BFGS(water, logfile=None, trajectory=str(tmp_path / "w.traj")).run(fmax=0.1, steps=5)
    assert water.get_potential_energy() < before
    VelocityVerlet(water, 0.5 * units.fs).run(2)
    assert read(tmp_path / "w.traj", "0").get_potential_energy() == pytest.approx(before)
    write(tmp_path / "w.extxyz", water)
    assert np.allclose(read(tmp_path / "w.extxyz").get_forces(), water.get_forces(), atol=1e-7)


@pytest.mark.parametrize(
    ("atoms", "told"),
    [
        (molecule("CH4"), "does not know the element C"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 1]]), "no closed shell"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.7]], cell=[5, 5, 5], pbc=True), "is periodic"),
    ],
)
def test_wrong_structures(predictor, water, atoms, told):
    """Nothing of the last structure is told of the next one, which is refused."""
    calculator = hampred.HampredCalculator(predictor)
    calculator.get_potential_energy(water)
    for _ in range(2):
        with pytest.raises(HampredError, match=told):
            calculator.get_potential_energy(atoms)


def test_wrong_models(predictor, tmp_path):
    with pytest.raises(HampredError, match="crystals"):
        hampred.HampredCalculator(Predictor(crystal_model()))
    with pytest.raises(HampredError, match="0 or more"):
        hampred.HampredCalculator(predictor, n_scf_steps=-1)
    with pytest.raises(HampredError):
        hampred.HampredCalculator(tmp_path / "none.safetensors")
    with pytest.raises(HampredError, match="precision"):
        hampred.HampredCalculator(tmp_path, precision="float16")
