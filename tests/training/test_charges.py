"""Molecules of several charges in one model, of the very same geometry."""

import numpy as np
import pytest
from ase import Atoms

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.config import LevelConfig, TrainConfig, load_config
from hampred.data.store import write_store
from hampred.training.run import train

CHARGES = (0, 2)
LOCAL = {"inputs": ["overlap", "baseline"], "forms": ["covariant"], "name": "bond_frame"}
SIZE = {"natural": 16, "unnatural": 8, "n_layers": 1, "hidden": 16, "n_radial": 8}


def hydride(distance: float) -> Atoms:
    return Atoms("LiH", [(0, 0, 0), (0, 0, distance)])


@pytest.fixture(scope="module")
def labels():
    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="sto-3g", grid_level=1))
    return [backend.label(hydride(r), charge) for r in (1.5, 1.6, 1.7, 1.8) for charge in CHARGES]


@pytest.fixture(scope="module")
def models(labels, tmp_path_factory, train_settings):
    """A model that is told the charge, as it is by default where labels differ in it, and one that is not."""
    folder = tmp_path_factory.mktemp("charges")
    write_store(folder / "labels.h5", labels)
    found = {}
    for name, net in (("told", {}), ("not told", {"conditions": []})):
        changed = {
            "data": [str(folder / "labels.h5")],
            "split": {"train": 7, "validation": 1},
            "net": LOCAL | SIZE | net,
        }
        changed |= {"epochs": 100, "batch_size": 7, "validate_every_epochs": 50}
        changed["optimizer"] = {"learning_rate": 1e-2, "warmup_steps": 20, "ema_decay": 0.9}
        train(load_config(TrainConfig, train_settings | changed), folder / name)
        found[name] = hampred.load(folder / name)
    return found


def test_only_the_charge_tells_them_apart(models, labels):
    told, blind = models["told"], models["not told"]
    assert told.model.net.conditions == ("charge",) and blind.model.net.conditions == ()
    assert told.header["provenance"]["charges"] == list(CHARGES)
    predictions = [[model.predict(hydride(1.6), q).hamiltonian for q in CHARGES] for model in (told, blind)]
    assert np.array_equal(*predictions[1]) and not np.allclose(*predictions[0], atol=0.1)
    errors = {
        name: np.mean(
            [np.abs(m.predict(s.atoms, s.charge).hamiltonian - s.hamiltonian.to_dense()).mean() for s in labels]
        )
        for name, m in models.items()
    }
    assert errors["told"] < 0.4 * errors["not told"]


def test_the_charge_of_the_structure_counts(models):
    atoms = hydride(1.6)
    atoms.info["charge"] = 2
    predictor = models["told"]
    assert np.array_equal(predictor.predict(atoms).hamiltonian, predictor.predict(hydride(1.6), 2).hamiltonian)
