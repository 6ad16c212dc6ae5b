"""A warm start gives PySCF's energy in fewer cycles, and a bad prediction costs no more than a look at it."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pyscf import dft, gto, scf

import hampred
from hampred.data.sample import LevelOfTheory
from hampred.errors import HampredError
from hampred.inference import Predictor
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.initial_guess import KEY, STEEPEST, WarmStarted, atomic_share, orbital_gradient, warm_started
from hampred.interop.mean_field import atoms_of, same_functional
from hampred.interop.periodic_fock import PeriodicFock
from hampred.interop.pyscf import build_mole
from hampred.large import CrystalPrediction


class Knowing(Predictor):
    """A model whose predictions PySCF itself makes: F at convergence, plus noise (Hartree)."""

    noise = 1e-3

    def predict(self, atoms, charge=None):
        field = rks(atoms, charge or 0)
        field.kernel()
        noise = np.random.default_rng(0).normal(size=(field.mol.nao,) * 2)
        return replace(super().predict(atoms, charge), hamiltonian=field.get_fock() + self.noise * (noise + noise.T))


def rks(atoms, charge=0, basis="sto-3g", functional="pbe"):
    field = dft.RKS(build_mole(atoms, basis, charge), xc=functional)
    field.grids.level = 0
    return field


@pytest.fixture(scope="module")
def peroxide():
    atoms = molecule("H2O2")
    atoms.rattle(0.05, seed=7)
    return atoms


@pytest.fixture(scope="module")
def default(peroxide):
    field = rks(peroxide)
    field.kernel()
    return field


@pytest.fixture(scope="module")
def knowing(run_folder):
    return Knowing(hampred.load(run_folder).model)


@pytest.fixture(scope="module")
def random(run_folder):
    """The same model with its weights exchanged at random."""
    import torch

    predictor = hampred.load(run_folder)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in predictor.model.net.parameters():
            weight.copy_(3 * weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight))
    return predictor


@pytest.fixture
def potentials(monkeypatch):
    """Counts the potentials that PySCF builds."""
    built = []
    build = dft.numint.NumInt.nr_rks
    monkeypatch.setattr(dft.numint.NumInt, "nr_rks", lambda *a, **k: built.append(1) or build(*a, **k))
    return built


def test_fewer_cycles_to_the_same_energy(peroxide, default, knowing, potentials):
    field = rks(peroxide)
    warm = hampred.warm_start(field, knowing)
    assert type(warm).__name__ == "WarmStartedRKS" and isinstance(warm, dft.rks.RKS) and field.init_guess == "minao"
    density = warm.get_init_guess()  # the prediction runs an SCF of its own
    potentials.clear()
    warm.kernel(dm0=density)
    assert warm.converged and warm.e_tot == pytest.approx(default.e_tot, abs=1e-8)
    assert warm.cycles <= default.cycles - 2 and len(potentials) == warm.cycles + 1  # the first one is known
    assert warm.verdict.taken and warm.verdict.gradient < STEEPEST / 10 * warm.verdict.atoms_gradient
    again = hampred.warm_start(field, knowing)
    again.kernel()
    assert again.cycles == warm.cycles and again.e_tot == pytest.approx(warm.e_tot, abs=1e-10)


def test_a_random_model_costs_no_cycle(peroxide, default, random, potentials):
    warm = hampred.warm_start(rks(peroxide), random)
    warm.kernel()
    assert not warm.verdict.taken and warm.diis_start_cycle == default.diis_start_cycle
    assert warm.cycles == default.cycles and warm.e_tot == pytest.approx(default.e_tot, abs=1e-10)
    assert len(potentials) - (warm.cycles + 2) == (warm.verdict.gradient is not None)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3, 1.0, 10.0])
def test_no_noise_makes_an_scf_slower_or_wrong(peroxide, default, knowing, noise):
    worse = Knowing(knowing.model)
    worse.noise = noise
    warm = hampred.warm_start(rks(peroxide), worse)
    warm.kernel()
    assert warm.converged and warm.e_tot == pytest.approx(default.e_tot, abs=1e-8)
    assert warm.cycles <= default.cycles


def test_the_density_of_a_prediction_is_a_guess_as_well(peroxide, default, knowing):
    field = rks(peroxide)
    field.kernel(dm0=knowing.predict(peroxide).density_matrix)
    assert field.cycles <= default.cycles - 2 and field.e_tot == pytest.approx(default.e_tot, abs=1e-8)


def test_the_user_has_the_last_word(peroxide, default, knowing):
    warm = hampred.warm_start(rks(peroxide), knowing)
    copy = warm.copy()
    assert isinstance(copy, WarmStarted) and copy.init_guess == KEY
    copy.kernel()
    assert copy.verdict.taken and warm.verdict is None
    warm.kernel(dm0=default.make_rdm1())
    assert warm.verdict is None and warm.cycles <= 3
    other = hampred.warm_start(default, knowing)  # has orbitals, which are left behind
    other.init_guess = "hcore"
    other.kernel()
    assert other.verdict is None and other.cycles > 3 and default.mo_coeff is not None
    plain = copy.undo_warm_start()
    assert type(plain) is dft.rks.RKS and plain.init_guess == "minao" and not hasattr(plain, "verdict")


def test_the_default_of_the_user_replaces_a_bad_prediction(peroxide, random):
    field = rks(peroxide)
    field.init_guess = "huckel"
    warm = hampred.warm_start(hampred.warm_start(field, random), random)
    assert np.array_equal(warm.get_init_guess(), field.get_init_guess(key="huckel"))


def test_a_new_geometry_is_predicted_anew(peroxide, knowing):
    warm = hampred.warm_start(rks(molecule("H2O")), knowing)
    warm.reset(build_mole(peroxide, "sto-3g"))
    warm.kernel()
    assert warm.verdict.taken and warm.converged
    warm.reset(build_mole(molecule("CH4"), "sto-3g")).mo_coeff = None
    with pytest.raises(HampredError, match="element C"):
        warm.kernel()
    with pytest.raises(HampredError, match="Different orbitals"):
        warm.reset(build_mole(peroxide, "def2-svp")).kernel()


@pytest.mark.parametrize("change", ["density_fit", "smearing", "newton"])
def test_other_classes_over_the_mean_field(peroxide, knowing, change):
    settings = {"smearing": {"sigma": 0.01}}.get(change, {})
    field = getattr(rks(peroxide), change)(**settings)
    field.kernel()
    for warm in (
        hampred.warm_start(getattr(rks(peroxide), change)(**settings), knowing),
        getattr(hampred.warm_start(rks(peroxide), knowing), change)(**settings),
    ):
        warm.kernel()
        assert warm.converged and warm.e_tot == pytest.approx(field.e_tot, abs=1e-7)
        assert warm.cycles < field.cycles or change == "newton"


def test_properties_of_a_warm_started_field(peroxide, default, knowing):
    warm = hampred.warm_start(rks(peroxide), knowing)
    warm.kernel()
    assert np.allclose(warm.dip_moment(verbose=0), default.dip_moment(verbose=0), atol=1e-4)
    assert np.allclose(
        warm.nuc_grad_method().set(verbose=0).kernel(), default.nuc_grad_method().set(verbose=0).kernel(), atol=1e-4
    )
    assert warm.to_uks().kernel() == pytest.approx(default.e_tot, abs=1e-7)


def test_share_and_gradient(default, rng):
    """The gradient vanishes at convergence, natural orbitals hold all that can be held, and no rotation matters."""
    c, n, s = default.mo_coeff, default.mo_occ, default.get_ovlp()
    fock, guess = c.T @ default.get_fock() @ c, c.T @ s @ default.get_init_guess(key="minao") @ s @ c
    assert orbital_gradient(fock, np.diag(n)) < 1e-4 < 0.5 < orbital_gradient(fock, guess) < 1.2
    assert 0.97 < atomic_share(guess, n) < 1
    weights = np.linalg.eigvalsh(-guess)
    assert atomic_share(-np.diag(weights), n) == pytest.approx(1)
    assert atomic_share(-np.diag(weights), n[::-1]) < 0.7
    q = np.linalg.qr(rng.normal(size=fock.shape))[0]
    assert orbital_gradient(q @ fock @ q.T, q @ guess @ q.T) == pytest.approx(orbital_gradient(fock, guess))


def uks(name="H2CO", spin=2):
    atoms = molecule(name)
    atoms.rattle(0.05, seed=8)
    field = dft.UKS(build_mole(atoms, "sto-3g", spin=spin), xc="pbe")
    field.grids.level = 0
    return field


@pytest.fixture(scope="module", params=[("HCO", 1), ("H2CO", 2)])
def converged(request):
    field = uks(*request.param)
    field.kernel()
    return request.param, field


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.1, 1.0, 10.0])
def test_unpaired_electrons(converged, noise, monkeypatch):
    """The same guard: few cycles from a good prediction, and no more than by default from a bad one."""
    which, default = converged
    error = np.random.default_rng(0).normal(size=(2, default.mol.nao, default.mol.nao))
    predicted = default.get_fock() + noise * (error + error.swapaxes(1, 2))
    warm = warm_started(uks(*which), lambda mole, kpoints: predicted)
    built, build = [], dft.numint.NumInt.nr_uks
    monkeypatch.setattr(dft.numint.NumInt, "nr_uks", lambda *a, **k: built.append(1) or build(*a, **k))
    warm.kernel()
    assert warm.converged and warm.e_tot == pytest.approx(default.e_tot, abs=1e-7)
    assert warm.verdict.taken == (noise < 0.01) and warm.cycles <= default.cycles - 2 * warm.verdict.taken
    lost = not warm.verdict.taken and warm.verdict.gradient is not None  # the potential that the guard looked at
    assert len(built) == warm.cycles + 2 + lost


def test_a_closed_shell_has_the_gradient_of_two_spins(rng):
    """2 D_α = 2 D_β = D."""
    fock, density = rng.normal(size=(2, 5, 5)) + 5 * np.eye(5)
    both = np.stack([fock, fock]), np.stack([density, density])
    assert orbital_gradient(fock, density) == pytest.approx(orbital_gradient(*both))


def test_what_a_model_was_not_trained_for_is_refused(peroxide, knowing):
    with pytest.raises(HampredError, match="functional b3lyp, but for pbe"):
        hampred.warm_start(rks(peroxide, functional="b3lyp"), knowing)
    with pytest.raises(HampredError, match="charge 2"):
        hampred.warm_start(rks(peroxide, charge=2), knowing)
    for field in (rks(peroxide, functional="b3lyp"), scf.RHF(build_mole(peroxide, "sto-3g")), rks(peroxide, charge=2)):
        assert hampred.warm_start(field, knowing, force=True).kernel() == pytest.approx(field.kernel(), abs=1e-5)


@pytest.mark.parametrize("force", [False, True])
def test_what_no_force_makes_possible(peroxide, knowing, force):
    refused = [
        (rks(peroxide, basis="def2-svp"), "Different orbitals"),
        (rks(molecule("CH4")), "element C"),
        (dft.UKS(build_mole(peroxide, "sto-3g")), "UKS is no mean field that models predict"),
        (dft.RKS(build_mole(molecule("O2"), "sto-3g", spin=2)), "ROKS is no mean field that models predict"),
        (dft.UKS(build_mole(peroxide, "sto-3g", spin=2)), "trained on closed shells"),
        (dft.RKS(gto.M(atom="O 0 0 0; H 0 0 1; H 0 1 0", basis="sto-3g", cart=True, verbose=0)), "closed|artesian"),
        (dft.RKS(gto.M(atom="O 0 0 0; H 0 0 1; H 0 1 0; ghost-H 1 0 0", basis="sto-3g", verbose=0)), "ghost"),
    ]
    for field, told in refused:
        with pytest.raises(HampredError, match=told):
            hampred.warm_start(field, knowing, force=force)


def test_names_of_one_functional():
    assert (
        same_functional("pbe", "PBE,PBE") and same_functional("b3lyp", "b3lypg") and same_functional("pbe", "pbe-d3bj")
    )
    assert not same_functional("pbe", "pbe0") and not same_functional("b3lyp", "b3lyp5")
    assert same_functional("my own", "My own") and not same_functional("my own", "pbe")


def test_structures_are_read_back(peroxide):
    found = atoms_of(build_mole(peroxide, "sto-3g"))
    assert np.array_equal(found.numbers, peroxide.numbers) and np.allclose(found.positions, peroxide.positions)
    assert not found.pbc.any() and "spin" not in found.info
    assert atoms_of(uks().mol).info == {"spin": 2}


class Crystals:
    """A model of one crystal: PySCF's own H(R)."""

    trained_charges = trained_spins = (0,)

    def __init__(self, atoms: Atoms, shift: float = 0.0, smearing: float = 0.0):
        crystal = CrystalLevel(ke_cutoff=15.0, kpoint_length=6.0, folding_length=9.0, smearing=smearing)
        self.level = LevelOfTheory("pbe", "PBE", "gth-szv-molopt-sr", crystal=crystal)
        self.header, self.atoms, self.shift = {"provenance": {}}, atoms, shift
        self.basis = hampred.OrbitalBasis.from_name(self.level.basis, set(atoms.numbers))
        self.fock = PeriodicFock(atoms, "pbe", self.level.basis, crystal)

    def check(self, atoms, charge=0, name=""):
        return charge

    def predict(self, atoms, charge=0):
        assert np.allclose(atoms.positions, self.atoms.positions) and atoms.pbc.all()
        h = self.fock.blocks(self.fock.converge(1e-9))
        noise = np.random.default_rng(0).normal(size=h.values.shape)
        h = replace(h, values=h.values + self.shift * noise).hermitized()
        return CrystalPrediction(atoms, h, h, 8, level=self.level, baseline_hamiltonian=h)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_crystals(shift):
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=1)
    model = Crystals(atoms, shift)
    field = PeriodicFock(atoms, "pbe", model.level.basis, model.level.crystal).field
    field.kernel()
    default = field.cycles, field.e_tot
    warm = hampred.warm_start(field, model)
    warm.kernel()
    assert warm.converged and warm.e_tot == pytest.approx(default[1], abs=1e-7)
    assert warm.verdict.taken == (shift == 0) and warm.cycles <= default[0]
    other = CrystalLevel(pseudo="gth-pade")
    model.level = replace(model.level, crystal=other)
    with pytest.raises(HampredError, match="pseudopotential"):
        hampred.warm_start(field, model)


def test_a_metal():
    """One odd electron in the cell, and smeared occupations by the rule of the mean field."""
    model = Crystals(bulk("Al"), smearing=0.02)
    field = PeriodicFock(bulk("Al"), "pbe", model.level.basis, model.level.crystal).field
    warm = hampred.warm_start(field, model)
    assert warm.kernel() == pytest.approx(field.kernel(), abs=1e-7)
    assert warm.converged and warm.cycles <= field.cycles + (not warm.verdict.taken)
