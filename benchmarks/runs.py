"""Trainings of a benchmark: hampred's own path into a run folder, timed over all starts, the same command resumes."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from hampred.cli.output import write_json
from hampred.cli.progress import ProgressLine
from hampred.config import TrainConfig, load_config
from hampred.evaluation.confidence import calibrate
from hampred.training.run import train

N_VALIDATIONS = 20
SAVE_SECONDS = 10.0
"""Time between two looks at the clock that survive a kill."""


class Clock:
    """Time that a training has taken over all its starts; a `Report` of hampred that shows progress as well.

    Attributes:
        times: ``wall_s`` and ``cpu_s`` of all starts, reading labels included, and ``step_cpu_ms``, the median CPU time
            of one training step.
        reported: Whether there was anything to do in this start.
    """

    def __init__(self, path: Path, line: ProgressLine, name: str = "") -> None:
        """Goes on from a file of an earlier start, if there is one."""
        self.path, self.line, self.name = path, line, name
        self.times: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"wall_s": 0.0, "cpu_s": 0.0}
        self.reported = False
        self._steps: list[float] = []
        self._last_step: tuple[int, float] | None = None
        self._seen, self._saved = (time.monotonic(), time.process_time()), time.monotonic()

    def __call__(self, label: str, done: int, total: int, rate: float | None, more: str) -> None:
        """Takes the time and shows the progress."""
        now, self.reported = (time.monotonic(), time.process_time()), True
        if label == "training":
            if self._last_step and self._last_step[0] == done - 1:
                self._steps.append(now[1] - self._last_step[1])
            self._last_step = done, now[1]
        self.line.show(f"{self.name}: {label}" if self.name else label, done, total, rate, more)
        if now[0] - self._saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Adds the time since the last look, and writes it down."""
        now = time.monotonic(), time.process_time()
        for key, last, this in zip(("wall_s", "cpu_s"), self._seen, now):
            self.times[key] = round(self.times[key] + this - last, 2)
        if self._steps:
            self.times["step_cpu_ms"] = round(1e3 * median(self._steps), 3)
        self._seen, self._saved = now, now[0]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.times)


def add_training_arguments(parser: argparse.ArgumentParser, preset: str) -> None:
    """Adds ``--config``, ``--set`` and ``--max-time``."""
    parser.add_argument("--config", default=preset, help=f"preset or YAML of the training ({preset})")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides it; repeatable")
    parser.add_argument("--max-time", type=float, metavar="MIN", help="minutes after which each training ends")


def read_training(arguments: argparse.Namespace, data: Sequence[Path], overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration that the arguments ask for, on given stores; ``--set`` has the last word."""
    own = [f"data={json.dumps([str(path) for path in data])}", *overrides]
    if arguments.max_time:
        minutes, seconds = divmod(round(60 * arguments.max_time), 60)
        days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
        own.append(f"trainer.max_time={days:02d}:{hours:02d}:{minutes:02d}:{seconds:02d}")
    return load_config(TrainConfig, arguments.config, [*own, *arguments.set])


def with_steps(config: TrainConfig, n_train: int, n_steps: int) -> TrainConfig:
    """The same training over about `n_steps` steps on `n_train` labels, with some 20 validations on the way."""
    in_epoch = n_train // min(config.batch_size, n_train)
    interval = max(1, round(n_steps / (in_epoch * N_VALIDATIONS)))
    epochs = interval * max(1, round(n_steps / (in_epoch * interval)))
    changed = {"epochs": epochs, "validate_every_epochs": interval, "early_stopping": None}
    return config.model_copy(update=changed)


def train_timed(config: TrainConfig, out: Path, name: str = "") -> dict[str, Any]:
    """Trains into a run folder, or takes the finished run that is there; then the model learns its errors, untimed.

    Returns:
        Times of a `Clock`.
    """
    with ProgressLine() as line:
        clock = Clock(out / "clock.json", line, name)
        try:
            train(config, out, clock)
        finally:
            if clock.reported:
                clock.save()
        calibrate(out / "model.safetensors", config.data, line.show)
    return clock.times
