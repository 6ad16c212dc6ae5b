"""Law 5: primitive cell, conventional cell and supercell of a crystal have the same bands, whatever the weights."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from untrained import crystal_model

from hampred.blocks.supercell import repeated, unfolded
from hampred.inference import Predictor
from hampred.nn.models import architectures
from hampred.units import HARTREE

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
"""eV, of single bands."""

SIZES = {
    "conventional": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    "sheared": [[1, 0, 0], [2, 1, 0], [0, -3, 1]],
    "3×3×3": [3, 3, 3],
}
KPOINTS = np.array([(0, 0, 0), (0.1, 0.2, 0.3)])


@pytest.fixture(scope="module", params=sorted(architectures()))
def model(request):
    return crystal_model(name=request.param)


@pytest.fixture(scope="module", params=TOLERANCE, ids=str)
def predictor(request, model) -> Predictor:
    return Predictor(model, request.param)


def crystal() -> Atoms:
    """Silicon, rattled and strained at random: no symmetry hides a wrong neighbour."""
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=3)
    strain = 0.02 * np.random.default_rng(0).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def shifted(atoms: Atoms) -> Atoms:
    """The same crystal with its atoms elsewhere in the cell."""
    atoms.positions += [0.3, -0.2, 1.1]
    atoms.wrap()
    return atoms


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_bands_of_a_supercell_are_those_of_the_cell_folded(predictor, size):
    cell, larger = predictor.predict([crystal(), shifted(repeated(crystal(), size))])
    for k in KPOINTS:
        folded = np.sort(np.concatenate([cell.energies(q) for q in unfolded(k, size)]))
        assert HARTREE * np.abs(larger.energies(k) - folded).max() < TOLERANCE[predictor.dtype]


def test_a_left_handed_cell_has_the_bands_of_the_right_handed_one(predictor):
    """The choice of cell vectors is free; PySCF's integrals alone need the right hand."""
    right, left = crystal(), crystal()
    left.cell = right.cell.array[[1, 0, 2]]
    assert np.linalg.det(left.cell.array) < 0 < np.linalg.det(right.cell.array)
    one, other = predictor.predict([right, left])
    for k in KPOINTS:
        difference = other.energies(k[[1, 0, 2]]) - one.energies(k)
        assert HARTREE * np.abs(difference).max() < TOLERANCE[predictor.dtype]
