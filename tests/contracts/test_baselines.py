"""Every baseline H0 keeps the same contract, and the fitted one learns."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from hampred.baseline import BASELINES, Baseline, baseline_from_state, make_baseline
from hampred.baseline.fitted_sap import FittedSap, exponents_of
from hampred.baseline.sap import Sap
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.pyscf import build_mole, kinetic, nuclear_attraction, overlap

LEVEL = LevelOfTheory("pbe", "GGA_X_PBE, GGA_C_PBE", "def2-svp")
EVERY = pytest.mark.parametrize("name", BASELINES)


def fitted(name: str) -> Baseline:
    baseline = make_baseline(name, LEVEL)
    if isinstance(baseline, FittedSap):
        generator = np.random.default_rng(0)
        nuclei = {1: 1, 6: 6, 8: 8, 53: 25}  # of iodine a potential replaces 28 electrons
        exponents = {z: exponents_of(charge) for z, charge in nuclei.items()}
        return FittedSap({z: (a, nuclei[z] * generator.dirichlet(np.ones(len(a)))) for z, a in exponents.items()})
    return baseline


def sample(atoms: Atoms, hamiltonian: Callable) -> HamiltonianSample:
    mole = build_mole(atoms, LEVEL.basis)
    basis = OrbitalBasis.from_mole(mole, LEVEL.basis)
    matrix = BlockMatrix.from_dense(basis.layout(atoms.numbers), hamiltonian(mole))
    return HamiltonianSample(atoms, basis, {"hamiltonian": matrix}, np.zeros(mole.nao), LEVEL)


def rattled(name: str, n: int) -> list[Atoms]:
    frames = [molecule(name) for _ in range(n)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
    return frames


@EVERY
def test_matrix_is_symmetric_real_and_repeatable(name: str):
    baseline, mole = fitted(name), build_mole(molecule("H2O"), LEVEL.basis)
    h = baseline.hamiltonian(mole)
    assert h.shape == (mole.nao, mole.nao) and h.dtype == np.float64
    assert np.abs(h - h.T).max() < 1e-12
    assert np.array_equal(h, baseline.hamiltonian(mole))


@EVERY
@pytest.mark.parametrize("formula", ["H2CO", "HI"])
def test_equivariant(scattered: Callable, rng: np.random.Generator, name: str, formula: str):
    baseline, atoms = fitted(name), scattered(formula, 1)
    mole = build_mole(atoms, LEVEL.basis)
    h = baseline.hamiltonian(mole)
    for improper in (False, True):
        q = random_rotation(rng, improper)
        d = OrbitalBasis.from_mole(mole).layout(atoms.numbers).rotation(q)
        other = Atoms(atoms.numbers, atoms.positions @ q.T + rng.normal(size=3))
        error = np.abs(d @ h @ d.T - baseline.hamiltonian(build_mole(other, LEVEL.basis)))
        if baseline.grid_free:
            assert error.max() <= 1e-12 * np.abs(h).max()
        else:
            assert error.mean() < 5e-6  # Hartree: noise of the integration grid


@EVERY
def test_state_is_json_and_restores_the_baseline(name: str):
    baseline, mole = fitted(name), build_mole(molecule("H2O"), LEVEL.basis)
    state = json.loads(json.dumps(baseline.state()))
    restored = baseline_from_state(state)
    assert restored.state() == state and state["name"] == name
    assert np.array_equal(restored.hamiltonian(mole), baseline.hamiltonian(mole))


def test_unknown_names_list_the_installed_ones():
    for wrong in ("sapp", "", "os.system", None):
        with pytest.raises(HampredError, match="none, core, minao, sap, fitted_sap"):
            make_baseline(wrong, LEVEL)
        with pytest.raises(HampredError, match="none, core, minao, sap, fitted_sap"):
            baseline_from_state({"name": wrong})


@pytest.mark.parametrize(
    "state",
    [
        {"name": "minao"},
        {"name": "minao", "functional": "pbe", "grid_level": "x", "density_fit": False, "auxbasis": None},
        {"name": "fitted_sap"},
        {"name": "fitted_sap", "exponents": [1.0], "charges": {}},
        {"name": "fitted_sap", "exponents": {"H": [1.0, 2.0]}, "charges": {"H": [1.0]}},
        {"name": "fitted_sap", "exponents": {"H": [1.0]}, "charges": {"C": [6.0]}},
        {"name": "fitted_sap", "exponents": {"Qq": [1.0]}, "charges": {"Qq": [1.0]}},
        {"name": "fitted_sap", "exponents": {"H": [1.0]}, "charges": {"H": [float("nan")]}},
        {"name": "fitted_sap", "exponents": {"H": [-1.0]}, "charges": {"H": [1.0]}},
    ],
)
def test_malformed_states_are_refused(state: dict):
    with pytest.raises(HampredError, match="malformed"):
        baseline_from_state(state)


def test_none_and_core():
    mole = build_mole(molecule("H2O"), LEVEL.basis)
    assert not fitted("none").hamiltonian(mole).any()
    assert np.array_equal(fitted("core").hamiltonian(mole), kinetic(mole) + nuclear_attraction(mole))


def test_minao_is_the_first_fock_matrix_of_pyscf():
    from pyscf import dft

    mole = build_mole(molecule("H2O"), LEVEL.basis)
    field = dft.RKS(mole, xc="pbe")
    field.grids.level = LEVEL.grid_level
    expected = field.get_fock(dm=field.get_init_guess(key="minao"))
    assert np.abs(fitted("minao").hamiltonian(mole) - expected).max() < 1e-12
    with pytest.raises(HampredError, match="no functional 'pbee'"):
        make_baseline("minao", LevelOfTheory("pbee", "", "def2-svp")).hamiltonian(mole)


def test_sap_is_the_potential_of_pyscf():
    from pyscf.gto import basis
    from pyscf.scf.hf import make_sap

    mole = build_mole(molecule("CH3OH"), LEVEL.basis)
    tables = {symbol: np.array(basis.load("sapgrasplarge", symbol)[0][1:]) for symbol in ("H", "C", "O")}
    expected = kinetic(mole) + nuclear_attraction(mole) + make_sap(mole, tables)
    assert np.abs(Sap().hamiltonian(mole) - expected).max() < 1e-12


@pytest.mark.parametrize(("symbol", "n_electrons"), [("H", 1), ("I", 53), ("I", 25), ("Au", 19)])
def test_screening_leaves_the_atom_neutral(symbol: str, n_electrons: int):
    exponents, charges = Sap().screening_charges(symbol, n_electrons)
    assert (exponents > 0).all() and charges.sum() == pytest.approx(n_electrons, abs=1e-9)


def test_fit_recovers_a_hamiltonian_of_its_own_form():
    true = fitted("fitted_sap")
    baseline = make_baseline("fitted_sap", LEVEL)
    baseline.fit([sample(atoms, true.hamiltonian) for name in ("CH3OH", "H2CO") for atoms in rattled(name, 3)])
    assert sorted(baseline.state()["charges"]) == ["C", "H", "O"]
    assert all(q.sum() == pytest.approx(z, abs=1e-9) for z, q in baseline.charges.items())
    mole = build_mole(molecule("CH3CHO"), LEVEL.basis)  # a molecule that the fit has not seen
    difference = np.abs(baseline.hamiltonian(mole) - true.hamiltonian(mole))
    assert difference.mean() < 1e-4 * np.abs(true.hamiltonian(mole) - Sap().hamiltonian(mole)).mean()


def test_fit_improves_on_sap_for_real_labels():
    from pyscf import dft

    def fock(mole: object) -> np.ndarray:
        field = dft.RKS(mole, xc="pbe")
        field.grids.level = 1
        assert np.isfinite(field.kernel())
        return field.get_fock()

    labels = [sample(atoms, fock) for atoms in rattled("H2O", 5)]
    baseline = make_baseline("fitted_sap", LEVEL)
    baseline.fit(iter(labels[:4]))
    mole, label = build_mole(labels[4].atoms, LEVEL.basis), labels[4].hamiltonian.to_dense()
    errors = [np.abs(h0.hamiltonian(mole) - label).mean() for h0 in (baseline, Sap())]
    assert errors[0] < 0.1 * errors[1]
    assert errors[0] < 5e-3  # Hartree


def test_fit_does_not_depend_on_orientation(rng: np.random.Generator):
    def fock_like(mole: object) -> np.ndarray:
        return Sap().hamiltonian(mole) + 0.01 * overlap(mole)

    frames = rattled("H2O", 3)
    turned = [Atoms(a.numbers, a.positions @ random_rotation(rng, improper=True).T) for a in frames]
    results = []
    for group in (frames, turned):
        baseline = make_baseline("fitted_sap", LEVEL)
        baseline.fit([sample(atoms, fock_like) for atoms in group])
        results.append(baseline.hamiltonian(build_mole(frames[0], LEVEL.basis)))
    assert np.abs(results[0] - results[1]).max() < 1e-8


def test_elements_that_the_fit_has_not_seen_are_named():
    with pytest.raises(HampredError, match=r"without N \(its elements: H C O I\)"):
        fitted("fitted_sap").hamiltonian(build_mole(molecule("NH3"), LEVEL.basis))
    with pytest.raises(HampredError, match="no label"):
        make_baseline("fitted_sap", LEVEL).fit([])
