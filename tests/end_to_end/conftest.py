"""An untrained model and a store, made once: the command line needs files, not accuracy."""

import numpy as np
import pytest
import torch
from ase.build import molecule
from pyscf import dft

from hampred.baseline import make_baseline
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.data.store import Store, write_store
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
