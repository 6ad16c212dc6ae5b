"""The report of an evaluation: one HTML file that needs nothing else."""

from html import escape
from pathlib import Path

from hampred.evaluation.evaluate import Evaluation
from hampred.evaluation.sections import SECTIONS
from hampred.files import replacing

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
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
td.word {{ text-align: left; }}
td.long {{ overflow-wrap: anywhere; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def render(evaluation: Evaluation) -> str:
    """The report as HTML, without any outside resource; sections that have nothing to show are left out."""
    parts = []
    for title, section in SECTIONS:
        content = section(evaluation)
        if content:
            parts.append(f"<section><h2>{escape(title)}</h2>\n{content}</section>")
    return PAGE.format(title="Evaluation of a predicted Hamiltonian", body="\n".join(parts))


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Writes the report; it appears under its name only when complete.

    Raises:
        HampredError: The path cannot be written.
    """
    content = render(evaluation)
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
