"""One thread a worker, reproducible hypothesis, and the molecules that the tests share."""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile(
    "hampred",
    deadline=None,
    derandomize=True,
    max_examples=10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("hampred")


@pytest.fixture
def rng() -> np.random.Generator:
    """A reproducible source of randomness."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def scattered() -> Callable[[str, int], Atoms]:
    """Atoms of a formula at random places, 1 to about 5 Å apart: no symmetry hides a wrong sign."""

    def build(formula: str, seed: int) -> Atoms:
        generator = np.random.default_rng(seed)
        atoms = Atoms(formula)
        positions = [np.zeros(3)]
        while len(positions) < len(atoms):
            trial = generator.uniform(-2.5, 2.5, size=3)
            if np.linalg.norm(np.array(positions) - trial, axis=1).min() > 1.0:
                positions.append(trial)
        atoms.positions = positions
        return atoms

    return build


TINY_NET = {"name": "bond_frame", "natural": 8, "unnatural": 4, "n_layers": 1, "hidden": 16, "n_radial": 8}


@pytest.fixture(scope="session")
def label_store(tmp_path_factory) -> Path:
    """Store of twelve labels, PBE/sto-3g: six of H2O, three of H2, three of H2O2, in random orientations."""
    from ase.build import molecule

    from data_gen.backends.pyscf_molecule import PySCFMolecule
    from hampred.config import LevelConfig
    from hampred.data.store import write_store
    from hampred.harmonics import random_rotation

    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="sto-3g", grid_level=0))
    samples = []
    for seed, name in enumerate(["H2O"] * 6 + ["H2"] * 3 + ["H2O2"] * 3):
        atoms = molecule(name)
        atoms.rattle(0.04, seed=seed)
        atoms.positions @= random_rotation(np.random.default_rng(seed))
        atoms.info["molecule"] = name
        samples.append(backend.label(atoms))
    path = tmp_path_factory.mktemp("labels") / "labels.h5"
    write_store(path, samples)
    return path


@pytest.fixture(scope="session")
def train_settings(label_store) -> dict[str, Any]:
    """A training of seconds: 8 steps in 4 epochs."""
    return {
        "data": [str(label_store)],
        "split": {"train": 8, "validation": 2},
        "net": TINY_NET,
        "epochs": 4,
        "batch_size": 4,
        "validate_every_epochs": 2,
        "checkpoint_every_steps": 3,
        "optimizer": {"warmup_steps": 2},
        "threads": 1,
        "trainer": {"accelerator": "cpu", "devices": 1},
    }


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, train_settings) -> Path:
    """Folder of a finished training."""
    from hampred.config import TrainConfig, load_config
    from hampred.training.run import train

    out = tmp_path_factory.mktemp("runs") / "run"
    train(load_config(TrainConfig, train_settings), out)
    return out
