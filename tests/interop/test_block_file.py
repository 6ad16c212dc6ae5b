"""H(R) and S(R) in files and in sisl."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.block_file import BlockFile
from hampred.interop.neighbors import neighbor_pairs
from hampred.interop.sisl import to_sisl
from hampred.units import HARTREE


@pytest.fixture
def blocks(rng: np.random.Generator) -> BlockFile:
    """A skewed cell of H and C with random Hermitian H(R) and a positive S(R) of shorter range."""
    atoms = Atoms("HC", [[0.1, 0.2, 0.3], [1.0, 0.7, 1.0]], cell=[[2, 0, 0.3], [0.5, 3, 0], [0, 0.1, 4]], pbc=True)
    layout = OrbitalBasis.from_name("def2-svp", [1, 6]).layout(atoms.numbers)

    def matrix(cutoff: float) -> BlockMatrix:
        pairs, shifts, _ = neighbor_pairs(atoms, cutoff)
        pairs, shifts = np.concatenate([[[0, 0], [1, 1]], pairs]), np.concatenate([np.zeros((2, 3), int), shifts])
        empty = BlockMatrix(layout, pairs, shifts, np.empty(0))
        return replace(empty, values=rng.normal(size=empty.starts[-1])).hermitized()

    h, s = matrix(3.1), matrix(2.9)
    assert len(h.pairs) > len(s.pairs)
    s = replace(s, values=1e-3 * s.values + (s.onsite[s.pair_of_value] & (s.rows == s.columns)))
    return BlockFile(atoms, h, s, 7.0)


def test_round_trip(blocks: BlockFile, tmp_path: Path):
    blocks.write(tmp_path / "c.npz")
    found = BlockFile.read(tmp_path / "c.npz")
    assert np.array_equal(found.hamiltonian.values, blocks.hamiltonian.values)
    assert np.array_equal(found.overlap.values, blocks.overlap.values)
    assert found.hamiltonian.layout.basis.hash == blocks.hamiltonian.layout.basis.hash
    assert found.atoms == blocks.atoms and found.n_electrons == 7.0


def test_documented_layout_is_enough_to_build_h_of_k(blocks: BlockFile, tmp_path: Path, rng: np.random.Generator):
    blocks.write(tmp_path / "c.npz")
    k = rng.uniform(size=3)
    with np.load(tmp_path / "c.npz") as file:
        first = file["orbital_offsets"]
        h = np.zeros((first[-1], first[-1]), dtype=complex)
        for p, ((i, j), shift) in enumerate(zip(file["hamiltonian_pairs"], file["hamiltonian_cell_shifts"])):
            start, stop = file["hamiltonian_offsets"][p : p + 2]
            block = file["hamiltonian_values"][start:stop]
            rows, columns = slice(first[i], first[i + 1]), slice(first[j], first[j + 1])
            shape = (first[i + 1] - first[i], first[j + 1] - first[j])
            h[rows, columns] += np.exp(2j * np.pi * k @ shift) * block.reshape(shape)
    assert np.abs(h - blocks.hamiltonian.bloch(k)).max() < 1e-12


def test_other_files_are_refused(blocks: BlockFile, tmp_path: Path):
    path = tmp_path / "c.npz"
    blocks.write(path)
    with np.load(path) as file:
        data = dict(file)
    broken = [
        {"layout": "hampred blocks 0"},
        {"overlap_values": data["overlap_values"][:-1]},
        {"overlap_values": np.nan * data["overlap_values"]},
        {"hamiltonian_offsets": data["hamiltonian_offsets"] + 1},
        {"hamiltonian_pairs": data["hamiltonian_pairs"] + 5},
        {"hamiltonian_pairs": data["hamiltonian_pairs"] - 2},
        {"hamiltonian_cell_shifts": np.abs(data["hamiltonian_cell_shifts"])},
        {"basis": "{}"},
        {"numbers": np.array([1, 8])},
        {"positions_A": np.array([None, None])},
    ]
    for change in broken:
        np.savez(path, **{**data, **change})
        with pytest.raises(HampredError) as caught:
            BlockFile.read(path)
        assert "\n" not in str(caught.value)
    for content in (b"", b"PK\x03\x04", b"no numbers"):
        path.write_bytes(content)
        with pytest.raises(HampredError, match="no file of"):
            BlockFile.read(path)
    with pytest.raises(HampredError, match="no file of"):
        BlockFile.read(tmp_path / "absent.npz")


def test_sisl_finds_the_same_bands(blocks: BlockFile, rng: np.random.Generator):
    pytest.importorskip("sisl")
    from hampred.electronic.eigen import solve

    k = rng.uniform(size=3)
    found = to_sisl(blocks.atoms, blocks.hamiltonian, blocks.overlap)
    expected = solve(blocks.hamiltonian.bloch(k), blocks.overlap.bloch(k))[0]
    assert np.abs(found.eigh(k) - HARTREE * expected).max() < 1e-10
    assert found.geometry.atoms.atom[1].orbitals[3].tag == "2p x"


def test_sisl_needs_a_volume(blocks: BlockFile):
    pytest.importorskip("sisl")
    flat = blocks.atoms.copy()
    flat.cell[2] = 0
    with pytest.raises(HampredError, match="volume"):
        to_sisl(flat, blocks.hamiltonian, blocks.overlap)
