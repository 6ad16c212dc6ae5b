"""`hampred train` and `hampred quickstart` from the command line."""

import csv
import json

import pytest
import yaml

from hampred.cli import main
from hampred.model_file import load_model


@pytest.fixture
def config(tmp_path, train_settings):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(train_settings))
    return path


def test_train_evaluate_and_resume(config, tmp_path, label_store, capsys):
    run = tmp_path / "run"
    assert main(["train", str(config), "--out", str(run), "--set", "epochs=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == str(run / "model.safetensors") and told["val_H_mae_uEh"] > 0
    (note,) = told["notes"]
    assert note.startswith("bounds from 2 calibration molecules are too small: 90 % need 9 (raise split.validation,")
    with (run / "metrics.csv").open() as file:
        assert float(next(csv.DictReader(file))["val_H_mae_uEh"]) > 0
    assert list((run / "tensorboard").iterdir())
    assert yaml.safe_load((run / "config.yaml").read_text())["epochs"] == 2

    assert main(["train", str(run)]) == 0  # finished: left alone
    notes = capsys.readouterr().err
    assert "already finished: nothing was trained" in notes and "note: bounds from 2 calibration molecules" in notes
    command = ["evaluate", "--model", str(run), "--data", str(label_store), "--rotations", "4"]
    assert main([*command, "--out", str(tmp_path / "evaluation"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rotations"]["max_relative_error"] < 1e-12
    report = (tmp_path / "evaluation" / "report.html").read_text()
    assert "data:image/png;base64" in report and "://" not in report


def test_training_without_validation(config, tmp_path, capsys):
    run, words = tmp_path / "run", ["--set", "split.train=8", "--set", "split.validation=0", "--set", "epochs=1"]
    assert main(["train", str(config), "--out", str(run), *words, "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("without validation labels, val_… are errors of the training labels")
    model = load_model(run)
    assert model.calibration is None and model.familiarity is not None


def test_another_configuration_is_refused(config, run_folder, capsys):
    assert main(["train", str(config), "--out", str(run_folder), "--set", "seed=5"]) == 2
    assert "another configuration" in capsys.readouterr().err


def test_dry_run_writes_nothing(config, tmp_path, capsys):
    assert main(["train", str(config), "--out", str(tmp_path / "run"), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n_train"], told["n_validation"], told["n_test"], told["n_steps"]) == (8, 2, 2, 8)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["net.name=tensor_product", "baseline=minao", "optimizer.schedule=plateau"])
def test_one_word_changes_the_model(config, tmp_path, setting, capsys):
    words = ["--set", setting, "--set", "epochs=1"]
    if "tensor" in setting:
        words += ["--set", "net={name: tensor_product, natural: 4, unnatural: 4, n_layers: 1, hidden: 8}"]
    assert main(["train", str(config), "--out", str(tmp_path / "run"), *words]) == 0
    assert setting.partition("=")[2] in (tmp_path / "run" / "config.yaml").read_text()
    assert main(["info", str(tmp_path / "run"), "--json"]) == 0


def test_early_stopping_ends_the_run(config, tmp_path, capsys):
    words = ["early_stopping=1", "epochs=30", "validate_every_epochs=1", "optimizer.learning_rate=1e-9"]
    settings = [part for word in words for part in ("--set", word)]
    assert main(["train", str(config), "--out", str(tmp_path / "run"), *settings]) == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) < 30


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "epohcs=3"], "did you mean epochs"),
        (["--set", "net.natral=3"], "did you mean natural"),
        (["--set", "net.name=bondframe"], "There is no network"),
        (["--set", "net.lmax=1"], "net.lmax"),
        (["--set", "baseline=sapp"], "There is no baseline"),
        (["--set", "data=[nowhere.h5]"], "nowhere.h5"),
        (["--set", "split.train=500"], "split"),
        (["--set", "trainer.precision=16"], "trainer.precision"),
    ],
)
def test_mistakes_end_with_one_line(config, tmp_path, capsys, words, told):
    assert main(["train", str(config), "--out", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert len([line for line in error.splitlines() if line.startswith("error:")]) == 1
    assert not (tmp_path / "run").exists()


def test_quickstart(tmp_path, capsys):
    words = ["--set", "epochs=2", "--set", "net.natural=8", "--set", "net.unnatural=4", "--n-labels", "20"]
    assert main(["quickstart", "--out", str(tmp_path), "--workers", "1", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n_molecules"] == 3 and told["metrics"]["H_mae_uEh"]["model"] > 0
    assert told["rotations"]["max_relative_error"] < 1e-12
    assert (tmp_path / "report.html").exists() and (tmp_path / "run" / "model.safetensors").exists()
