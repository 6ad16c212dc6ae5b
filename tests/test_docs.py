"""The documentation: what it names exists, and what it lists is complete. Its notebooks run when it is built."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main
import yaml

from hampred.cli import app
from hampred.config import GenerateConfig, TrainConfig, load_config, preset_names
from hampred.nn.models import require_settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

sys.path.insert(0, str(DOCS))
import messages  # noqa: E402


def blocks(path: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return FENCE.findall(path.read_text())


def anchors(path: Path) -> set[str]:
    """Anchors of headings, as GitHub and MyST make them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def commands() -> list[tuple[str, list[str]]]:
    """Every call of hampred in a block, or between backticks with an option: page and words."""
    found = []
    for path in TEXTS:
        text = path.read_text().replace("\\\n", " ")
        lines = [line for language, block in blocks(path) for line in block.replace("\\\n", " ").splitlines()]
        lines += [
            one for one in re.findall(r"`(hampred [^`]+)`", FENCE.sub("", text)) if " --" in one and "…" not in one
        ]
        for line in lines:
            for call in re.findall(r"(?:^|srun (?:--\S+ )?|&& )hampred ([a-z][^|#]*)", line):
                found.append((path.name, shlex.split(re.sub(r"\$\w+", "1", call.partition("||")[0]))))
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", path.read_text())):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def test_toctree_holds_every_page():
    trees = [text for language, text in blocks(DOCS / "index.md") if language == "{toctree}"]
    named = [line for text in trees for line in text.splitlines() if re.fullmatch(r"\w+", line)]
    assert sorted([*named, "index"]) == [page.stem for page in PAGES]


def test_commands_have_their_options():
    """The parser of the command line takes every call: verb, options, choices."""
    verbs = typer.main.get_command(app).commands
    assert len(commands()) > 40
    for page, (verb, *words) in commands():
        try:
            verbs[verb].make_context(verb, list(words))
        except Exception as error:
            if type(error).__name__ not in ("MissingParameter", "BadOptionUsage"):  # what a text leaves out
                raise AssertionError(page, verb, words) from error


def test_presets_exist():
    known = preset_names()
    for path in TEXTS:
        named = re.findall(r"(?<![\w/.])((?:generate|train)/[a-z_0-9]+)\b(?!/)", path.read_text())
        assert {name for name in named if name not in known} == set(), path.name
        for name in re.findall(r"configs/([a-z]+/\w+)\.yaml", path.read_text()):
            assert name in known, (path.name, name)


def test_settings_of_commands_exist():
    for _, (verb, *words) in commands():
        sets = [b for a, b in pairwise(words) if a == "--set"]
        sets = [one for one in sets if "…" not in one and "KEY" not in one]
        if verb == "generate" and sets:
            load_config(GenerateConfig, words[0] if words[0] in preset_names() else "generate/water", sets)
        if verb == "train" and sets:
            settings = load_config(TrainConfig, words[0], sets)
            require_settings(settings.net.name, settings.net.model_extra or {})


def test_named_keys_exist():
    """`scf.max_cycle`, `loss.orbitals`, … are keys of the configurations."""
    given = load_config(TrainConfig, "train/tutorial").model_dump()
    schemas = {"generate": GenerateConfig.model_json_schema(), "train": TrainConfig.model_json_schema()}
    sections = {name for schema in schemas.values() for name in schema["properties"]} - {"data", "geometries"}
    known = {f"net.{key}" for key in given["net"]}
    for schema in schemas.values():
        for section, about in schema["properties"].items():
            name = about.get("$ref", "").rpartition("/")[2]
            known |= {f"{section}.{key}" for key in schema["$defs"].get(name, {}).get("properties", {})}
    for path in TEXTS:
        for section, key in re.findall(r"`(\w+)\.(\w+)(?:[:=.][^`]*)?`", path.read_text()):
            if key in ("json", "yaml"):  # a file
                continue
            assert section not in sections or f"{section}.{key}" in known, (path.name, f"{section}.{key}")


def test_yaml_blocks_are_configurations():
    found = [text for path in TEXTS for language, text in blocks(path) if "%%writefile my.yaml" in text]
    assert found
    for text in found:
        load_config(GenerateConfig, yaml.safe_load(text.partition("\n")[2] if text.startswith("%%") else text))


def test_sources_and_samplings_exist():
    listed = re.findall(r"^\| `(\{kind: .*?\})`", (DOCS / "data.md").read_text(), re.MULTILINE)
    for text in listed:
        one = yaml.safe_load(text.replace(", …", ""))
        if one["kind"] in ("bulk", "atoms"):
            continue
        if one["kind"] in ("file", "smiles", "g2"):
            load_config(GenerateConfig, {"geometries": [{**one, **({"path": "x"} if one["kind"] == "file" else {})}]})
        else:
            load_config(GenerateConfig, {"geometries": [{"kind": "g2", "names": ["H2O"], "sampling": [one]}]})
    assert len(listed) == 7


def scripts() -> list[tuple[str, str]]:
    """All shell scripts and blocks."""
    bash = [(p.name, text) for p in TEXTS for language, text in blocks(p) if language == "bash"]
    cells = [(p.name, t) for p in PAGES for language, t in blocks(p) if language == "{code-cell}" and "%%bash" in t]
    return bash + [(page, text.partition("%%bash\n")[2]) for page, text in cells]


@pytest.mark.parametrize(("page", "text"), scripts(), ids=[f"{page}-{k}" for k, (page, _) in enumerate(scripts())])
def test_shell_blocks_parse(page, text):
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "#SBATCH" in text:
        assert text.startswith("#!/bin/bash\n#SBATCH") and "--time=" in text


def test_python_cells_compile():
    for path in PAGES:
        for language, text in blocks(path):
            if language in ("python", "{code-cell}") and "%%" not in text:
                compile(re.sub(r"^:tags:.*\n", "", text), path.name, "exec")


def test_troubleshooting_lists_every_message():
    """A new file with messages belongs to a section of docs/troubleshooting.md: its name, or its folder."""
    text = (DOCS / "troubleshooting.md").read_text()
    places = [place for listed in re.findall(r"^```\{messages\} (.+)$", text, re.MULTILINE) for place in listed.split()]
    listed = [message for place in places for message in messages.of(ROOT, place)]
    everything = [message for package in ("hampred", "data_gen") for message in messages.of(ROOT, package)]
    assert {m.file for m in everything} - {m.file for m in listed} == set()
    assert len(listed) == len(set(listed)) and len(everything) > 200


def test_messages_are_read_as_they_are_raised():
    found = {message.text for message in messages.of(ROOT, "hampred/interop/structures.py")}
    assert "There is no file ‹path›: give the path of a structure, such as molecule.xyz." in found


@pytest.mark.parametrize("place", ["data_gen/guard.py", "data_gen/backends", "hampred/electronic/sparse_eigen.py"])
def test_messages_of_labels_and_levels_say_what_to_do(place):
    found = [message.text for message in messages.of(ROOT, place)]
    assert found and [text for text in found if ": " not in text and "; " not in text] == []


def test_citation():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert {"cff-version", "message", "title", "authors", "type"} <= set(cited)
    assert cited["version"] == version and cited["license"] == "MIT" and cited["cff-version"] == "1.2.0"
