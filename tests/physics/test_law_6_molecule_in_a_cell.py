"""Law 6: a molecule in a large cell is the molecule, whatever the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from untrained import crystal_model

from hampred.inference import Predictor
from hampred.nn.models import architectures

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
"""Hartree."""

BOXES = {
    "cube": (np.diag([22.0, 22, 22]), True),
    "larger, sheared": ([[25.0, 3, 0], [0, 28, 5], [2, 0, 31]], True),
    "slab": (np.diag([22.0, 22, 22]), (True, True, False)),
    "chain": (np.diag([22.0, 22, 22]), (True, False, False)),
}


@pytest.fixture(scope="module", params=sorted(architectures()))
def model(request):
    return crystal_model((1, 6, 8), request.param)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_large_cell_holds_the_molecule(model, dtype):
    atoms = molecule("CH3OH")
    alone = Predictor(replace(model, level=replace(model.level, crystal=None)), dtype).predict(atoms)
    in_boxes = Predictor(model, dtype).predict([boxed(atoms, *box) for box in BOXES.values()])
    for found in in_boxes:
        assert found.n_electrons == 2 * alone.n_occupied
        for k in ((0, 0, 0), (0.5, 0.3, 0.1)):
            assert np.abs(found.energies(k) - alone.orbital_energies).max() < TOLERANCE[dtype]


def boxed(atoms: Atoms, cell: np.ndarray, pbc: bool | tuple) -> Atoms:
    """A molecule in a cell, across its faces where it is periodic."""
    found = Atoms(atoms.numbers, atoms.positions + [0.3, -0.5, 0.2], cell=cell, pbc=pbc)
    found.wrap()
    return found
