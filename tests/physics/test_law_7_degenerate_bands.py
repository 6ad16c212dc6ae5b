"""Law 7 for crystals: bands are as degenerate as the space group says, whatever the weights."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from untrained import crystal_model

from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.nn.models import architectures

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
"""Hartree."""

DIAMOND = {
    "Γ": ((0, 0, 0), [1, 1, 3, 3]),
    "X": ((0, 0.5, 0.5), [2, 2, 2, 2]),
    "L": ((0.5, 0.5, 0.5), [1, 1, 1, 1, 2, 2]),
    "W": ((0.25, 0.5, 0.75), [2, 2, 2, 2]),
    "Δ": ((0, 0.2, 0.2), [1, 1, 1, 1, 2, 2]),
}
"""k-point, and the degeneracies there of the bands of s and p orbitals."""


@pytest.fixture(scope="module", params=sorted(architectures()))
def model(request):
    return crystal_model(name=request.param)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_levels_of_diamond_are_degenerate(model, dtype):
    q = random_rotation(np.random.default_rng(4))
    atoms = bulk("Si")
    found = Predictor(model, dtype).predict(
        Atoms(atoms.numbers, atoms.positions @ q.T, cell=atoms.cell.array @ q.T, pbc=True)
    )
    for point, (k, sizes) in DIAMOND.items():
        energies = found.energies(k)
        levels = np.split(energies, np.flatnonzero(np.diff(energies) > 1e-3) + 1)
        assert sorted(map(len, levels)) == sizes, point
        assert max(map(np.ptp, levels)) < TOLERANCE[dtype], point
