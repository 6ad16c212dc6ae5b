"""Predictions in electric fields: a model trained on labels in fields, from the label to every output."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read, write

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.cli import main
from hampred.config import LevelConfig, TrainConfig, load_config
from hampred.data.store import Store, write_store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import evaluate
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import electric_field, field_of, rotated, with_field
from hampred.large import predict_large
from hampred.prediction import Prediction
from hampred.training.run import train
from hampred.units import BOHR, FIELD, HARTREE

VECTOR = np.array([0.2, -0.3, 0.4])
N_ROTATIONS = 40
NETS = {"all": {}, "local": {"inputs": ["overlap", "baseline"]}}


def bent(seed: int = 0, vector=VECTOR):
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=seed)
    return with_field(atoms, vector)


@pytest.fixture(scope="module")
def field_store(tmp_path_factory):
    """Eight waters in fields of their own, PBE/sto-3g, with forces."""
    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="sto-3g", grid_level=0), forces=True)
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("fields") / "labels.h5"
    write_store(path, [backend.label(bent(seed, generator.uniform(-0.3, 0.3, 3))) for seed in range(8)])
    return path


@pytest.fixture(scope="module", params=NETS)
def run_in_fields(request, field_store, train_settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / request.param
    net = train_settings["net"] | NETS[request.param]
    split = {"train": 4, "validation": 2, "test": 2}
    changed = {"data": [str(field_store)], "net": net, "split": split, "epochs": 2, "validate_every_epochs": 1}
    train(load_config(TrainConfig, train_settings | changed), out)
    return out


@pytest.fixture(scope="module", params=["float64", "float32"])
def predictor(request, run_in_fields):
    return hampred.load(run_in_fields, dtype=request.param)


@pytest.fixture(scope="module")
def exact(run_in_fields):
    return hampred.load(run_in_fields)


def test_training_tells_the_network_of_fields_where_labels_have_them(predictor, run_folder):
    assert predictor.model.net.conditions == ("electric_field",)
    assert 0.1 < predictor.header["provenance"]["largest_field_V_A"] < 0.6
    assert hampred.load(run_folder).model.net.conditions == ()


def test_rotated_molecules_in_rotated_fields(predictor):
    """H(Qx, QE) = D H(x, E) Dᵀ, baseline and potential included."""
    tolerance = 1e-12 if str(predictor.dtype).endswith("64") else 2e-6
    generator, atoms = np.random.default_rng(0), bent()
    turns = [random_rotation(generator, improper=bool(k % 2)) for k in range(N_ROTATIONS)]
    h, layout = predictor.predict(atoms).hamiltonian, predictor.basis.layout(atoms.numbers)
    for q, found in zip(turns, predictor.predict([rotated(atoms, q) for q in turns]), strict=True):
        d = layout.rotation(q)
        assert np.abs(found.hamiltonian - d @ h @ d.T).max() <= tolerance * np.abs(h).max()
    other = predictor.predict(with_field(atoms, turns[0] @ VECTOR)).hamiltonian
    assert np.abs(other - h).max() > 1e-4


def test_the_rotation_test_of_an_evaluation_turns_the_field(exact, field_store):
    with Store(field_store) as store:
        result = evaluate(exact, store, "all", n_rotations=4, properties=True)
    assert result.rotations is not None and result.rotations.relative.max() < 1e-12
    assert result.table()["energy_mae_kcal_mol"]["model"] > 0


def test_translated_molecules_have_the_same_hamiltonian(exact):
    moved = bent()
    moved.positions += [5.0, -3.0, 11.0]
    here, there = exact.predict(bent()), exact.predict(moved)
    assert np.abs(here.hamiltonian - there.hamiltonian).max() < 1e-11
    assert here.energy == pytest.approx(there.energy, abs=1e-9)


@pytest.fixture(scope="module")
def label(field_store):
    with Store(field_store) as store:
        return store[0]


@pytest.fixture(scope="module")
def perfect(exact, label) -> Prediction:
    """A prediction without error."""
    return replace(exact.predict(label.atoms), hamiltonian=label.hamiltonian.to_dense())


def test_a_perfect_prediction_has_energy_dipole_and_forces_of_the_label(perfect, label):
    assert perfect.energy == pytest.approx(label.total_energy, abs=1e-7)
    assert perfect.harris_energy == pytest.approx(label.total_energy, abs=1e-7)
    np.testing.assert_allclose(perfect.dipole, label.dipole, atol=1e-4)
    np.testing.assert_allclose(perfect.forces, label.forces, atol=2e-4)


def test_scf_steps_lead_to_the_label(exact, label):
    start = exact.predict(label.atoms)
    refined = start.refined(12)
    assert refined.energy == pytest.approx(label.total_energy, abs=1e-7)
    np.testing.assert_allclose(refined.dipole, label.dipole, atol=1e-4)
    bare = replace(start, atoms=with_field(label.atoms, np.zeros(3))).refined(12)
    assert np.linalg.norm(bare.dipole - label.dipole) > 1e-3


def test_the_object_of_pyscf_is_in_the_field(perfect, label):
    field = perfect.to_pyscf()
    np.testing.assert_allclose(field_of(field), label.electric_field)
    assert field.energy_tot() == pytest.approx(label.total_energy, abs=1e-7)
    forces = -field.nuc_grad_method().set(verbose=0).kernel() / BOHR
    np.testing.assert_allclose(forces, label.forces, atol=2e-4)
    assert field.kernel(dm0=field.make_rdm1()) == pytest.approx(label.total_energy, abs=1e-7)


def test_warm_starts_are_in_the_field(exact, label):
    cold = exact.predict(label.atoms).to_pyscf()
    cold.mo_coeff = cold.mo_occ = None
    warm = hampred.warm_start(cold, exact)
    assert warm.kernel() == pytest.approx(label.total_energy, abs=1e-7)
    predicted = exact.predict(label.atoms).hamiltonian
    np.testing.assert_allclose(warm.hamiltonian_of(warm.mol, None), predicted, atol=1e-10)


def test_the_calculator_notices_the_field(exact):
    atoms = bent()
    atoms.calc = hampred.HampredCalculator(exact, n_scf_steps=12)
    energy = atoms.get_potential_energy()
    dipole, step = atoms.get_dipole_moment(), 2e-3
    energies = []
    for sign in (1, -1):
        atoms.info["electric_field"] = (VECTOR + sign * step * np.eye(3)[2]).tolist()
        energies.append(atoms.get_potential_energy())
    assert energy not in energies
    assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(dipole[2], abs=1e-4)  # e·Å in V/Å
    assert pytest.approx(HARTREE / BOHR) == FIELD


def test_fields_stronger_than_those_of_the_labels_are_told(exact):
    strongest = exact.trained_field
    fields = [factor * strongest * VECTOR / np.linalg.norm(VECTOR) for factor in (1.4, 1.6)]
    known, beyond = exact.predict([bent(vector=vector) for vector in fields])
    assert known.notes == [] and f"labels of the model have {strongest:.3g}" in beyond.notes[0]


def test_large_molecules_are_in_the_field(exact):
    if "density" in exact.model.net.inputs:
        with pytest.raises(HampredError, match="density"):
            predict_large(exact, bent())
        return
    if set(exact.model.net.forms) - {"covariant", "mixed", "contravariant"}:
        pytest.skip("other forms")
    found, expected = predict_large(exact, bent()), exact.predict(bent())
    np.testing.assert_allclose(found.hamiltonian.toarray(), expected.hamiltonian, atol=1e-10)


def test_models_trained_without_fields_refuse_them(run_folder):
    predictor = hampred.load(run_folder)
    with pytest.raises(HampredError, match="trained without"):
        predictor.predict(bent())
    assert predictor.predict(bent(vector=np.zeros(3))).gap > 0


def test_the_command_line_reads_and_writes_fields(run_in_fields, tmp_path, capfd):
    write(tmp_path / "a.extxyz", bent())
    words = ["predict", tmp_path / "a.extxyz", "--model", run_in_fields, "--out", tmp_path / "out"]
    words += ["--format", "npz", "--format", "extxyz", "--format", "html", "--energy"]
    assert main([str(word) for word in words]) == 0
    with np.load(tmp_path / "out" / "a.npz") as arrays:
        assert np.allclose(arrays["electric_field_V_A"], VECTOR)
    again = read(tmp_path / "out" / "predictions.extxyz")
    assert np.allclose(electric_field(again), VECTOR)
    assert "Electric field" in (tmp_path / "out" / "a.html").read_text()
    assert main(["scf", str(tmp_path / "a.extxyz"), "--model", str(run_in_fields)]) == 0
