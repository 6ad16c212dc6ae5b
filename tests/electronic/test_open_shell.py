"""Open shells against PySCF's UKS: orbitals, spins, energies and forces; rotations."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from pyscf import dft

from hampred.data.sample import LevelOfTheory
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.properties import OPEN_SHELL_PROPERTIES
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import electric_field, in_electric_field, with_field
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import build_mole, unsolved_field
from hampred.interop.structures import read_spin
from hampred.prediction import OpenShellPrediction
from hampred.units import BOHR

LEVEL = LevelOfTheory("pbe", "", "sto-3g", 1)


def radical(vector=(0.0, 0.0, 0.0)) -> Atoms:
    """NH2 without any symmetry."""
    atoms = Atoms("NH2", molecule("NH2").positions)
    atoms.rattle(0.08, seed=2)
    atoms.positions += [0.5, -1.0, 2.0]
    return with_field(atoms, np.array(vector))


def solved(atoms: Atoms, charge: int, spin: int, level: LevelOfTheory = LEVEL):
    """PySCF's UKS, and a prediction without error."""
    field = in_electric_field(
        unsolved_field(build_mole(atoms, level.basis, charge, spin), level), electric_field(atoms)
    )
    field.conv_tol, field.conv_tol_grad, field.verbose = 1e-12, 1e-8, 0
    field.kernel()
    fock = np.asarray(field.get_fock(dm=field.make_rdm1()))
    matrices = fock.mean(axis=0), 0.5 * (fock[0] - fock[1]), field.get_ovlp()
    layout = Integrals(atoms, level.basis).layout
    more = {"level": level, "baseline_hamiltonian": fock[0]}
    return field, OpenShellPrediction(atoms, layout, *matrices, field.nelec, charge, **more)


CASES = {
    "doublet": (radical(), 0, 1, LEVEL),
    "triplet": (Atoms("CH2", molecule("CH2_s3B1d").positions), 0, 2, LevelOfTheory("b3lyp", "", "sto-3g", 1)),
    "cation in a field": (with_field(molecule("H2O"), np.array([0.2, -0.3, 0.4])), 1, 1, LEVEL),
    "one electron": (Atoms("H2", [(0, 0, 0), (0, 0, 1.0)]), 1, 1, LEVEL),
    "fitted": (radical(), 0, 1, LevelOfTheory("pbe", "", "def2-svp", 0, density_fit=True)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return solved(*CASES[request.param])


def test_orbitals_and_spins_are_those_of_pyscf(case):
    field, state = case
    assert isinstance(field, dft.uks.UKS) and state.spin == field.mol.spin
    np.testing.assert_allclose(state.orbital_energies, field.mo_energy, atol=1e-6)
    np.testing.assert_allclose(state.density_matrices, field.make_rdm1(), atol=1e-5)
    assert np.array_equal(state.occupations, field.mo_occ)
    occupied = field.mo_energy[field.mo_occ > 0]
    assert state.homo == pytest.approx(occupied.max(), abs=1e-6)
    assert state.lumo == pytest.approx(field.mo_energy[field.mo_occ == 0].min(), abs=1e-6)
    assert state.s_squared == pytest.approx(field.spin_square()[0], abs=1e-6)
    np.testing.assert_allclose(state.dipole, field.dip_moment(unit="AU", verbose=0), atol=1e-4)
    spins = state.properties["mulliken_spins"]
    assert spins.sum() == pytest.approx(state.spin) and state.properties["lowdin_spins"].sum() == pytest.approx(
        state.spin
    )
    difference = np.subtract(*field.make_rdm1()) * field.get_ovlp()
    expected = [difference[start:stop].sum() for _, _, start, stop in field.mol.aoslice_by_atom()]
    np.testing.assert_allclose(spins, expected, atol=1e-5)


def test_energy_and_forces_are_those_of_pyscf(case):
    field, state = case
    assert state.energy == pytest.approx(field.e_tot, abs=1e-8)
    assert state.harris_energy == pytest.approx(field.e_tot, abs=1e-8)
    forces = -field.nuc_grad_method().set(verbose=0).kernel() / BOHR
    np.testing.assert_allclose(state.forces, forces, atol=2e-6)


def test_the_object_of_pyscf_carries_both_spins(case):
    field, state = case
    found = state.to_pyscf()
    assert isinstance(found, dft.uks.UKS) and np.array_equal(found.mo_energy, state.orbital_energies)
    assert found.energy_tot() == pytest.approx(field.e_tot, abs=1e-8)


def test_steps_of_the_scf_lead_to_its_solution():
    field, state = solved(*CASES["doublet"])
    noise = np.random.default_rng(0).normal(scale=0.01, size=(2, *state.hamiltonian.shape))
    start = state.with_fock(state.hamiltonians + noise + noise.swapaxes(1, 2))
    errors = [abs(start.refined(n).energy - field.e_tot) for n in (0, 2, 10)]
    assert errors[0] > 1e-4 > errors[2] and errors[2] < 1e-7


@pytest.mark.parametrize("name", OPEN_SHELL_PROPERTIES)
def test_properties_of_rotated_and_mirrored_molecules(name: str):
    _, state = solved(*CASES["doublet"])
    found, generator = OPEN_SHELL_PROPERTIES[name], np.random.default_rng(7)
    for k in range(4):
        q = random_rotation(generator, bool(k % 2))
        expected = found.transformed(state.properties[name], q)
        np.testing.assert_allclose(
            state.rotated(q).properties[name], expected, atol=1e-9 * max(1, np.abs(expected).max())
        )


def test_without_unpaired_electrons_it_is_the_closed_shell():
    from hampred.electronic.state import ElectronicState

    atoms = molecule("H2O")
    integrals = Integrals(atoms, "sto-3g")
    h = integrals.kinetic.to_dense() + np.diag(np.arange(7) / 10 - 2)
    s = integrals.overlap.to_dense()
    closed = ElectronicState(atoms, integrals.layout, h, s, 5)
    opened = OpenShellState(atoms, integrals.layout, h, np.zeros_like(h), s, (5, 5))
    np.testing.assert_allclose(opened.density_matrix, closed.density_matrix, atol=1e-12)
    assert opened.homo == closed.homo and opened.gap == closed.gap
    assert opened.s_squared == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("formula", "charge", "told", "expected"),
    [
        ("OH2", 0, {}, 0),
        ("OH2", 1, {"spin": 1}, 1),
        ("OH2", 0, {"spin": 2}, 2),
        ("OH2", 0, {"spin": 1}, 0),  # the multiplicity of a closed shell
        ("OH2", 1, {"spin": 2}, 1),  # the multiplicity of a doublet
        ("O2", 0, {"multiplicity": 3}, 2),
        ("O2", 0, {"multiplicity": 3, "spin": 2}, 2),
        ("OH2", 0, {"spin": None, "multiplicity": None}, 0),
        ("OH2", 1, {"spin": 1, "multiplicity": None}, 1),
    ],
)
def test_unpaired_electrons_or_multiplicity(formula: str, charge: int, told: dict, expected: int):
    atoms = Atoms(formula)
    atoms.info |= told
    assert read_spin(atoms, charge) == expected


@pytest.mark.parametrize("told", [{"multiplicity": 2}, {"spin": "up"}, {"spin": 0.5}, {"spin": -2}, {"spin": 20}])
def test_what_fits_no_electrons_is_refused(told: dict):
    atoms = Atoms("OH2")
    atoms.info |= told
    with pytest.raises(HampredError):
        read_spin(atoms)


def test_messages_speak_of_unpaired_electrons():
    """The command line writes a multiplicity that the user never saw."""
    for told, words in (({"multiplicity": 2}, "of which 1 cannot"), ({"spin": 20}, "of which 20 cannot")):
        atoms = Atoms("OH2")
        atoms.info |= told
        with pytest.raises(HampredError, match=words) as error:
            read_spin(atoms)
        assert "multiplicity" not in str(error.value)


def test_spins_beyond_the_valence_electrons_are_refused():
    """A core potential of iodine leaves 25 of 53 electrons."""
    with pytest.raises(HampredError, match="25 electrons"):
        build_mole(Atoms("I"), "def2-svp", 0, 27)
    assert build_mole(Atoms("I"), "def2-svp", 0, 25).nelec == (25, 0)
