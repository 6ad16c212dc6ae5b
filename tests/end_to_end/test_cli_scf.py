"""`hampred scf`: both SCFs of each structure, what the numbers mean, and one line for every mistake."""

import json

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

import hampred
from hampred.cli import main


@pytest.fixture
def waters(tmp_path):
    images = [molecule("H2O") for _ in range(2)]
    for k, atoms in enumerate(images):
        atoms.rattle(0.02, seed=k)
    write(tmp_path / "w.xyz", images, format="extxyz")
    return tmp_path / "w.xyz"


def test_scf_tells_cycles_seconds_and_energies(tmp_path, capsys, small_model, waters):
    words = ["scf", str(waters), "--model", str(small_model)]
    assert main([*words, "--json", "--out", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "out" / "scf.json").read_text())
    assert {"cycles", "wall_s", "ratio", "energy_difference_Eh"} <= set(found["definitions"])
    assert [row["name"] for row in found["structures"]] == ["w-1", "w-2"] and found["level"]["functional"] == "pbe"
    for row in found["structures"]:
        assert row["guess"] == ("prediction" if row["guard"]["taken"] else "default") and row["agrees"]
        assert abs(row["energy_difference_Eh"]) < 1e-7 and row["warm"]["cycles"] <= row["default"]["cycles"]
        assert row["ratio"]["wall_s"] == pytest.approx(row["warm"]["wall_s"] / row["default"]["wall_s"])
        assert 0 < row["guard"]["seconds"] < row["warm"]["wall_s"]
    assert callable(hampred.warm_start)  # no module of that name hides it


def test_scf_prints_a_table(tmp_path, capsys, small_model):
    write(tmp_path / "water.xyz", molecule("H2O"))
    assert main(["scf", str(tmp_path / "water.xyz"), "--model", str(small_model)]) == 0
    printed = capsys.readouterr().out
    assert "ratio = warm start / default guess" in printed and "include the prediction" in printed
    assert "water" in printed and "pbe/sto-3g" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["water.xyz"]


def test_scf_of_a_crystal(tmp_path, capsys, silicon_model):
    atoms = bulk("Si")
    atoms.rattle(0.02, seed=0)
    write(tmp_path / "si.cif", atoms)
    assert main(["scf", str(tmp_path / "si.cif"), "--model", str(silicon_model), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["structures"][0]
    assert row["formula"] == "Si2" and row["agrees"] and abs(row["energy_difference_Eh"]) < 1e-7
    assert row["guess"] == "default" and row["warm"]["cycles"] == row["default"]["cycles"]  # random weights


@pytest.mark.parametrize(
    ("atoms", "words", "told"),
    [
        (molecule("CH4"), [], "does not know the element C"),
        (molecule("H2O"), ["--charge", "2"], "not trained for charge 2"),
        (molecule("OH"), [], "9 electrons"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 1]], info={"spin": 1}), [], "1 unpaired electrons, and the model was trained"),
        (molecule("H2O"), ["--spin", "2"], "2 unpaired electrons, and the model was trained on closed shells"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.7]], cell=[4, 4, 4], pbc=True), [], "periodic"),
        (molecule("H2O"), ["--out", "water.xyz/out"], "Cannot write"),
    ],
    ids=["element", "charge", "open-shell", "spin-of-the-file", "spin", "crystal", "output"],
)
def test_scf_refuses_with_one_line(refused, tmp_path, monkeypatch, small_model, atoms, words, told):
    monkeypatch.chdir(tmp_path)
    write("water.xyz", atoms, format="extxyz")
    assert told in refused("scf", "water.xyz", "--model", small_model, *words)
