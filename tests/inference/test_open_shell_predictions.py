"""Predictions of open shells: one model of radicals, cations and closed shells."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read, write

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.cli import main
from hampred.config import LevelConfig, TrainConfig, load_config
from hampred.data.inputs import INPUTS
from hampred.data.store import Store, write_store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import evaluate
from hampred.evaluation.open_shells import SPIN_METRICS
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import rotated
from hampred.prediction import OpenShellPrediction, Prediction
from hampred.training.run import train

N_ROTATIONS = 20


def bent(name: str = "H2O", spin: int = 0, seed: int = 0) -> Atoms:
    known = molecule(name)
    atoms = Atoms(known.numbers, known.positions)
    atoms.rattle(0.05, seed=seed)
    atoms.info |= {"spin": spin} if spin else {}
    return atoms


@pytest.fixture(scope="module")
def store_of_spins(tmp_path_factory):
    """Waters: four closed shells, and four cations with an unpaired electron each."""
    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="sto-3g", grid_level=0), forces=True)
    states = [(0, 0)] * 4 + [(1, 1)] * 4
    samples = [backend.label(bent("H2O", spin, seed), charge) for seed, (charge, spin) in enumerate(states)]
    path = tmp_path_factory.mktemp("spins") / "labels.h5"
    write_store(path, samples)
    return path


@pytest.fixture(scope="module")
def run_of_spins(store_of_spins, train_settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "spins"
    changed = {"data": [str(store_of_spins)], "split": {"train": 6, "validation": 1, "test": 1, "seed": 1}}
    changed |= {"epochs": 150, "validate_every_epochs": 50, "batch_size": 6}
    changed["optimizer"] = {"learning_rate": 1e-2, "warmup_steps": 10, "ema_decay": 0.9}
    train(load_config(TrainConfig, train_settings | changed), out)
    return out


@pytest.fixture(scope="module", params=["float64", "float32"])
def predictor(request, run_of_spins):
    return hampred.load(run_of_spins, dtype=request.param)


@pytest.fixture(scope="module")
def exact(run_of_spins):
    return hampred.load(run_of_spins)


def test_training_tells_the_network_of_spins_where_labels_have_them(exact):
    assert exact.model.net.conditions == ("charge", "spin") and exact.model.net.inputs == tuple(INPUTS)
    assert exact.header["provenance"]["spins"] == [0, 1]
    assert exact.model.net.has_spins


def test_rotated_molecules_have_rotated_hamiltonians_of_both_spins(predictor):
    tolerance = 1e-12 if str(predictor.dtype).endswith("64") else 2e-6
    generator, atoms = np.random.default_rng(0), bent(spin=1)
    turns = [random_rotation(generator, improper=bool(k % 2)) for k in range(N_ROTATIONS)]
    p, layout = predictor.predict(atoms, 1), predictor.basis.layout(atoms.numbers)
    assert isinstance(p, OpenShellPrediction)
    for q, found in zip(turns, predictor.predict([rotated(atoms, q) for q in turns], 1), strict=True):
        d = layout.rotation(q)
        for name in ("hamiltonian", "spin_splitting"):
            expected = d @ getattr(p, name) @ d.T
            assert np.abs(getattr(found, name) - expected).max() <= tolerance * np.abs(p.hamiltonian).max()
    assert np.abs(p.spin_splitting).max() > 1e-3


def test_open_and_closed_shells_in_one_batch(exact):
    structures = [bent(), bent(seed=1)]
    structures[1].info |= {"spin": 1, "charge": 1}
    closed, opened = exact.predict(structures)
    assert isinstance(closed, Prediction) and isinstance(opened, OpenShellPrediction)
    assert (opened.n_occupied, opened.charge, opened.spin) == ((5, 4), 1, 1)
    for found, atoms in ((closed, structures[0]), (opened, structures[1])):
        assert np.abs(exact.predict(atoms).hamiltonian - found.hamiltonian).max() < 1e-10
    assert opened.properties["mulliken_spins"].sum() == pytest.approx(1)
    assert 0.75 - 1e-9 <= opened.s_squared < 0.8
    assert "spin=1" in repr(opened)


def test_training_lowers_the_error_of_both_matrices(run_of_spins, store_of_spins):
    last = hampred.load(run_of_spins / "checkpoints" / "last.ckpt")  # one label does not choose the best one
    with Store(store_of_spins) as store:
        result = evaluate(last, store, "train", n_rotations=2, properties=True)
    table = result.table()
    assert set(SPIN_METRICS) <= set(table)
    splitting = table["spin_splitting_mae_uEh"]  # of H0 the splitting itself
    assert splitting["model"] < 0.7 * splitting["baseline"] and 4000 < splitting["baseline"] < 6000
    assert table["H_mae_uEh"]["model"] < table["H_mae_uEh"]["baseline"]
    assert result.rotations is not None and result.rotations.relative.max() < 1e-12
    assert table["energy_mae_kcal_mol"]["model"] < table["energy_mae_kcal_mol"]["baseline"]
    assert table["forces_mae_meV_A"]["model"] > 0
    assert json.dumps(result.to_dict())


def test_steps_of_the_scf_lead_to_the_label(exact, store_of_spins):
    with Store(store_of_spins) as store:
        sample = next(sample for sample in store if sample.spin)
    refined = exact.predict(sample.atoms, sample.charge).refined(15)
    assert refined.energy == pytest.approx(sample.total_energy, abs=1e-6)
    np.testing.assert_allclose(refined.dipole, sample.dipole, atol=1e-3)
    assert refined.to_pyscf().spin_square()[0] == pytest.approx(refined.s_squared)


def test_the_calculator_takes_spins(exact):
    atoms = bent(spin=1)
    atoms.info["charge"] = 1
    atoms.calc = hampred.HampredCalculator(exact)
    energy = atoms.get_potential_energy()
    assert atoms.get_forces().shape == (3, 3) and atoms.calc.results["gap"] != 0
    atoms.info |= {"spin": 3}
    assert atoms.get_potential_energy() != energy


def test_what_does_not_fit_is_refused(exact, run_folder):
    with pytest.raises(HampredError, match="does not fit"):
        exact.predict(bent(spin=20))
    with pytest.raises(HampredError, match="closed shell"):
        exact.predict(bent(), 1)
    with pytest.raises(HampredError, match="trained on closed shells"):
        hampred.load(run_folder).predict(bent(spin=2))
    from hampred.large import predict_large

    with pytest.raises(HampredError):
        predict_large(exact, bent(spin=2))


def test_labels_of_open_shells_ask_for_a_network_that_knows_them(store_of_spins, train_settings, tmp_path):
    net = train_settings["net"] | {"conditions": ["charge"]}
    settings = train_settings | {"data": [str(store_of_spins)], "net": net, "split": {"train": 4, "validation": 2}}
    with pytest.raises(HampredError, match="let net.conditions hold spin"):
        train(load_config(TrainConfig, settings), tmp_path / "run")


def test_the_command_line(run_of_spins, tmp_path, capfd):
    write(tmp_path / "a.xyz", bent())
    words = ["predict", tmp_path / "a.xyz", "--model", run_of_spins, "--charge", 1, "--spin", 1, "--energy"]
    formats = [word for name in ("npz", "h5", "json", "extxyz") for word in ("--format", name)]
    assert main([str(word) for word in [*words, *formats, "--out", tmp_path / "out"]]) == 0
    with np.load(tmp_path / "out" / "a.npz") as arrays:
        assert arrays["orbital_energies_Eh"].shape == (2, 7) and arrays["spin"] == 1
        assert np.trace(arrays["spin_density_matrix"] @ arrays["overlap"]) == pytest.approx(1)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["structures"][0]
    assert summary["spin"] == 1 and 0.7 < summary["s_squared"] < 0.8
    assert read(tmp_path / "out" / "predictions.extxyz").info["spin"] == 1
    capfd.readouterr()
    assert main([str(word) for word in [*words, "--format", "molden", "--out", tmp_path / "no"]]) == 2
    assert "open shell" in capfd.readouterr().err
    assert main(["scf", str(tmp_path / "out" / "predictions.extxyz"), "--model", str(run_of_spins)]) == 2
