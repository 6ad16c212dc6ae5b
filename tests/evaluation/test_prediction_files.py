"""What is told of a predicted crystal."""

import json

import numpy as np
import pytest
from ase.build import bulk
from untrained import crystal_model

from hampred.errors import HampredError
from hampred.evaluation import prediction_files
from hampred.evaluation.prediction_files import PredictionFiles
from hampred.inference import Predictor
from hampred.interop.block_file import BlockFile


@pytest.fixture(scope="module")
def aluminium():
    """Three valence electrons a cell: a metal whatever the weights."""
    return Predictor(crystal_model((13,))).predict(bulk("Al"))


def test_a_metal_has_a_fermi_level_and_no_gap(tmp_path, aluminium):
    told = PredictionFiles(tmp_path).write("al", aluminium)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["is_metal"] and told["gap_eV"] is told["direct_gap_eV"] is None and told["n_electrons"] == 3
    bands = aluminium.mesh(told["kpoint_mesh"])
    assert told["energy_zero"] == {"name": "Fermi level", "energy_Eh": pytest.approx(bands.fermi_level())}
    assert bands.energies.min() < bands.fermi_level() < bands.energies.max()
    assert [p.name for p in tmp_path.iterdir()] == told["files"] == ["al.npz"]
    found = BlockFile.read(tmp_path / "al.npz")
    np.testing.assert_array_equal(found.hamiltonian.values, aluminium.hamiltonian.values)


def test_a_crystal_says_that_molecules_alone_have_energies(aluminium):
    with pytest.raises(HampredError, match=r"A crystal has no energy, which is of molecules: it has bands\(\)"):
        aluminium.energy  # noqa: B018
    assert not hasattr(aluminium, "forces") and not hasattr(aluminium, "colour")
    assert repr(aluminium.mesh([2, 2, 2])) == "Bands(8 k-points of a mesh, n_bands=4, n_occupied=1)"


def test_a_cell_that_is_too_large_gets_no_gap(tmp_path, aluminium, monkeypatch):
    monkeypatch.setattr(prediction_files, "MOST_ORBITALS", 3)
    told = PredictionFiles(tmp_path).write("al", aluminium)
    assert told["kpoint_mesh"] is told["is_metal"] is told["energy_zero"] is None and "orbitals" in told["notes"][0]
    assert told["files"] == ["al.npz"]
