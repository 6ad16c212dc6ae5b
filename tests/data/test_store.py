"""The store: what is written comes back bit for bit, or not at all."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample, LevelOfTheory, structure_key
from hampred.data.store import SCHEMA, Store, write_store
from hampred.errors import HampredError
from hampred.interop.pyscf import build_mole, kinetic

LEVEL = LevelOfTheory("pbe", "GGA_X_PBE, GGA_C_PBE", "sto-3g", code="test")


@pytest.fixture
def samples(scattered: Callable) -> list[HamiltonianSample]:
    """Three small molecules of different elements; the kinetic energy plays the Hamiltonian."""

    def sample(formula: str, seed: int) -> HamiltonianSample:
        atoms = scattered(formula, seed)
        mole = build_mole(atoms, LEVEL.basis)
        basis = OrbitalBasis.from_mole(mole, LEVEL.basis)
        matrix = BlockMatrix.from_dense(basis.layout(atoms.numbers), kinetic(mole))
        return HamiltonianSample(
            atoms=atoms,
            basis=basis,
            matrices={"hamiltonian": matrix},
            orbital_energies=np.linspace(-20.0, 1.0, mole.nao) / 3,
            level=LEVEL,
            total_energy=-76.4 + seed / 3,
            dipole=np.array([0.1, 0.2, -0.7]) / 3,
            forces=atoms.positions / 3 if seed else None,
            scf_cycles=7 + seed,
            charge=0,
            provenance={"source": "random", "seed": seed, "name": "Å ✓"},
        )

    return [sample("H2O", 0), sample("CH4", 1), sample("HF", 2)]


@pytest.fixture
def path(tmp_path: Path, samples: list[HamiltonianSample]) -> Path:
    assert write_store(tmp_path / "labels.h5", samples, {"failures": [{"reason": "not converged"}]}) == len(samples)
    return tmp_path / "labels.h5"


def assert_same(a: HamiltonianSample, b: HamiltonianSample):
    assert np.array_equal(a.atoms.numbers, b.atoms.numbers)
    assert np.array_equal(a.atoms.positions, b.atoms.positions)
    assert np.array_equal(a.atoms.cell.array, b.atoms.cell.array) and np.array_equal(a.atoms.pbc, b.atoms.pbc)
    assert np.array_equal(a.hamiltonian.to_dense(), b.hamiltonian.to_dense())
    assert np.array_equal(a.orbital_energies, b.orbital_energies)
    assert np.array_equal(a.dipole, b.dipole)
    assert (a.forces is None) == (b.forces is None)
    assert a.forces is None or np.array_equal(a.forces, b.forces)
    for name in ("total_energy", "scf_cycles", "charge", "spin", "level", "provenance"):
        assert getattr(a, name) == getattr(b, name), name


def test_round_trip_is_exact(path: Path, samples: list[HamiltonianSample]):
    with Store(path) as store:
        assert len(store) == 3
        assert sorted(store.basis.elements) == [1, 6, 8, 9]
        assert store.header["failures"] == [{"reason": "not converged"}]
        assert list(store.n_atoms) == [3, 5, 2]
        assert len(set(store.keys)) == 3
        assert store.damaged() == []
        for read, written in zip(store, samples, strict=True):
            assert_same(read, written)
            assert len(repr(read)) < 120 and read.atoms.get_chemical_formula() in repr(read)
        with pytest.raises(IndexError):
            store[3]


def test_same_samples_make_the_same_hashes(path: Path, tmp_path: Path):
    with Store(path) as store:
        write_store(tmp_path / "copy.h5", iter(store))
        with Store(tmp_path / "copy.h5") as copy:
            assert copy.keys == store.keys


def test_crystals_fit_the_same_schema(tmp_path: Path, samples: list[HamiltonianSample], rng: np.random.Generator):
    molecule = samples[2]
    table = np.array([(0, 0, 0), (1, 1, 0), (0, 1, 0), (1, 0, 0), (0, 1, 2), (1, 0, -2), (0, 0, 1), (0, 0, -1)])
    shifts = table[:, [2, 2, 2]] * np.array([1, 0, -1])
    empty = BlockMatrix(molecule.hamiltonian.layout, table[:, :2], shifts, np.empty(0))
    matrix = replace(empty, values=rng.normal(size=empty.starts[-1])).hermitized()
    atoms = molecule.atoms.copy()
    atoms.cell, atoms.pbc = np.eye(3) * 3 + 0.1, [True, True, False]
    write_store(tmp_path / "crystal.h5", [replace(molecule, atoms=atoms, matrices={"hamiltonian": matrix})])
    with Store(tmp_path / "crystal.h5") as store:
        read = store[0]
    assert np.array_equal(read.atoms.pbc, atoms.pbc) and np.array_equal(read.atoms.cell.array, atoms.cell.array)
    k = np.array([0.1, 0.2, 0.3])
    assert np.abs(read.hamiltonian.bloch(k) - matrix.bloch(k)).max() < 1e-14


def test_truncated_files_are_refused(path: Path, tmp_path: Path):
    content = path.read_bytes()
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.h5").write_bytes(content[:size])
        with pytest.raises(HampredError, match="truncated or damaged"):
            Store(tmp_path / "cut.h5")


@settings(max_examples=300)
@given(data=st.data())
def test_bit_flips_never_give_wrong_data(path: Path, samples: list[HamiltonianSample], data: st.DataObject):
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    flipped = path.with_name("flipped.h5")
    flipped.write_bytes(content)
    try:
        with Store(flipped) as store:
            read = list(store)
    except HampredError:
        return
    assert len(read) == len(samples)
    for a, b in zip(read, samples):
        assert_same(a, b)


def test_every_flip_in_the_hamiltonians_is_found(path: Path, samples: list[HamiltonianSample]):
    content = path.read_bytes()
    needle = samples[1].hamiltonian.block(0).tobytes()
    start = content.index(needle)
    for offset in range(0, len(needle), 7):
        damaged = bytearray(content)
        damaged[start + offset] ^= 1 << offset % 8
        path.write_bytes(damaged)
        with Store(path) as store:
            assert 1 in store.damaged()
            with pytest.raises(HampredError, match="damaged"):
                store[1]


def rewritten(path: Path, name: str, make: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file)
    return path


def as_external_link(file: h5py.File):
    file["hamiltonian"] = h5py.ExternalLink("/etc/hostname", "/x")


def as_soft_link(file: h5py.File):
    file["hamiltonian"] = h5py.SoftLink("/orbital_energies")


def as_external_storage(file: h5py.File):
    file.create_dataset("hamiltonian", (4,), "<f8", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def as_virtual(file: h5py.File):
    virtual = h5py.VirtualLayout((4,), "<f8")
    virtual[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("hamiltonian", virtual)


def as_bomb(file: h5py.File):
    file.create_dataset("hamiltonian", (10**12,), "<f8", chunks=(4096,), fletcher32=True)


def as_nothing(file: h5py.File):
    pass


def as_other_type(file: h5py.File):
    file.create_dataset("hamiltonian", data=np.zeros(10, dtype="<f4"), chunks=True)


@pytest.mark.parametrize(
    "make",
    [as_external_link, as_soft_link, as_external_storage, as_virtual, as_bomb, as_nothing, as_other_type],
)
def test_hostile_files_are_refused(path: Path, make: Callable[[h5py.File], None]):
    with pytest.raises(HampredError, match="hamiltonian"):
        Store(rewritten(path, "hamiltonian", make))


@pytest.mark.parametrize("name", [*SCHEMA, "header", "offsets/atoms"])
def test_every_array_is_needed(path: Path, name: str):
    with pytest.raises(HampredError):
        Store(rewritten(path, name, as_nothing))


def test_offsets_out_of_range_are_refused(path: Path):
    with h5py.File(path, "r+") as file:
        file["offsets/values"][1] = 10**9
    with pytest.raises(HampredError):
        Store(path)


@pytest.mark.parametrize("content", [b"not HDF5 at all", b""])
def test_other_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "labels.h5").write_bytes(content)
    with pytest.raises(HampredError):
        Store(tmp_path / "labels.h5")
    with pytest.raises(HampredError, match="no file"):
        Store(tmp_path / "missing.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(HampredError, match="not a hampred store"):
        Store(tmp_path / "other.h5")


def test_a_failed_write_leaves_the_old_file(path: Path, samples: list[HamiltonianSample]):
    before = path.read_bytes()

    def broken() -> Iterator[HamiltonianSample]:
        yield samples[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_store(path, broken())
    with pytest.raises(HampredError, match="no finished sample"):
        write_store(path, [])
    with pytest.raises(HampredError, match=r"functional is 'pbe' here and 'b3lyp' there"):
        write_store(path, [samples[0], replace(samples[1], level=replace(LEVEL, functional="b3lyp"))])
    other_basis = OrbitalBasis.from_name("6-31g", [1, 8])
    with pytest.raises(HampredError, match="Different orbitals for H"):
        write_store(path, [samples[1], replace(samples[0], basis=other_basis)])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


FULL_DISK = """
import resource, signal, sys
from hampred.data.store import Store, write_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Store(sys.argv[1]) as store:
    samples = list(store) * 50
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
write_store(sys.argv[1], samples)
"""


@pytest.mark.parametrize("limit", [0, 5_000, 60_000])
def test_a_full_disk_leaves_the_old_file(path: Path, limit: int):
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(limit)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr  # an exception, not a crash of the interpreter
    assert "HampredError" in done.stderr
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_unwritable_folder_is_named(samples: list[HamiltonianSample], tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HampredError, match="Cannot write"):
        write_store(tmp_path / "file" / "labels.h5", samples)


def test_structure_key_knows_structure_and_level(samples: list[HamiltonianSample]):
    atoms = samples[0].atoms
    moved = atoms.copy()
    moved.positions[0, 0] += 1e-6
    keys = [
        structure_key(atoms, 0, 0, LEVEL),
        structure_key(moved, 0, 0, LEVEL),
        structure_key(atoms, 1, 0, LEVEL),
        structure_key(atoms, 0, 0, replace(LEVEL, grid_level=4)),
    ]
    assert len(set(keys)) == 4
    assert keys[0] == structure_key(atoms.copy(), 0, 0, replace(LEVEL, code="another version"))
