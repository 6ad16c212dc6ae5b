"""Gap, edges, masses and files of band structures that are known on paper."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.electronic.crystal import CrystalState
from hampred.electronic.kpath import SPACING, KPath
from hampred.errors import HampredError
from hampred.evaluation.band_numbers import edge_rows, mass_rows, to_dict
from hampred.evaluation.band_report import write_figures, write_report
from hampred.evaluation.band_sampling import choose_mesh, choose_path
from hampred.evaluation.band_structure import OFF_PATH, BandStructure, band_structure
from hampred.units import BOHR, HARTREE

A = 3.0
"""Å; length of the cells."""


def crystal(hops: Sequence[tuple[int, int, Sequence[int], float]], electrons: float, periodic: int) -> CrystalState:
    """Two orthogonal s orbitals in a square cell, with H_ij(R) as (i, j, R, Hartree); the reverse is added."""
    cell = np.diag([A, A, 9.0])
    atoms = Atoms("H2", [[0, 0, 0], [0.5 * A, 0.5 * A, 0]], cell=cell, pbc=np.arange(3) < periodic)
    layout = OrbitalBasis.from_name("sto-3g", [1]).layout([1, 1])
    found = {(i, i, 0, 0, 0): 0.0 for i in range(2)}
    for i, j, shift, value in hops:
        found[i, j, *shift] = found[j, i, *(-x for x in shift)] = value
    keys = np.array(list(found))
    h = BlockMatrix(layout, keys[:, :2], keys[:, 2:], np.array(list(found.values())))
    s = replace(h, values=np.array([float(i == j and not any(shift)) for i, j, *shift in found]))
    return CrystalState(atoms, h, s, electrons)


def dimerised(first: float, second: float, electrons: float = 2) -> CrystalState:
    """The chain of Su, Schrieffer and Heeger: ε = ±|t₁ + t₂ e^{ika}|, gap 2 |t₁ − t₂| at the edge of the zone."""
    return crystal([(0, 1, (0, 0, 0), first), (1, 0, (1, 0, 0), second)], electrons, 1)


def square(distance: float = 0.3) -> CrystalState:
    """Valence band with its top at Γ, conduction band with its bottom at M: ε = ±distance ± 0.02 (cos ka + cos kb)."""
    onsite = [(0, 0, (0, 0, 0), -distance), (1, 1, (0, 0, 0), distance)]
    return crystal(onsite + [(i, i, shift, 0.01) for i in range(2) for shift in ((1, 0, 0), (0, 1, 0))], 2, 2)


def along(state: CrystalState, corners: dict[str, Sequence[float]]) -> KPath:
    named = [(name, np.array(k, dtype=float)) for name, k in corners.items()]
    return KPath.through([named], state.atoms.cell.array)


def of(state: CrystalState, corners: dict[str, Sequence[float]], mesh: Sequence[int], **more) -> BandStructure:
    return band_structure(state, along(state, corners), mesh, **more)


CHAIN = {"G": (0, 0, 0), "X": (0.5, 0, 0)}
SQUARE = {"G": (0, 0, 0), "X": (0.5, 0, 0), "M": (0.5, 0.5, 0)}


def test_a_dimerised_chain():
    found = of(dimerised(-0.2, -0.15), CHAIN, [40, 1, 1], projected=True)
    assert found.gap == pytest.approx(0.1, abs=1e-12) and found.gap_is_direct and not found.is_metal
    assert found.vbm.place == found.cbm.place == "X"
    assert (found.zero.name, found.zero.energy) == ("VBM", pytest.approx(-0.05))
    assert found.fermi_level == pytest.approx(0.0, abs=1e-12)
    mass = 0.05 / (0.2 * 0.15) / (A / BOHR) ** 2  # ε² = t₁² + t₂² + 2 t₁ t₂ cos ka
    assert found.masses["cbm"].masses == pytest.approx(np.array([[mass]]), rel=1e-4)
    assert found.masses["vbm"].masses == pytest.approx(np.array([[-mass]]), rel=1e-4)
    assert np.trapezoid(found.dos.total, found.dos.energies) == pytest.approx(4, abs=1e-8)
    assert mass_rows(found)[0][:3] == ("VBM", "0.5, 0, 0", "x") and edge_rows(found)[0][1].endswith("(direct)")
    assert set(found.seconds) == {"path", "mesh", "masses"} and found.notes == []


def test_an_indirect_gap_and_edges_between_corners():
    found = of(square(), SQUARE, [4, 4, 1])
    assert found.gap == pytest.approx(0.6 - 0.08) and not found.gap_is_direct
    assert (found.vbm.place, found.cbm.place) == ("G", "M")
    assert found.direct.energy == pytest.approx(0.6)
    assert dict(edge_rows(found))["band gap / eV"] == f"{HARTREE * 0.52:.3f} (indirect)"
    between = of(square(), {"A": (-0.1, 0, 0), "X": (0.5, 0, 0), "M": (0.5, 0.5, 0)}, [1, 1, 1])
    assert between.vbm.place == "0.17 A–X"


def test_an_edge_off_the_path_is_told():
    found = of(square(), {"G": (0, 0, 0), "X": (0.5, 0, 0)}, [4, 4, 1])
    assert found.cbm.place == OFF_PATH and found.cbm.kpoint.tolist() == [0.5, 0.5, 0]
    assert found.gap == pytest.approx(0.52) and "off the path" in found.notes[0] and "CBM" in found.notes[0]


@pytest.mark.parametrize(("state", "corners"), [(dimerised(-0.2, -0.2, 3), CHAIN), (square(0.01), SQUARE)])
def test_a_metal(state: CrystalState, corners: dict):
    found = of(state, corners, [12, 12, 1])
    assert found.is_metal and found.gap is found.vbm is found.cbm is found.direct is None
    assert found.zero.name == "Fermi level" and found.masses == {} and found.zero.energy == found.fermi_level
    assert edge_rows(found)[0][0] == "metal"
    told = to_dict(found)
    assert told["gap_eV"] is told["vbm"] is None and told["fermi_level_eV"] == 0


def test_bands_without_empty_ones():
    found = of(dimerised(-0.2, -0.15, 4), CHAIN, [4, 1, 1])
    assert found.gap is found.cbm is None and found.vbm.place == "G" and found.zero.energy == found.fermi_level
    json.dumps(to_dict(found), allow_nan=False)


def test_the_json_is_plain_and_has_units():
    found = of(square(), SQUARE, [4, 4, 1], projected=True)
    told = json.loads(json.dumps(to_dict(found), allow_nan=False))
    path = told["path"]
    energies = np.array(path["energies_eV"]) / HARTREE + told["energy_zero"]["energy_Eh"]
    np.testing.assert_allclose(energies, found.path.energies, atol=1e-7)
    assert [label["name"] for label in path["labels"]] == ["G", "X", "M"]
    assert np.diff(path["distances_per_A"]).max() < SPACING + 1e-9
    assert path["mulliken_weights"]["H s"][0] == [1, 1] and told["dos"]["projected_per_eV"].keys() == {"H s"}
    assert told["vbm"] == {"energy_eV": 0, "kpoint": [0, 0, 0], "place": "G"}
    assert told["mesh"] == {"size": [4, 4, 1], "n_kpoints": 10} and told["gap_kind"] == "indirect"
    assert told["effective_masses"]["cbm"]["masses_me"][0][0] == pytest.approx(1 / (0.02 * (A / BOHR) ** 2), rel=1e-3)


def test_report_and_figures(tmp_path: Path):
    found = of(square(), SQUARE, [4, 4, 1], projected=True, notes=["a <note>"])
    names = write_figures(tmp_path, found)
    write_report(tmp_path, found, {"structure": "x.cif", "level": {"functional": "pbe", "grid_level": 3}})
    assert {p.name for p in tmp_path.iterdir()} == {*names, "report.html"} and "fat_bands.svg" in names
    html = (tmp_path / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 2 and "://" not in html
    assert "a &lt;note&gt;" in html and "x.cif" in html and "grid_level" not in html


def test_dependent_orbitals_are_told_once():
    state = dimerised(-0.2, -0.15)
    same = {(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)}
    keys = [(*map(int, pair), *map(int, shift)) for pair, shift in zip(state.overlap.pairs, state.overlap.cell_shifts)]
    values = np.array([1 - 1e-9 if key in same else value for key, value in zip(keys, state.overlap.values)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = of(replace(state, overlap=replace(state.overlap, values=values)), CHAIN, [4, 1, 1])
    assert found.path.n_bands == 1 and 1 <= len(found.notes) <= 2 and "near-dependent" in found.notes[0]


def test_large_cells_get_fewer_kpoints():
    atoms = bulk("Si")
    path, notes = choose_path(atoms, 8)
    assert notes == []
    coarse, notes = choose_path(atoms, 2000)
    assert len(coarse.kpoints) < len(path.kpoints) / 4 and coarse.labels[-1][1] == path.labels[-1][1]
    assert f"--spacing {SPACING:g}" in notes[0] and "2000 orbitals" in notes[0]
    assert len(choose_path(atoms, 2000, spacing=SPACING)[0].kpoints) == len(path.kpoints)


def test_meshes_are_as_dense_in_a_supercell():
    atoms = bulk("Si")
    mesh = choose_mesh(atoms, 8)
    assert 1000 < mesh.prod() / 2 <= 2000 and np.ptp(mesh) == 0
    assert choose_mesh(atoms * (2, 2, 2), 64).tolist() in ([mesh[0] // 2] * 3, [mesh[0] // 2 + 1] * 3)
    assert choose_mesh(atoms, 10**6).tolist() == [1, 1, 1]
    assert choose_mesh(Atoms("H", cell=[3, 3, 20], pbc=True), 8)[2] == 1  # no mesh across the vacuum
    assert choose_mesh(atoms, 8, [4, 3, 2]).tolist() == [4, 3, 2]


@pytest.mark.parametrize("size", [[0, 2, 2], [2, 2], [2.5, 2, 2], [-1, -1, 4], [10**4, 10**4, 1]])
def test_meshes_that_are_none(size: list):
    with pytest.raises(HampredError, match="k-mesh"):
        choose_mesh(bulk("Si"), 8, size)
