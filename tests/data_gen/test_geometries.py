"""Sources of geometries: deterministic, named by molecule, and stable when more structures are asked for."""

import numpy as np
import pytest
from ase.build import molecule
from ase.io import write

from data_gen.geometries import geometries
from data_gen.geometries.sampling import with_xtb
from hampred.config import GenerateConfig, load_config
from hampred.errors import HampredError
from hampred.interop.structures import read_spin


def structures(*sources, seed=0):
    config = load_config(GenerateConfig, {"seed": seed, "geometries": list(sources)})
    return list(geometries(config))


def g2(*names, **more):
    return {"kind": "g2", "names": list(names), **more}


RATTLE = {"kind": "rattle", "count": 3, "stdev": 0.05}
MODES = {"kind": "normal_modes", "count": 40, "temperature": 300}
MD = {"kind": "md", "count": 3, "temperature": 400, "interval": 10}


@pytest.mark.parametrize("step", [RATTLE, {**MODES, "count": 3}, MD])
def test_same_seed_same_geometries_and_more_keep_the_first(step):
    pytest.importorskip("tblite")
    few = structures(g2("H2O", sampling=[step], rotate=True))
    again = structures(g2("H2O", sampling=[step], rotate=True))
    more = structures(g2("H2O", sampling=[{**step, "count": 5}], rotate=True))
    other = structures(g2("H2O", sampling=[step], rotate=True), seed=1)
    assert (len(few), len(more)) == (3, 5)
    for a, b, c, d in zip(few, again, more, other):
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_allclose(a.positions, c.positions, atol=1e-6)
        assert np.abs(a.positions - d.positions).max() > 1e-2
        assert a.info["molecule"] == "H2O" and step["kind"] in a.info["source"]
    assert len({a.positions.tobytes() for a in few}) == 3


def test_rotation_keeps_distances_and_handedness():
    plain, turned = (structures(g2("CH4", rotate=r))[0] for r in (False, True))
    np.testing.assert_allclose(plain.get_all_distances(), turned.get_all_distances(), atol=1e-7)
    q, *_ = np.linalg.lstsq(plain.positions, turned.positions, rcond=None)
    assert np.linalg.det(q) == pytest.approx(1, abs=1e-6)
    assert np.abs(q - np.eye(3)).max() > 0.1


def test_steps_of_sampling_multiply():
    step = {"kind": "rattle", "count": 2, "stdev": 0.01}
    assert len(structures(g2("H2O", "CH4", sampling=[step, step]))) == 8


def test_normal_modes_have_the_quantum_width():
    pytest.importorskip("tblite")
    bonds = [a.get_distance(0, 1) for a in structures(g2("H2", sampling=[{**MODES, "count": 400}]))]
    # σ² = ħ/(2 µ ω) at ω = 4400 cm⁻¹, µ = ½ u: zero-point motion alone
    assert np.std(bonds) == pytest.approx(0.087, rel=0.15)
    assert 0.7 < np.mean(bonds) < 0.85


def test_files_tell_molecule_and_charge(tmp_path):
    frames = [molecule("H2O"), molecule("CH4"), molecule("NH3")]
    frames[1].info = {"smiles": "C", "charge": 0}
    frames[2].info = {"name": "ammonium", "charge": 1}
    write(tmp_path / "a.extxyz", frames)
    source = {"kind": "file", "path": str(tmp_path / "a.extxyz")}
    read = structures(source)
    assert [a.info["molecule"] for a in read] == ["H2O", "C", "ammonium"]
    assert [a.info["charge"] for a in read] == [0, 0, 1]
    assert len(structures({**source, "every": 2})) == 2
    assert len(structures({**source, "count": 1})) == 1
    assert structures({**source, "charge": -1})[0].info["charge"] == -1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "abc\n\nH 0 0 0\n",
        "-1\n\nH 0 0 0\n",
        "0\n\n",
        "99999999999\n\nH 0 0 0\n",
        "2\n\nH 0 0 0\n",
        "2\n\nH 0 0 0\nH 0 0 nan\n",
        "2\n\nH 0 0 0\nH 0 0 inf\n",
        "2\n\nH 0 0 0\nQq 0 0 1\n",
        "2\n\nH 0 0 0\nH 0 0 __import__('os').system('false')\n",
        "2\ncharge=0.5\nH 0 0 0\nH 0 0 0.74\n",
    ],
)
@pytest.mark.parametrize("suffix", ["xyz", "extxyz"])
def test_malformed_files_are_refused_in_one_line(tmp_path, text, suffix):
    if suffix == "xyz" and "charge" in text:
        pytest.skip("plain xyz has no charge")
    path = tmp_path / f"bad.{suffix}"
    path.write_text(text)
    with pytest.raises(HampredError) as caught:
        structures({"kind": "file", "path": str(path)})
    assert "\n" not in str(caught.value)


def test_g2_names():
    with pytest.raises(HampredError, match="did you mean"):
        structures(g2("H2OO"))


def test_smiles_are_named_canonically_and_charged():
    pytest.importorskip("rdkit")
    made = structures({"kind": "smiles", "smiles": ["OCC", "CCO", "C[NH3+]"], "conformers": 2})
    assert [a.info["molecule"] for a in made] == ["CCO"] * 4 + ["C[NH3+]"] * 2
    assert [a.info["charge"] for a in made] == [0] * 4 + [1] * 2
    with pytest.raises(HampredError, match="cannot read the SMILES"):
        structures({"kind": "smiles", "smiles": ["C1CC"]})


def test_smiles_tell_the_unpaired_electrons_of_radicals():
    pytest.importorskip("rdkit")
    source = {"kind": "smiles", "smiles": ["[O][O]", "[CH3]", "[CH2]C[CH2]", "O=O", "[OH-]"]}
    assert [a.info.get("spin", 0) for a in structures(source)] == [2, 1, 2, 0, 0]
    singlet, cation = structures({**source, "spin": 0, "smiles": ["[O][O]"]}), structures({**source, "charge": 1})
    assert read_spin(singlet[0]) == 0
    assert [read_spin(a, 1) for a in cation[:2]] == [1, 0]


def test_xtb_knows_charge_and_spin():
    tblite = pytest.importorskip("tblite.ase")
    atoms = structures(g2("O2"))[0]
    energies = []
    for multiplicity in (3, 1):
        atoms.calc = tblite.TBLite(method="GFN2-xTB", multiplicity=multiplicity, verbosity=0)
        energies.append(atoms.get_potential_energy())
    assert abs(energies[0] - energies[1]) > 1e-2
    for source, energy in ((g2("O2"), energies[0]), (g2("O2", spin=0), energies[1])):
        assert with_xtb(structures(source)[0]).get_potential_energy() == pytest.approx(energy, abs=1e-6)
    assert structures(g2("CH3", "O2", sampling=[{**MODES, "count": 1}, {**MD, "count": 1}]))


def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    with pytest.raises(HampredError, match=r"pip install 'hampred\[smiles\]'"):
        structures({"kind": "smiles", "smiles": ["C"]})
    with pytest.raises(HampredError, match=r"pip install 'hampred\[sample\]'"):
        structures(g2("H2O", sampling=[MD]))
