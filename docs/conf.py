"""Settings of the documentation: `python -m sphinx -W docs docs/_build` runs its notebooks and builds the pages."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "hampred"
author = copyright = "The hampred developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "listing"]
exclude_patterns = ["_build", "jupyter_execute"]
myst_heading_anchors = 3
smartquotes = False  # messages can be searched for

html_theme = "furo"
html_title = "hampred"
html_static_path = ["_static"]
html_css_files = ["hampred.css"]

nb_execution_mode = "force"  # Sphinx reads, and so runs, a page again only when it has changed
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")  # made, never filled
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 900
nb_merge_streams = True
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
default_role = "code"
napoleon_use_ivar = True

FIRST = ["tutorial", "tutorial", "molecules"]
"""Pages whose files others use are read, and so run, before them."""


COLON = "\ue000"
"""Stands for a colon that napoleon would take for the end of a type."""


def keep_colons(_app: Any, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keeps the sentence that describes a property in one piece."""
    if what == "property":
        lines[0] = lines[0].replace(":", COLON)


def as_rst(_app: Any, what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Makes of a docstring, which is plain text, reStructuredText: | and * mean themselves, indented code is code."""
    text = re.sub(r"(?<!`)([|*])(?!`)", r"\\\1", "\n".join(lines).replace(COLON, ":"))
    text = re.sub(r"([^:\n]):?\n\n(    (?! )(?:.*\n)+?)(?=\n|\Z)", r"\1::\n\n\2", text)
    lines[:] = text.split("\n")


def setup(app: Any) -> None:
    """Says where and in which order the notebooks run."""
    run = Path(app.outdir) / "run"
    startup = run / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "startup.py", startup)
    os.environ |= {"HAMPRED_DOCS": str(run), "IPYTHONDIR": str(run / ".ipython")}
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["COLUMNS"] = "90"  # of the tables that commands print
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    app.connect("env-before-read-docs", lambda app, env, names: names.sort(key=FIRST.count, reverse=True))
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("autodoc-process-docstring", as_rst)
