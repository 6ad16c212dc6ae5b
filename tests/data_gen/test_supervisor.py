"""Workers that die, hang or run out of memory cost one task each, and nothing else."""

import sys
from pathlib import Path

import pytest

from data_gen import supervisor
from data_gen.supervisor import run_local
from hampred.data.store import Store
from hampred.errors import FailedError

FAULTY = [sys.executable, str(Path(__file__).parent / "faulty_worker.py")]

BACKEND = {
    "level": {"functional": "pbe", "basis": "sto-3g", "grid_level": 0},
    "scf": {},
    "guard": {},
    "forces": False,
}


def task(key, folder, molecule="good", bond=0.74):
    return {
        "key": key,
        "shard": str(folder / f"{key}.h5"),
        "numbers": [1, 1],
        "positions": [[0, 0, 0], [0, 0, bond]],
        "charge": 0,
        "info": {"molecule": molecule},
        "backend": BACKEND,
    }


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.setattr(supervisor, "WORKER_COMMAND", FAULTY)


def test_good_tasks_are_all_done_and_written(tmp_path):
    tasks = [task(f"t{i}", tmp_path, bond=0.7 + 0.01 * i) for i in range(4)]
    answers = {a["key"]: a for a in run_local(tasks, 2)}
    assert {k: a["kind"] for k, a in answers.items()} == {f"t{i}": "done" for i in range(4)}
    with Store(tmp_path / "t3.h5") as store:
        assert store[0].atoms.get_distance(0, 1) == pytest.approx(0.73)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("segfault", "crashed", "SIGSEGV"),
        ("killed", "out of memory", "killed"),
        ("exit", "crashed", "exit status 3 (last words)"),
    ],
)
def test_a_dying_worker_takes_one_task(tmp_path, faulty, fault, kind, words):
    tasks = [task(f"t{i}", tmp_path, fault if i in (1, 4) else "good") for i in range(6)]
    answers = {a["key"]: a for a in run_local(tasks, 1)}
    assert len(answers) == 6
    for i in range(6):
        assert answers[f"t{i}"]["kind"] == (kind if i in (1, 4) else "done")
    assert words in answers["t1"]["reason"]


def test_a_hanging_task_is_ended(tmp_path, faulty):
    tasks = [task("bad", tmp_path, "hang"), task("good", tmp_path)]
    answers = {a["key"]: a for a in run_local(tasks, 1, timeout=3)}
    assert answers["bad"]["kind"] == "timeout" and "3 s" in answers["bad"]["reason"]
    assert answers["good"]["kind"] == "done"


def test_the_memory_limit_costs_one_task(tmp_path, faulty):
    tasks = [task("bad", tmp_path, "memory"), task("good", tmp_path)]
    answers = {a["key"]: a for a in run_local(tasks, 1, memory_limit=4)}
    assert answers["bad"]["kind"] in ("out of memory", "crashed")
    assert answers["good"]["kind"] == "done"


def test_what_libraries_print_does_not_mix_with_answers(tmp_path, faulty):
    assert [a["kind"] for a in run_local([task("t", tmp_path, "noisy")], 1)] == ["done"]


def test_a_worker_that_never_starts_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "WORKER_COMMAND", [sys.executable, "-c", "raise SystemExit('no such module')"])
    with pytest.raises(FailedError, match="no such module"):
        list(run_local([task("t", tmp_path)], 1))


def test_a_shard_that_cannot_be_written_is_told_as_such(tmp_path):
    (tmp_path / "file").write_text("")
    (answer,) = run_local([task("t", tmp_path / "file")], 1)
    assert answer["kind"] == "storage"
