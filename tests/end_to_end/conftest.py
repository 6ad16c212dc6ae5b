"""Untrained models and stores, made once: the command line needs files, not accuracy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from pyscf import dft
from untrained import crystal_model

from hampred.baseline import make_baseline
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.cli import main
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.data.store import Store, write_store
from hampred.inference import Predictor
from hampred.interop.pyscf import build_mole
from hampred.model_file import Model, save_model
from hampred.nn.models import build_net

SMALL = {"natural": 8, "unnatural": 4, "n_layers": 1, "hidden": 16}


@pytest.fixture(scope="session")
def small_level():
    return LevelOfTheory("pbe", "PBE", "sto-3g", grid_level=1)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory, small_level):
    """Path of a store with three waters, PBE/sto-3g."""
    samples = []
    for seed in range(3):
        atoms = molecule("H2O")
        atoms.rattle(0.03, seed=seed)
        mf = dft.RKS(build_mole(atoms, "sto-3g"), xc="pbe")
        mf.grids.level = 1
        mf.run()
        basis = OrbitalBasis.from_mole(mf.mol, "sto-3g")
        matrix = BlockMatrix.from_dense(basis.layout(atoms.numbers), np.asarray(mf.get_fock()))
        samples.append(
            HamiltonianSample(
                atoms,
                basis,
                {"hamiltonian": matrix},
                mf.mo_energy,
                small_level,
                mf.e_tot,
                provenance={"molecule": "H2O"},
            )
        )
    path = tmp_path_factory.mktemp("store") / "labels.h5"
    failures = [{"key": "0" * 64, "molecule": "H2", "kind": "unconverged", "reason": "no convergence in 50 cycles"}]
    write_store(path, samples, {"failures": failures, "label_noise_Eh": 2e-7})
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory, small_store, small_level):
    """Path of an untrained model of H and O, whose test split is the whole store."""
    torch.manual_seed(0)
    with Store(small_store) as store:
        basis, keys = store.basis, store.keys
    net = build_net("bond_frame", basis, SMALL)
    model = Model(net, make_baseline("core", small_level), small_level, {"train": [], "validation": [], "test": keys})
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, model)
    return path


@pytest.fixture(scope="session")
def silicon_model(tmp_path_factory):
    """Path of an untrained model of silicon."""
    path = tmp_path_factory.mktemp("model") / "silicon.safetensors"
    save_model(path, crystal_model())
    return path


SHIFT = 0.3
"""Hartree; μ between the labels of `silicon_store` and the predictions of `silicon_model`."""


@pytest.fixture(scope="session")
def silicon_store(tmp_path_factory):
    """Path of a store with three crystals, whose H(R) is what the model predicts plus μ S(R)."""
    predictor, samples = Predictor(crystal_model()), []
    for seed, cubic in enumerate([False, False, True]):
        atoms = bulk("Si", cubic=cubic)
        atoms.rattle(0.05, seed=seed)
        found = predictor.predict(atoms)
        h = replace(found.hamiltonian, values=found.hamiltonian.values + SHIFT * found.overlap.values)
        notes = {"molecule": "Si", "kpoint_mesh": [4, 4, 4], "folding_mesh": [5, 5, 5]}
        notes |= {"folding_error_meV": 0.1 * (seed + 1), "gap_on_mesh_Eh": 0.05 * (seed - 1)}
        energies = found.energies((0, 0, 0))
        matrices = {"hamiltonian": h}
        samples.append(HamiltonianSample(atoms, predictor.basis, matrices, energies, predictor.level, provenance=notes))
    path = tmp_path_factory.mktemp("store") / "silicon.h5"
    write_store(path, samples)
    return path


def files_in(folder: Path) -> dict[Path, bytes]:
    """Everything under a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def refused(capfd, tmp_path):
    """Runs the command line, which must refuse with one line and leave all files alone; gives that line."""

    def run(*words: object, code: int = 2) -> str:
        before = files_in(tmp_path)
        assert main([str(word) for word in words]) == code
        output = capfd.readouterr()
        assert output.out == "" and len(output.err.splitlines()) == 1 and output.err.startswith("error: "), output
        assert files_in(tmp_path) == before
        return output.err

    return run
