"""Paths through the Brillouin zone, in the cell of the user."""

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene

from hampred.electronic.kpath import SPACING, band_path, periodic_directions, special_points
from hampred.errors import HampredError

CELLS = {
    "primitive": np.eye(3),
    "conventional": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    "skewed": [[1, 2, 0], [0, 1, 0], [3, 0, 1]],
    "doubled": [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
}


def cartesian(atoms: Atoms, k: np.ndarray) -> np.ndarray:
    return 2 * np.pi * k @ atoms.cell.reciprocal().array


@pytest.mark.parametrize("cell", CELLS)
def test_special_points_do_not_depend_on_the_choice_of_the_cell(cell: str):
    from ase.build import make_supercell

    atoms = make_supercell(bulk("Si"), CELLS[cell])
    atoms.rotate(35, (1, 2, 3), rotate_cell=True)
    unit = 2 * np.pi / 5.43
    lengths = {"G": 0.0, "X": 1.0, "L": np.sqrt(3) / 2, "W": np.sqrt(5) / 2, "K": np.sqrt(9 / 8), "U": np.sqrt(9 / 8)}
    found = special_points(atoms)
    assert set(found) == set(lengths)
    for name, k in found.items():
        assert np.linalg.norm(cartesian(atoms, k)) == pytest.approx(unit * lengths[name], abs=1e-9)
    path = band_path(atoms)
    assert [name for _, name in path.ticks] == ["G", "X", "U|K", "G", "L", "W", "X"]
    assert path.distances[-1] == pytest.approx(
        unit * (1 + np.sqrt(1 / 8) + np.sqrt(9 / 8) + np.sqrt(3) / 2 + np.sqrt(2) / 2 + 0.5)
    )


def test_distances_are_cartesian_and_even(rng: np.random.Generator):
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    path = band_path(atoms, "GXWKGL")
    steps = np.linalg.norm(np.diff(cartesian(atoms, path.kpoints), axis=0), axis=1)
    assert np.allclose(steps, np.diff(path.distances)) and steps.max() <= SPACING + 1e-12
    assert "".join(name for _, name in path.labels) == "GXWKGL"


def test_jumps_have_no_length():
    path = band_path(bulk("Si"), "GX, KΓ", spacing=0.3)
    (_, x), (k, _) = path.labels[1], path.labels[2]
    assert (x, [name for _, name in path.ticks]) == ("X", ["G", "X|K", "G"])
    assert path.distances[k] == path.distances[k - 1] and not np.allclose(path.kpoints[k], path.kpoints[k - 1])


def test_explicit_corners():
    path = band_path(bulk("Si"), [[0, 0, 0], [0.5, 0, 0.5], [0.5, 0.25, 0.75]])
    assert np.allclose(path.kpoints[[0, -1]], [[0, 0, 0], [0.5, 0.25, 0.75]])
    assert path.labels[1][1] == "0.5 0 0.5"


def test_points_that_ase_does_not_name_keep_their_own():
    atoms = bulk("InAs", "zincblende", a=6.06)  # no inversion
    assert [name for _, name in band_path(atoms).ticks] == ["G", "X", "U|K", "G", "L", "W", "X"]
    wurtzite = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    assert {"G", "M", "K", "A", "L", "H"} == {part for _, name in band_path(wurtzite).ticks for part in name.split("|")}
    rattled = bulk("Si")
    rattled.rattle(0.05, seed=1)
    path, known = band_path(rattled), special_points(rattled)  # a cubic lattice, no symmetry
    for index, name in path.labels:
        if name in known:  # one name is one point, up to time reversal
            offsets = [path.kpoints[index] - sign * known[name] for sign in (1, -1)]
            assert any(np.allclose(x, np.rint(x)) for x in offsets)


@pytest.mark.parametrize("pbc", [(True, True, False), True])
def test_slabs_stay_in_their_plane(pbc):
    atoms = graphene(vacuum=10.0)
    atoms.pbc = pbc
    path = band_path(atoms)
    assert [name for _, name in path.ticks] == ["G", "M", "K", "G"] and not path.kpoints[:, 2].any()
    side = 2 * np.pi / 2.46
    assert path.distances[-1] == pytest.approx(side * (1 / np.sqrt(3) + 1 / 3 + 2 / 3))
    metal = fcc111("Al", (1, 1, 3), vacuum=8.0)
    metal.pbc = pbc
    assert periodic_directions(metal).tolist() == [True, True, False]


def test_chains_along_any_cell_vector():
    for axis in range(3):
        cell = np.roll(np.diag([1.5, 12.0, 12.0]), axis, axis=(0, 1))
        for pbc in (True, np.arange(3) == axis):
            path = band_path(Atoms("H", cell=cell, pbc=pbc), "GX")
            assert path.distances[-1] == pytest.approx(np.pi / 1.5)
            assert np.allclose(np.abs(path.kpoints[-1]), 0.5 * np.eye(3)[axis])
    bare = Atoms("H", cell=[1.5, 0, 0], pbc=[True, False, False])
    assert band_path(bare).distances[-1] == pytest.approx(np.pi / 1.5)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("GQ", "special point Q: this lattice has G K L U W X"),
        ("G-X", "G-X"),
        ("", "no path"),
        ("GX,L", "no path"),
        ([[0, 0, 0]], "two rows"),
        ([[0, 0], [1, 1]], "two rows"),
        ([[0, 0, 0], [0, np.nan, 1]], "two rows"),
    ],
)
def test_no_path(path, message: str):
    with pytest.raises(HampredError, match=message) as caught:
        band_path(bulk("Si"), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("H"), "molecule"),
        (Atoms("H", cell=[5, 5, 5]), "molecule"),
        (Atoms("H", cell=[15, 15, 15], pbc=True), "molecule"),
        (Atoms(cell=[3, 3, 3], pbc=True), "molecule"),
        (Atoms("H2", np.zeros((2, 3)), cell=[3, 3, 3], pbc=True), "atoms coincide"),
        (Atoms("H", pbc=True), "volume"),
        (Atoms("H", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]], pbc=True), "volume"),
    ],
)
def test_no_crystal(atoms: Atoms, message: str):
    with pytest.raises(HampredError, match=message):
        band_path(atoms)


def test_bad_spacing():
    with pytest.raises(HampredError, match="spacing"):
        band_path(bulk("Si"), spacing=0.0)


def test_missing_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "seekpath", None)
    with pytest.raises(HampredError, match=r"pip install 'hampred\[crystal\]'"):
        band_path(bulk("Si"))
    assert len(band_path(graphene(vacuum=10.0)).kpoints) > 3
