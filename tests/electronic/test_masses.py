"""Effective masses: free electrons, analytic dispersions, degenerate band edges."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase.build import graphene

from hampred.electronic.crystal import CrystalState
from hampred.electronic.masses import _downhill, edge_masses, effective_masses
from hampred.errors import HampredError
from hampred.units import BOHR


def test_free_electrons_have_mass_one(toy: Callable):
    """T and S of broad Gaussians on a dense lattice, whose Bloch sums are plane waves."""
    alpha, a = 0.17, 1.5 / BOHR  # 1/Bohr², Bohr
    shifts = [r for r in np.ndindex(15, 15, 15) if a**2 * sum((x - 7) ** 2 for x in r) < 330]
    hops = {}
    for r in (np.array(shift) - 7 for shift in shifts):
        square = a**2 * float(r @ r)
        overlap = np.exp(-0.5 * alpha * square)
        hops[tuple(map(int, r))] = (0.5 * alpha * (3 - alpha * square) * overlap, overlap)
    state = toy(1.5 * np.eye(3), hops, 0)
    found = effective_masses(state, [0.02, -0.01, 0.0], 0)  # the extremum is sought from here
    assert np.abs(found.kpoint).max() < 1e-5 and found.bands == (0,)
    assert np.allclose(found.masses, 1, atol=1e-3)
    assert np.allclose(found.inverse_tensor, np.eye(3), atol=1e-3)


@pytest.mark.parametrize(("k", "sign"), [(0.0, 1), (0.5, -1)])
def test_chain_on_paper(toy: Callable, k: float, sign: int):
    """ε = −2t cos(ka): 1/m = ± 2 t a²."""
    state = toy(np.diag([9.0, 9.0, 2.0]), {(0, 0, 0): (0.0, 1.0), (0, 0, 1): (-0.1, 0.0)}, 1)
    found = effective_masses(state, [0, 0, k], 0)
    assert np.abs(np.abs(found.directions) - [[0, 0, 1]]).max() < 1e-14
    assert found.masses == pytest.approx(np.array([[sign / (0.2 * (2.0 / BOHR) ** 2)]]), rel=1e-6)


def test_principal_axes_of_an_oblique_valley(toy: Callable):
    """Hops along two cell vectors at 60°: the tensor is Σ 2t R Rᵀ of both."""
    cell = np.array([[2.0, 0, 0], [1.0, np.sqrt(3), 0], [0, 0, 20.0]])
    t = (0.1, 0.03)
    hops = {(0, 0, 0): (0.0, 1.0), (1, 0, 0): (-t[0], 0.0), (0, 1, 0): (-t[1], 0.0)}
    found = effective_masses(toy(cell, hops, 1), [0.1, 0.0, 0.0], 0)
    expected = sum(2 * x * np.outer(r, r) / BOHR**2 for x, r in zip(t, cell))
    assert np.allclose(found.inverse_tensor, expected, atol=1e-6)
    assert found.masses.shape == (1, 2) and not found.directions[:, 2].any()
    assert np.allclose(1 / np.sort(found.masses[0])[::-1], np.linalg.eigvalsh(expected)[1:], rtol=1e-5)


def test_warped_valence_bands_of_diamond(silicon: CrystalState):
    found = edge_masses(silicon, silicon.bands(), "vbm")
    assert found.bands == (1, 2, 3) and found.inverse_tensor is None and (found.masses < 0).all()
    assert np.allclose(found.masses, found.masses[:, :1], rtol=1e-5)  # cubic: x, y and z are alike
    single = silicon.supercell((1, 1, 1))
    assert np.allclose(edge_masses(single, single.bands(), "vbm").masses, found.masses)


def test_an_edge_is_found_from_a_point_where_bands_cross(toy: Callable):
    """The minimum of a chain, from a kink of its doubled cell."""
    chain = toy(np.diag([2.0, 9.0, 9.0]), {(0, 0, 0): (0.0, 1.0), (1, 0, 0): (-0.1, 0.0), (2, 0, 0): (0.1, 0.0)}, 0)
    # ε = −0.2 cos x + 0.2 cos 2x is lowest where cos x = 1/4; in the doubled cell two bands cross at x = π/2
    pair = replace(chain.supercell((2, 1, 1)), n_electrons=0.0)
    assert np.ptp(pair.solve([0.5, 0, 0])[0]) < 1e-12
    found = effective_masses(pair, _downhill(pair, np.array([0.5, 0, 0]), 0, 1.0), 0)
    x = np.arccos(0.25)
    assert np.cos(2 * np.pi * found.kpoint[0]) == pytest.approx(np.cos(2 * x), abs=1e-6)
    curvature = (2.0 / BOHR) ** 2 * (0.2 * np.cos(x) - 0.8 * np.cos(2 * x))
    assert found.masses == pytest.approx(np.array([[1 / curvature]]), rel=1e-4)


def test_what_has_no_mass(silicon: CrystalState, crystal_of: Callable, toy: Callable):
    with pytest.raises(HampredError, match="no band 8"):
        effective_masses(silicon, [0, 0, 0], 8)
    with pytest.raises(HampredError, match="Dirac"):
        effective_masses(crystal_of(graphene(vacuum=10.0)), [1 / 3, 1 / 3, 0], 3)
    atom = toy(np.eye(3), {(0, 0, 0): (0.0, 1.0)}, 1)
    with pytest.raises(HampredError, match="molecule"):
        effective_masses(atom, [0, 0, 0], 0)
    chain = toy(np.diag([2.0, 9.0, 9.0]), {(0, 0, 0): (0.0, 1.0), (1, 0, 0): (-0.1, 0.0)}, 1)
    with pytest.raises(HampredError, match="metal"):
        edge_masses(chain, chain.bands([[0, 0, 0], [0.5, 0, 0]]), "cbm")
