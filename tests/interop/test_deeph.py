"""DeepH-pack's folder: what its own programs read gives the matrices that were written."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.deeph import write_deeph
from hampred.interop.integrals import Integrals
from hampred.units import HARTREE

BASIS = "gth-dzvp-molopt-sr"  # s, p and d shells


@pytest.fixture(scope="module")
def crystal() -> tuple[Atoms, BlockMatrix, BlockMatrix]:
    """BN: two kinds of atoms; H of any numbers on fewer blocks than S."""
    atoms = bulk("BN", "zincblende", a=3.6)
    overlap = Integrals(atoms, BASIS).overlap
    near = np.abs(overlap.cell_shifts).max(axis=1) <= 1
    blocks = BlockMatrix(overlap.layout, overlap.pairs[near], overlap.cell_shifts[near], np.empty(0))
    values = np.random.default_rng(3).normal(size=blocks.starts[-1])
    return atoms, BlockMatrix(blocks.layout, blocks.pairs, blocks.cell_shifts, values).hermitized(), overlap


def bloch(folder: Path, name: str, k: np.ndarray) -> np.ndarray:
    """Σ_R e^{2πi k·R} M(R), assembled from the files alone."""
    shells = [list(map(int, line.split())) for line in (folder / "orbital_types.dat").read_text().splitlines()]
    ends = np.cumsum([sum(2 * l + 1 for l in atom) for atom in shells])
    starts = np.concatenate([[0], ends[:-1]])
    found = np.zeros((ends[-1], ends[-1]), dtype=complex)
    with h5py.File(folder / f"{name}.h5") as file:
        for key, block in file.items():
            *shift, i, j = json.loads(key)
            rows, columns = (slice(starts[atom - 1], ends[atom - 1]) for atom in (i, j))
            found[rows, columns] += np.exp(2j * np.pi * (k @ shift)) * np.asarray(block)
    return found


def test_the_files_give_both_matrices(crystal, tmp_path: Path, rng: np.random.Generator):
    atoms, hamiltonian, overlap = crystal
    folder = tmp_path / "deeph"
    write_deeph(folder, atoms, hamiltonian, overlap, fermi_level=0.1)
    for k in rng.uniform(-1, 1, size=(3, 3)):
        assert np.abs(bloch(folder, "hamiltonians", k) - HARTREE * hamiltonian.bloch(k)).max() < 1e-10
        assert np.abs(bloch(folder, "overlaps", k) - overlap.bloch(k)).max() < 1e-12
    with h5py.File(folder / "hamiltonians.h5") as h, h5py.File(folder / "overlaps.h5") as s:
        assert set(h) == set(s)


def test_the_structure(crystal, tmp_path: Path):
    atoms, hamiltonian, overlap = crystal
    folder = tmp_path / "deep" / "deeph"
    write_deeph(folder, atoms, hamiltonian, overlap, fermi_level=0.1)
    lattice = np.loadtxt(folder / "lat.dat").T
    np.testing.assert_allclose(lattice, atoms.cell.array)
    np.testing.assert_allclose(np.loadtxt(folder / "rlat.dat").T @ lattice.T, 2 * np.pi * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.loadtxt(folder / "site_positions.dat").T, atoms.positions)
    assert np.loadtxt(folder / "element.dat", dtype=int).tolist() == [5, 7]
    info = json.loads((folder / "info.json").read_text())
    assert (info["nsites"], info["norbits"], info["isspinful"], info["isorthogonal"]) == (2, 26, False, False)
    assert info["fermi_level"] == pytest.approx(0.1 * HARTREE) and "PySCF" in info["orbital_order"]


def test_a_folder_is_replaced_and_a_foreign_one_is_not(crystal, tmp_path: Path):
    folder = tmp_path / "deeph"
    for _ in range(2):
        write_deeph(folder, *crystal)
    assert [path.name for path in tmp_path.iterdir()] == ["deeph"]
    (tmp_path / "notes").mkdir()
    with pytest.raises(HampredError, match="no folder of DeepH"):
        write_deeph(tmp_path / "notes", *crystal)
    (tmp_path / "file").write_text("")
    with pytest.raises(HampredError, match="Cannot write"):
        write_deeph(tmp_path / "file" / "deeph", *crystal)
