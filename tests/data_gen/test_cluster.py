"""The same tasks on a Dask cluster."""

import pytest
from test_supervisor import FAULTY, task

from data_gen import supervisor
from data_gen.cluster import run_dask
from hampred.data.store import Store
from hampred.errors import HampredError

distributed = pytest.importorskip("distributed")


def test_a_crash_on_the_cluster_costs_one_task(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "WORKER_COMMAND", FAULTY)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp", host="127.0.0.1"
    ) as cluster:
        names = ["good", "segfault", "good", "hang", "good"]
        tasks = [task(f"t{i}", tmp_path, name, 0.7 + 0.01 * i) for i, name in enumerate(names)]
        answers = {a["key"]: a for a in run_dask(tasks, cluster.scheduler_address, timeout=8)}
    assert [answers[f"t{i}"]["kind"] for i in range(5)] == ["done", "crashed", "done", "timeout", "done"]
    for i in (0, 2, 4):
        with Store(tmp_path / f"t{i}.h5") as store:
            assert store[0].atoms.get_distance(0, 1) == pytest.approx(0.7 + 0.01 * i)


def test_no_scheduler_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("data_gen.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(HampredError, match="No Dask scheduler answers"):
        list(run_dask([task("t", tmp_path)], "tcp://127.0.0.1:9"))
