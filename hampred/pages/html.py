"""Pages, tables and numbers in HTML; every text is escaped here."""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import Any

import numpy as np

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 64rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; margin-bottom: 0; }}
h2 {{ font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .9rem; text-align: right; border-bottom: 1px solid #eee; }}
th:first-child, td:first-child {{ text-align: left; }}
img {{ max-width: 100%; height: auto; display: block; margin: .5rem 0; }}
p.note {{ color: #555; margin: .3rem 0; }}
th.word, td.word {{ text-align: left; }}
td.long {{ overflow-wrap: anywhere; }}
{style}</style></head><body>
<h1>{title}</h1>
{body}
{scripts}</body></html>
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""No outside resource and no request, whatever stands in the page; no script but those whose hash the page names."""

GAP_BOUND = "± holds 90 % of the errors of gaps of the calibration labels; ? = unlike all of them, no bound is known"
"""What the bounds of `bounded` mean for gaps."""


def page(title: str, sections: Iterable[tuple[str, str]], style: str = "", scripts: Sequence[str] = ()) -> str:
    """A page without any outside resource.

    Args:
        title: Of the page.
        sections: Title and HTML of each section; empty ones are left out, and an empty title gives none.
        style: CSS besides that of every page.
        scripts: Run in this order when the page is read; no other script runs.
    """
    policy = POLICY
    if scripts:
        policy += "; script-src " + " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    parts = [_section(name, content) for name, content in sections if content]
    return PAGE.format(
        title=escape(title),
        policy=policy,
        style=style,
        body="\n".join(parts),
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
    )


def data_block(name: str, data: Any) -> str:
    """Plain JSON types for the scripts of a page, which never run as a script themselves.

    Args:
        name: The element's ``id``.
        data: Texts in it may hold anything.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>\n'


def _section(name: str, content: str) -> str:
    title = f"<h2>{escape(name)}</h2>\n" if name else ""
    return f"<section>{title}{content}</section>"


def _hash(script: str) -> str:
    """What a Content-Security-Policy calls a script."""
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("This script would end, or hide, within a page.")
    return b64encode(sha256(script.encode()).digest()).decode()


def number(value: float | None) -> str:
    """A number with three significant digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    size = abs(value)
    if 1e3 <= size < 1e5:
        return f"{value:.0f}"
    return f"{value:.3g}" if size == 0 or 1e-3 <= size < 1e3 else f"{value:.2e}"


def bounded(value: float, bound: float | None) -> str:
    """A value and the bound of its error, with the digits that the bound leaves.

    Args:
        value: In any unit.
        bound: In the same unit; None where none is known, which is told as a question mark.
    """
    if bound is None:
        return f"{value:.3f} ± ?"
    digits = int(np.clip(1 - np.floor(np.log10(max(bound, 1e-9))), 0, 6))  # two of the bound
    return f"{value:.{digits}f} ± {bound:.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    """An HTML table.

    Args:
        head: Titles of the columns.
        rows: First cell a text; texts are escaped and numbers shortened.
    """
    rows = list(rows)
    words = [all(isinstance(row[k], str) for row in rows) for k in range(len(head))]
    titles = [f'<th class="word">{escape(t)}</th>' if word else f"<th>{escape(t)}</th>" for t, word in zip(head, words)]
    lines = ["<tr>" + "".join(titles) + "</tr>"]
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
