"""Energy and forces of a density that no SCF made: PySCF's at self-consistency, and the order of the errors off it."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from hampred.data.sample import LevelOfTheory
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.inference import Prediction
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import build_mole, unsolved_field
from hampred.units import BOHR

LEVELS = {
    "lda": LevelOfTheory("svwn", "", "sto-3g", 1),
    "gga": LevelOfTheory("pbe", "", "sto-3g", 1),
    "hybrid": LevelOfTheory("b3lyp", "", "sto-3g", 1),
    "meta-gga": LevelOfTheory("tpss", "", "sto-3g", 1),
    "hartree-fock": LevelOfTheory("hf", "", "sto-3g", 1),
    "range-separated": LevelOfTheory("camb3lyp", "", "sto-3g", 0),
    "fitted": LevelOfTheory("pbe", "", "def2-svp", 0, density_fit=True),
    "fitted hybrid": LevelOfTheory("b3lyp", "", "sto-3g", 0, density_fit=True, auxbasis="def2-universal-jkfit"),
}


def bent() -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(0.1, seed=1)
    return atoms


def converged(level: LevelOfTheory, atoms: Atoms | None = None, charge: int = 0) -> tuple:
    """An SCF of PySCF, and a prediction without error."""
    atoms = atoms or bent()
    field = unsolved_field(build_mole(atoms, level.basis, charge), level)
    field.conv_tol, field.conv_tol_grad = 1e-12, 1e-8
    field.kernel()
    layout, fock = Integrals(atoms, level.basis).layout, field.get_fock(dm=field.make_rdm1())
    n = field.mol.nelectron // 2
    return field, Prediction(atoms, layout, fock, field.get_ovlp(), n, charge, level=level, baseline_hamiltonian=fock)


def perturbed(state: Prediction, size: float) -> Prediction:
    noise = np.random.default_rng(0).normal(size=state.hamiltonian.shape)
    return replace(state, hamiltonian=state.hamiltonian + size * (noise + noise.T))


@pytest.fixture(scope="module")
def solved():
    return converged(LEVELS["gga"])


@pytest.mark.parametrize("name", LEVELS)
def test_converged_density_has_the_energy_and_forces_of_the_scf(name: str):
    field, state = converged(LEVELS[name])
    assert state.energy == pytest.approx(field.e_tot, abs=1e-9)
    assert state.harris_energy == pytest.approx(field.e_tot, abs=1e-9)
    forces = -field.nuc_grad_method().set(verbose=0).kernel() / BOHR
    assert np.abs(state.forces - forces).max() < 1e-6
    assert np.abs(forces).max() > 1e-2


@pytest.mark.parametrize(("formula", "basis", "charge"), [("HI", "def2-svp", 0), ("OH", "sto-3g", -1)])
def test_core_potentials_and_ions(formula: str, basis: str, charge: int):
    atoms = Atoms(formula, positions=[(0, 0, 0), (0, 0.4, 1.2)])
    field, state = converged(LevelOfTheory("pbe", "", basis, 0), atoms, charge)
    assert state.energy == pytest.approx(field.e_tot, abs=1e-9)
    assert np.abs(state.forces + field.nuc_grad_method().set(verbose=0).kernel() / BOHR).max() < 1e-6


def test_energy_is_second_order_in_the_error_of_h_and_forces_are_first(solved):
    _, state = solved
    sizes = np.geomspace(2e-4, 2e-3, 4)
    states = [perturbed(state, size) for size in sizes]
    energies = [found.energy - state.energy for found in states]
    harris = [abs(found.harris_energy - state.energy) for found in states]
    forces = [np.linalg.norm(found.forces - state.forces) for found in states]
    assert min(energies) > 0  # variational
    assert np.polyfit(np.log(sizes), np.log(energies), 1)[0] == pytest.approx(2, abs=0.1)
    assert np.polyfit(np.log(sizes), np.log(harris), 1)[0] == pytest.approx(2, abs=0.1)
    assert np.polyfit(np.log(sizes), np.log(forces), 1)[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["gga", "fitted hybrid"])
def test_steps_of_the_scf_lead_to_its_solution(name: str):
    field, state = converged(LEVELS[name])
    start = perturbed(state, 0.02)
    assert start.refined(0) is start
    errors = [start.refined(n).energy - field.e_tot for n in (0, 1, 3, 8)]
    assert errors[0] > 1e-3 and errors[0] > errors[1] > errors[2] > errors[3] and abs(errors[3]) < 1e-8
    close = start.refined(8)
    assert np.abs(close.forces - state.forces).max() < 1e-4
    assert np.array_equal(close.baseline_hamiltonian, start.baseline_hamiltonian)
    with pytest.raises(HampredError, match="steps"):
        start.refined(-1)


def test_rotated_molecules_agree_within_the_noise_of_the_grid(solved):
    """PySCF's points stand in space and do not turn with the molecule: 50 µE_h and 20 meV/Å at level 1."""
    _, state = solved
    start, generator = perturbed(state, 0.01), np.random.default_rng(0)
    for improper in (False, True):
        q = random_rotation(generator, improper)
        turned = start.rotated(q)
        assert turned.energy == pytest.approx(start.energy, abs=2e-4)
        assert np.abs(turned.forces - start.forces @ q.T).max() < 2e-3


def test_rotated_molecules_agree_to_rounding_without_a_grid():
    _, state = converged(LEVELS["hartree-fock"])
    start = perturbed(state, 0.01)
    q = random_rotation(np.random.default_rng(0), True)
    turned = start.rotated(q)
    assert turned.energy == pytest.approx(start.energy, abs=1e-10)
    assert np.abs(turned.forces - start.forces @ q.T).max() < 1e-9


def test_partly_filled_orbitals_have_an_energy_but_no_forces(solved):
    _, state = solved
    hot = replace(state, temperature=0.05)
    assert hot.energy > state.energy
    with pytest.raises(HampredError, match="temperature"):
        _ = hot.forces
