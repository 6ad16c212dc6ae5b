"""predict, evaluate and info on real files."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read, write

import hampred
from hampred.cli import main
from hampred.data.store import Store, write_store
from hampred.errors import HampredError
from hampred.evaluation.prediction_files import PredictionFiles
from hampred.interop.electric_field import with_field
from hampred.interop.pyscf import build_mole, overlap


def test_predict_writes_what_the_interface_promises(tmp_path, capsys, small_model):
    waters = [molecule("H2O") for _ in range(3)]
    for k, atoms in enumerate(waters):
        atoms.rattle(0.02, seed=k)
    write(tmp_path / "w.xyz", waters, format="extxyz")
    write(tmp_path / "single.xyz", molecule("H2"))
    out = tmp_path / "deep" / "out"
    words = ["predict", str(tmp_path / "w.xyz"), str(tmp_path / "single.xyz"), "--model", str(small_model)]
    assert main([*words, "--out", str(out), "--json", "--format", "npz", "--format", "molden"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text())
    names = [s["name"] for s in summary["structures"]]
    assert names == ["w-1", "w-2", "w-3", "single"]
    written = {f"{name}.{suffix}" for name in names for suffix in ("npz", "molden")} | {"summary.json"}
    assert {p.name for p in out.iterdir()} == written
    expected = hampred.load(small_model).predict(waters[1])
    with np.load(out / "w-2.npz", allow_pickle=False) as data:
        assert np.allclose(data["hamiltonian"], expected.hamiltonian, atol=1e-6)  # xyz holds eight digits
        assert np.allclose(data["overlap"], overlap(build_mole(waters[1], "sto-3g")), atol=1e-6)
        assert np.trace(data["density_matrix"] @ data["overlap"]) == pytest.approx(10)
        assert data["orbital_energies_Eh"][4] * 27.2114 == pytest.approx(summary["structures"][1]["homo_eV"], abs=1e-3)
        assert data["positions_A"].shape == (3, 3) and data["numbers"].tolist() == [8, 1, 1]
        assert data["orbital_coefficients"].shape == (7, 7)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (HampredError("no room"), 2)])
def test_an_interrupted_prediction_tells_what_it_has(tmp_path, monkeypatch, small_model, error, code):
    write(tmp_path / "w.xyz", [molecule("H2O")] * 3, format="extxyz")
    out = tmp_path / "out"
    words = ["predict", str(tmp_path / "w.xyz"), "--model", str(small_model), "--out", str(out)]
    words += ["--format", "extxyz", "--format", "npz"]
    assert main(words) == 0 and json.loads((out / "summary.json").read_text())["complete"]
    plain = PredictionFiles.write

    def broken(self, name, state):
        if name == "w-3":
            raise error
        assert not (out / "summary.json").exists() and not (out / "predictions.extxyz").exists()
        return plain(self, name, state)

    monkeypatch.setattr(PredictionFiles, "write", broken)
    assert main(words) == code
    summary = json.loads((out / "summary.json").read_text())
    assert [told["name"] for told in summary["structures"]] == ["w-1", "w-2"] and not summary["complete"]
    assert len(read(out / "predictions.extxyz", ":")) == 2


@pytest.mark.parametrize("option", ["--spacing=inf", "--spacing=nan", "--spacing=3", "--spin=-1"])
def test_numbers_that_mean_nothing(tmp_path, small_model, option):
    write(tmp_path / "w.xyz", molecule("H2O"))
    words = ["predict", str(tmp_path / "w.xyz"), "--model", str(small_model), "--out", str(tmp_path / "out")]
    assert main([*words, "--format", "cube", option]) == 2
    assert not (tmp_path / "out").exists()


def test_predict_names_stay_unique_and_single_precision_is_close(tmp_path, capsys, small_model):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "w.xyz", molecule("H2O"))
    words = ["predict", str(tmp_path / "a" / "w.xyz"), str(tmp_path / "b" / "w.xyz"), "--model", str(small_model)]
    for precision in ("float32", "float64"):
        assert main([*words, "--out", str(tmp_path / precision), "--precision", precision]) == 0
    assert "HOMO / eV" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "float32").iterdir()} == {"w.npz", "w.2.npz", "summary.json"}
    single, double = (np.load(tmp_path / p / "w.npz")["hamiltonian"] for p in ("float32", "float64"))
    assert 0 < np.abs(single - double).max() < 1e-4


def test_evaluate_writes_table_json_and_report(tmp_path, capsys, small_model, small_store):
    words = ["evaluate", "--model", str(small_model), "--data", str(small_store), "--rotations", "4"]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["n_molecules"] == 3 and found["rotations"]["max_relative_error"] < 1e-12
    assert found["metrics"]["H_mae_uEh"]["label_noise"] == pytest.approx(0.2)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"evaluation.json", "report.html"}
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "HOMO, absolute error / meV" in output and "label noise" in output
    assert "1 − orbital similarity" in output and "3 structures × 4 rotations, 2 improper" in output
    assert "as given" in output and "Metrics with an asterisk" in output


def test_info_of_a_store(capsys, small_store):
    assert main(["info", str(small_store), "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_samples"] == 3 and found["elements"] == {"H": 6, "O": 3} and found["damaged"] == []
    assert found["failures"] == {"unconverged: no convergence in 50 cycles": 1}
    assert found["charges"] == found["spins"] == {"0": 3} and found["largest_field_V_A"] == 0
    assert main(["info", str(small_store)]) == 0
    printed = capsys.readouterr().out
    assert "pbe" in printed and "─" not in printed  # no head without titles


def test_info_tells_charges_spins_and_fields(tmp_path, capsys, small_store):
    with Store(small_store) as store:
        water, *_ = store
    split = dict.fromkeys(("hamiltonian", "spin_splitting"), water.hamiltonian)
    energies = np.stack(2 * [water.orbital_energies])
    cation = replace(water, charge=1, spin=1, matrices=split, orbital_energies=energies)
    write_store(tmp_path / "s.h5", [water, cation, replace(water, atoms=with_field(water.atoms, np.array([0, 3, 4])))])
    assert main(["info", str(tmp_path / "s.h5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["charges"] == found["spins"] == {"0": 2, "1": 1} and found["largest_field_V_A"] == 5
    assert found["level.method"] == "RKS/UKS"


def test_info_finds_damage(tmp_path, capsys, small_store):
    import h5py

    path = tmp_path / "labels.h5"
    path.write_bytes(small_store.read_bytes())
    with h5py.File(path, "r+") as file:
        file["positions"][4] += 0.1
    assert main(["info", str(path)]) == 0
    assert main(["info", str(path), "--verify"]) == 1
    assert capsys.readouterr().err.startswith("error: 1 samples")


def test_info_of_a_model(capsys, small_model):
    assert main(["info", str(small_model), "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "model" and found["net"] == "bond_frame" and found["n_test"] == 3
    assert main(["info", str(small_model)]) == 0
    assert "sto-3g" in capsys.readouterr().out
