"""OrbitalBasis and BasisLayout: read from PySCF, compared by content, closed to strings that PySCF would run."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from hampred.basis import OrbitalBasis, load_element
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole


@pytest.mark.parametrize("name", ["sto-3g", "6-31g*", "def2-svp", "def2-tzvp", "cc-pvqz", "aug-cc-pvdz"])
def test_shells_are_those_of_the_molecule(name: str):
    mole = build_mole(Atoms("OCO", [[0, 0, -1.2], [0, 0, 0], [0, 0, 1.2]]), name)
    basis = OrbitalBasis.from_mole(mole, name)
    assert basis.elements == OrbitalBasis.from_name(name, [8, 6]).elements
    layout = basis.layout([8, 6, 8])
    assert layout.n_orbitals == mole.nao
    assert np.array_equal(layout.offsets[:-1], mole.aoslice_by_atom()[:, 2])


def test_irreps_and_sizes():
    basis = OrbitalBasis.from_name("def2-svp", [1, 6])
    assert basis.irreps(6) == "3x0e+2x1o+1x2e"
    assert (basis.n_orbitals(1), basis.n_orbitals(6)) == (5, 14)


def test_hash_depends_on_content():
    svp, other = OrbitalBasis.from_name("def2-svp", [1, 6]), OrbitalBasis.from_name("cc-pvdz", [1, 6])
    assert svp.shells(6) == other.shells(6)  # same shells, other exponents
    assert svp.hash != other.hash
    assert svp.hash == OrbitalBasis.from_name("def2-svp", [6, 1, 1]).hash
    assert OrbitalBasis.from_dict(json.loads(json.dumps(svp.to_dict()))).hash == svp.hash


def test_mismatch_names_both_sides():
    svp, other = OrbitalBasis.from_name("def2-svp", [1, 6]), OrbitalBasis.from_name("cc-pvdz", [6, 8])
    with pytest.raises(HampredError, match="the model has def2-svp .* the data has cc-pvdz"):
        svp.require_compatible(other, "the model", "the data")
    svp.require_compatible(OrbitalBasis.from_name("def2-svp", [6, 8]), "the model", "the data")


def test_merged_holds_all_elements():
    merged = OrbitalBasis.from_name("sto-3g", [1]).merged(OrbitalBasis.from_name("sto-3g", [8]))
    assert list(merged.elements) == [1, 8]


def test_unknown_element_is_named():
    with pytest.raises(HampredError, match="Element N is not in this sto-3g basis, which holds H"):
        OrbitalBasis.from_name("sto-3g", [1]).shells(7)


def test_foreign_orbital_order_is_refused():
    data = {**OrbitalBasis.from_name("sto-3g", [1]).to_dict(), "ao_order": "psi4"}
    with pytest.raises(HampredError, match="psi4"):
        OrbitalBasis.from_dict(data)


def test_cartesian_orbitals_are_refused():
    from pyscf import gto

    mole = gto.M(atom=[("He", (0.0, 0.0, 0.0))], basis="cc-pvdz", cart=True, verbose=0)
    with pytest.raises(HampredError, match="Cartesian"):
        OrbitalBasis.from_mole(mole)


def test_heavy_elements_come_with_their_core_potential():
    mole = build_mole(Atoms("HI", [[0, 0, 0], [0, 0, 1.6]]), "def2-svp")
    assert mole.nelectron == 26
    assert OrbitalBasis.from_mole(mole).elements[53].n_core == 28


@pytest.mark.parametrize("name", ["def2-svpp", "nonsense", "", "x" * 300])
def test_unknown_names_are_refused(name: str):
    with pytest.raises(HampredError, match="no basis set"):
        OrbitalBasis.from_name(name, [1])


def test_a_near_miss_gets_a_hint():
    with pytest.raises(HampredError, match="did you mean .*def2svp"):
        OrbitalBasis.from_name("def2-svpx", [1])


def test_element_that_the_basis_lacks_is_named():
    with pytest.raises(HampredError, match="no U"):
        OrbitalBasis.from_name("sto-3g", [92])


def test_strings_that_pyscf_would_evaluate_are_refused(tmp_path: Path):
    marker = tmp_path / "ran"
    text = f"H S\n 1.0 __import__('pathlib').Path('{marker}').touch()"
    for name in (text, f"__import__('os').system('touch {marker}')", "unc-" + text):
        with pytest.raises(HampredError):
            load_element(name, "H")
    assert not marker.exists()


def test_files_are_not_read_as_bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "#BASIS SET: (1s) -> [1s]\nH    S\n      1.0   1.0\nEND\n"
    (tmp_path / "sto-3g").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "sto-3g"), "./sto-3g"):
        with pytest.raises(HampredError):
            load_element.__wrapped__(name, "H")
    with pytest.raises(HampredError):  # a file of this name stands where PySCF would look first
        load_element.__wrapped__("sto-3g", "H")


def test_open_shells_are_refused_with_a_hint():
    with pytest.raises(HampredError, match="open shell"):
        build_mole(Atoms("OH", [[0, 0, 0], [0, 0, 1]]), "sto-3g")
