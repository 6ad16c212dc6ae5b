"""Generation: what is finished is never lost or repeated, what failed is recorded and never packed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from data_gen import supervisor
from data_gen.pipeline import generate, make_backend, make_plan
from hampred.config import GenerateConfig, load_config
from hampred.data.store import Store
from hampred.errors import FailedError, HampredError
from hampred.files import locked

FAULTY = [sys.executable, str(Path(__file__).parent / "faulty_worker.py")]


def config(count=4, **more):
    data = {
        "geometries": [{"kind": "g2", "names": ["H2"], "sampling": [{"kind": "rattle", "count": count}]}],
        "level": {"functional": "pbe", "basis": "sto-3g", "grid_level": 0},
        "label_noise": False,
        **more,
    }
    return load_config(GenerateConfig, data)


def test_store_holds_every_structure_in_order_with_its_origin(tmp_path):
    settings = config(label_noise=True)
    seen = []
    summary = generate(settings, tmp_path, workers=2, progress=lambda p: seen.append((p.done, p.failed, p.total)))
    plan = make_plan(settings, make_backend(settings))
    assert (summary.n_labels, summary.n_new, summary.failures) == (4, 4, ())
    with Store(summary.store) as store:
        assert len(store) == 4 and store.damaged() == []
        for sample, atoms in zip(store, plan.structures.values()):
            np.testing.assert_array_equal(sample.atoms.positions, atoms.positions)
            assert sample.provenance["molecule"] == "H2" and sample.provenance["seed"] == 0
        assert store.header["failures"] == [] and store.header["seed"] == 0
        assert 0 < store.header["label_noise_Eh"] == summary.label_noise < 1e-3
        assert GenerateConfig(**store.header["config"]) == settings
    assert seen[0] == (0, 0, 4) and (4, 0, 4) in seen


def test_the_same_call_computes_nothing_again_and_more_structures_only_the_new(tmp_path, monkeypatch):
    first = generate(config(), tmp_path, workers=1)
    content = first.store.read_bytes()
    monkeypatch.setattr(supervisor, "WORKER_COMMAND", [sys.executable, "-c", "raise SystemExit('must not start')"])
    again = generate(config(), tmp_path, workers=1)
    assert (again.n_labels, again.n_new) == (4, 0)
    assert len(content) == len(again.store.read_bytes())
    monkeypatch.undo()
    more = generate(config(count=6), tmp_path, workers=1)
    assert (more.n_labels, more.n_new) == (6, 2)


def broken(tmp_path, *names):
    """Frames of H2 whose molecule names say how the worker shall fail."""
    lines = []
    for i, name in enumerate(names):
        lines += ["2", f"molecule={name}", "H 0 0 0", f"H 0 0 {0.7 + 0.01 * i}"]
    path = tmp_path / "broken.extxyz"
    path.write_text("\n".join(lines) + "\n")
    return {"geometries": [{"kind": "file", "path": str(path)}]}


def test_failures_are_recorded_counted_and_not_packed(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "WORKER_COMMAND", FAULTY)
    settings = config(**broken(tmp_path, "good", "segfault", "good", "hang"), task_timeout=3)
    summary = generate(settings, tmp_path / "out", workers=2)
    assert [f.kind for f in summary.failures] == ["crashed", "timeout"]
    assert summary.to_dict()["failed_by_kind"] == {"crashed": 1, "timeout": 1}
    with Store(summary.store) as store:
        assert [s.provenance["molecule"] for s in store] == ["good", "good"]
        assert [f["molecule"] for f in store.header["failures"]] == ["segfault", "hang"]
    record = json.loads((tmp_path / "out" / "failures" / f"{summary.failures[0].key}.json").read_text())
    assert "SIGSEGV" in record["reason"] and len(record["positions"]) == 2

    monkeypatch.undo()  # a worker that does not break: failed structures wait until they are asked for
    assert len(generate(settings, tmp_path / "out", workers=1).failures) == 2
    retried = generate(settings.model_copy(update={"retry_failed": True}), tmp_path / "out", workers=1)
    assert (retried.n_labels, retried.n_new, retried.failures) == (4, 2, ())
    assert list((tmp_path / "out" / "failures").iterdir()) == []


def test_what_does_not_converge_fails_alone_or_all_together(tmp_path):
    water = {"kind": "g2", "names": ["H2", "H2O"]}
    scf = {"max_cycle": 2, "retries": False}
    summary = generate(config(geometries=[water], scf=scf), tmp_path / "a", workers=1)
    assert [(f.molecule, f.kind) for f in summary.failures] == [("H2O", "not converged")]
    with pytest.raises(FailedError, match="not converged"):
        generate(config(geometries=[{**water, "names": ["H2O"]}], scf=scf), tmp_path / "b", workers=1)
    assert not (tmp_path / "b" / "labels.h5").exists()


def test_refused_geometries_are_recorded_beside_good_ones(tmp_path):
    sources = [{"kind": "g2", "names": ["H2"]}, {"kind": "g2", "names": ["H2"], "charge": 1}]
    sources[1]["sampling"] = [{"kind": "rattle"}]
    summary = generate(config(geometries=sources), tmp_path, workers=1)
    assert summary.n_labels == 1
    assert [f.kind for f in summary.failures] == ["refused"] and "open shell" in summary.failures[0].reason


def test_nothing_is_written_where_nothing_can_be_labelled(tmp_path):
    with pytest.raises(HampredError, match="open shell"):
        generate(config(geometries=[{"kind": "g2", "names": ["H2"], "charge": 1}]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_levels_do_not_mix_in_one_folder(tmp_path):
    generate(config(count=2), tmp_path, workers=1)
    level = {"functional": "lda,vwn", "basis": "sto-3g", "grid_level": 0}
    summary = generate(config(count=2, level=level), tmp_path, workers=1)
    assert summary.n_new == 2
    with Store(summary.store) as store:
        assert store.level.functional == "lda,vwn" and len(store) == 2


def test_forces_asked_for_later_are_computed(tmp_path):
    generate(config(count=2), tmp_path, workers=1)
    summary = generate(config(count=2, forces=True), tmp_path, workers=1)
    with Store(summary.store) as store:
        assert summary.n_new == 2 and all(s.forces is not None for s in store)


def test_a_damaged_shard_is_computed_again(tmp_path):
    generate(config(count=2), tmp_path, workers=1)
    shard = next((tmp_path / "shards").rglob("*.h5"))
    shard.write_bytes(shard.read_bytes()[:200])
    assert generate(config(count=2), tmp_path, workers=1).n_new == 1


def test_two_generations_do_not_meet_in_one_folder(tmp_path):
    with locked(tmp_path), pytest.raises(HampredError, match="Another run works"):
        generate(config(), tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HampredError, match="Cannot write"):
        generate(config(), tmp_path / "file" / "out")
