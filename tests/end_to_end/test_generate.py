"""`hampred generate` and `hampred import` from the outside: exit codes, one line of error, kill and resume."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from hampred.data.store import Store

HAMPRED = [sys.executable, "-m", "hampred"]

FAST = "level: {functional: pbe, basis: sto-3g, grid_level: 0}\nlabel_noise: false\n"


def hampred(*arguments, cwd):
    return subprocess.run(
        [*HAMPRED, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, env=environment()
    )


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "h2.yaml"
    path.write_text(
        "geometries:\n  - {kind: g2, names: [H2], rotate: true, sampling: [{kind: rattle, count: 40}]}\n" + FAST
    )
    return path


def shards(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "shards").rglob("*.h5")}


def started(config, out, cwd, wanted=5, more=()):
    """A generation that has finished a few labels and goes on."""
    process = subprocess.Popen(
        [*HAMPRED, "generate", str(config), "--out", str(out), "--workers", "1", *more],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # what is started behind an & ignores Ctrl-C, and so would this process: it is to be as in a terminal
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 60
    while len(shards(out)) < wanted and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    return process


def test_dry_run_counts_and_writes_nothing(tmp_path, config):
    told = hampred("generate", config, "--dry-run", "--json", "--set", "level.basis=def2-svp", cwd=tmp_path)
    data = json.loads(told.stdout)
    assert (data["n_structures"], data["n_orbitals"], data["n_refused"]) == (40, [10, 10], 0)
    assert data["estimated_wall_s"] > 0
    assert [p.name for p in tmp_path.iterdir()] == ["h2.yaml"]


def test_json_result(tmp_path, config):
    told = hampred("generate", config, "--out", "o", "--json", "--set", "geometries.0.sampling.0.count=3", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    data = json.loads(told.stdout)
    assert (data["n_labels"], data["n_failed"]) == (3, 0)
    assert "labels: 3/3" in told.stderr or "packing: 3/3" in told.stderr


def test_kill_nine_loses_nothing_and_resuming_repeats_nothing(tmp_path, config):
    out = tmp_path / "out"
    process = started(config, out, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.5)  # the orphaned worker finishes what it was doing and ends with its input
    before = shards(out)
    assert 5 <= len(before) < 40 and not (out / "labels.h5").exists()
    told = hampred("generate", config, "--out", out, "--json", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    data = json.loads(told.stdout)
    assert (data["n_labels"], data["n_new"]) == (40, 40 - len(before))
    after = shards(out)
    assert all(after[path] == stamp for path, stamp in before.items())
    with Store(out / "labels.h5") as store:
        assert len(store) == 40 and store.damaged() == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_and_says_how_to_resume(tmp_path, config, stop):
    out = tmp_path / "out"
    # so many that a busy machine does not finish before the signal
    process = started(config, out, tmp_path, more=["--set", "geometries.0.sampling.0.count=1000"])
    process.send_signal(stop)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "resume with: hampred generate" in errors and "Traceback" not in errors
    assert not [p for p in out.rglob("*.tmp") if p.parent.name != "shards" and "shards" not in str(p)]
    assert len(shards(out)) >= 5


GEOMETRY = "geometries: [{kind: file, path: bad.xyz}]\n" + FAST


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("two\n\nH 0 0 0\n", "number of atoms"),
        ("2\n\nH 0 0 0\nH 0 0 nan\n", "NaN"),
        ("2\n\nH 0 0 0\nH 0 0 0.01\n", "apart"),
        ("1\n\nH 0 0 0\n", "open shell"),
        ("99999999999\n\nH 0 0 0\n", "number of atoms"),
    ],
)
def test_bad_structures_end_with_code_two_and_one_line(tmp_path, text, words):
    (tmp_path / "bad.xyz").write_text(text)
    (tmp_path / "c.yaml").write_text(GEOMETRY)
    told = hampred("generate", "c.yaml", "--out", "out", cwd=tmp_path)
    assert told.returncode == 2
    assert words in told.stderr and told.stderr.startswith("error: ") and told.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "levell.basis=x"], "did you mean level"),
        (["--set", "level.basis=sto-33g"], "no basis set"),
        (["--set", "level.functional=pbee"], "libxc does not know"),
        (["--out", "h2.yaml/out"], "Cannot write"),
        (["--scheduler", "nonsense"], "no address"),
        (["--scheduler", "tcp://127.0.0.1:9"], "No Dask scheduler answers"),
    ],
)
def test_bad_settings_end_with_code_two_and_one_line(tmp_path, config, arguments, words):
    told = hampred("generate", config, *arguments, cwd=tmp_path)
    assert told.returncode == 2
    assert words in told.stderr and told.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in told.stderr


def test_import_of_own_matrices(tmp_path):
    from data_gen.backends.pyscf_molecule import PySCFMolecule
    from hampred.config import LevelConfig

    sample = PySCFMolecule(LevelConfig(functional="pbe", basis="sto-3g")).label(molecule("H2"))
    fock = sample.hamiltonian.to_dense()
    np.savez(tmp_path / "a.npz", numbers=sample.atoms.numbers, positions=sample.atoms.positions, fock=fock)
    options = ("--out", "s.h5", "--functional", "pbe", "--basis", "sto-3g", "--verify", "--json")
    told = hampred("import", "a.npz", *options, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {"store": "s.h5", "n_labels": 1, "verified": True}
    assert len(Store(tmp_path / "s.h5")) == 1
