"""The command line starts at once: heavy packages wait until a verb needs them."""

import json
import subprocess
import sys
import time

import pytest

from hampred.cli import doctor, main

HEAVY = ("torch", "pyscf", "pytorch_lightning", "matplotlib", "ase", "h5py", "scipy", "numpy", "e3nn")


def fresh(code: str) -> tuple[float, str]:
    """Seconds and output of code in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["bands", "--help"], ["check-basis", "--help"]])
def test_help_is_quick_and_imports_nothing_heavy(words):
    code = f"import sys; from hampred.cli import main; main({words}); print([m for m in {HEAVY} if m in sys.modules])"
    seconds, output = min(fresh(code) for _ in range(3))
    assert output.splitlines()[-1] == "[]"
    assert seconds < 1.5


def test_import_is_quick_and_lazy():
    code = f"import sys, hampred; print([m for m in {HEAVY} if m in sys.modules]); hampred.HampredError"
    seconds, output = min(fresh(code) for _ in range(3))
    assert output.strip() == "[]" and seconds < 1.0


def test_predictions_do_not_wait_for_the_compiler_of_torch():
    code = "import sys, hampred.inference, hampred.nn.models.tensor_product; print('torch._dynamo' in sys.modules)"
    assert fresh(code)[1].strip() == "False"


def test_package_offers_what_it_names():
    import hampred

    assert all(getattr(hampred, name) is not None for name in hampred.__all__)
    assert set(dir(hampred)) == set(hampred.__all__)
    with pytest.raises(AttributeError):
        _ = hampred.nonsense


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hampred ")


def test_doctor(capsys):
    code = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (1 if found["problems"] else 0)
    assert found["packages"]["torch"] and "[dask]'" in found["extras"]["dask"]["install"]


def test_doctor_installs_extras_of_the_checkout_that_it_runs_from(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "hampred" / "cli" / "doctor.py"))
    assert doctor.examine()["extras"]["dask"]["install"] == "pip install 'hampred[dask]'"
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert doctor.examine()["extras"]["dask"]["install"] == "pip install -c constraints.txt -e '.[dask]'"


@pytest.mark.parametrize(
    "words",
    [["C", "H", "O"], ["--elements", "C", "--elements", "H,O"], ["C,H,O"], ["c", "h", "o"]],
    ids=" ".join,
)
@pytest.mark.parametrize("first", [True, False])
def test_check_basis_takes_elements_in_every_form(capsys, words, first):
    elements = words if words[0].startswith("--") else ["--elements", *words]
    order = ["sto-3g", *elements] if first else [*elements, "sto-3g"]
    assert main(["check-basis", *order, "--json", "--rotations", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["formula"] == "CHO" and found["largest_relative_error"] < 1e-12 and found["passed"]
    assert set(found["by_shell_pair"]) == {"s-s", "s-p", "p-p"} and set(found["by_matrix"]) == {"S", "T", "V"}


def test_check_basis_with_core_potential_high_momenta_and_fock(capsys):
    assert main(["check-basis", "def2-tzvp", "--elements", "H", "I", "--fock", "--rotations", "2"]) == 0
    output = capsys.readouterr().out
    assert "f-f" in output and "F " in output


def test_check_basis_reports_a_wrong_convention(capsys, monkeypatch):
    import numpy as np

    from hampred.interop import rotation_check

    def wrong(mole):
        return np.triu(np.ones((mole.nao, mole.nao)))

    monkeypatch.setitem(rotation_check.INTEGRALS, "S", wrong)
    assert main(["check-basis", "sto-3g", "--elements", "O"]) == 1
    assert capsys.readouterr().err.startswith("error: sto-3g")
