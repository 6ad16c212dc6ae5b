"""Charge, spin and electric field of labels and of a pool count where novelty, errors and choices are made of them."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.io import read, write

from data_gen.backends.pyscf_molecule import PySCFMolecule
from data_gen.geometries.files import file_structures
from hampred.baseline import make_baseline
from hampred.cli import main
from hampred.config import LevelConfig
from hampred.data.store import Store, write_store
from hampred.evaluation.confidence import with_bounds, with_familiarity
from hampred.evaluation.selection import select
from hampred.inference import Predictor
from hampred.interop.electric_field import electric_field, with_field
from hampred.interop.structures import read_charge, read_spin
from hampred.model_file import Model, save_model
from hampred.nn.conditions import CONDITIONS
from hampred.nn.models import build_net

SMALL = {"natural": 8, "unnatural": 4, "n_layers": 1, "hidden": 16, "conditions": CONDITIONS}


def water(charge: int, spin: int, vector: tuple[float, float, float], seed: int = 0) -> Atoms:
    known = molecule("H2O")
    atoms = with_field(Atoms(known.numbers, known.positions), np.array(vector))
    atoms.rattle(0.05, seed=seed)
    atoms.info |= {"charge": charge, **({"spin": spin} if spin else {})}
    return atoms


STATES = [(0, 0, (0.0, 0.0, 0.0)), (0, 0, (0.3, -0.2, 0.5)), (1, 1, (0.0, 0.0, 0.0)), (1, 1, (0.1, 0.6, -0.2))]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Waters and their cations, in fields and without, PBE/sto-3g."""
    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="sto-3g", grid_level=0))
    path = tmp_path_factory.mktemp("labels") / "labels.h5"
    write_store(path, [backend.label(water(*state, k), state[0]) for k, state in enumerate(STATES)])
    return path


@pytest.fixture(scope="module")
def model(store) -> Model:
    """With random weights, calibrated on the labels that it was "trained" on."""
    with Store(store) as labels:
        basis, level, keys = labels.basis, labels.level, labels.keys
    torch.manual_seed(0)
    provenance = {"charges": [0, 1], "spins": [0, 1], "largest_field_V_A": 1.0}
    net = build_net("bond_frame", basis, SMALL).eval()
    made = Model(net, make_baseline("core", level), level, {"train": keys, "validation": keys}, provenance)
    return with_bounds(with_familiarity(made, [store]), [store])


def test_atoms_of_the_labels_are_known_in_their_states(model, store):
    predictor = Predictor(model)
    with Store(store) as labels:
        told = [predictor.predict(one.atoms, one.charge).confidence for one in labels]
    assert max(one.novelty.mean() for one in told) == pytest.approx(model.calibration.largest)
    assert max(one.novelty.max() for one in told) == pytest.approx(model.calibration.newest[1])
    without = predictor.predict(with_field(water(*STATES[1], 1), np.zeros(3))).confidence
    assert abs(without.novelty.mean() / told[1].novelty.mean() - 1) > 1e-3


def test_a_pool_is_ranked_in_its_states(model, tmp_path):
    strange = {f"w{k}": water(*state, seed=k) for k, state in enumerate([*STATES, (1, 1, (0.0, 0.0, 1.2))])}
    found = select(Predictor(model), strange, 1)
    assert found.names == ["w4"] and found.novelties[0] > model.calibration.largest
    pool, out = tmp_path / "pool.extxyz", tmp_path / "chosen.extxyz"
    write(pool, list(strange.values()))
    save_model(tmp_path / "model.safetensors", model)
    run = ["select", str(pool), "--model", str(tmp_path / "model.safetensors"), "-n", "1", "--out", str(out)]
    assert main(run) == 0
    assert read(out).info["hampred_name"] == "pool-5"
    labelled = next(file_structures(out))
    assert (read_charge(labelled), read_spin(labelled, 1)) == (1, 1)
    np.testing.assert_allclose(electric_field(labelled), [0.0, 0.0, 1.2])
