"""Mistakes with crystals: one line, exit code 2, nothing half-written."""

import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from untrained import BASIS, BY_BLOCKS

from hampred.baseline import make_baseline
from hampred.errors import HampredError
from hampred.inference import Predictor
from hampred.model_file import Model, load_model, save_model


def changed(atoms: Atoms, **settings) -> Atoms:
    for name, value in settings.items():
        setattr(atoms, name, value)
    return atoms


LEFT = bulk("Si").cell.array[[1, 0, 2]]
STRUCTURES = {
    "no volume": (changed(bulk("Si"), cell=[[5, 0, 0], [0, 5, 0], [5, 5, 0]]), "cell"),
    "no vacuum": (changed(bulk("Si"), pbc=(True, True, False)), "add vacuum"),
    "no cell": (Atoms("Si2", [[0, 0, 0], [0, 0, 2.35]], cell=[3.8, 3.8, 0], pbc=(True, True, False)), "vacuum"),
    "element": (bulk("Ge"), "does not know the element Ge"),
    "charge": (changed(bulk("Si"), info={"charge": 1}), "charge 1"),
    "spin": (changed(bulk("Si"), info={"spin": 2}), "open shells are for molecules"),
    "molecule": (molecule("SiH4"), ""),
}


@pytest.mark.parametrize("verb", ["predict", "bands"])
@pytest.mark.parametrize(("atoms", "told"), STRUCTURES.values(), ids=STRUCTURES)
def test_structures(refused, tmp_path, silicon_model, verb, atoms, told):
    path = tmp_path / "in.xyz"
    write(path, atoms, format="extxyz")
    line = refused(verb, path, "--model", silicon_model, "--out", tmp_path / "out")
    assert told in line and "in" in line.split()[1]  # which file it is


CIF = """data_silicon
_cell_length_a 5.43
_cell_length_b 5.43
_cell_length_c 5.43
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_IT_number 227
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Si1 Si 0 0 0 1.0
"""

FILES = {
    "cut within a row": CIF[:-12],
    "cut before the atoms": CIF[: CIF.index("Si1")],
    "no number": CIF.replace("5.43", "long"),
    "space group": CIF.replace("227", "777"),
    "vacant sites": CIF.replace("1.0", "0.5"),
    "mixed sites": CIF.replace("1.0", "0.7") + "Ge1 Ge 0 0 0 0.3\n",
    "symmetry": CIF.replace("loop_", "loop_\n_space_group_symop_operation_xyz\n'x, y, 1/0'\nloop_"),
    "binary": "\0\1\2",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_damaged_cif(refused, tmp_path, silicon_model, content):
    path = tmp_path / "in.cif"
    path.write_text(content)
    assert "in.cif" in refused("predict", path, "--model", silicon_model, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "molden"], "molden files hold molecules"),
        (["--format", "npz", "--format", "cube"], "cube files hold molecules"),
        (["--energy"], "si is a crystal"),
        (["--charge", "1"], "charge 1"),
        (["w.xyz"], "w is a molecule"),
    ],
    ids=["molden", "cube", "energy", "charge", "molecule"],
)
def test_predict(refused, tmp_path, monkeypatch, silicon_model, words, told):
    monkeypatch.chdir(tmp_path)
    write("si.cif", bulk("Si"))
    write("w.xyz", molecule("H2O"))
    assert told in refused("predict", "si.cif", *words, "--model", silicon_model, "--out", "out")


@pytest.mark.parametrize("model", ["silicon_model", "small_model"])
def test_evaluate_with_a_store_of_another_kind(refused, tmp_path, request, model):
    store = request.getfixturevalue("small_store" if model == "silicon_model" else "silicon_store")
    words = ("evaluate", "--model", request.getfixturevalue(model), "--data", store, "--split", "all")
    line = refused(*words, "--out", tmp_path / "out")
    assert "molecules" in line and "crystals" in line


def test_models_of_molecules(refused, tmp_path, small_model):
    write(tmp_path / "h2.xyz", Atoms("H2", [[0, 0, 0], [0.74, 0, 0]], cell=[3, 9, 9], pbc=True), format="extxyz")
    words = (tmp_path / "h2.xyz", "--model", small_model, "--out", tmp_path / "out")
    assert "the model knows molecules" in refused("predict", *words)


@pytest.fixture
def config(tmp_path, train_settings, silicon_store):
    net = {**train_settings["net"], **BY_BLOCKS}
    settings = {**train_settings, "data": [str(silicon_store)], "split": {"train": 2, "validation": 1}, "net": net}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "c.yaml"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("net.forms=[covariant, mixed]", "net.forms=[covariant]"),
        ("net.inputs=[overlap, density]", "net.inputs=[overlap, baseline]"),
        ("baseline=sap", "choose projectors"),
        ("data=[{crystals}, {molecules}]", "do not go together"),
        ("data=[{molecules}, {crystals}]", "do not go together"),
    ],
)
def test_train(refused, tmp_path, config, silicon_store, label_store, setting, told):
    setting = setting.format(crystals=silicon_store, molecules=label_store)
    assert told in refused("train", config, "--out", tmp_path / "run", "--set", setting)


LEVEL = {"functional": "pbe", "basis": BASIS, "crystal": {"ke_cutoff": 5}}


def written(atoms: Atoms) -> dict:
    """A structure as a configuration holds it."""
    arrays = {"positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}
    return {"kind": "atoms", "symbols": [*atoms.symbols], **{name: array.tolist() for name, array in arrays.items()}}


@pytest.mark.parametrize(
    ("source", "level", "told"),
    [
        (written(STRUCTURES["no volume"][0]), {}, "no volume"),
        (written(STRUCTURES["no vacuum"][0]), {}, "add vacuum"),
        (written(changed(bulk("Si"), cell=LEFT)), {}, "left-handed"),
        ({"kind": "bulk", "name": "U", "structure": "fcc", "a": 4.9}, {}, "has no U"),
        ({"kind": "bulk", "name": "Si"}, {"pseudo": "gth-hf"}, "no pseudopotential gth-hf of Si"),
        ({"kind": "bulk", "name": "Al"}, {}, "3 electrons"),
        ({"kind": "bulk", "name": "Si", "charge": 1}, {}, "cannot be charged"),
        ({"kind": "g2", "names": ["H2O"]}, {}, "not periodic"),
    ],
    ids=["volume", "vacuum", "left-handed", "element", "pseudopotential", "odd", "charge", "molecule"],
)
def test_generate(refused, tmp_path, source, level, told):
    config = {"geometries": [source], "level": {**LEVEL, "crystal": {**LEVEL["crystal"], **level}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert told in refused("generate", tmp_path / "c.yaml", "--out", tmp_path / "out")


def test_pyscf_needs_the_right_hand(refused, tmp_path, silicon_model):
    """Nothing else does: without PySCF a left-handed cell is as good as any other."""
    write(tmp_path / "in.xyz", changed(bulk("Si"), cell=LEFT), format="extxyz")
    model, words = load_model(silicon_model), ("--out", tmp_path / "out")
    assert Predictor(model).check(changed(bulk("Si"), cell=LEFT)) == 0
    assert "left-handed" in refused("bands", tmp_path / "in.xyz", "--model", silicon_model, "--reference", *words)
    save_model(tmp_path / "m.safetensors", Model(model.net, make_baseline("minao", model.level), model.level))
    assert "left-handed" in refused("predict", tmp_path / "in.xyz", "--model", tmp_path / "m.safetensors", *words)


def test_a_structure_read_from_a_disordered_file_is_refused_in_python_too(silicon_model):
    atoms = changed(bulk("Si"), info={"occupancy": {"0": {"Si": 0.5, "Ge": 0.5}}})
    with pytest.raises(HampredError, match="partly occupied"):
        Predictor(load_model(silicon_model)).predict(atoms)
