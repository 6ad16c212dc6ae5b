"""Law 3 for crystals: H(R) turns with the crystal, mirror images included, whatever the weights."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from untrained import crystal_model

from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.nn.models import architectures

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}
"""Of the largest element."""


@pytest.fixture(scope="module", params=sorted(architectures()))
def model(request):
    return crystal_model((5, 7), request.param, basis="gth-dzvp-molopt-sr")


@pytest.mark.parametrize("improper", [False, True], ids=["proper", "improper"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_turned_crystal_has_the_turned_hamiltonian(model, dtype, improper):
    atoms = bulk("BN", "zincblende", a=3.62)
    atoms.rattle(0.05, seed=1)
    predictor = Predictor(model, dtype)
    expected = predictor.predict(atoms).rotated(random_rotation(np.random.default_rng(7), improper))
    assert (np.linalg.det(expected.atoms.cell.array) < 0) == improper  # which is no obstacle
    h, exact = predictor.predict(expected.atoms).hamiltonian, expected.hamiltonian
    assert np.abs(h.on_pairs_of(exact).values - exact.values).max() < TOLERANCE[dtype] * np.abs(exact.values).max()
