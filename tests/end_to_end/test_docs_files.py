"""What docs/files.md says of reading files back is run, and its table of formats is that of the code."""

import re
from pathlib import Path

import pytest
from ase.build import bulk, molecule
from ase.io import write

from hampred.cli import main
from hampred.evaluation.prediction_formats import FORMATS, KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_model, silicon_model, small_store):
    """Files under the names that the page uses."""
    folder = tmp_path_factory.mktemp("docs")
    write(folder / "water.xyz", molecule("H2O"))
    write(folder / "si.cif", bulk("Si"))
    for name, model, kind in (("si.cif", silicon_model, "crystal"), ("water.xyz", small_model, "molecule")):
        words = ["predict", folder / name, "--model", model, "--out", folder / "predictions"]
        words += [word for key, form in FORMATS.items() if kind in form.kinds for word in ("--format", key)]
        assert main([str(word) for word in [*words, "--spacing", "0.5"]]) == 0
    (folder / "labels.h5").symlink_to(small_store)
    (folder / "model.safetensors").symlink_to(small_model)
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[-1][:40] for block in BLOCKS])
def test_lines_run(folder, monkeypatch, block):
    monkeypatch.chdir(folder)
    exec(block, {})


def test_every_format_has_a_row():
    rows = re.findall(r"^\| `(\w+)`.*\| (\w+).*\| (\w+).*\| (\w+).*\| (\w+).*\|$", PAGE, re.MULTILINE)
    told = {name: [word != "no" for word in words] for name, *words in rows if name in FORMATS}
    assert told == {name: [kind in form.kinds for kind in KINDS] for name, form in FORMATS.items()}
