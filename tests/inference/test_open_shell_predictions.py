"""Predictions of open shells: one model of radicals, cations and closed shells."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read, write
from ase.io.cube import read_cube
from iodata import load_one

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.cli import main
from hampred.config import LevelConfig, TrainConfig, load_config
from hampred.data.inputs import INPUTS
from hampred.data.store import Store, write_store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import evaluate
from hampred.evaluation.open_shells import SPIN_METRICS
from hampred.evaluation.scf_comparison import scf_field
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import rotated
from hampred.interop.pyscf import build_mole
from hampred.prediction import OpenShellPrediction, Prediction
from hampred.training.run import train
from hampred.units import BOHR, HARTREE

N_ROTATIONS = 20
OCCUPIED = ("homo-2", "homo-1", "homo")


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


def test_info_names_the_methods_of_both(run_of_spins, capsys):
    assert main(["info", str(run_of_spins), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["level.method"] == "RKS/UKS"


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
    with pytest.warns(UserWarning, match="unpaired electrons: 3"):
        assert atoms.get_potential_energy() != energy


def test_spins_that_no_label_had_are_told(exact):
    assert exact.predict(bent(spin=1), 1).notes == []
    assert "unpaired electrons: 2, where the labels of the model have 0, 1" in exact.predict(bent(spin=2)).notes[0]
    assert "charge: 3" in exact.predict(bent(spin=1), 3).notes[0]


def test_a_degenerate_level_that_is_partly_filled_is_told(exact):
    radical = Atoms("OH", [(0, 0, 0), (0, 0, 0.97)])
    radical.info["spin"] = 1
    found = exact.predict(radical)
    assert np.ptp(found.orbital_energies[1, 3:5]) < 1e-10 and found.level.method == "UKS"
    assert "2 degenerate β orbitals, 1 of them filled" in found.notes[0]


def test_what_does_not_fit_is_refused(exact, run_folder):
    with pytest.raises(HampredError, match="20 cannot be unpaired"):
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
    run = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert run["level"]["method"] == "RKS/UKS" and run["complete"]
    summary = run["structures"][0]
    assert summary["spin"] == 1 and 0.7 < summary["s_squared"] < 0.8
    image = read(tmp_path / "out" / "predictions.extxyz")
    assert image.info["spin"] == 1 and image.info["hampred_s_squared"] == pytest.approx(summary["s_squared"])
    assert image.arrays["hampred_spins"].sum() == pytest.approx(1, abs=1e-6)


def test_files_of_orbitals_of_both_spins(exact, run_of_spins, tmp_path):
    """Molden, cubes and a page, as of closed shells."""
    write(tmp_path / "a.extxyz", bent(spin=1))
    words = ["predict", tmp_path / "a.extxyz", "--model", run_of_spins, "--charge", 1, "--out", tmp_path / "out"]
    words += ["--format", "molden", "--format", "cube", "--format", "html", "--spacing", 0.3]
    assert main([str(word) for word in words]) == 0
    p, mo = exact.predict(bent(spin=1), 1), load_one(tmp_path / "out" / "a.molden").mo
    assert np.allclose([mo.energiesa, mo.energiesb], p.orbital_energies, atol=1e-8)
    cubes = {path.name[2:-5]: path for path in (tmp_path / "out").glob("*.cube")}
    orbitals = {"alpha": (*OCCUPIED, "lumo", "lumo+1"), "beta": (*OCCUPIED, "lumo", "lumo+1", "lumo+2")}  # of seven
    own = {f"{spin}.{name}" for spin, names in orbitals.items() for name in names}
    assert set(cubes) == own | {"density", "spin", "difference", "esp"}
    with cubes["spin"].open() as file:
        found = read_cube(file)
    points = found["origin"] + np.indices(found["data"].shape).reshape(3, -1).T @ found["spacing"]
    orbitals_there = build_mole(bent(spin=1), "sto-3g", 1, 1).eval_gto("GTOval_sph", points / BOHR)
    density = ((orbitals_there @ p.spin_density_matrix) * orbitals_there).sum(axis=1)
    np.testing.assert_allclose(found["data"].ravel(), density, atol=1e-4 * density.max())
    assert np.trace(p.spin_density_matrix @ p.overlap) == pytest.approx(1, abs=1e-8)  # which so coarse a grid is not
    assert f"{HARTREE * p.orbital_energies[1, 3]:.4f} eV" in cubes["beta.homo"].read_text().splitlines()[0]
    assert "Spin density" in (tmp_path / "out" / "a.html").read_text(encoding="utf-8")


def test_warm_start_of_unpaired_electrons(exact, run_of_spins, tmp_path, capfd):
    """The same energy in no more cycles; `hampred scf` compares two UKS runs, and says so before it begins."""
    atoms = bent(spin=1)
    warm = hampred.warm_start(scf_field(exact, atoms, 1), exact)
    assert warm.kernel() == pytest.approx(scf_field(exact, atoms, 1).kernel(), abs=1e-7)
    assert type(warm).__name__ == "WarmStartedUKS" and warm.verdict is not None
    with pytest.raises(HampredError, match="not trained for spin 3"):
        hampred.warm_start(scf_field(exact, bent(spin=3), 1), exact)
    write(tmp_path / "a.extxyz", [bent(spin=1), bent(spin=1, seed=5)])
    words = ["scf", str(tmp_path / "a.extxyz"), "--model", str(run_of_spins), "--json"]
    assert main([*words, "--charge", "1"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["level"]["method"] == "UKS" and [row["spin"] for row in found["structures"]] == [1, 1]
    assert all(row["agrees"] and row["default"]["converged"] for row in found["structures"])
    for charge, spin, told in (("1", "3", "spin 3, but for [0, 1]"), ("0", "1", "1 cannot be unpaired")):
        assert main([*words, "--charge", charge, "--spin", spin]) == 2
        assert told in (line := capfd.readouterr().err) and line.count("\n") == 1
