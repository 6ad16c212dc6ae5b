"""Output of the verbs: JSON, tables, and how to go on after an interrupt."""

import json
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Ends work that was interrupted (by SIGTERM too) with a line that says where it is kept and how to go on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["hampred", *sys.argv[1:]])
        told = f"interrupted: all that is finished is kept in {out}; resume with: {command}"
        raise KeyboardInterrupt(told) from None
    finally:
        signal.signal(signal.SIGTERM, previous)


def write_json(path: Path, data: Any) -> None:
    """Writes JSON; the file appears under its name only when complete.

    Raises:
        HampredError: The path cannot be written.
    """
    from hampred.files import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def print_json(data: Any) -> None:
    """Prints JSON on the standard output."""
    typer.echo(json.dumps(data, allow_nan=False))


def print_table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str | float | None]],
    decimals: Mapping[str, int] | None = None,
) -> None:
    """Prints a table: columns of texts to the left, of numbers to the right.

    Args:
        title: Above the table; empty for none.
        head: Titles of the columns; without any there is no head.
        rows: Texts and numbers; numbers get three or four significant digits, None becomes a dash.
        decimals: Title of a column of numbers → digits behind the point of each.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, style="bold") if title else None
    table = Table(
        title=heading,
        box=SIMPLE_HEAD,
        title_justify="left",
        show_header=any(head),
        collapse_padding=True,
        pad_edge=False,
    )
    columns: list[Iterable[Text]] = []
    rows, decimals = list(rows), decimals or {}
    for k, name in enumerate(head):
        cells = [row[k] for row in rows]
        told = [cell if isinstance(cell, str) else number(cell, decimals.get(name)) for cell in cells]
        texts = name not in decimals and all(isinstance(cell, str) for cell in cells)
        least = None if texts else max(map(len, told), default=0)  # a number is not broken
        table.add_column(Text(name), justify="left" if texts else "right", overflow="fold", min_width=least)
        columns.append(map(Text, told))
    for row in zip(*columns):
        table.add_row(*row)
    console = Console()
    console.on_broken_pipe = _broken_pipe
    console.print(table, crop=False)


def counted(count: int, what: str) -> str:
    """A number and what it counts: ``1 worker``, ``2 workers``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _broken_pipe() -> None:
    """Rich would exit with 1 where the reader of the output has gone."""
    raise BrokenPipeError


def number(value: float | None, decimals: int | None = None) -> str:
    """A number as people read it, with three or four significant digits or so many decimals; a dash for None."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int):
        return str(value)
    if decimals is not None:
        return f"{round(value, decimals) + 0.0:.{decimals}f}"  # no −0
    if 1e4 <= abs(value) < 1e5:
        return f"{value:.0f}"
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"
