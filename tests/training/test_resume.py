"""A killed run that is started again ends bit for bit where it would have ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from hampred.config import TrainConfig, load_config
from hampred.model_file import load_model
from hampred.training.run import train

KILLED = """
import os, signal, sys
from pathlib import Path
from hampred.config import read_run
from hampred.training.run import train

def report(label, done, *rest):
    if label == "training" and done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

train(read_run(Path(sys.argv[1])), Path(sys.argv[1]), report)
"""


class Stop(Exception):
    """Stands for a kill inside this process."""


def stop_at(step):
    def report(label, done, *rest):
        if label == "training" and done == step:
            raise Stop

    return report


def assert_same_end(one: Path, other: Path):
    for name, tensor in load_model(one).net.weights().items():
        assert torch.equal(tensor, load_model(other).net.weights()[name]), name
    a, b = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, other))
    assert a["global_step"] == b["global_step"]
    for part in ("state_dict", "current_model_state"):
        for name, tensor in a.get(part, {}).items():
            assert torch.equal(tensor, b[part][name]), name
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()


def interrupted(settings, out, *steps):
    config = load_config(TrainConfig, settings)
    for step in steps:
        with pytest.raises(Stop):
            train(config, out, stop_at(step))
    train(config, out)
    return out


@pytest.fixture(scope="module")
def whole(train_settings, tmp_path_factory):
    """The uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    train(load_config(TrainConfig, train_settings), out)
    return out


# two steps an epoch, a checkpoint every third: kills before the first one, within an epoch, at the ends of epochs
@pytest.mark.parametrize("steps", [(2,), (3,), (4,), (5,), (7,), (8,), (3, 4, 7)], ids=str)
def test_stopped_anywhere(train_settings, whole, tmp_path, steps):
    assert_same_end(whole, interrupted(train_settings, tmp_path, *steps))


@pytest.mark.parametrize("every", [1, 2, 4])
def test_checkpoints_at_the_end_of_an_epoch(train_settings, tmp_path, every):
    settings = {**train_settings, "checkpoint_every_steps": every}
    train(load_config(TrainConfig, settings), tmp_path / "whole")
    for step in (4, 5):
        assert_same_end(tmp_path / "whole", interrupted(settings, tmp_path / str(step), step))


@pytest.mark.parametrize("schedule", ["plateau", "constant"])
def test_other_schedules(train_settings, tmp_path, schedule):
    optimizer = {"schedule": schedule, "warmup_steps": 2, "ema_decay": 0 if schedule == "constant" else 0.9}
    settings = {**train_settings, "validate_every_epochs": 1, "optimizer": optimizer}
    train(load_config(TrainConfig, settings), tmp_path / "whole")
    assert_same_end(tmp_path / "whole", interrupted(settings, tmp_path / "stopped", 5))


def test_killed_process(train_settings, whole, tmp_path):
    config = load_config(TrainConfig, train_settings).model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*command, "5"], env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "model.safetensors").exists()
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    subprocess.run([*command, "-1"], env=environment, check=True, capture_output=True)
    assert_same_end(whole, tmp_path)


def test_finished_run_is_left_alone(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    steps = []
    model = train(
        load_config(TrainConfig, yaml.safe_load((whole / "config.yaml").read_text())),
        whole,
        lambda label, done, *rest: steps.append(done),
    )
    assert model == whole / "model.safetensors" and not steps
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before
