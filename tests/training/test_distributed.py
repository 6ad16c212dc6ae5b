"""Two processes on this machine train one model, with Lightning's own flags and no other change."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from hampred.data import dataset
from hampred.data.dataset import Batches, LabelledGraph
from hampred.model_file import load_model


@pytest.fixture
def shares(monkeypatch):
    """What each of two processes gets: the items of its batches, without joining them."""
    monkeypatch.setattr(LabelledGraph, "batch", staticmethod(lambda items, n_slots: list(items)))

    def draw(*arguments, **more):
        parts = []
        for rank in range(2):
            monkeypatch.setattr(dataset, "_process", lambda rank=rank: (rank, 2))
            parts.append(list(Batches(*arguments, 1, **more)))
        return parts

    return draw


def test_processes_share_out_every_batch(shares):
    first, second = shares(range(11), 4, seed=3)
    assert len(first) == len(second) == 2
    assert all(len(a) == len(b) == 2 for a, b in zip(first, second))
    seen = [item for batch in [*first, *second] for item in batch]
    assert len(set(seen)) == 8
    assert sorted(seen) == sorted(np.random.default_rng([3, 0]).permutation(11)[:8])


def test_no_process_goes_without_work(shares):
    """A last batch with fewer systems than processes is given to all: they must take the same number of steps."""
    first, second = shares(range(5), 2, shuffle=False)
    assert first == [[0], [2], [4]] and second == [[1], [3], [4]]


def test_two_processes_give_a_model(train_settings, tmp_path):
    config, run = tmp_path / "tiny.yaml", tmp_path / "run"
    settings = {**train_settings, "trainer": {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}}
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "hampred", "train", str(config), "--out", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    assert all(torch.isfinite(w).all() for w in load_model(run).net.weights().values())
    with (run / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [4, 8]
