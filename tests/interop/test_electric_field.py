"""A uniform electric field: what structures tell of it, and what PySCF's mean fields do in it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pyscf import dft, scf

from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import (
    STRONGEST,
    electric_field,
    field_of,
    has_same_field,
    in_electric_field,
    rotated,
    with_field,
)
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import build_mole, charge_centre, kinetic, nuclear_attraction
from hampred.units import BOHR, FIELD

VECTOR = np.array([0.3, -0.4, 0.5])


def bent(vector=VECTOR) -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(0.1, seed=1)
    atoms.positions += [3.0, 1.0, -2.0]
    return with_field(atoms, vector)


def solved(atoms: Atoms, charge: int = 0, spin: int = 0, fitted: bool = False):
    mole = build_mole(atoms, "sto-3g", charge, spin)
    field = (dft.UKS if spin else dft.RKS)(mole, xc="pbe")
    field = field.density_fit() if fitted else field
    field.grids.level, field.conv_tol = 3, 1e-12
    field = in_electric_field(field, electric_field(atoms))
    field.kernel()
    return field


def test_one_atomic_unit_is_51_volts_per_angstrom():
    assert pytest.approx(51.4220675) == FIELD  # CODATA


def test_a_structure_tells_its_field():
    atoms = molecule("H2O")
    assert not electric_field(atoms).any()
    atoms.info["electric_field"] = (0.1, 0, -0.2)
    assert np.array_equal(electric_field(atoms), [0.1, 0, -0.2])
    assert has_same_field(atoms, atoms.copy()) and not has_same_field(atoms, molecule("H2O"))
    assert "electric_field" not in with_field(atoms, np.zeros(3)).info


@pytest.mark.parametrize("told", [0.1, [0, 0], [0, 0, np.nan], "up", [0, 0, 2 * STRONGEST], {"x": 1}])
def test_what_is_no_field_is_refused(told):
    atoms = molecule("H2O")
    atoms.info["electric_field"] = told
    with pytest.raises(HampredError, match="V/Å"):
        electric_field(atoms)


def test_crystals_have_none():
    atoms = bulk("Si")
    atoms.info["electric_field"] = (0, 0, 0.1)
    with pytest.raises(HampredError, match="for molecules"):
        electric_field(atoms)


def test_the_field_turns_with_the_molecule():
    q = random_rotation(np.random.default_rng(0), improper=True)
    turned = rotated(bent(), q)
    np.testing.assert_allclose(electric_field(turned), q @ VECTOR, atol=1e-14)
    np.testing.assert_allclose(turned.positions, bent().positions @ q.T, atol=1e-14)


@pytest.mark.parametrize(("name", "basis"), [("CH3OH", "def2-svp"), ("HCl", "def2-tzvp"), ("IH", "def2-svp")])
def test_the_potential_is_that_of_pyscf(name: str, basis: str):
    atoms = with_field(Atoms("IH", [(5, 1, 2), (5, 1, 3.6)]) if name == "IH" else molecule(name), VECTOR)
    integrals = Integrals(atoms, basis)
    mole = integrals.mole
    core = in_electric_field(scf.RHF(mole), VECTOR).get_hcore()
    found = integrals.field_potential.to_dense()
    np.testing.assert_allclose(found, core - kinetic(mole) - nuclear_attraction(mole), atol=1e-12)
    with mole.with_common_orig(charge_centre(mole)):
        direct = np.einsum("x,xij->ij", VECTOR / FIELD, mole.intor("int1e_r"))
    np.testing.assert_allclose(found, direct, atol=1e-12)


@pytest.mark.parametrize("improper", [False, True])
def test_the_potential_rotates_and_does_not_depend_on_the_place(improper: bool):
    atoms, q = bent(), random_rotation(np.random.default_rng(3), improper)
    potential = Integrals(atoms, "def2-tzvp").field_potential
    turned = rotated(atoms, q)
    turned.positions += [10.0, -20.0, 5.0]
    found = Integrals(turned, "def2-tzvp").field_potential
    np.testing.assert_allclose(found.to_dense(), potential.rotated(q).to_dense(), atol=1e-12)
    assert np.abs(found.values).max() > 1e-3


KINDS = {"molecule": {}, "fitted": {"fitted": True}, "open shell": {"charge": 1, "spin": 1}}


@pytest.mark.parametrize("kind", KINDS)
def test_forces_are_the_derivative_of_the_energy(kind: str):
    atoms, step = bent(), 1e-3
    forces = -solved(atoms, **KINDS[kind]).nuc_grad_method().set(verbose=0).kernel() / BOHR
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[1, 2] += sign * step
        energies.append(solved(moved, **KINDS[kind]).e_tot)
    assert forces[1, 2] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=2e-5)
    assert np.abs(forces.sum(axis=0)).max() < 1e-4  # nothing drives an ion as a whole: its energy has no place either


@pytest.mark.parametrize("kind", KINDS)
def test_the_dipole_is_the_derivative_of_the_energy(kind: str):
    """−dE/dE = μ about the centre of nuclear charge: the sign of the field, and its unit."""
    field, step = solved(bent(), **KINDS[kind]), 1e-3
    dipole = field.dip_moment(unit="AU", verbose=0) - KINDS[kind].get("charge", 0) * charge_centre(field.mol)
    energies = [solved(bent(VECTOR + sign * step * np.eye(3)[2]), **KINDS[kind]).e_tot for sign in (1, -1)]
    assert -(energies[0] - energies[1]) / (2 * step) * FIELD == pytest.approx(dipole[2], abs=1e-5)


def test_energy_and_fock_matrix_do_not_depend_on_the_place():
    atoms = Atoms("OH", [(0, 0, 0), (0.2, 0, 0.95)])
    atoms.info["electric_field"] = VECTOR.tolist()
    moved = atoms.copy()
    moved.positions += [7.0, -2.0, 4.0]
    here, there = solved(atoms, charge=-1), solved(moved, charge=-1)
    assert there.e_tot == pytest.approx(here.e_tot, abs=1e-9)
    np.testing.assert_allclose(there.get_fock(), here.get_fock(), atol=1e-6)


def test_without_a_field_nothing_changes():
    field = dft.RKS(build_mole(molecule("H2O"), "sto-3g"))
    assert in_electric_field(field, np.zeros(3)) is field and not field_of(field).any()
    inside = in_electric_field(field, VECTOR)
    assert np.array_equal(field_of(inside), VECTOR) and np.array_equal(field_of(inside.newton()), VECTOR)
