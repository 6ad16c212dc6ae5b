"""The model on disk: describes itself, refuses what it is not, appears whole or not at all."""

import json
import pickle

import numpy as np
import pytest
import torch
from ase.build import molecule
from safetensors.torch import load_file, save_file

import hampred
from hampred.errors import HampredError
from hampred.model_file import HEADER_KEY, load_model, read_header, save_model


@pytest.fixture
def model_path(run_folder):
    return run_folder / "model.safetensors"


def test_run_folder_model_and_checkpoints_predict_alike(run_folder, model_path):
    atoms = molecule("H2O")
    expected = hampred.load(model_path).predict(atoms).hamiltonian
    assert np.array_equal(hampred.load(run_folder).predict(atoms).hamiltonian, expected)
    best = hampred.load(run_folder / "checkpoints" / "best.ckpt").predict(atoms).hamiltonian
    assert np.array_equal(best, expected)  # the model is the best checkpoint


def test_round_trip_keeps_everything(model_path, tmp_path):
    model = load_model(model_path)
    save_model(tmp_path / "copy.safetensors", model)
    assert read_header(tmp_path / "copy.safetensors") == read_header(model_path)
    again = load_model(tmp_path / "copy.safetensors")
    for name, tensor in model.net.weights().items():
        assert torch.equal(tensor, again.net.weights()[name])


def test_header_tells_what_a_prediction_needs(model_path):
    header = read_header(model_path)
    assert header["basis"]["name"] == "sto-3g"
    assert header["level"]["functional"] == "pbe"
    assert header["baseline"]["name"] == "projectors"
    assert {len(header["split"][part]) for part in ("train", "validation", "test")} == {8, 2}
    parts = [set(keys) for keys in header["split"].values()]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 12


def test_pickle_is_refused_and_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    (tmp_path / "bomb.ckpt").write_bytes(pickle.dumps(Bomb()))
    torch.save({HEADER_KEY: "{}", "state_dict": Bomb()}, tmp_path / "zip.ckpt")
    for name in ("bomb.ckpt", "zip.ckpt"):
        with pytest.raises(HampredError, match="not a hampred model"):
            load_model(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_foreign_and_newer_files_are_refused(model_path, tmp_path):
    weights, header = load_file(model_path), read_header(model_path)
    save_file(weights, tmp_path / "foreign.safetensors")
    with pytest.raises(HampredError, match="not a hampred model"):
        load_model(tmp_path / "foreign.safetensors")
    newer = {HEADER_KEY: json.dumps({**header, "version": 99})}
    save_file(weights, tmp_path / "newer.safetensors", metadata=newer)
    with pytest.raises(HampredError, match="newer"):
        load_model(tmp_path / "newer.safetensors")


@pytest.mark.parametrize("length", [0, 7, 200, 5000])
def test_truncated_file_is_refused(model_path, tmp_path, length):
    (tmp_path / "cut.safetensors").write_bytes(model_path.read_bytes()[:length])
    with pytest.raises(HampredError):
        load_model(tmp_path / "cut.safetensors")


def test_missing_weight_is_refused(model_path, tmp_path):
    weights, header = load_file(model_path), read_header(model_path)
    del weights["start.weight"]
    save_file(weights, tmp_path / "less.safetensors", metadata={HEADER_KEY: json.dumps(header)})
    with pytest.raises(HampredError, match="damaged"):
        load_model(tmp_path / "less.safetensors")


def test_nothing_is_left_where_a_model_cannot_be_written(model_path, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HampredError, match="Cannot write"):
        save_model(tmp_path / "file" / "model.safetensors", load_model(model_path))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
