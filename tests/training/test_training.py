"""What a training promises: the same seed gives the same weights, averages, schedules, logs."""

import csv

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hampred.config import TrainConfig, load_config
from hampred.data.store import Store
from hampred.model_file import load_model, read_header
from hampred.training import callbacks
from hampred.training.run import train


@pytest.fixture
def trained(train_settings, tmp_path):
    """Trains with changed settings; gives the folder of the run."""

    def run(name="run", **changes):
        train(load_config(TrainConfig, {**train_settings, **changes}), tmp_path / name)
        return tmp_path / name

    return run


def rows(run):
    with (run / "metrics.csv").open() as file:
        return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]


def same(one, other):
    a, b = (load_model(run).net.weights() for run in (one, other))
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_a_seed_fixes_the_weights(trained, run_folder):
    assert same(trained("again"), run_folder)
    assert not same(trained("other", seed=1), run_folder)


def test_logs_hold_finite_values(run_folder):
    table = rows(run_folder)
    assert [row["step"] for row in table] == [4, 8]
    assert all(np.isfinite(list(row.values())).all() for row in table)
    board = EventAccumulator(str(run_folder / "tensorboard")).Reload()
    assert {"train_loss", "val_loss", "val_H_mae_uEh"} <= set(board.Tags()["scalars"])
    for row, event in zip(table, board.Scalars("val_H_mae_uEh"), strict=True):
        assert event.value == pytest.approx(row["val_H_mae_uEh"])


def test_training_makes_the_error_smaller(trained):
    optimizer = {"learning_rate": 5e-3, "warmup_steps": 2, "ema_decay": 0.5}
    table = rows(trained(epochs=30, validate_every_epochs=5, optimizer=optimizer))
    assert table[-1]["train_loss"] < 0.7 * table[0]["train_loss"]
    assert table[-1]["val_loss"] < table[0]["val_loss"]


@pytest.mark.parametrize(("every", "batch_size"), [(1, 4), (3, 2)])
def test_average_of_the_weights(train_settings, tmp_path, monkeypatch, every: int, batch_size: int):
    """The average begins with the weights w₁ of the first step; k steps later w̄ ← dᵏ w̄ + (1 − dᵏ) w."""
    monkeypatch.setattr(callbacks, "AVERAGED_EVERY", every)

    class Stop(Exception):
        """Ends the run before the second checkpoint."""

    def stop(label, done, *rest):
        if label == "training" and done == 2:
            raise Stop

    optimizer = {"warmup_steps": 0, "ema_decay": 0.8}
    settings = {**train_settings, "optimizer": optimizer, "epochs": 1, "checkpoint_every_steps": 1}
    settings["batch_size"] = batch_size  # 1 + every steps in all
    config, states = load_config(TrainConfig, settings), []
    with pytest.raises(Stop):
        train(config, tmp_path, stop)
    for _ in range(2):
        states.append(torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True))
        train(config, tmp_path)
    first, last = (state["current_model_state"] for state in states)
    assert [state["global_step"] for state in states] == [1, 1 + every]
    assert any(not torch.equal(first[name], last[name]) for name in first)
    for name, average in states[1]["state_dict"].items():
        torch.testing.assert_close(average, 0.8**every * first[name] + (1 - 0.8**every) * last[name], msg=name)


def test_plateau_halves_the_rate_by_validations(trained):
    """Errors that stay the same halve the rate at the seventh validation: the first one counts as the best."""
    optimizer = {"schedule": "plateau", "learning_rate": 1e-12, "warmup_steps": 3, "ema_decay": 0}
    table = rows(trained(optimizer=optimizer, epochs=18, validate_every_epochs=2))
    rates = [row["learning_rate"] / 1e-12 for row in table]
    assert rates == pytest.approx([1] * 6 + [0.5] * 3, rel=1e-6)


def test_all_labels_train_where_none_validates(trained):
    """What is watched, and what picks the weights, are then the training labels."""
    run = trained(split={"train": 12, "validation": 0}, epochs=2, validate_every_epochs=1)
    model = load_model(run)
    assert [len(model.split[part]) for part in ("train", "validation", "test")] == [12, 0, 0]
    assert all(0 < row["val_H_mae_uEh"] < np.inf for row in rows(run))


def test_split_stands_in_the_model(trained, label_store):
    run = trained(split={"train": 1, "validation": 1, "by": "molecule"})
    with Store(label_store) as store:
        molecule = dict(zip(store.keys, store.molecules))
    parts = read_header(run / "model.safetensors")["split"]
    assert sorted(key for keys in parts.values() for key in keys) == sorted(molecule)
    names = [{molecule[key] for key in keys} for keys in parts.values()]
    assert [len(part) for part in names] == [1, 1, 1] and len(set.union(*names)) == 3


def test_one_process_can_train_in_double_precision(trained):
    run = trained(trainer={"accelerator": "cpu", "devices": 1, "precision": "64-true"})
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert {tensor.dtype for tensor in checkpoint["state_dict"].values()} == {torch.float64}
