"""Every property transforms as it says under rotations, mirror images and translations, and agrees with PySCF."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from pyscf import lo, scf
from pyscf.hessian import thermo

from hampred.electronic.properties import PROPERTIES
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import (
    angular_integrals,
    build_mole,
    dipole_integrals,
    kinetic,
    nuclear_attraction,
)
from hampred.units import BOHR

N_ROTATIONS = 34
"""Elements of O(3) for each of three molecules, every second improper."""


def state_of(atoms: Atoms, basis: str, charge: int = 0, seed: int = 0) -> ElectronicState:
    """Any symmetric H is a Hamiltonian to these laws: that of the bare nuclei and a random part without symmetry."""
    integrals = Integrals(atoms, basis, charge)
    noise = np.random.default_rng(seed).normal(scale=0.05, size=(integrals.layout.n_orbitals,) * 2)
    h = kinetic(integrals.mole) + nuclear_attraction(integrals.mole) + noise + noise.T
    return ElectronicState(atoms, integrals.layout, h, integrals.overlap.to_dense(), integrals.n_electrons // 2, charge)


def hartree_fock(atoms: Atoms, basis: str, charge: int = 0) -> tuple:
    field = scf.RHF(build_mole(atoms, basis, charge)).run(conv_tol=1e-12, conv_tol_grad=1e-8)
    layout = Integrals(atoms, basis, charge).layout
    state = ElectronicState(atoms, layout, field.get_fock(), field.get_ovlp(), field.mol.nelectron // 2, charge)
    return field, state


@pytest.fixture(scope="module")
def states(scattered) -> list[ElectronicState]:
    """Without any symmetry; f shells; an ion with an effective core potential, at a finite temperature."""
    chiral = state_of(scattered("HOFNH", 1), "def2-svp")
    steep = state_of(scattered("OH2", 2), "def2-tzvp")
    ion = state_of(scattered("IOH2", 3), "def2-svp", -1)
    return [chiral, steep, replace(ion, temperature=0.02)]


@pytest.fixture(scope="module")
def rotated(states) -> list[tuple[ElectronicState, list]]:
    """Each state, and (Q, the turned state) for random elements of O(3)."""
    generator = np.random.default_rng(7)
    turns = [[random_rotation(generator, bool(k % 2)) for k in range(N_ROTATIONS)] for _ in states]
    return [(state, [(q, state.rotated(q)) for q in some]) for state, some in zip(states, turns)]


def assert_equal(found, expected) -> None:
    """To 1e-10, absolute or of the largest element."""
    finite = np.abs(expected)[np.isfinite(expected)]
    scale = max(1.0, finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * scale)


def has(state: ElectronicState, name: str) -> bool:
    return not (state.temperature and PROPERTIES[name].function.__module__.endswith("response"))


@pytest.mark.parametrize("name", PROPERTIES)
def test_rotated_and_mirrored_molecules(rotated, name: str):
    found = PROPERTIES[name]
    for state, turns in rotated:
        if not has(state, name):
            continue
        value = state.properties[name]
        assert value.shape[value.ndim - found.rank :] == (3,) * found.rank
        assert value.ndim == found.rank + len(found.axes)
        assert np.abs(value).max() > 1e-3, "a law of zeros would say nothing"
        for q, turned in turns:
            assert_equal(turned.properties[name], found.transformed(value, q))


@pytest.mark.parametrize("name", PROPERTIES)
def test_shifted_molecules(states, name: str):
    shift = np.array([1.0, -2.0, 0.5])
    for state in states:
        if not has(state, name):
            continue
        atoms = state.atoms.copy()
        atoms.positions += shift
        moved = replace(state, atoms=atoms).properties[name]
        expected = state.properties[name] + (state.charge * shift / BOHR if name == "dipole" else 0.0)
        assert np.abs(moved - expected).max() < 1e-9 * max(1, np.abs(expected).max())


@pytest.mark.parametrize(
    ("rank", "pseudo", "sign"), [(0, False, 1), (0, True, -1), (1, False, -1), (1, True, 1), (2, True, -1)]
)
def test_parities(rank: int, pseudo: bool, sign: int):
    value = np.random.default_rng(0).normal(size=(2, *(3,) * rank))
    kind = replace(PROPERTIES["dipole"], rank=rank, pseudo=pseudo, axes=("atom",))
    assert np.array_equal(kind.transformed(value, -np.eye(3)), sign * value)
    assert kind.kind.startswith("pseudo") == pseudo and kind.kind.endswith("for each atom")


@pytest.fixture(scope="module")
def water():
    atoms = molecule("H2O")
    atoms.rattle(0.1, seed=3)
    atoms.positions += [0.3, -0.2, 0.5]
    return hartree_fock(atoms, "def2-svp")


def test_pyscf_has_the_same(water):
    field, state = water
    mole, density, found = field.mol, field.make_rdm1(), state.properties
    centre = mole.atom_charges() @ mole.atom_coords() / mole.atom_charges().sum()
    quadrupole = field.quad_moment(unit="AU", origin=centre, verbose=0)
    expected = {
        "dipole": field.dip_moment(unit="AU", verbose=0),
        "quadrupole": quadrupole,
        "mulliken_charges": field.mulliken_pop(verbose=0)[1],
        "rotational_constants": thermo.rotation_const(mole.atom_mass_list(isotope_avg=True), mole.atom_coords(), "GHz"),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4 if name[0] == "r" else 0, atol=1e-6)
    root = np.linalg.inv(lo.orth.lowdin(state.overlap))  # S^½
    populations = np.diag(root @ density @ root)
    held = [populations[state.layout.orbitals(k)].sum() for k in range(3)]
    np.testing.assert_allclose(found["lowdin_charges"], mole.atom_charges() - held, atol=1e-6)
    assert np.allclose(np.linalg.eigvalsh(found["inertia"]), state.atoms.get_moments_of_inertia())
    attraction = np.sum(density * nuclear_attraction(mole))
    energy = found["potential_at_nuclei"] @ mole.atom_charges()
    assert energy == pytest.approx(2 * field.energy_nuc() + attraction, abs=1e-5)


def test_potential_at_points(water):
    field, state = water
    points = np.random.default_rng(0).normal(scale=2, size=(5, 3))
    for point, value in zip(points, state.electrostatic_potential(points)):
        with field.mol.with_rinv_orig(point / BOHR):
            electrons = np.sum(field.mol.intor("int1e_rinv") * state.density_matrix)
        distances = np.linalg.norm(state.atoms.positions - point, axis=1) / BOHR
        assert value == pytest.approx((field.mol.atom_charges() / distances).sum() - electrons, abs=1e-10)
    far = np.array([[0.0, 0.0, 400.0], [0.0, 0.0, 800.0]])
    v = state.electrostatic_potential(far) * (far[:, 2] / BOHR) ** 2
    assert v[1] == pytest.approx(state.dipole[2], rel=0.02)
    assert np.isinf(state.electrostatic_potential(state.atoms.positions[:1])[0])
    with pytest.raises(HampredError, match="shape"):
        state.electrostatic_potential(np.zeros(3))


@pytest.mark.parametrize(("name", "order"), [("H2", 1.0), ("N2", 3.0)])
def test_bond_orders_count_bonds(name: str, order: float):
    _, state = hartree_fock(molecule(name), "sto-3g")
    for bond_orders in (state.properties["mayer_bond_orders"], state.properties["wiberg_bond_orders"]):
        assert np.allclose(bond_orders, [[0, order], [order, 0]], atol=1e-3)


def test_polarizability_is_the_response_of_the_dipole(states):
    state, step = states[0], 1e-4
    positions = dipole_integrals(state.mole)
    dipoles = [
        [replace(state, hamiltonian=state.hamiltonian + sign * step * r).dipole for sign in (1, -1)] for r in positions
    ]
    derivative = np.array([(plus - minus) / (2 * step) for plus, minus in dipoles])
    assert np.allclose(state.properties["polarizability"], derivative, rtol=1e-4, atol=1e-4)


def test_optical_rotation_tensor_is_the_curvature_of_the_density(states):
    """G'/ω = −2 Im tr(P [∂P/∂E, ∂P/∂B]) with the projectors P of H + E·r + B·L/2, in an orthonormal basis."""
    state, step = states[0], 1e-4
    mole = state.mole
    centre = mole.atom_charges() @ mole.atom_coords() / mole.atom_charges().sum()
    _, c = state.orbital_energies, state.orbital_coefficients

    def projector(perturbation: np.ndarray) -> np.ndarray:
        _, vectors = np.linalg.eigh(c.T @ (state.hamiltonian + perturbation) @ c)
        occupied = vectors[:, : state.n_occupied]
        return occupied @ occupied.conj().T

    def derivative(operator: np.ndarray) -> np.ndarray:
        return (projector(step * operator) - projector(-step * operator)) / (2 * step)

    electric = [derivative(r) for r in dipole_integrals(mole)]
    magnetic = [derivative(-0.5j * angular) for angular in angular_integrals(mole, centre)]
    p = projector(np.zeros_like(c))
    curvature = [[-2 * np.trace(p @ (e @ b - b @ e)).imag for b in magnetic] for e in electric]
    expected = state.properties["optical_rotation_tensor"]
    assert np.allclose(curvature, expected, atol=1e-4 * np.abs(expected).max())


def test_achiral_molecules_do_not_rotate_light(water):
    left = state_of(molecule("H2O2"), "sto-3g")
    left = replace(left, hamiltonian=kinetic(left.mole) + nuclear_attraction(left.mole))
    right = left.rotated(-np.eye(3))
    assert left.properties["optical_rotation"] == pytest.approx(-right.properties["optical_rotation"], rel=1e-12)
    assert abs(left.properties["optical_rotation"]) > 1e-3
    assert abs(water[1].properties["optical_rotation"]) < 1e-7


def test_temperature_fills_orbitals(states):
    ion = states[2]
    assert ion.occupations.sum() == pytest.approx(2 * ion.n_occupied)
    assert ((ion.occupations > 0.01) & (ion.occupations < 1.99)).any()
    assert np.trace(ion.density_matrix @ ion.overlap) == pytest.approx(2 * ion.n_occupied)
    assert ion.properties["mulliken_charges"].sum() == pytest.approx(-1)
    cold = replace(ion, temperature=1e-5)
    assert np.allclose(cold.density_matrix, replace(ion, temperature=0.0).density_matrix, atol=1e-6)
    with pytest.raises(HampredError, match="temperature"):
        ion.properties["polarizability"]


def test_linear_molecules_and_atoms_have_fewer_rotational_constants():
    constants = [
        state_of(atoms, "sto-3g").properties["rotational_constants"] for atoms in (molecule("N2"), Atoms("He"))
    ]
    assert np.isinf(constants[0]).tolist() == [True, False, False] and np.isinf(constants[1]).all()


def test_properties_are_lazy_and_kept(states):
    values = replace(states[0]).properties
    assert list(values) == list(PROPERTIES) and not values._known
    assert values["dipole"] is values["dipole"] and list(values._known) == ["dipole"]


def test_the_page_of_properties_names_them_all():
    text = (Path(__file__).parent.parent.parent / "docs" / "properties.md").read_text()
    assert [name for name in PROPERTIES if f"`{name}`" not in text] == []
