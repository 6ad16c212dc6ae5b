"""A store of real labels and two predictors that need no training: an equivariant one and one that is not."""

import numpy as np
import pytest
from ase.build import molecule
from pyscf import scf

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.data.store import Store, write_store
from hampred.electronic.state import ElectronicState
from hampred.interop.pyscf import build_mole, overlap

LEVEL = LevelOfTheory("hf", "HF", "sto-3g", method="RHF")


class Stand:
    """Predicts the Fock matrix of the minao density, the label's definition at cycle 0, plus fixed noise."""

    baseline_name = "core"
    level = LEVEL

    def __init__(self, split, noise=0.0, elements=(1, 6, 8)):
        self.basis = OrbitalBasis.from_name("sto-3g", elements)
        self.header = {"split": split, "net": {"name": "stand"}}
        self.noise = noise

    def predict(self, atoms, charge=0):
        mole = build_mole(atoms, "sto-3g", charge)
        mf = scf.RHF(mole)
        h = mf.get_fock(dm=mf.get_init_guess(key="minao"))
        scatter = np.random.default_rng(0).normal(size=h.shape) * self.noise
        layout = self.basis.layout(atoms.numbers)
        state = ElectronicState(atoms, layout, h + scatter + scatter.T, overlap(mole), mole.nelectron // 2, charge)
        object.__setattr__(state, "baseline_hamiltonian", mf.get_hcore())
        return state

    def predict_stream(self, structures, charge=0):
        return (self.predict(atoms, charge) for atoms in structures)


def label(name, seed, tag=None):
    atoms = molecule(name)
    atoms.rattle(0.03, seed=seed)
    mf = scf.RHF(build_mole(atoms, "sto-3g")).run(conv_tol=1e-11)
    basis = OrbitalBasis.from_mole(mf.mol, "sto-3g")
    matrix = BlockMatrix.from_dense(basis.layout(atoms.numbers), mf.get_fock())
    return HamiltonianSample(
        atoms, basis, {"hamiltonian": matrix}, mf.mo_energy, LEVEL, mf.e_tot, provenance={"molecule": tag or name}
    )


@pytest.fixture(scope="session")
def store_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.h5"
    samples = [label("H2O", k) for k in range(4)] + [label("CH4", 1, "<script>alert('$x^')</script>")]
    write_store(path, samples, {"label_noise_Eh": 1e-7, "failures": []})
    return path


@pytest.fixture(scope="session")
def store(store_path):
    with Store(store_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def split(store):
    return {"train": store.keys[:2], "validation": [], "test": store.keys[2:]}


@pytest.fixture(scope="session")
def make_stand(split):
    return lambda noise=0.0, elements=(1, 6, 8): Stand(split, noise, elements)
