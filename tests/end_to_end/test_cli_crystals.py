"""Every verb on crystals, in the formats that people have them in."""

import json

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io import write
from untrained import BY_BLOCKS

import hampred
from hampred.cli import main
from hampred.evaluation.band_sampling import choose_mesh
from hampred.interop.block_file import BlockFile
from hampred.units import HARTREE

K = (0.1, 0.2, 0.3)


def rattled(cubic: bool = False) -> Atoms:
    atoms = bulk("Si", cubic=cubic)
    atoms.rattle(0.05, seed=2)
    return atoms


def left_handed(atoms: Atoms) -> Atoms:
    found = atoms.copy()
    found.cell = atoms.cell.array[[1, 0, 2]]
    return found


@pytest.fixture
def crystals(tmp_path):
    """Files of three formats, and the structure of each."""
    structures = {"si.cif": rattled(), "POSCAR": rattled(cubic=True), "left.extxyz": left_handed(rattled())}
    for name, atoms in structures.items():
        write(tmp_path / name, atoms)
    return {tmp_path / name: atoms for name, atoms in structures.items()}


def test_predict_writes_blocks_and_tells_the_gap(tmp_path, capsys, silicon_model, crystals):
    out = tmp_path / "out"
    words = ["predict", *map(str, crystals), "--model", str(silicon_model), "--out", str(out)]
    assert main([*words, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text()) and "zero of energy" in summary["notes"][0]
    assert {p.name for p in out.iterdir()} == {"si.npz", "POSCAR.npz", "left.npz", "summary.json"}
    predictor = hampred.load(silicon_model)
    for told, atoms in zip(summary["structures"], crystals.values(), strict=True):
        expected, found = predictor.predict(atoms), BlockFile.read(out / told["files"][0])
        # CIF gives the crystal in an orientation of its own, and files hold eight digits or so
        energies = np.linalg.eigvals(np.linalg.solve(found.overlap.bloch(K), found.hamiltonian.bloch(K)))
        assert np.abs(np.sort(energies.real) - expected.energies(K)).max() < 1e-5
        n = expected.layout.n_orbitals
        mesh = choose_mesh(atoms, n)
        bands = expected.mesh(mesh)
        assert told["kpoint_mesh"] == mesh.tolist() and told["is_metal"] == bands.is_metal
        assert (told["formula"], told["n_atoms"]) == (atoms.get_chemical_formula(), len(atoms))
        assert (told["n_orbitals"], told["n_electrons"], found.n_electrons) == (n, 4 * len(atoms), 4 * len(atoms))
        if bands.is_metal:
            assert told["gap_eV"] is None and told["energy_zero"]["name"] == "Fermi level"
        else:
            assert told["gap_eV"] == pytest.approx(HARTREE * bands.gap.indirect, abs=1e-3)
            assert told["energy_zero"] == {"name": "VBM", "energy_Eh": pytest.approx(bands.gap.vbm, abs=1e-5)}
    assert main(words) == 0
    output = capsys.readouterr().out
    assert "VBM or E_F / E_h" in output and "has no meaning" in output


def test_bands_do_not_depend_on_the_handedness_of_the_cell(tmp_path, silicon_model):
    energies = []
    for name, atoms in (("right", bulk("Si")), ("left", left_handed(bulk("Si")))):
        write(tmp_path / f"{name}.xyz", atoms, format="extxyz")
        out = tmp_path / name
        words = ["--path", "GXWKGL", "--spacing", "0.3", "--mesh", "2", "2", "2", "--out", str(out)]
        assert main(["bands", str(tmp_path / f"{name}.xyz"), "--model", str(silicon_model), *words]) == 0
        told = json.loads((out / "bands.json").read_text())
        energies.append(np.array(told["path"]["energies_eV"]) + HARTREE * told["energy_zero"]["energy_Eh"])
    np.testing.assert_allclose(*energies, atol=1e-5)  # written with six digits


def test_evaluate_sees_no_error_in_another_zero_of_energy(tmp_path, capsys, silicon_model, silicon_store):
    out = tmp_path / "out"
    words = ["evaluate", "--model", str(silicon_model), "--data", str(silicon_store), "--split", "all"]
    assert main([*words, "--rotations", "2", "--out", str(out)]) == 0
    told = json.loads((out / "evaluation.json").read_text())
    metrics = told["metrics"]
    assert metrics["H_max_meV"]["model"] < 1e-9 < 1 < metrics["H_mae_meV"]["baseline"]
    assert metrics["occupied_max_meV"]["model"] < 1e-8 and metrics["gap_mae_meV"]["model"] < 1e-8
    assert set(told["H_mae_meV_by_element_pair"]) == {"Si", "Si–Si"} and told["rotations"]["n_improper"] == 1
    assert told["rotations"]["max_relative_error"] < 1e-12
    report = (out / "report.html").read_text()
    assert "<h2>Bands</h2>" in report and "gth-pbe" in report and "Orbital energies" not in report
    assert "model / meV" in capsys.readouterr().out


def test_info_tells_cells_and_level(capsys, silicon_model, silicon_store):
    assert main(["info", str(silicon_store), "--verify", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["periodicity"] == {"crystal": 3} and told["atoms_per_sample"] == {"2": 2, "8": 1}
    assert told["kpoint_meshes"] == {"4×4×4": 3} and told["folding_meshes"] == {"5×5×5": 3}
    assert told["folding_error_meV"] == {"min": 0.1, "median": 0.2, "max": pytest.approx(0.3)}
    assert told["volume_per_atom_A3"]["median"] == pytest.approx(5.43**3 / 8) and told["n_metals"] == 2
    assert main(["info", str(silicon_model), "--json"]) == 0
    model = json.loads(capsys.readouterr().out)
    assert model["predicts"] == "crystals" and model["net.forms"] == ["covariant"]
    for about in (told, model):
        assert about["level.crystal.pseudo"] == "gth-pbe" and about["level.crystal.ke_cutoff_Eh"] == 20
        assert "level.grid_level" not in about
    assert main(["info", str(silicon_store)]) == 0
    assert "4×4×4: 3" in capsys.readouterr().out


def test_train_and_predict(tmp_path, capsys, silicon_store, train_settings):
    split, net = {"train": 2, "validation": 1}, {**train_settings["net"], **BY_BLOCKS}
    settings = {**train_settings, "data": [str(silicon_store)], "split": split, "net": net, "epochs": 2}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    write(tmp_path / "si.cif", bulk("Si"))
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    assert main(["train", str(tmp_path / "c.yaml"), "--out", run]) == 0
    assert main(["predict", str(tmp_path / "si.cif"), "--model", run, "--out", out]) == 0
    assert "Si2" in capsys.readouterr().out
