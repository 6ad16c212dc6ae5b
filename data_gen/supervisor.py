"""Runs tasks in processes that may crash, hang or run out of memory, each alone.

A process that dies takes one task with it, is replaced, and the task is answered with the reason.
"""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_gen.worker import Answer, Task
from hampred.errors import FailedError

WORKER_COMMAND: list[str] = [sys.executable, "-m", "data_gen.worker"]

START_SECONDS = 300.0
"""A worker that has not imported its libraries by then never will."""


class Worker:
    """One process that labels, started when it is needed and replaced when it dies."""

    def __init__(self, timeout: float | None = None, memory_limit: float | None = None) -> None:
        """Starts nothing yet.

        Args:
            timeout: Seconds of one task.
            memory_limit: GiB of address space.
        """
        self.timeout, self.memory_limit = timeout, memory_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._closed = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the worker

    def run(self, task: Task) -> Answer:
        """Runs one task; whatever happens to the process becomes an answer.

        Raises:
            FailedError: The process cannot be started at all.
        """
        self._start()
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
            line = self._line(self.timeout)
        except BrokenPipeError:
            line = b""
        if line:
            return json.loads(line)
        failed: Answer = {"key": task["key"], "cpu_s": 0.0}
        if line is None:
            self.kill()
            return failed | {"kind": "timeout", "reason": f"not finished after {self.timeout:g} s (task_timeout)"}
        return failed | self._cause_of_death()

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                with suppress(BrokenPipeError):
                    stream.close()  # type: ignore[union-attr]
        self._process, self._buffer = None, b""

    def close(self) -> None:
        """Ends the process and starts no other."""
        self._closed = True
        self.kill()
        self._errors.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._closed:
            raise FailedError("The worker is closed.")
        self.kill()
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)}
        environment["HAMPRED_MEMORY_LIMIT"] = str(self.memory_limit or 0)
        self._process = subprocess.Popen(
            WORKER_COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone
        )
        if not self._line(START_SECONDS):
            raise FailedError(f"A worker process does not start: {self._cause_of_death()['reason']}")

    def _line(self, timeout: float | None) -> bytes | None:
        """One line of the process; empty where it died, None where time ran out."""
        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            if not select.select([descriptor], [], [], left)[0]:
                return None
            data = os.read(descriptor, 1 << 16)
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _cause_of_death(self) -> Answer:
        assert self._process is not None
        code = self._process.wait()
        self._errors.seek(max(self._errors.seek(0, os.SEEK_END) - 400, 0))
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        self.kill()
        if code == -signal.SIGKILL:
            reason = "the process was killed (out of memory?)"
            return {"kind": "out of memory", "reason": reason}
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return {"kind": "crashed", "reason": f"the process died with {how}" + "".join(f" ({text})" for text in last)}


def run_local(
    tasks: Sequence[Task], n_workers: int, timeout: float | None = None, memory_limit: float | None = None
) -> Iterator[Answer]:
    """Runs tasks in processes on this machine and yields their answers as they come.

    Args:
        tasks: The work.
        n_workers: Number of processes.
        timeout: Seconds of one task.
        memory_limit: GiB of one process.

    Raises:
        FailedError: Processes cannot be started.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    workers = [Worker(timeout, memory_limit) for _ in range(min(n_workers, len(tasks)))]
    threads = [threading.Thread(target=_drain, args=(w, waiting, answers), daemon=True) for w in workers]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        for worker in workers:
            worker.close()


def _drain(worker: Worker, waiting: "queue.SimpleQueue[Task]", answers: "queue.SimpleQueue[Any]") -> None:
    """Runs tasks on one worker until none is left."""
    with suppress(queue.Empty):
        while True:
            task = waiting.get_nowait()
            try:
                answers.put(worker.run(task))
            except Exception as error:  # handed to the thread that waits for the answers
                answers.put(error)
                return


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
