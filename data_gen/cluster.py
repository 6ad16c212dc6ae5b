"""The same tasks on a Dask cluster.

Each Dask worker runs a task in a process of its own, as the pool of this machine does, so that a crash, a hang or a
lack of memory costs that task alone and never the Dask worker. The finished shard travels back as bytes: the cluster
needs no file system in common with this machine.
"""

import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_gen.supervisor import Worker
from data_gen.worker import Answer, Task
from hampred.errors import HampredError

_local = threading.local()

AHEAD = 1000
"""Tasks that wait on the cluster at a time."""

CONNECT_SECONDS = 20
"""Until a scheduler must have answered."""


def run_dask(
    tasks: Sequence[Task], scheduler: str, timeout: float | None = None, memory_limit: float | None = None
) -> Iterator[Answer]:
    """Runs tasks on a Dask cluster and yields their answers as they come.

    Args:
        tasks: The work.
        scheduler: Address of the scheduler, such as ``tcp://10.0.0.1:8786``.
        timeout: Seconds of one task.
        memory_limit: GiB of one process.

    Raises:
        HampredError: `distributed` is not installed or the scheduler does not answer.
    """
    client, as_completed = _connect(scheduler)
    waiting = iter(tasks)
    try:
        futures: Any = as_completed([], loop=client.loop)
        owners: dict[str, Task] = {}

        def submit() -> None:
            task = next(waiting, None)
            if task is not None:
                future = client.submit(label_isolated, dict(task), timeout, memory_limit, pure=False, retries=0)
                owners[future.key] = task
                futures.add(future)

        for _ in range(min(AHEAD, len(tasks))):
            submit()
        for future in futures:
            task = owners.pop(future.key)
            yield _finish(future, task)
            submit()
    finally:
        client.close()


def label_isolated(task: Task, timeout: float | None, memory_limit: float | None) -> tuple[Answer, bytes]:
    """Runs on a Dask worker: one task in a process of its own.

    Returns:
        The answer, and the bytes of the shard where there is one.
    """
    if not hasattr(_local, "worker"):
        _local.worker = Worker()
    _local.worker.timeout, _local.worker.memory_limit = timeout, memory_limit
    with tempfile.TemporaryDirectory(prefix="hampred-") as folder:
        shard = Path(folder) / "shard.h5"
        answer = _local.worker.run({**task, "shard": str(shard)})
        return answer, shard.read_bytes() if answer["kind"] == "done" else b""


def _finish(future: Any, task: Task) -> Answer:
    """Writes the shard that came back; a lost Dask worker becomes an answer."""
    from hampred.files import replacing

    error = future.exception()
    if error is not None:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'the worker was lost'}"
        return {"key": task["key"], "kind": "crashed", "reason": reason, "cpu_s": 0.0}
    answer, content = future.result()
    if content:
        with replacing(Path(task["shard"])) as temporary:
            temporary.write_bytes(content)
    future.release()
    return answer


def require_scheduler(scheduler: str) -> None:
    """Looks whether anything listens at an address, before work is begun.

    Raises:
        HampredError: `distributed` is not installed, or the address is none, or nothing listens there.
    """
    if find_spec("distributed") is None:
        raise HampredError("A cluster needs Dask: pip install 'hampred[dask]'.")
    try:
        place = urlsplit(scheduler)
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise HampredError(f"{scheduler} is no address of a Dask scheduler: write one such as tcp://10.0.0.1:8786.")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise HampredError(f"No Dask scheduler answers at {scheduler}: start one with `dask scheduler`.") from error


def _connect(scheduler: str) -> tuple[Any, Any]:
    require_scheduler(scheduler)
    from distributed import Client, as_completed

    try:
        return Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False), as_completed
    except (OSError, ValueError, TimeoutError) as error:
        raise HampredError(f"No Dask scheduler answers at {scheduler}: start one with `dask scheduler`.") from error
