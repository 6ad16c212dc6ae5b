"""Progress on the standard error: a bar on a terminal, else a line every few seconds."""

import time
from types import TracebackType
from typing import Any

import typer

QUIET_SECONDS = 10.0
"""Time between two lines where the standard error is no terminal."""


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


class ProgressLine:
    """Shows what is done of a total, the rate and the time left."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        self._bar: Any = None
        self._task: Any = None
        self._last, self._label = float("-inf"), ""
        if console.is_terminal:
            columns = (
                "{task.description}",
                BarColumn(),
                TextColumn("{task.completed}/{task.total} {task.fields[text]}"),
            )
            self._bar = Bar(*columns, console=console)

    def __enter__(self) -> "ProgressLine":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None, text="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, label: str, done: int, total: int, rate: float | None = None, more: str = "") -> None:
        """Shows a state.

        Args:
            label: What is being done.
            done: Items finished.
            total: Items in all.
            rate: Items a second, from which the time left follows.
            more: Further text, such as the last error.
        """
        parts = [more] if more else []
        if rate:
            parts = [f"{rate:.2f}/s", f"{duration((total - done) / rate)} left", *parts]
        text = ", ".join(parts)
        if self._bar is not None:
            self._bar.update(self._task, description=label, completed=done, total=total, text=text)
        elif time.monotonic() - self._last > QUIET_SECONDS or label != self._label:
            self._last, self._label = time.monotonic(), label
            typer.echo(f"{label}: {done}/{total}" + (f" ({text})" if text else ""), err=True)
