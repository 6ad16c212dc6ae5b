"""Spherical harmonics: PySCF's order against e3nn's, e3nn's and PySCF's own values being the oracles."""

import numpy as np
import pytest
import torch
from e3nn import o3

from hampred.harmonics import ao_rotation, ao_to_irreps, irreps_rotation, random_rotation, real_spherical_harmonics

L = pytest.mark.parametrize("l", range(7))


@L
def test_map_to_e3nn(l: int, rng: np.random.Generator):
    r = rng.normal(size=(50, 3))
    theirs = o3.spherical_harmonics(l, torch.from_numpy(r), normalize=True, normalization="integral").numpy()
    assert np.abs(real_spherical_harmonics(l, r) @ ao_to_irreps(l).T - theirs).max() < 1e-11


@pytest.mark.parametrize("l", range(5))
def test_values_are_those_of_pyscf_orbitals(l: int, rng: np.random.Generator):
    from pyscf import gto

    mole = gto.M(atom=[("He", (0.0, 0.0, 0.0))], basis={"He": [[l, [0.8, 1.0]]]}, verbose=0)
    r = rng.normal(size=(40, 3))
    radius = np.linalg.norm(r, axis=1, keepdims=True)
    ratio = mole.eval_gto("GTOval_sph", r) / (real_spherical_harmonics(l, r) * radius**l * np.exp(-0.8 * radius**2))
    assert np.ptp(ratio) < 1e-9 * ratio.mean()


@pytest.mark.parametrize("l", [0, 1])
def test_s_and_p_need_no_map(l: int):
    assert np.abs(ao_to_irreps(l) - np.eye(2 * l + 1)).max() < 1e-14


@L
def test_rotation_of_the_functions(l: int, rng: np.random.Generator):
    r = rng.normal(size=(20, 3))
    for improper in (False, True):
        q = random_rotation(rng, improper)
        expected = real_spherical_harmonics(l, r) @ ao_rotation(l, q).T
        assert np.abs(real_spherical_harmonics(l, r @ q.T) - expected).max() < 1e-12


@L
def test_inversion_is_the_parity(l: int):
    assert np.abs(ao_rotation(l, -np.eye(3)) - (-1) ** l * np.eye(2 * l + 1)).max() < 1e-14


@L
def test_irreps_rotation_is_e3nn_wigner_matrix(l: int, rng: np.random.Generator):
    q = random_rotation(rng)
    theirs = o3.Irrep(l, 1).D_from_matrix(torch.from_numpy(q)).numpy()
    assert np.abs(irreps_rotation(l, q) - theirs).max() < 1e-5  # theirs carries float32 constants


def test_random_rotations_are_orthogonal_with_the_right_determinant(rng: np.random.Generator):
    for improper, determinant in ((False, 1.0), (True, -1.0)):
        q = random_rotation(rng, improper)
        assert np.abs(q @ q.T - np.eye(3)).max() < 1e-14
        assert np.isclose(np.linalg.det(q), determinant)
