"""What a benchmark leaves behind: a printed table, and a JSON file that says when, where and how it was measured."""

import argparse
import platform
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hampred.cli.doctor import examine
from hampred.cli.output import number, write_json
from hampred.errors import FailedError, HampredError

WIDTH = 150
"""Characters of a line of a table."""


def arguments_of(doc: str | None, out: str) -> argparse.ArgumentParser:
    """A parser that shows the text of a script and knows ``--out``, the folder of its results."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the JSON file and of all that is kept")
    return parser


def say(text: str) -> None:
    """Progress goes to stderr, results to stdout."""
    print(text, file=sys.stderr, flush=True)


def write_record(path: Path, figures: dict[str, Any]) -> None:
    """Writes the figures of a benchmark under date, command, machine and versions.

    Args:
        path: JSON file.
        figures: Plain JSON types.
    """
    found = examine()
    machine = {"cpu": cpu_model(), **found["machine"], "torch_threads": torch.get_num_threads()}
    record = {
        "benchmark": path.stem,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine,
        "versions": found["packages"],
        **figures,
    }
    write_json(path, record)
    say(f"wrote {path}")


def cpu_model() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not on every system
        return platform.processor() or platform.machine()


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str | float | None]], group: int = 0) -> None:
    """Prints a table: texts to the left, numbers to the right with four digits, None as a dash.

    Args:
        title: Above the table.
        head: Titles of the columns.
        rows: Texts and numbers.
        group: Rows between two lines; 0 for none.
    """
    table = Table(title=Text(title, style="bold"), box=SIMPLE_HEAD, title_justify="left")
    for k, name in enumerate(head):
        texts = all(isinstance(row[k], str) for row in rows)
        table.add_column(Text(name), justify="left" if texts else "right", overflow="fold", no_wrap=texts)
    for k, row in enumerate(rows, start=1):
        cells = (Text(cell if isinstance(cell, str) else digits(cell)) for cell in row)
        table.add_row(*cells, end_section=bool(group) and k % group == 0)
    Console(width=WIDTH).print(table)


def digits(value: float | None) -> str:
    """A number with four digits, or all those before the point; a dash where there is none."""
    large = value is not None and 1e3 <= abs(value) < 1e7
    return f"{value:,.0f}" if large else number(value)


@contextmanager
def drawing(path: Path, n_columns: int = 1) -> Iterator[Any]:
    """Gives matplotlib axes side by side, an array [n_columns], and writes the figure as PNG."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from hampred.pages.plots import STYLE

    with rc_context(STYLE):
        figure = Figure(figsize=(5.0 * n_columns, 4.2), dpi=130)
        FigureCanvasAgg(figure)
        yield figure.subplots(1, n_columns, squeeze=False)[0]
        figure.savefig(path)
    say(f"wrote {path}")


def run(main: Callable[[], None]) -> None:
    """Runs a script; a mistake of the user is one line, and an interrupt says that the same command goes on."""
    warnings.simplefilter("ignore")  # of the packages under hampred
    warnings.filterwarnings("default", module="hampred|data_gen")
    try:
        main()
    except (HampredError, FailedError) as error:
        say(f"error: {error}")
        sys.exit(2 if isinstance(error, HampredError) else 1)
    except KeyboardInterrupt:
        say("interrupted: all that is finished is kept; the same command goes on.")
        sys.exit(130)
