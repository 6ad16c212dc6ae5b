"""Output of the verbs: folders that can be written, JSON, tables."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer


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


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> None:
    """Prints a table: columns of texts to the left, of numbers to the right.

    Args:
        title: Above the table; empty for none.
        head: Titles of the columns.
        rows: Texts and numbers; numbers get three or four significant digits, None becomes a dash.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold") if title else None, box=SIMPLE_HEAD, title_justify="left")
    rows = list(rows)
    for k, name in enumerate(head):
        texts = all(isinstance(row[k], str) for row in rows)
        table.add_column(Text(name), justify="left" if texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell if isinstance(cell, str) else number(cell)) for cell in row))
    Console().print(table)


def number(value: float | None) -> str:
    """A number as people read it; a dash where there is none."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"
