"""Tables and numbers in HTML; every text is escaped here."""

from collections.abc import Iterable, Sequence
from html import escape


def number(value: float | None) -> str:
    """A number with three significant digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    size = abs(value)
    return f"{value:.3g}" if size == 0 or 1e-3 <= size < 1e5 else f"{value:.2e}"


def table(head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    """An HTML table.

    Args:
        head: Titles of the columns.
        rows: First cell a text; texts are escaped and numbers shortened.
    """
    lines = ["<tr>" + "".join(f"<th>{escape(title)}</th>" for title in head) + "</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(map(_cell, row)) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>\n"


def _cell(value: str | float | None) -> str:
    if not isinstance(value, str):
        return f"<td>{number(value)}</td>"
    style = "word long" if len(value) > 60 else "word"
    return f'<td class="{style}">{escape(value)}</td>'


def note(text: str) -> str:
    """A line of explanation."""
    return f'<p class="note">{escape(text)}</p>\n'
