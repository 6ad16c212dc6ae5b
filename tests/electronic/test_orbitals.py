"""Eigenproblem, occupations, similarity and dipole, against PySCF and against their definitions."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from pyscf import scf

from hampred.basis import OrbitalBasis
from hampred.electronic.eigen import NearDependentBasis, solve
from hampred.electronic.orbitals import (
    density_matrix,
    frontier,
    level_groups,
    occupations,
    orbital_similarities,
    split_level,
)
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.evaluation.prediction_files import PredictionFiles
from hampred.harmonics import random_rotation
from hampred.interop.pyscf import build_mole, overlap


def hartree_fock(name: str):
    atoms = molecule(name)
    mf = scf.RHF(build_mole(atoms, "sto-3g")).run(conv_tol=1e-12)
    layout = OrbitalBasis.from_mole(mf.mol, "sto-3g").layout(atoms.numbers)
    return mf, ElectronicState(atoms, layout, mf.get_fock(), overlap(mf.mol), mf.mol.nelectron // 2)


@pytest.fixture(scope="module")
def water():
    return hartree_fock("H2O")


@pytest.fixture(scope="module")
def methane():
    return hartree_fock("CH4")


def test_state_agrees_with_pyscf(water):
    mf, state = water
    assert np.allclose(state.orbital_energies, mf.mo_energy, atol=1e-6)
    assert np.allclose(state.density_matrix, mf.make_rdm1(), atol=1e-5)
    assert np.allclose(state.dipole, mf.dip_moment(unit="AU", verbose=0), atol=1e-5)
    assert np.allclose(state.occupations, mf.mo_occ)
    assert state.gap == pytest.approx(mf.mo_energy[5] - mf.mo_energy[4], abs=1e-6)


def test_orbitals_are_orthonormal_and_hold_the_electrons(methane):
    _, state = methane
    c = state.orbital_coefficients
    assert np.allclose(c.T @ state.overlap @ c, np.eye(9), atol=1e-12)
    assert np.trace(state.density_matrix @ state.overlap) == pytest.approx(10, abs=1e-10)


@pytest.mark.parametrize("improper", [False, True])
def test_rotated_state_keeps_energies_and_turns_the_dipole(water, improper):
    _, state = water
    q = random_rotation(np.random.default_rng(1), improper)
    turned = state.rotated(q)
    assert np.allclose(turned.orbital_energies, state.orbital_energies, atol=1e-11)
    assert np.allclose(turned.dipole, q @ state.dipole, atol=1e-11)
    assert np.allclose(turned.overlap, overlap(build_mole(turned.atoms, "sto-3g")), atol=1e-12)


def test_near_dependent_orbitals_are_projected_out_and_told():
    generator = np.random.default_rng(0)
    vectors = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    s = vectors @ np.diag([1e-9, 0.1, 0.5, 1, 1, 2]) @ vectors.T
    h = generator.normal(size=(6, 6))
    with pytest.warns(NearDependentBasis, match="1 of 6"):
        energies, c = solve(h + h.T, s)
    assert energies.shape == (5,) and c.shape == (6, 5)
    assert np.allclose(c.T @ s @ c, np.eye(5), atol=1e-8)


@pytest.mark.parametrize(
    ("h", "s"),
    [
        (np.eye(3), np.diag([1.0, 1.0, -0.5])),
        (np.eye(3), np.eye(2)),
        (np.full((2, 2), np.nan), np.eye(2)),
        (np.ones(3), np.ones(3)),
    ],
)
def test_impossible_problems_are_refused(h, s):
    with pytest.raises(HampredError):
        solve(h, s)


def test_occupations_and_frontier():
    assert occupations(4, 2).tolist() == [2, 2, 0, 0]
    assert frontier(np.array([-2.0, -1.0, 0.5]), 2) == (-1.0, 0.5, 1.5)
    assert np.isnan(frontier(np.array([-2.0]), 1)[1])
    with pytest.raises(HampredError):
        occupations(3, 4)


def test_levels_are_joined_where_either_calculation_is_degenerate():
    split, close = np.array([0.0, 1.0, 1.1, 2.0]), np.array([0.0, 1.0, 1.00001, 2.0])
    assert level_groups(split, split).tolist() == [0, 1, 2, 3]
    assert level_groups(split, close).tolist() == level_groups(close, split).tolist() == [0, 1, 1, 2]


def test_similarity_is_one_for_rotations_within_a_degenerate_level(methane):
    _, state = methane
    energies, c, s = state.orbital_energies, state.orbital_coefficients, state.overlap
    assert np.ptp(energies[2:5]) < 1e-6  # t2
    mixed = c.copy()
    mixed[:, 2:5] = c[:, 2:5] @ random_rotation(np.random.default_rng(3))
    naive = np.abs(np.diag(mixed[:, :5].T @ s @ c[:, :5]))
    assert naive.min() < 0.9
    assert np.allclose(orbital_similarities(mixed, c, s, energies, energies, 5), 1, atol=1e-12)
    filled = occupations(9, 5)
    assert np.allclose(density_matrix(mixed, filled), density_matrix(c, filled), atol=1e-12)


def test_similarity_sees_mixing_across_levels(methane):
    _, state = methane
    energies, c, s = state.orbital_energies, state.orbital_coefficients, state.overlap
    angle = 0.3
    mixed = c.copy()
    mixed[:, 4] = np.cos(angle) * c[:, 4] + np.sin(angle) * c[:, 5]  # with an empty orbital
    similar = orbital_similarities(mixed, c, s, energies, energies, 5)
    assert np.allclose(similar[:4], 1) and similar[4] == pytest.approx(np.cos(angle))
    swapped = c[:, [1, 0, *range(2, 9)]]  # two levels that are far apart
    assert np.allclose(orbital_similarities(swapped, c, s, energies, energies, 5)[:2], 0, atol=1e-10)


def test_levels_that_the_occupation_splits():
    levels = np.array([-2.0, -1.0, -1.0, -0.99995, 0.5])
    assert [split_level(levels, n) for n in range(6)] == [(0, 0), (0, 0), (3, 1), (3, 2), (0, 0), (0, 0)]


def test_a_split_level_is_told_but_where_a_temperature_fills_it_evenly(methane, tmp_path):
    _, state = methane
    assert state.occupation_notes == []
    (note,) = replace(state, n_occupied=4).occupation_notes
    assert "3 degenerate orbitals, 2 of them filled" in note
    assert PredictionFiles(tmp_path).write("methane", replace(state, n_occupied=4))["notes"] == [note]
    assert replace(state, n_occupied=4, temperature=0.01).occupation_notes == []


@pytest.mark.parametrize("temperature", [-0.01, np.nan])
def test_temperatures_below_zero_are_refused(methane, temperature):
    with pytest.raises(HampredError, match="temperature"):
        replace(methane[1], temperature=temperature)
