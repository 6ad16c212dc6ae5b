"""Every baseline H0 keeps the same contract, and the fitted one learns."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from operators import random_operator
from scipy.linalg import sqrtm
from scipy.optimize import brentq

from hampred.baseline import BASELINES, Baseline, LocalBaseline, baseline_from_state, make_baseline, projector_fit
from hampred.baseline.atomic_operator import AtomicOperator, crowding
from hampred.baseline.projectors import REACH, Projectors
from hampred.baseline.sap import Sap
from hampred.blocks.matrix import BlockMatrix
from hampred.blocks.supercell import repeated, supercell
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.data.system import baseline_blocks, half_baseline
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.integrals import Integrals
from hampred.interop.overlap_range import overlap_range
from hampred.interop.pyscf import build_mole, kinetic, nuclear_attraction, overlap
from hampred.units import BOHR

LEVEL = LevelOfTheory("pbe", "GGA_X_PBE, GGA_C_PBE", "def2-svp")
EVERY = pytest.mark.parametrize("name", BASELINES)


def fitted(name: str) -> Baseline:
    baseline = make_baseline(name, LEVEL)
    if isinstance(baseline, Projectors):
        return Projectors({z: random_operator(z) for z in (1, 6, 8, 53)})
    return baseline


def dense(baseline: Baseline, atoms: Atoms) -> np.ndarray:
    return baseline.blocks(Integrals(atoms, LEVEL.basis)).to_dense()


def sample(atoms: Atoms, hamiltonian: np.ndarray) -> HamiltonianSample:
    layout = Integrals(atoms, LEVEL.basis).layout
    matrix = BlockMatrix.from_dense(layout, hamiltonian)
    return HamiltonianSample(atoms, layout.basis, {"hamiltonian": matrix}, np.zeros(layout.n_orbitals), LEVEL)


def rattled(name: str, n: int) -> list[Atoms]:
    frames = [molecule(name) for _ in range(n)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
    return frames


@EVERY
def test_matrix_is_symmetric_real_and_repeatable(name: str):
    baseline, atoms = fitted(name), molecule("H2O")
    h = dense(baseline, atoms)
    assert h.shape == (24, 24) and h.dtype == np.float64
    assert np.abs(h - h.T).max() < 1e-12
    assert np.array_equal(h, dense(baseline, atoms))


@EVERY
@pytest.mark.parametrize("formula", ["H2CO", "HI"])
def test_equivariant(scattered: Callable, rng: np.random.Generator, name: str, formula: str):
    baseline, atoms = fitted(name), scattered(formula, 1)
    h = dense(baseline, atoms)
    for improper in (False, True):
        q = random_rotation(rng, improper)
        d = Integrals(atoms, LEVEL.basis).layout.rotation(q)
        other = Atoms(atoms.numbers, atoms.positions @ q.T + rng.normal(size=3))
        error = np.abs(d @ h @ d.T - dense(baseline, other))
        if baseline.grid_free:
            assert error.max() <= 1e-12 * np.abs(h).max()
        else:
            assert error.mean() < 5e-6  # Hartree: noise of the integration grid


@EVERY
def test_state_is_json_and_restores_the_baseline(name: str):
    baseline, atoms = fitted(name), molecule("H2O")
    state = json.loads(json.dumps(baseline.state()))
    restored = baseline_from_state(state)
    assert restored.state() == state and state["name"] == name
    assert np.array_equal(dense(restored, atoms), dense(baseline, atoms))


@pytest.mark.parametrize("name", [name for name, kind in BASELINES.items() if kind.local])
def test_local_ones_are_the_same_for_every_cell_of_a_crystal(name: str):
    baseline = Projectors({14: random_operator(14, "gth-szv")}) if name == "projectors" else fitted(name)
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=1)
    size = [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]
    small, large = (baseline.blocks(Integrals(a, "gth-szv")) for a in (atoms, repeated(atoms, size)))
    expected = supercell(small, size).on_pairs_of(large)
    assert np.abs(expected.values - large.values).max() < 1e-11


@pytest.mark.parametrize("name", [name for name, kind in BASELINES.items() if kind.local])
def test_local_ones_give_half_of_it(name: str):
    atoms, baseline = molecule("CH3CH2OH"), cast(LocalBaseline, fitted(name))
    for field in ([0, 0, 0], [0.1, -0.2, 0.3]):
        atoms.info["electric_field"] = field
        integrals = Integrals(atoms, LEVEL.basis)
        half, whole = half_baseline(baseline, integrals), baseline_blocks(baseline, integrals)
        assert np.array_equal(half.pairs, integrals.half_overlap.pairs)
        assert np.array_equal(integrals.completed(half).values, whole.values)


def test_projectors_end_smoothly_with_the_overlap():
    """Two orbitals that do not overlap any more feel nothing of an atom between them."""
    baseline, reach = Projectors({z: random_operator(z) for z in (1, 8)}), overlap_range(LEVEL.basis, 8, 8)

    def between(distance: float) -> np.ndarray:
        atoms = Atoms("OHO", [[0, 0, 0], [0, 0, distance / 2], [0, 0, distance]])
        h0 = baseline.blocks(Integrals(atoms, LEVEL.basis))
        found = h0.find(np.array([[0, 2]]), np.zeros((1, 3), dtype=int))[0]
        return h0.block(found) if found >= 0 else np.zeros((14, 14))

    sizes = [np.abs(between(reach * x)).max() for x in (0.8, 0.99, 0.999, 1.001)]
    assert sizes[0] > 1e-6 and sizes[1] < 1e-2 * sizes[0] and sizes[2] < 1e-4 * sizes[0] and sizes[3] == 0


def test_unknown_names_list_the_installed_ones():
    for wrong in ("sapp", "", "os.system", None):
        with pytest.raises(HampredError, match="none, core, minao, sap, projectors"):
            make_baseline(wrong, LEVEL)
        with pytest.raises(HampredError, match="none, core, minao, sap, projectors"):
            baseline_from_state({"name": wrong})


GOOD = {"shells": [[0, 1.0]], "strengths": [[[1.0]]] * 2, "shifts": [[0.0]] * 2, "scales": [[0.0]] * 2, "crowding": 1.0}


@pytest.mark.parametrize(
    "state",
    [
        {"name": "minao"},
        {"name": "minao", "functional": "pbe", "grid_level": "x", "density_fit": False, "auxbasis": None},
        {"name": "projectors"},
        {"name": "projectors", "reach": 5.0, "operators": [1.0]},
        {"name": "projectors", "reach": -1.0, "operators": {}},
        {"name": "projectors", "reach": 5.0, "operators": {"Qq": GOOD}},
        {"name": "projectors", "reach": 5.0, "operators": {"H": {**GOOD, "strengths": [[1.0]]}}},
        {"name": "projectors", "reach": 5.0, "operators": {"H": {**GOOD, "shifts": [[0.0], [float("nan")]]}}},
        {"name": "projectors", "reach": 5.0, "operators": {"H": {**GOOD, "shells": [[0, -1.0]]}}},
        {"name": "projectors", "reach": 5.0, "operators": {"H": {**GOOD, "scales": [0.0]}}},
    ],
)
def test_malformed_states_are_refused(state: dict):
    with pytest.raises(HampredError, match="malformed"):
        baseline_from_state(state)


def test_none_and_core():
    mole = build_mole(molecule("H2O"), LEVEL.basis)
    assert not dense(fitted("none"), molecule("H2O")).any()
    assert np.array_equal(dense(fitted("core"), molecule("H2O")), kinetic(mole) + nuclear_attraction(mole))


def test_minao_is_the_first_fock_matrix_of_pyscf():
    from pyscf import dft

    mole = build_mole(molecule("H2O"), LEVEL.basis)
    field = dft.RKS(mole, xc="pbe")
    field.grids.level = LEVEL.grid_level
    expected = field.get_fock(dm=field.get_init_guess(key="minao"))
    assert np.abs(dense(fitted("minao"), molecule("H2O")) - expected).max() < 1e-12
    with pytest.raises(HampredError, match="no functional 'pbee'"):
        dense(make_baseline("minao", LevelOfTheory("pbee", "", "def2-svp")), molecule("H2O"))


def test_sap_is_the_potential_of_pyscf():
    from pyscf.gto import basis
    from pyscf.scf.hf import make_sap

    mole = build_mole(molecule("CH3OH"), LEVEL.basis)
    tables = {symbol: np.array(basis.load("sapgrasplarge", symbol)[0][1:]) for symbol in ("H", "C", "O")}
    expected = kinetic(mole) + nuclear_attraction(mole) + make_sap(mole, tables)
    assert np.abs(dense(Sap(), molecule("CH3OH")) - expected).max() < 1e-12


@pytest.mark.parametrize("name", ["core", "sap"])
def test_potentials_without_end_are_refused_for_crystals(name: str):
    with pytest.raises(HampredError, match="for crystals choose projectors"):
        dense(fitted(name), bulk("C"))


@pytest.mark.parametrize(("symbol", "n_electrons"), [("H", 1), ("I", 53), ("I", 25), ("Au", 19)])
def test_screening_leaves_the_atom_neutral(symbol: str, n_electrons: int):
    exponents, charges = Sap().screening_charges(symbol, n_electrons)
    assert (exponents > 0).all() and charges.sum() == pytest.approx(n_electrons, abs=1e-9)


def test_projectors_of_one_atom_are_its_overlaps():
    atoms, operator = molecule("H2O"), random_operator(8)
    others = AtomicOperator(((0, 1.0),), np.zeros((2, 1, 1)), np.zeros((2, 3)), np.zeros((2, 3)), 0.0)
    h0 = Projectors({1: others, 8: replace(operator, shifts=0 * operator.shifts, scales=0 * operator.scales)})
    bond = np.linalg.norm(atoms.positions[1] - atoms.positions[0])
    n = 2 * np.exp(-((bond / (0.66 + 0.31)) ** 2)) * (1 - (bond / REACH) ** 2) ** 3
    w = np.tensordot([1.0, n - operator.crowding], operator.matrices, 1)
    from pyscf import gto

    mole = build_mole(atoms, LEVEL.basis)
    shells = {"O": [[l, [a, 1.0]] for l, a in operator.shells]}
    ghost = gto.M(atom=[("O", atoms.positions[0] / BOHR)], unit="Bohr", basis=shells, verbose=0)
    x = gto.intor_cross("int1e_ovlp", mole, ghost)
    r = np.repeat(np.linalg.norm(atoms.positions - atoms.positions[0], axis=1), [14, 5, 5])
    x *= ((1 - (r / REACH) ** 6) ** 3)[:, None]
    assert np.abs(dense(h0, atoms) - kinetic(mole) - x @ w @ x.T).max() < 1e-10


def without_slopes(operator: AtomicOperator) -> AtomicOperator:
    constant = {name: getattr(operator, name).copy() for name in ("strengths", "shifts", "scales")}
    for numbers in constant.values():
        numbers[1] = 0
    return replace(operator, **constant)


def test_fit_recovers_a_hamiltonian_of_its_own_form(monkeypatch: pytest.MonkeyPatch):
    for name in ("RIDGE", "STEADY"):  # damping as good as none: the equations have to be right
        monkeypatch.setattr(projector_fit, name, 1e-10)
    true = Projectors({z: without_slopes(random_operator(z)) for z in (1, 6, 8)})  # molecules are given none
    baseline = make_baseline("projectors", LEVEL)
    labels = [sample(atoms, dense(true, atoms)) for name in ("H2", "CH3OH", "H2CO") for atoms in rattled(name, 3)]
    baseline.fit(labels)
    found = baseline.state()["operators"]
    assert sorted(found) == ["C", "H", "O"]
    assert not np.any([value for operator in found.values() for value in operator["shifts"][1] + operator["scales"][1]])
    assert not any(np.any(operator["strengths"][1]) for operator in found.values())
    atoms = molecule("CH3CHO")  # a molecule that the fit has not seen
    difference = np.abs(dense(baseline, atoms) - dense(true, atoms))
    assert difference.mean() < 1e-4 * np.abs(dense(true, atoms) - dense(Sap(), atoms)).mean()


def test_errors_of_the_fit_are_those_of_an_orthonormal_basis(scattered: Callable, rng: np.random.Generator):
    """The mean squared row of S^(−1/2) M S^(−1/2), whichever orientation: what M does to orbitals."""
    for atoms in (molecule("H2CO"), scattered("H2CO", 1)):
        s = Integrals(atoms, LEVEL.basis).overlap
        matrices = rng.normal(size=(2, len(s.values)))
        matrices = np.array([s.with_values(values).hermitized().values for values in matrices])
        for values, found in zip(matrices, projector_fit._orthogonalised(matrices, s), strict=True):
            root = sqrtm(s.to_dense() + projector_fit.DEPENDENT * np.eye(s.layout.n_orbitals))
            elements = np.linalg.solve(root, np.linalg.solve(root, s.with_values(values).to_dense()).T)
            assert (found**2).sum() == pytest.approx((elements**2).sum(axis=1).mean(), rel=1e-9)


def test_fit_improves_on_sap_for_real_labels():
    from pyscf import dft

    def label(atoms: Atoms) -> HamiltonianSample:
        field = dft.RKS(build_mole(atoms, LEVEL.basis), xc="pbe")
        field.grids.level = 1
        assert np.isfinite(field.kernel())
        return sample(atoms, field.get_fock())

    labels = [label(atoms) for atoms in rattled("H2O", 5)]
    baseline = make_baseline("projectors", LEVEL)
    baseline.fit(iter(labels[:4]))
    last, expected = labels[4].atoms, labels[4].hamiltonian.to_dense()
    errors = [np.abs(dense(h0, last) - expected).mean() for h0 in (baseline, Sap())]
    assert errors[0] < 0.1 * errors[1]
    assert errors[0] < 4e-3  # Hartree


def test_an_element_in_like_surroundings_alone_gets_no_steep_slopes():
    methanol, water = molecule("CH3OH"), molecule("H2O")

    def excess(factor: float) -> float:
        scaled = Atoms(water.numbers, factor * water.positions)
        return crowding(scaled, REACH)[0] - crowding(methanol, REACH)[1] - 1e-3

    water.positions *= brentq(excess, 0.5, 1.5)
    baseline = make_baseline("projectors", LEVEL)
    baseline.fit([sample(atoms, dense(Sap(), atoms)) for atoms in (methanol, water)])
    other = molecule("H2CO")
    assert np.abs(dense(baseline, other) - dense(Sap(), other)).mean() < 0.04  # Hartree; 2.9 without `STEADY`


def test_fit_of_a_crystal_is_blind_to_its_zero_of_energy():
    level, atoms = replace(LEVEL, basis="gth-szv"), bulk("Si")
    true = Projectors({14: random_operator(14, level.basis)})
    atoms.rattle(0.05, seed=2)
    integrals = Integrals(atoms, level.basis)
    h, s = true.blocks(integrals), integrals.overlap
    layout, results = integrals.layout, []
    for shift in (0.0, 0.7):
        moved = replace(h, values=h.values + shift * s.values)
        baseline = make_baseline("projectors", LEVEL)
        baseline.fit([HamiltonianSample(atoms, layout.basis, {"hamiltonian": moved}, np.zeros(8), level)])
        results.append(baseline.blocks(integrals).values)
    change = results[0] - results[1]
    change -= (change @ s.values) / (s.values @ s.values) * s.values
    assert np.abs(change).max() < 1e-11


def test_fit_does_not_depend_on_orientation(rng: np.random.Generator):
    frames = rattled("H2O", 3)
    turned = [Atoms(a.numbers, a.positions @ random_rotation(rng, improper=True).T) for a in frames]
    results = []
    for group in (frames, turned):
        baseline = make_baseline("projectors", LEVEL)
        baseline.fit([sample(a, dense(Sap(), a) + 0.01 * overlap(build_mole(a, LEVEL.basis))) for a in group])
        results.append(dense(baseline, frames[0]))
    assert np.abs(results[0] - results[1]).max() < 1e-9 * np.abs(results[0]).max()


def test_elements_that_the_fit_has_not_seen_are_named():
    with pytest.raises(HampredError, match=r"without N \(its elements: H C O I\)"):
        dense(fitted("projectors"), molecule("NH3"))
    with pytest.raises(HampredError, match="no label"):
        make_baseline("projectors", LEVEL).fit([])


def test_only_a_screened_baseline_can_stand_alone():
    """Near the orbital energies of a molecule whose orbitals nearly depend on each other, where others are far off."""
    atoms = Atoms("NC2N", [[0, 0, 0], [0, 0, 1.14], [0, 0, 2.46], [0, 0, 3.60]])
    s, h = Integrals(atoms, LEVEL.basis).overlap.to_dense(), dense(make_baseline("minao", LEVEL), atoms)
    vector = np.linalg.eigh(s)[1][:, 0]
    reference = vector @ h @ vector / (vector @ s @ vector)
    for name in ("none", "core", "sap"):
        found = vector @ dense(make_baseline(name, LEVEL), atoms) @ vector / (vector @ s @ vector)
        assert (abs(found - reference) < 0.5) == BASELINES[name].screened  # Hartree
