"""Law 1: a matrix of the rotated molecule equals D M Dᵀ, for every element of O(3)."""

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from hypothesis import given
from hypothesis import strategies as st

from hampred.basis import OrbitalBasis
from hampred.harmonics import random_rotation
from hampred.interop.pyscf import build_mole, kinetic, nuclear_attraction, overlap

SEEDS = st.integers(0, 2**32 - 1)
BASES = [("sto-3g", "H2CO"), ("def2-svp", "H2CO"), ("def2-tzvp", "H2CO"), ("cc-pvqz", "HF"), ("def2-svp", "HI")]


def rotated(atoms: Atoms, rotation: np.ndarray) -> Atoms:
    other = atoms.copy()
    other.positions = atoms.positions @ rotation.T
    return other


@pytest.mark.parametrize(("basis", "formula"), BASES)
@given(seed=SEEDS, improper=st.booleans())
def test_integrals_rotate(scattered: Callable, basis: str, formula: str, seed: int, improper: bool):
    atoms = scattered(formula, seed)
    q = random_rotation(np.random.default_rng(seed), improper)
    mole, other = build_mole(atoms, basis), build_mole(rotated(atoms, q), basis)
    d = OrbitalBasis.from_mole(mole).layout(atoms.numbers).rotation(q)
    for integral in (overlap, kinetic, nuclear_attraction):
        m, m_rotated = integral(mole), integral(other)
        assert np.abs(d @ m @ d.T - m_rotated).max() < 1e-12 * np.abs(m).max(), integral.__name__


def test_g_shells_and_cores_are_among_the_bases():
    assert 4 in OrbitalBasis.from_name("cc-pvqz", [9]).shells(9)
    assert OrbitalBasis.from_name("def2-svp", [53]).elements[53].n_core == 28


@pytest.mark.parametrize("basis", ["sto-3g", "def2-svp"])
@pytest.mark.parametrize("improper", [False, True])
def test_fock_matrix_rotates_within_the_noise_of_the_grid(rng: np.random.Generator, basis: str, improper: bool):
    from pyscf import dft

    def fock(atoms: Atoms) -> np.ndarray:
        field = dft.RKS(build_mole(atoms, basis), xc="pbe")
        field.conv_tol, field.grids.level = 1e-10, 4
        assert np.isfinite(field.kernel())
        return field.get_fock()

    water = molecule("H2O")
    q = random_rotation(rng, improper)
    d = OrbitalBasis.from_name(basis, water.numbers).layout(water.numbers).rotation(q)
    difference = np.abs(d @ fock(water) @ d.T - fock(rotated(water, q)))
    assert difference.mean() < 3e-7  # Hartree; level 4 leaves about 1e-8 at a fixed density
    assert difference.max() < 5e-6


def test_rotations_form_the_group(rng: np.random.Generator):
    layout = OrbitalBasis.from_name("cc-pvqz", [8]).layout([8])
    a, b = random_rotation(rng), random_rotation(rng, improper=True)
    product = layout.rotation(a) @ layout.rotation(b)
    assert np.abs(product - layout.rotation(a @ b)).max() < 1e-13
    assert np.abs(product @ product.T - np.eye(len(product))).max() < 1e-13
