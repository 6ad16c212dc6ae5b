"""Structures from files: what is read, and what is refused in one line."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from hampred.errors import HampredError
from hampred.interop.structures import read_charge, read_named, read_structures

WATER = "3\nwater\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


@pytest.mark.parametrize("name", ["a.xyz", "a.extxyz", "a.traj", "a.json", "a.gen", "a@2.xyz", "mysql.xyz"])
def test_reads_all_structures_of_a_file(tmp_path, name):
    images = [molecule("CH3CH2OH")] if name.endswith(".gen") else [molecule("H2O"), molecule("CH4")]
    write(tmp_path / name, images, **({"format": "extxyz"} if "xyz" in name else {}))
    found = read_structures(tmp_path / name)
    assert [a.get_chemical_formula() for a in found] == [a.get_chemical_formula() for a in images]
    assert all(np.allclose(a.positions, b.positions, atol=1e-6) for a, b in zip(found, images))


def test_reads_crystals(tmp_path):
    write(tmp_path / "si.cif", bulk("Si"))
    (atoms,) = read_structures(tmp_path / "si.cif")
    assert len(atoms) == 2 and atoms.pbc.all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("0\n\n", "number of atoms"),
        ("-1\n\nH 0 0 0\n", "number of atoms"),
        ("99999999999\n\nH 0 0 0\n", "number of atoms"),
        ("999999999\n\nH 0 0 0\n", "promises"),
        ("3\nwater\nO 0 0 0\n", "ends after 1"),
        ("hello\n", "number of atoms"),
        ("1\n\nO 0 0\n", "cannot read"),
        ("1\n\nO a b c\n", "cannot read"),
        ("1\n\nQq 0 0 0\n", "Qq"),
        ("1\n\nX 0 0 0\n", "known element"),
        ("1\n\nO nan 0 0\n", "not finite"),
        ("1\n\nO inf 0 0\n", "not finite"),
        ("2\n\nO 0 0 0\nO 0 0 0.1\n", "0.100 Å apart"),
        (WATER + "7\n", "promises 7"),
    ],
)
def test_refuses_in_one_line(tmp_path, content, words):
    path = tmp_path / "bad.xyz"
    path.write_text(content)
    with pytest.raises(HampredError) as error:
        read_structures(path)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_refuses_binary_missing_and_folder(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "a.dat").write_bytes(b"")
    for path in (tmp_path / "a.xyz", tmp_path / "a.dat", tmp_path / "none.xyz", tmp_path):
        with pytest.raises(HampredError):
            read_structures(path)


def test_overlap_across_the_cell_boundary_is_seen(tmp_path):
    crystal = Atoms("H2", [[0, 0, 0.05], [0, 0, 3.95]], cell=[4, 4, 4], pbc=True)
    write(tmp_path / "h.extxyz", crystal)
    with pytest.raises(HampredError, match="apart"):
        read_structures(tmp_path / "h.extxyz")


def test_names_differ_in_more_than_their_case(tmp_path):
    """Where the filesystem ignores case, A.npz and a.npz are one file."""
    for name in ("A", "summary"):
        (tmp_path / name).mkdir()
    paths = [tmp_path / place / name for place, name in (("A", "w.xyz"), ("summary", "W.xyz"), ("A", "Summary.xyz"))]
    for path in paths:
        path.write_text(WATER)
    assert [*read_named(paths, taken=("summary",))] == ["w", "W.2", "Summary.2"]


def test_a_charge_of_none_is_no_charge():
    assert read_charge(Atoms("H", info={"charge": None})) == 0
