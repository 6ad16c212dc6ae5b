"""What a model knows of its errors, from the command line; and which structures are worth labelling next."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read, write

from hampred.cli import main
from hampred.data.store import Store
from hampred.evaluation.confidence import calibrate
from hampred.harmonics import random_rotation
from hampred.interop.structures import read_structures
from hampred.model_file import load_model, save_model


@pytest.fixture(scope="module")
def calibrated_model(small_model: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was "trained" on two waters and validated on a third."""
    path = tmp_path_factory.mktemp("calibrated") / "model.safetensors"
    with Store(small_store) as store:
        keys = store.keys
    split = {"train": keys[:2], "validation": keys[2:], "test": keys}
    save_model(path, replace(load_model(small_model), split=split))
    calibrate(path, [small_store])
    return path


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Waters like those of the labels, one pulled apart, and a molecule with another element."""
    structures = []
    for seed in range(4):
        atoms = molecule("H2O")
        atoms.rattle(0.03, seed=10 + seed)
        structures.append(atoms)
    structures[2].positions[1] += 0.8
    path = tmp_path / "pool.xyz"
    write(path, [*structures, molecule("CH4")], format="extxyz")
    return path


def test_calibration_is_done_once(calibrated_model, small_store):
    before = calibrated_model.read_bytes()
    calibrate(calibrated_model, [small_store])
    assert calibrated_model.read_bytes() == before


def test_predict_tells_the_bounds_and_what_is_unusual(calibrated_model, pool, tmp_path, capsys):
    write(tmp_path / "far.xyz", read(pool, index=2))
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "far.xyz"), "--model", str(calibrated_model), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "± holds 90 % of the errors of gaps of the calibration labels" in printed.out
    assert "unlike the labels" in printed.err and "bounds of errors were not tested so far away" in printed.err
    told = json.loads((out / "summary.json").read_text())["structures"][0]
    assert told["warning"] == "unlike the labels" and told["bound_gap_mae_meV"] > 0 and told["mean_novelty"] > 1


def test_predict_shows_energies_and_forces(calibrated_model, pool, tmp_path, capsys):
    write(tmp_path / "near.xyz", read(pool, index=0))
    run = ["predict", str(tmp_path / "near.xyz"), "--model", str(calibrated_model), "--out", str(tmp_path / "out")]
    assert main([*run, "--forces"]) == 0
    printed = capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["structures"][0]
    assert f"{told['energy_Eh']:.5f}" in printed and f"{told['largest_force_Eh_A']:.4f}" in printed
    with np.load(tmp_path / "out" / "near.npz") as data:
        assert told["largest_force_Eh_A"] == pytest.approx(np.linalg.norm(data["forces_Eh_A"], axis=1).max())


def test_predict_says_nothing_without_a_calibration(small_model, pool, tmp_path, capsys):
    write(tmp_path / "far.xyz", read(pool, index=2))
    run = ["predict", str(tmp_path / "far.xyz"), "--model", str(small_model), "--out", str(tmp_path / "out"), "--json"]
    assert main(run) == 0
    assert "mean_novelty" not in json.loads(capsys.readouterr().out)["structures"][0]


def test_evaluate_counts_errors_within_their_bounds(calibrated_model, small_store, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", "--model", str(calibrated_model), "--data", str(small_store), "--out", str(out)]) == 0
    assert "errors within, %" in capsys.readouterr().out
    told = json.loads((out / "evaluation.json").read_text())
    within = told["coverage"]["homo_mae_meV"]["within"]
    inside = [m["homo_mae_meV"] <= m["bounds"]["homo_mae_meV"] for m in told["molecules"]]
    assert within == pytest.approx(sum(inside) / 3)
    assert "How sure the model was" in (out / "report.html").read_text()


def test_info_tells_the_calibration(calibrated_model, small_model, capsys):
    assert main(["info", str(calibrated_model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["calibrated_on"] == "1 label of 1 molecule" and told["usual_bound.homo_mae_meV"] > 0
    known = load_model(calibrated_model).calibration
    usual = known.confidence(np.array([known.usual])).bounds
    assert {f"usual_bound.{metric}": bound for metric, bound in usual.items()}.items() <= told.items()
    assert told["expected_within_bounds"] == "50 ± 29 %"  # of one number, the next is as often the larger
    assert "bounds from 1 calibration label are too small: 90 % need 9 (raise split.validation, or" in told["notes"][0]
    assert main(["info", str(small_model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibrated"] is False


def test_bounds_are_learned_again_from_labels_of_other_molecules(calibrated_model, small_store, tmp_path, capsys):
    """What was trained on or is to be tested on teaches no bounds; the weights stay."""
    untested, out = tmp_path / "untested.safetensors", tmp_path / "again.safetensors"
    model = load_model(calibrated_model)
    save_model(untested, replace(model, split={"train": model.split["train"]}))
    run = ["calibrate", "--data", str(small_store), "--out", str(out)]
    assert main([*run, "--model", str(untested)]) == 0
    assert "bounds from 1 label of 1 molecule, within which 50 ± 29 % of the errors" in capsys.readouterr().out
    again = load_model(out)
    assert again.split["validation"] == model.split["validation"]
    assert again.calibration.to_dict() == model.calibration.to_dict()
    for name, weights in again.net.weights().items():
        assert weights.equal(model.net.weights()[name]), name
    assert main([*run, "--model", str(untested), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bounds"] == again.calibration.bounds(again.calibration.usual)


def test_labels_that_teach_no_bounds_are_refused(calibrated_model, small_model, small_store, tmp_path, capsys):
    out = tmp_path / "again.safetensors"
    for model, target, message in (
        (calibrated_model, out, "The model was trained on or is to be tested on all labels of"),
        (small_model, out, "The model does not know the atoms that it was trained on: let its training end."),
        (calibrated_model, tmp_path, "let its name end in .safetensors"),
    ):
        run = ["calibrate", "--model", str(model), "--data", str(small_store), "--out", str(target)]
        assert main(run) == 2
        printed = capsys.readouterr().err
        assert message in printed and len(printed.strip().splitlines()) == 1
        assert not out.exists()


def test_select_takes_the_strange_and_the_usual(calibrated_model, pool, tmp_path, capsys):
    out = tmp_path / "deep" / "selected.extxyz"
    assert main(["select", str(pool), "--model", str(calibrated_model), "-n", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "pool-5 holds an element that the training labels lack" in printed.err
    chosen = read(out, index=":")
    novelties = {atoms.info["hampred_name"]: atoms.info["hampred_novelty"] for atoms in chosen}
    assert len(novelties) == 2 and max(novelties, key=lambda name: novelties[name]) == "pool-3"
    assert main(["select", str(pool), "--model", str(calibrated_model), "-n", "9", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["selected"]) == 4 and list(told["unknown"]) == ["pool-5"]


def test_select_begins_without_a_model(pool, tmp_path, capsys):
    """Of waters and a methane: one of each kind first; turned and mirrored, the same choice."""
    out = tmp_path / "first.extxyz"
    assert main(["select", str(pool), "-n", "2", "--out", str(out)]) == 0
    assert "2 of 5 structures" in capsys.readouterr().out
    first = read(out, index=":")
    assert {atoms.get_chemical_formula() for atoms in first} == {"CH4", "H2O"}
    turned = read(pool, index=":")
    for seed, atoms in enumerate(turned):
        atoms.positions = -atoms.positions @ random_rotation(np.random.default_rng(seed)).T
    write(pool, turned, format="extxyz")
    assert main(["select", str(pool), "-n", "2", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["selected"]] == [atoms.info["hampred_name"] for atoms in first]
    assert told["model"] is None and told["selected"][0]["novelty"] is None


def test_a_choice_without_a_model_knows_charges_and_forgets_earlier_choices(tmp_path, capsys):
    """Of two ammonias and an ion of the same shape, the ion is new; what a pool tells of a novelty is gone."""
    structures = [molecule("NH3") for _ in range(4)]
    for seed, atoms in enumerate(structures[:3]):
        atoms.rattle(0.01, seed=seed)
        atoms.info["hampred_novelty"] = 7.7
    structures[3].info["charge"] = 2
    write(tmp_path / "pool.xyz", structures, format="extxyz")
    out = tmp_path / "first.extxyz"
    assert main(["select", str(tmp_path / "pool.xyz"), "-n", "2", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "pool-4" in [row["name"] for row in told["selected"]] and told["unknown"] == {}
    assert not any("hampred_novelty" in atoms.info for atoms in read(out, index=":"))


@pytest.mark.parametrize(
    ("info", "cell", "message"),
    [
        ({"charge": "abc"}, None, "pool-2"),
        ({}, [9.0, 9.0, 9.0], "molecules and crystals, which no model knows together"),
    ],
)
def test_a_choice_without_a_model_refuses_in_one_line(info, cell, message, tmp_path, capsys):
    structures = [molecule("NH3"), molecule("NH3")]
    structures[1].info = info
    if cell:
        structures[1].set_cell(cell)
        structures[1].pbc = True
    write(tmp_path / "pool.xyz", structures, format="extxyz")
    assert main(["select", str(tmp_path / "pool.xyz"), "--out", str(tmp_path / "s.xyz")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1] and len(error) == 1 and not (tmp_path / "s.xyz").exists()


def test_select_tells_in_one_line_what_it_cannot_rank(calibrated_model, pool, tmp_path, capsys):
    methanes = tmp_path / "methanes.xyz"
    write(methanes, [molecule("CH4")] * 30, format="extxyz")
    out = tmp_path / "out.XYZ"
    run = ["select", str(pool), str(methanes), "--model", str(calibrated_model), "-n", "2", "--out", str(out)]
    assert main(run) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert notes == [
        "note: 31 structures (first: pool-5) hold an element that the training labels lack: "
        "label some of these in any case"
    ]
    assert len(read_structures(out)) == 2
    assert main([*run, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["unknown"]) == 31


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("chosen.cif", "chosen.cif would hold extxyz: let its name end in .xyz or .extxyz"),
        ("chosen", "chosen would hold extxyz"),
        (".", "is a folder: give the file of the chosen structures"),
    ],
)
def test_select_refuses_an_output_before_any_work(out, message, tmp_path, capsys):
    """Before it looks for the pool or the model, neither of which is there."""
    run = ["select", str(tmp_path / "no.xyz"), "--model", str(tmp_path / "no.safetensors"), "--out"]
    assert main([*run, str(tmp_path / out)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.xyz"], "There is no file missing.xyz"),
        (["{methane}"], "No structure of the pool holds only elements that the training labels have"),
    ],
)
def test_select_refuses_in_one_line(words, message, calibrated_model, tmp_path, capsys):
    write(tmp_path / "methane.xyz", molecule("CH4"))
    words = [word.format(methane=tmp_path / "methane.xyz") for word in words]
    assert main(["select", *words, "--model", str(calibrated_model), "--out", str(tmp_path / "s.xyz")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1] and not (tmp_path / "s.xyz").exists()


def test_select_needs_a_model_that_knows_its_atoms(small_model, pool, tmp_path, capsys):
    shutil.copy(small_model, tmp_path / "m.safetensors")
    run = ["select", str(pool), "--model", str(tmp_path / "m.safetensors"), "--out", str(tmp_path / "s.xyz")]
    assert main(run) == 2
    assert "does not know which atoms it was trained on" in capsys.readouterr().err
