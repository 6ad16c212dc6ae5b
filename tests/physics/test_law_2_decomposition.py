"""Law 2: the coefficients of a block are its irreps, and the change of basis is orthogonal."""

import numpy as np
import pytest
import torch
from e3nn import o3
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag

from hampred.basis import OrbitalBasis
from hampred.blocks.decomposer import BlockDecomposer
from hampred.harmonics import ao_rotation, irreps_rotation, random_rotation

BASES = {"sto-3g": [1, 8], "def2-svp": [1, 6, 17], "def2-tzvp": [1, 8], "cc-pvqz": [6]}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
KINDS = pytest.mark.parametrize("onsite", [False, True], ids=["offsite", "onsite"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


@pytest.fixture(scope="module", params=BASES)
def decomposer(request: pytest.FixtureRequest) -> BlockDecomposer:
    return BlockDecomposer(OrbitalBasis.from_name(request.param, BASES[request.param]))


def random_blocks(decomposer: BlockDecomposer, onsite: bool, seed: int, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    n = decomposer.n_slots
    blocks = torch.randn(3, n, n, generator=generator, dtype=torch.float64).to(dtype)
    return blocks + blocks.mT if onsite else blocks


def irreps_matrix(irreps: o3.Irreps, rotation: np.ndarray) -> torch.Tensor:
    """Wigner matrix of a direct sum of irreps, block by block in float64; parities included."""
    sign = np.sign(np.linalg.det(rotation))
    blocks = [
        (ir.p if sign < 0 else 1) * irreps_rotation(ir.l, sign * rotation) for mul, ir in irreps for _ in range(mul)
    ]
    return torch.from_numpy(block_diag(*blocks))


@KINDS
@DTYPES
def test_compose_inverts_decompose(decomposer: BlockDecomposer, onsite: bool, dtype: torch.dtype):
    blocks = random_blocks(decomposer, onsite, seed=1, dtype=dtype)
    coefficients = decomposer.decompose(blocks, onsite)
    assert coefficients.dtype == dtype
    assert (decomposer.compose(coefficients, onsite) - blocks).abs().max() < TOLERANCE[dtype]
    again = decomposer.decompose(decomposer.compose(coefficients, onsite), onsite)
    assert (again - coefficients).abs().max() < TOLERANCE[dtype]


@KINDS
@DTYPES
def test_norm_is_preserved(decomposer: BlockDecomposer, onsite: bool, dtype: torch.dtype):
    blocks = random_blocks(decomposer, onsite, seed=2, dtype=dtype)
    norms = decomposer.decompose(blocks, onsite).norm(dim=1)
    assert (norms / blocks.flatten(1).norm(dim=1) - 1).abs().max() < TOLERANCE[dtype]


def test_dimensions(decomposer: BlockDecomposer):
    n = decomposer.n_slots
    assert decomposer.irreps_offsite.dim == n * n
    assert decomposer.irreps_onsite.dim == n * (n + 1) // 2


@KINDS
@given(seed=st.integers(0, 2**32 - 1), improper=st.booleans())
def test_coefficients_transform_as_their_irreps(decomposer: BlockDecomposer, onsite: bool, seed: int, improper: bool):
    q = random_rotation(np.random.default_rng(seed), improper)
    d = torch.from_numpy(block_diag(*[ao_rotation(l, q) for l in decomposer.union]))
    wigner = irreps_matrix(decomposer.irreps_onsite if onsite else decomposer.irreps_offsite, q)
    blocks = random_blocks(decomposer, onsite, seed)
    expected = decomposer.decompose(blocks, onsite) @ wigner.T
    assert (decomposer.decompose(d @ blocks @ d.T, onsite) - expected).abs().max() < 1e-11


def test_p_p_holds_a_pseudovector():
    decomposer = BlockDecomposer(OrbitalBasis.from_name("sto-3g", [8]))
    assert o3.Irrep("1e") in decomposer.irreps_offsite
    assert o3.Irrep("1e") not in decomposer.irreps_onsite  # symmetric blocks have no antisymmetric part


@KINDS
def test_wigner_matrices_are_those_of_e3nn(onsite: bool, rng: np.random.Generator):
    decomposer = BlockDecomposer(OrbitalBasis.from_name("def2-svp", [1, 8]))
    irreps = decomposer.irreps_onsite if onsite else decomposer.irreps_offsite
    q = random_rotation(rng, improper=True)
    theirs = irreps.D_from_matrix(torch.from_numpy(q))
    assert (irreps_matrix(irreps, q) - theirs).abs().max() < 1e-5  # theirs carries float32 constants
