"""The house: style, types, floors, and what no source may hold."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("hampred/**/*.py"), *ROOT.glob("data_gen/**/*.py")])


def run(*command: str) -> subprocess.CompletedProcess:
    scripts = Path(sys.executable).parent
    program = shutil.which(command[0], path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    assert program, f"{command[0]} is not installed: pip install -e '.[test]'"
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # no look at the network for a newer version
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_ruff():
    run("ruff", "check", ".")


def test_types():
    run("pyright", "--pythonpath", sys.executable)


def test_imports_go_down_the_floors():
    run("lint-imports", "--no-cache")


FORBIDDEN = {
    "weights_only=False": r"weights_only\s*=\s*False",
    "pickle": r"\bpickle\b(?!able)|\bdill\b|\bcloudpickle\b|\bjoblib\b",
    "eval or exec": r"(?<![.\w])(eval|exec)\(",
    "allow_pickle=True": r"allow_pickle\s*=\s*True",
    "a YAML loader that builds objects": r"yaml\.(load|unsafe_load|full_load)\(",
    "shell=True": r"shell\s*=\s*True|os\.system\(",
    "a bare except": r"except\s*:",
    "work left undone": r"\b(TODO|FIXME|XXX)\b",
}


def code_of(path: Path) -> str:
    """The source without comments and docstrings, which may name what is forbidden."""
    import io
    import tokenize

    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    lines: dict[int, list[str]] = {}
    fresh = True  # a string that begins a statement is a docstring
    for token in tokens:
        docstring = token.type == tokenize.STRING and fresh
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.ENCODING):
            fresh = True
        elif token.type != tokenize.COMMENT:
            fresh = False
            if not docstring:
                lines.setdefault(token.start[0], []).append(token.string)
    return "\n".join("".join(words) for words in lines.values())


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden(what: str):
    pattern = re.compile(FORBIDDEN[what])
    text = code_of if what != "work left undone" else Path.read_text
    assert [str(path.relative_to(ROOT)) for path in SOURCES if pattern.search(text(path))] == []


def test_pyscf_is_imported_in_few_places():
    allowed = ("hampred/interop/", "hampred/baseline/", "hampred/basis.py", "data_gen/backends/")
    pattern = re.compile(r"^\s*(import|from) pyscf\b", re.MULTILINE)
    found = [path.relative_to(ROOT).as_posix() for path in SOURCES if pattern.search(path.read_text())]
    assert [path for path in found if not path.startswith(allowed)] == []


def test_prints_stand_in_the_command_line_only():
    found = [path.relative_to(ROOT).as_posix() for path in SOURCES if re.search(r"(?<![.\w])print\(", code_of(path))]
    assert [path for path in found if not path.startswith("hampred/cli/")] == []


def test_files_are_short():
    assert [(str(p.relative_to(ROOT)), n) for p in SOURCES if (n := len(p.read_text().splitlines())) > 400] == []


def test_constraints_pin_every_dependency():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {re.split(r"[\[<>=!~ ]", r, maxsplit=1)[0].lower() for r in wanted} - {"hampred"}
    assert names - pinned == set()
    assert "torch==2.13.0" in lines


@pytest.mark.parametrize("mark", ["run-command", "test-command"])
def test_readme_names_its_two_commands(mark: str):
    blocks = re.findall(rf"<!-- {mark} -->\n```[a-z]*\n(.+?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1 and "constraints.txt" in blocks[0]


def test_import_is_quick():
    heavy = ("torch", "pyscf", "pytorch_lightning", "matplotlib")
    code = f"import hampred, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
