"""hampred bands, from a file with a structure to figures, numbers and the comparison with PySCF."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read, write

import hampred.inference
from data_gen.backends.pyscf_crystal import PySCFCrystal
from hampred.cli import main
from hampred.confidence import Confidence
from hampred.config import CrystalConfig, GuardConfig, LevelConfig
from hampred.data.sample import HamiltonianSample
from hampred.electronic.crystal import CrystalState
from hampred.errors import HampredError
from hampred.interop.block_file import BlockFile
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf_cell import check_vacuum
from hampred.prediction import CrystalPrediction
from hampred.units import HARTREE

BASIS = "gth-szv-molopt-sr"


@pytest.fixture(scope="module")
def label() -> HamiltonianSample:
    """Silicon, with H(R) from a 5×5×5 mesh: bands within 0.2 meV of PySCF's."""
    crystal = CrystalConfig(ke_cutoff=12.0, kpoint_length=6.0, folding_length=12.0)
    level = LevelConfig(functional="pbe", basis=BASIS, crystal=crystal)
    return PySCFCrystal(level, guard=GuardConfig(max_folding_error=10)).label(bulk("Si"))


class LabelPredictor:
    """Predicts the label of the one crystal that it knows."""

    def __init__(self, sample: HamiltonianSample) -> None:
        self.sample, self.level, self.basis = sample, sample.level, sample.basis

    def check(self, atoms: Atoms, charge: int | None = None, name: str = "") -> int:
        if set(atoms.numbers) != set(self.sample.atoms.numbers):
            raise HampredError(f"{name}: the model does not know an element.")
        check_vacuum(atoms, self.level.basis)
        return 0

    def predict(self, atoms: Atoms) -> CrystalState:
        np.testing.assert_allclose(atoms.positions, self.sample.atoms.positions, atol=1e-6)
        overlap = Integrals(self.sample.atoms, self.level.basis).overlap
        return CrystalState(self.sample.atoms, self.sample.hamiltonian, overlap, self.sample.n_electrons)


@pytest.fixture
def crystal_model(label: HamiltonianSample, monkeypatch: pytest.MonkeyPatch) -> LabelPredictor:
    predictor = LabelPredictor(label)
    monkeypatch.setattr(hampred.inference, "load", lambda path, **options: predictor)
    return predictor


@pytest.fixture
def silicon(tmp_path: Path) -> Path:
    path = tmp_path / "si.xyz"
    write(path, bulk("Si"), format="extxyz")
    return path


FILES = {"bands.png", "bands.svg", "bands.json", "report.html"}
QUICK = ["--model", "m", "--path", "GX,KG", "--spacing", "0.3", "--mesh", "3", "3", "3"]


def test_bands_writes_what_the_interface_promises(tmp_path, capsys, crystal_model, silicon, label):
    out = tmp_path / "deep" / "out"
    assert main(["bands", str(silicon), *QUICK, "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told == json.loads((out / "bands.json").read_text()) and captured.err == ""
    assert {p.name for p in out.iterdir()} == FILES == set(told["files"])
    path = told["path"]
    assert [corner["name"] for corner in path["labels"]] == ["G", "X", "K", "G"]
    state = crystal_model.predict(label.atoms)
    for k, energies in zip(path["kpoints"], path["energies_eV"]):
        absolute = np.array(energies) / HARTREE + told["energy_zero"]["energy_Eh"]
        np.testing.assert_allclose(absolute, state.energies(k), atol=1e-6)
    assert told["vbm"]["place"] == "G" and told["gap_kind"] == "indirect" and 0 < told["gap_eV"] < told["direct_gap_eV"]
    masses = told["effective_masses"]["vbm"]["masses_me"]
    assert np.shape(masses) == (3, 3) and np.max(masses) < 0  # three bands meet at Γ, alike along x, y and z
    assert np.ptp(masses, axis=1).max() < 1e-3
    assert told["level"]["crystal"]["pseudo"] == "gth-pbe" and told["mesh"]["size"] == [3, 3, 3]
    assert set(told["seconds"]) >= {"model", "prediction", "path", "mesh", "figures"}


def test_bands_prints_tables(tmp_path, capsys, crystal_model, silicon):
    assert main(["bands", str(silicon), *QUICK, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "band gap / eV" in output and "(indirect)" in output and "masses / m_e" in output and "bands.svg" in output


def test_bands_tell_how_sure_they_are(tmp_path, capsys, crystal_model, silicon, label):
    plain = crystal_model.predict(label.atoms)
    shared = {name: getattr(plain, name) for name in ("atoms", "hamiltonian", "overlap", "n_electrons")}
    for level, shown in ((0, "± 0.12 (indirect)"), (2, "± ? (indirect)")):
        sure = Confidence(np.array([1.0, 2.0]), level, {"gap_mae_meV": 120})
        state = CrystalPrediction(
            **shared, level=crystal_model.level, baseline_hamiltonian=plain.hamiltonian, confidence=sure
        )
        crystal_model.predict = lambda atoms, state=state: state
        assert main(["bands", str(silicon), *QUICK, "--out", str(tmp_path / "out")]) == 0
        printed = capsys.readouterr()
        assert shown in printed.out and ("unlike the labels" in printed.err) == (level == 2)
        told = json.loads((tmp_path / "out" / "bands.json").read_text())
        assert told["bounds"] == {"gap_mae_meV": 120} and told["warning"] == sure.warning
        assert told["notes"] == sure.notes(label.atoms)


def test_the_reference_is_pyscf(tmp_path, capsys, crystal_model, silicon):
    out = tmp_path / "out"
    assert main(["bands", str(silicon), *QUICK, "--out", str(out), "--reference"]) == 0
    told = json.loads((out / "bands.json").read_text())
    reference = told["reference"]
    assert reference["occupied_max_meV"] < 0.5 and abs(reference["gap_error_meV"]) < 5
    assert reference["gap_eV"] == pytest.approx(told["gap_eV"], abs=0.1)  # told: of path and mesh
    assert abs(reference["shift_meV"]) < 0.5  # PySCF's potential has the same average in both
    difference = np.array(reference["energies_eV"]) - told["path"]["energies_eV"]
    assert np.abs(difference[:, :4]).max() < 1e-3 and reference["scf_cycles"] > 2
    assert reference["speedup"] == pytest.approx(reference["seconds"] / reference["hampred_seconds"])
    assert "speed-up" in capsys.readouterr().out and "PySCF, bands / s" in (out / "report.html").read_text()


@pytest.mark.parametrize("export", ["npz", "deeph", "sisl"])
def test_fat_bands_and_exports(tmp_path, crystal_model, silicon, label, export):
    if export == "sisl":
        sisl = pytest.importorskip("sisl")
    out = tmp_path / "out"
    assert main(["bands", str(silicon), *QUICK, "--out", str(out), "--projected", "--export", export]) == 0
    told = json.loads((out / "bands.json").read_text())
    fat = {"fat_bands.png", "fat_bands.svg"}
    name = {"npz": "hamiltonian.npz", "deeph": "deeph", "sisl": "hamiltonian.TSHS"}[export]
    assert {p.name for p in out.iterdir()} == {*FILES, *fat, name} == set(told["files"])
    weights = told["path"]["mulliken_weights"]
    np.testing.assert_allclose(np.array(weights["Si s"]) + weights["Si p"], 1, atol=1e-5)
    k, state = np.array([0.1, 0.2, 0.3]), crystal_model.predict(label.atoms)
    if export == "npz":
        read_back = BlockFile.read(out / name)
        assert np.abs(read_back.hamiltonian.bloch(k) - state.hamiltonian.bloch(k)).max() < 1e-14
    elif export == "deeph":
        with h5py.File(out / name / "hamiltonians.h5") as file:
            home = np.asarray(file["[0, 0, 0, 1, 2]"]) / HARTREE
        pair = state.hamiltonian.find(np.array([[0, 1]]), np.zeros((1, 3), dtype=int))[0]
        np.testing.assert_allclose(home, state.hamiltonian.block(pair), atol=1e-12)
    else:
        found = sisl.get_sile(out / name).read_hamiltonian().eigh(k)
        np.testing.assert_allclose(found / HARTREE, state.energies(k), atol=1e-6)


@pytest.fixture
def refused(capfd, tmp_path):
    """Runs the command line, which must refuse with one line and write nothing; gives that line."""

    def run(*words: object) -> str:
        before = set(tmp_path.rglob("*"))
        assert main(["bands", *map(str, words), "--model", "m", "--out", str(tmp_path / "out")]) == 2
        output = capfd.readouterr()
        lines = output.err.splitlines()
        assert output.out == "" and len(lines) == 1 and lines[0].startswith("error: "), output
        assert set(tmp_path.rglob("*")) == before
        return lines[0]

    return run


def changed(**settings) -> Atoms:
    atoms = bulk("Si", cubic=True)
    for name, value in settings.items():
        setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "told"),
    [
        (molecule("SiH4"), "not periodic"),
        ([bulk("Si"), bulk("Si")], "2 structures"),
        (changed(cell=[[5, 0, 0], [10, 0, 0], [0, 0, 5]]), "cell"),
        (changed(pbc=[True, True, False]), "add vacuum"),
        (bulk("Ge"), "does not know"),
    ],
    ids=["molecule", "several", "volume", "vacuum", "element"],
)
def test_structures_without_bands(refused, tmp_path, crystal_model, atoms, told):
    path = tmp_path / "in.xyz"
    write(path, atoms, format="extxyz")
    assert told in refused(path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--path", "GXQ"], "Q: this lattice has G K L"),
        (["--path", "G"], "at least two points"),
        (["--mesh", 0, 2, 2], "three positive integers"),
        (["--mesh", 9999, 9999, 9999], "more than 1,000,000"),
        (["--mesh", 2, 2, "x"], "--mesh"),
        (["--spacing", 0], "--spacing"),
        (["--spacing", "nan"], "--spacing"),
        (["--export", "vasp"], "--export"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_options_that_are_none(refused, crystal_model, silicon, words, told):
    assert told in refused(silicon, *words)


def test_a_model_of_molecules_has_no_bands(refused, monkeypatch, small_model, silicon):
    load = hampred.inference.load
    monkeypatch.setattr(hampred.inference, "load", lambda path, **options: load(small_model, **options))
    assert "trained on molecules" in refused(silicon)


def test_the_hint_for_several_structures_works(refused, tmp_path, crystal_model):
    from shlex import split
    from subprocess import run

    path = tmp_path / "two crystals.xyz"
    write(path, [bulk("Ge"), bulk("Si")], format="extxyz")
    command = split(refused(path).partition("with: ")[2])
    run(command, cwd=tmp_path, check=True)
    assert read(tmp_path / "last.xyz").get_chemical_formula() == "Si2"
