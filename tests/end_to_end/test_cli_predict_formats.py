"""Every kind of file that predict writes, read back by other programs; and what it refuses to write."""

import json

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read, write
from ase.io.cube import read_cube
from iodata import load_one
from iodata.overlap import compute_overlap

import hampred
from hampred.basis import OrbitalBasis
from hampred.cli import main
from hampred.cli.predict import Format
from hampred.errors import HampredError
from hampred.evaluation import prediction_formats
from hampred.evaluation.prediction_files import PredictionFiles
from hampred.evaluation.prediction_formats import FORMATS, MATRICES, Contents, frame
from hampred.interop.atomic_density import superposed_atoms
from hampred.interop.block_file import BlockFile
from hampred.interop.cube import cube_grid
from hampred.interop.grid import density_values
from hampred.units import BOHR, HARTREE

CUBES = ["homo-2", "homo-1", "homo", "lumo", "lumo+1", "lumo+2", "density", "difference", "esp"]


@pytest.fixture(scope="module")
def structures():
    """A water and an OH⁻, by name."""
    water = molecule("H2O")
    water.rattle(0.02, seed=1)
    hydroxide = Atoms("OH", [[0.1, 0.2, 0.3], [0.9, 0.4, -0.2]], info={"charge": -1})
    return {"w-1": water, "w-2": hydroxide}


@pytest.fixture(scope="module")
def written(tmp_path_factory, small_model, structures):
    """Folder with every kind of file, and what was predicted."""
    folder = tmp_path_factory.mktemp("formats")
    write(folder / "w.extxyz", list(structures.values()))
    words = ["predict", folder / "w.extxyz", "--model", small_model, "--out", folder / "out", "--forces"]
    words += [word for name in FORMATS for word in ("--format", name)] + ["--spacing", "0.3"]
    assert main([str(word) for word in words]) == 0
    expected = hampred.load(small_model).predict(read(folder / "w.extxyz", ":"))
    return folder / "out", dict(zip(structures, expected))


def test_command_line_knows_all_formats():
    assert [member.value for member in Format] == [*FORMATS]


def test_files_and_summary(written):
    out, expected = written
    summary = json.loads((out / "summary.json").read_text())
    names = {"predictions.extxyz", "summary.json"}
    for told in summary["structures"]:
        name = told["name"]
        own = {f"{name}.{ending}" for ending in ("npz", "h5", "json", "molden", "html")}
        empty = ("lumo", "lumo+1")[: expected[name].layout.n_orbitals - 5]  # of a minimal basis
        own |= {f"{name}.{what}.cube" for what in CUBES if what in empty or not what.startswith("lumo")}
        assert set(told["files"]) == own | {"predictions.extxyz"}
        assert told["energy_Eh"] == pytest.approx(expected[name].energy, abs=1e-10)
        names |= own
    assert {path.name for path in out.iterdir()} == names


@pytest.mark.parametrize("name", ["w-1", "w-2"])
def test_arrays_are_the_same_in_npz_h5_and_json(written, name):
    out, expected = written
    p = expected[name]
    plain = json.loads((out / f"{name}.json").read_text())
    with np.load(out / f"{name}.npz", allow_pickle=False) as npz, h5py.File(out / f"{name}.h5") as h5:
        assert set(npz) == set(h5)
        for key in npz:
            assert np.array_equal(npz[key], h5[key][()]) and npz[key].shape == h5[key].shape
            assert key.startswith(MATRICES) or np.array_equal(npz[key], plain[key])
        assert not [key for key in plain if key.startswith(MATRICES)]
        for key in ("homo_eV", "gap_eV", "charge", "formula"):
            assert h5.attrs[key] == plain[key]
        for key, value in {
            "hamiltonian": p.hamiltonian,
            "density_matrix": p.density_matrix,
            "dipole_ea0": p.dipole,
            "mulliken_charges_e": p.properties["mulliken_charges"],
            "energy_Eh": p.energy,
            "forces_Eh_A": p.forces,
        }.items():
            assert np.allclose(npz[key], value, rtol=0, atol=1e-12), key


def test_extxyz_holds_all_structures_of_the_run(written):
    out, expected = written
    images = read(out / "predictions.extxyz", ":")
    assert [atoms.info["name"] for atoms in images] == [*expected] and not (out / "w-1.extxyz").exists()
    for atoms, p in zip(images, expected.values(), strict=True):
        assert np.array_equal(atoms.numbers, p.atoms.numbers) and atoms.info["charge"] == p.charge
        assert np.allclose(atoms.positions, p.atoms.positions, atol=1e-8)
        assert atoms.info["hampred_gap_eV"] == pytest.approx(HARTREE * p.gap, abs=1e-12)
        assert np.allclose(atoms.info["hampred_dipole_eA"], BOHR * p.dipole)
        assert np.allclose(atoms.arrays["hampred_charges"], p.properties["mulliken_charges"], atol=1e-8)
        assert atoms.get_potential_energy() == pytest.approx(HARTREE * p.energy, abs=1e-10)
        assert np.allclose(atoms.get_forces(), HARTREE * p.forces, atol=1e-7)


def test_extxyz_tells_how_sure_a_prediction_is(written):
    state = written[1]["w-2"]
    atoms = frame(Contents("w", state, {"warning": "unusual"}, {"novelty": np.array([1.5, 0.5])}, 0.2))
    assert atoms.info["hampred_warning"] == "unusual" and atoms.arrays["hampred_novelty"].tolist() == [1.5, 0.5]


def test_molden(written):
    out, expected = written
    for name, p in expected.items():
        found = load_one(str(out / f"{name}.molden"))
        s = compute_overlap(found.obasis, found.atcoords)
        assert np.abs(found.mo.coeffs.T @ s @ found.mo.coeffs - np.eye(len(s))).max() < 1e-8
        assert np.allclose(found.mo.energies, p.orbital_energies, atol=1e-8) and found.charge == p.charge


def test_cubes(written):
    out, expected = written
    p, cubes = expected["w-1"], {}
    grid = cube_grid(p.atoms, 0.3)
    for what in ("homo", "density", "difference", "esp"):
        with (out / f"w-1.{what}.cube").open() as file:
            cubes[what] = read_cube(file)["data"]
    atoms = density_values(p.mole, grid, superposed_atoms(p.mole))
    assert np.allclose(cubes["density"], density_values(p.mole, grid, p.density_matrix), rtol=1e-5, atol=1e-8)
    assert np.allclose(cubes["density"] - cubes["difference"], atoms, atol=1e-4 * atoms.max())
    assert (cubes["homo"] ** 2).sum() * grid.volume == pytest.approx(1, abs=0.05)
    assert f"{HARTREE * p.homo:.4f} eV" in (out / "w-1.homo.cube").read_text().splitlines()[0]
    corner = (grid.origin - p.atoms.get_center_of_mass()) / BOHR
    assert cubes["esp"][0, 0, 0] == pytest.approx(p.dipole @ corner / np.linalg.norm(corner) ** 3, abs=3e-3)


def test_energy_only_where_it_is_asked(tmp_path, small_model):
    write(tmp_path / "w.xyz", molecule("H2O"))
    words = ["predict", str(tmp_path / "w.xyz"), "--model", str(small_model), "--format", "extxyz", "--format", "npz"]
    assert main([*words, "--out", str(tmp_path / "a")]) == 0
    assert read(tmp_path / "a" / "predictions.extxyz").calc is None
    with np.load(tmp_path / "a" / "w.npz") as found:
        assert "energy_Eh" not in found and "forces_Eh_A" not in found
    assert main([*words, "--out", str(tmp_path / "b"), "--energy"]) == 0
    assert set(read(tmp_path / "b" / "predictions.extxyz").calc.results) == {"energy"}


def test_a_crystal_in_all_its_formats(tmp_path, silicon_model):
    write(tmp_path / "si.cif", bulk("Si"))
    words = ["predict", str(tmp_path / "si.cif"), "--model", str(silicon_model), "--out", str(tmp_path / "out")]
    words += [word for name, form in FORMATS.items() if "crystal" in form.kinds for word in ("--format", name)]
    assert main(words) == 0
    file = BlockFile.read(tmp_path / "out" / "si.npz")
    with h5py.File(tmp_path / "out" / "si.h5") as h5:
        assert np.array_equal(h5["hamiltonian_values"], file.hamiltonian.values)
        assert json.loads(h5["basis"].asstr()[()]) == file.hamiltonian.layout.basis.to_dict()
    plain = json.loads((tmp_path / "out" / "si.json").read_text())
    assert np.allclose(plain["cell_A"], file.atoms.cell.array) and "hamiltonian_values" not in plain
    atoms = read(tmp_path / "out" / "predictions.extxyz")
    assert atoms.pbc.all() and np.allclose(atoms.cell.array, file.atoms.cell.array)
    assert atoms.info.get("hampred_gap_eV") == pytest.approx(plain["gap_eV"] or None)


def test_a_structure_called_summary(tmp_path, small_model):
    write(tmp_path / "summary.xyz", molecule("H2O"))
    words = ["predict", tmp_path / "summary.xyz", "--model", small_model, "--out", tmp_path / "out", "--format", "json"]
    assert main([str(word) for word in words]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["structures"][0]["files"] == ["summary.2.json"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "both"], "'both' is not one of 'npz'"),
        (["--format", "cube", "--spacing", "0"], "--spacing"),
        (["--format", "cube", "--spacing", "0.015"], "give a spacing above 0.015"),
    ],
)
def test_refused(refused, tmp_path, small_model, words, told):
    write(tmp_path / "w.xyz", molecule("H2O"))
    assert told in refused("predict", tmp_path / "w.xyz", "--model", small_model, "--out", tmp_path / "out", *words)


@pytest.mark.parametrize(("limit", "told"), [("MOST_BYTES", "would fill 0 GB"), ("MOST_INTEGRALS", "takes hours")])
def test_cubes_without_end_are_refused(refused, tmp_path, small_model, monkeypatch, limit, told):
    """With a spacing that would do."""
    monkeypatch.setattr(prediction_formats, limit, 1e6)
    write(tmp_path / "w.xyz", molecule("H2O"))
    words = ("predict", tmp_path / "w.xyz", "--model", small_model, "--out", tmp_path / "out", "--format", "cube")
    line = refused(*words)
    assert told in line
    spacing = line.partition("--spacing ")[2].split()[0]
    assert main([str(word) for word in (*words, "--spacing", spacing)]) == 0


@pytest.mark.parametrize(
    ("files", "kind", "basis", "told"),
    [
        ({"formats": ["molden"]}, "large molecule", "sto-3g", "w is a large molecule, and molden files hold molecules"),
        ({"forces": True}, "large molecule", "sto-3g", "w is a large molecule, and molecules only have --energy"),
        ({"formats": ["molden"]}, "molecule", "cc-pv5z", "cc-pv5z has higher ones of O"),
    ],
    ids=["large", "forces", "h shells"],
)
def test_what_no_file_holds(tmp_path, files, kind, basis, told):
    with pytest.raises(HampredError, match=told):
        PredictionFiles(tmp_path, **files).check(
            {"w": molecule("H2O")}, {"w": kind}, OrbitalBasis.from_name(basis, [1, 8])
        )
