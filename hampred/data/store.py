"""The HDF5 store of labels: one schema for molecules and crystals, one writer and one reader.

A store is flat and ragged: the arrays of all samples stand one behind the other, offsets say where each begins, every
array carries Fletcher-32 checksums and every sample a SHA-256. A shard is a store with one sample. Files appear under
their name only when complete: written beside it, synchronised, renamed.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.errors import HampredError
from hampred.files import replacing
from hampred.interop.electric_field import with_field

FORMAT = "hampred-store"
VERSION = 2
"""Since 2 with electric fields and open shells."""

# array → (offsets that cut it into samples, trailing shape, type); "samples" means one row a sample
SCHEMA: dict[str, tuple[str, tuple[int, ...], str]] = {
    "cell": ("samples", (3, 3), "<f8"),  # Å, rows
    "pbc": ("samples", (3,), "|u1"),
    "total_energy": ("samples", (), "<f8"),  # Hartree
    "dipole": ("samples", (3,), "<f8"),  # atomic units
    "scf_cycles": ("samples", (), "<i4"),
    "charge": ("samples", (), "<i4"),
    "spin": ("samples", (), "<i4"),
    "electric_field": ("samples", (3,), "<f8"),  # V/Å
    "sha256": ("samples", (32,), "|u1"),
    "numbers": ("atoms", (), "<i4"),
    "positions": ("atoms", (3,), "<f8"),  # Å
    "forces": ("atoms", (3,), "<f8"),  # Hartree/Å, NaN where they were not asked for
    "pairs": ("pairs", (2,), "<i4"),  # one of (i, j, R) and (j, i, −R)
    "cell_shifts": ("pairs", (3,), "<i4"),
    "hamiltonian": ("values", (), "<f8"),  # Hartree, PySCF's AO order
    "spin_splitting": ("splittings", (), "<f8"),  # Hartree; of open shells alone
    "orbital_energies": ("orbitals", (), "<f8"),  # Hartree; of open shells α, then β
    "provenance": ("text", (), "|u1"),  # JSON
}
ADDED = ("electric_field", "spin_splitting")
"""Arrays that older stores lack. The SHA-256 leaves them out where they are zero: it stays what it was in those."""

RAGGED = ("atoms", "pairs", "values", "splittings", "orbitals", "text")


class _Sink(io.FileIO):
    """The file under an HDF5 writer: the first failed write is remembered and the later ones are dropped.

    HDF5 cannot close a file whose writes fail (full disk, quota), and takes the interpreter down with it.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Writes all bytes, or drops them after a failure; returns their number."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.error is None:
            try:
                done += super().write(view[done:])
            except OSError as error:
                self.error = error
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Sets the length of the file, unless a write has failed."""
        try:
            return super().truncate(size) if self.error is None else 0
        except OSError as error:
            self.error = error
            return 0


@contextmanager
def _hdf5(path: Path) -> Iterator[tuple[h5py.File, _Sink]]:
    """A new HDF5 file that can always be closed.

    Raises:
        HampredError: There is no room for it.
    """
    with _Sink(path, "w+") as sink:
        try:
            with h5py.File(sink, "w") as file:
                yield file, sink
        finally:
            if sink.error:
                reason = f"{sink.error.strerror}. Make room, or choose another folder."
                raise HampredError(f"Cannot write into {path.parent}: {reason}") from sink.error


def write_store(path: Path, samples: Iterable[HamiltonianSample], notes: Mapping[str, Any] | None = None) -> int:
    """Writes samples of one level of theory into a new store.

    Args:
        path: File to create or replace.
        samples: The samples, read one at a time.
        notes: More for the header: ``failures``, ``label_noise``, …; plain JSON types.

    Returns:
        Number of samples.

    Raises:
        HampredError: The path cannot be written, levels or bases differ, or there is no sample.
    """
    basis: OrbitalBasis | None = None
    level: LevelOfTheory | None = None
    count = 0
    with replacing(Path(path)) as temporary, _hdf5(temporary) as (file, sink):
        offsets = {name: [0] for name in RAGGED}
        for sample in samples:
            basis = sample.basis if basis is None else basis.merged(sample.basis)
            level = level or sample.level
            level.require_equal(sample.level)
            arrays = _arrays(sample)
            for name, array in arrays.items():
                _append(file, name, array)
            for name in RAGGED:
                first = next(key for key, (kind, _, _) in SCHEMA.items() if kind == name)
                offsets[name].append(offsets[name][-1] + len(arrays[first]))
            count += 1
            if sink.error:
                break
        if basis is None or level is None:
            raise HampredError("There is no finished sample to store: see the list of failures.")
        for name, values in offsets.items():
            file.create_dataset(f"offsets/{name}", data=np.array(values, dtype="<i8"), chunks=True, fletcher32=True)
        header = {"format": FORMAT, "version": VERSION, "basis": basis.to_dict(), "level": level.to_dict()}
        text = np.frombuffer(json.dumps({**header, **(notes or {})}).encode(), dtype="|u1")
        file.create_dataset("header", data=text, chunks=True, fletcher32=True)
    return count


def _append(file: h5py.File, name: str, array: NDArray) -> None:
    if name not in file:
        chunk = (min(max(len(array), 1), 4096), *array.shape[1:])
        file.create_dataset(name, data=array, chunks=chunk, maxshape=(None, *array.shape[1:]), fletcher32=True)
        return
    dataset = file[name]
    start = len(dataset)
    dataset.resize(start + len(array), axis=0)
    dataset[start:] = array


def _arrays(sample: HamiltonianSample) -> dict[str, NDArray]:
    """The rows that a sample adds to each array of the schema."""
    atoms, matrix = sample.atoms, _upper(sample.hamiltonian)
    splitting = sample.spin_splitting
    forces = np.full((len(atoms), 3), np.nan) if sample.forces is None else sample.forces
    raw: dict[str, Any] = {
        "cell": [atoms.cell.array],
        "pbc": [atoms.pbc],
        "total_energy": [sample.total_energy],
        "dipole": [sample.dipole],
        "scf_cycles": [sample.scf_cycles],
        "charge": [sample.charge],
        "spin": [sample.spin],
        "electric_field": [sample.electric_field],
        "numbers": atoms.numbers,
        "positions": atoms.positions,
        "forces": forces,
        "pairs": matrix.pairs,
        "cell_shifts": matrix.cell_shifts,
        "hamiltonian": matrix.values,
        "spin_splitting": [] if splitting is None else _upper(splitting.on_pairs_of(sample.hamiltonian)).values,
        "orbital_energies": np.ravel(sample.orbital_energies),
        "provenance": np.frombuffer(json.dumps(dict(sample.provenance)).encode(), dtype="|u1"),
    }
    arrays = {name: np.asarray(value, dtype=SCHEMA[name][2]) for name, value in raw.items()}
    arrays["sha256"] = np.frombuffer(_digest(arrays), dtype="|u1")[None]
    return {name: arrays[name] for name in SCHEMA}


def _digest(arrays: Mapping[str, NDArray]) -> bytes:
    digest = hashlib.sha256()
    for name in SCHEMA:
        if name != "sha256" and (name not in ADDED or arrays[name].any()):
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.digest()


def _upper(matrix: BlockMatrix) -> BlockMatrix:
    """Keeps one of the pairs (i, j, R) and (j, i, −R)."""
    return _select(matrix, np.flatnonzero(matrix.once))


def _select(matrix: BlockMatrix, keep: NDArray[np.int64]) -> BlockMatrix:
    values = np.concatenate([matrix.values[matrix.starts[k] : matrix.starts[k + 1]] for k in keep])
    return BlockMatrix(matrix.layout, matrix.pairs[keep], matrix.cell_shifts[keep], values)


def _full(half: BlockMatrix) -> BlockMatrix:
    """Adds the reverse of every stored pair that is not its own."""
    other = np.flatnonzero((half.pairs[:, 0] != half.pairs[:, 1]) | half.cell_shifts.any(axis=1))
    mirrored = [half.block(int(k)).T.ravel() for k in other]
    return BlockMatrix(
        half.layout,
        np.concatenate([half.pairs, half.pairs[other, ::-1]]),
        np.concatenate([half.cell_shifts, -half.cell_shifts[other]]),
        np.concatenate([half.values, *mirrored]),
    )


class Store:
    """Read-only view of a store: a sequence of samples.

    Attributes:
        path: The file.
        basis: Orbitals of all elements.
        level: Level of theory of every label.
        header: The whole header, with ``failures`` and ``label_noise`` where a generator wrote them.
    """

    def __init__(self, path: Path | str) -> None:
        """Opens a store and checks that it is complete.

        Raises:
            HampredError: No such file, not a store, of a newer format, damaged, or holding links to other files.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise HampredError(f"There is no file {self.path}: give the path of a store, such as labels.h5.")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError:
            raise HampredError(f"{self.path} is no complete HDF5 file (truncated or damaged): make it again.") from None
        try:
            self.header: dict[str, Any] = json.loads(self._dataset("header")[()].tobytes())
            if not isinstance(self.header, dict) or self.header.get("format") != FORMAT:
                raise HampredError(f"{self.path} is not a hampred store: see `hampred generate`.")
            if self.header["version"] > VERSION:
                raise HampredError(f"{self.path} has a format newer than {VERSION}: update hampred.")
            self.basis = OrbitalBasis.from_dict(self.header["basis"])
            self.level = LevelOfTheory.from_dict(self.header["level"])
            self._schema = {k: v for k, v in SCHEMA.items() if self.header["version"] >= VERSION or k not in ADDED}
            kinds = {kind for kind, _, _ in self._schema.values()} & set(RAGGED)
            self._offsets = {name: self._dataset(f"offsets/{name}")[()] for name in kinds}
            self._data = {name: self._dataset(name) for name in self._schema}
            self._check_lengths()
        except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:
            raise HampredError(f"{self.path} is not a hampred store or is damaged ({error}): make it again.") from error

    def _dataset(self, name: str) -> h5py.Dataset:
        """A dataset whose bytes are in this very file and as many as it declares."""
        if not isinstance(self._file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is missing or a link")
        dataset = self._file[name]
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise ValueError(f"{name} points to other files")
        if dataset.nbytes > dataset.id.get_storage_size():
            raise ValueError(f"{name} declares more than it holds")
        return dataset

    def _values(self, name: str, span: slice = slice(None)) -> NDArray:
        """Rows of an array of the schema.

        Raises:
            HampredError: They cannot be read.
        """
        try:
            return self._data[name][span]
        except (OSError, RuntimeError) as error:  # Fletcher-32, or a damaged index of HDF5
            raise HampredError(f"{self.path} is damaged ({name}: {error}): make the store again.") from error

    def _check_lengths(self) -> None:
        for name, (kind, shape, dtype) in self._schema.items():
            expected = len(self) if kind == "samples" else int(self._offsets[kind][-1])
            dataset = self._data[name]
            if dataset.shape != (expected, *shape) or dataset.dtype != np.dtype(dtype):
                raise ValueError(f"{name} has shape {dataset.shape} where {(expected, *shape)} was expected")
        for values in self._offsets.values():
            if values.dtype.kind != "i" or len(values) != len(self) + 1 or values[0] or (np.diff(values) < 0).any():
                raise ValueError("its offsets are out of order")

    def __len__(self) -> int:
        return len(self._offsets["atoms"]) - 1

    def _rows(self, index: int) -> dict[str, NDArray]:
        """The rows of one sample, whose SHA-256 is the one with which they were written."""
        rows = {}
        for name, (kind, shape, dtype) in SCHEMA.items():
            if name not in self._schema:
                rows[name] = np.zeros((int(kind == "samples"), *shape), dtype=dtype)
                continue
            span = slice(index, index + 1) if kind == "samples" else slice(*self._offsets[kind][index : index + 2])
            rows[name] = self._values(name, span)
        if _digest(rows) != rows["sha256"].tobytes():
            raise HampredError(f"Sample {index} of {self.path} is damaged (SHA-256): make the store again.")
        return rows

    def __getitem__(self, index: int) -> HamiltonianSample:
        """Sample `index`.

        Raises:
            IndexError: There is no such sample.
            HampredError: Its checksum does not hold.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._rows(index)
        atoms = Atoms(rows["numbers"], rows["positions"], cell=rows["cell"][0], pbc=rows["pbc"][0].astype(bool))
        atoms, spin = with_field(atoms, rows["electric_field"][0]), int(rows["spin"][0])
        atoms.info |= {"spin": spin} if spin else {}
        layout = self.basis.layout(atoms.numbers)
        pairs, shifts = rows["pairs"].astype(np.int64), rows["cell_shifts"].astype(np.int64)
        forces, energies = rows["forces"], rows["orbital_energies"]
        names = ("hamiltonian", "spin_splitting") if spin else ("hamiltonian",)
        return HamiltonianSample(
            atoms=atoms,
            basis=self.basis,
            matrices={name: _full(BlockMatrix(layout, pairs, shifts, rows[name])) for name in names},
            orbital_energies=energies.reshape(2, -1) if spin else energies,
            level=self.level,
            total_energy=float(rows["total_energy"][0]),
            dipole=rows["dipole"][0],
            forces=None if np.isnan(forces).any() else forces,
            scf_cycles=int(rows["scf_cycles"][0]),
            charge=int(rows["charge"][0]),
            spin=spin,
            provenance=json.loads(rows["provenance"].tobytes()),
        )

    def __iter__(self) -> Iterator[HamiltonianSample]:
        return (self[index] for index in range(len(self)))

    @property
    def keys(self) -> list[str]:
        """Hash of each sample (hexadecimal), by which splits name it [n_samples]."""
        return [row.tobytes().hex() for row in self._values("sha256")]

    @property
    def molecules(self) -> list[str]:
        """Molecule of each sample, or its formula, by which a split keeps geometries together [n_samples]."""
        text, numbers, cuts = self._values("provenance").tobytes(), self.numbers, self._offsets["atoms"]
        try:
            notes = [json.loads(text[start:stop]) for start, stop in pairwise(self._offsets["text"])]
        except ValueError as error:
            raise HampredError(f"{self.path} is damaged (provenance: {error}): make the store again.") from error
        return [
            str(note.get("molecule") or Atoms(numbers[cuts[k] : cuts[k + 1]]).get_chemical_formula())
            for k, note in enumerate(notes)
        ]

    def of_samples(self, name: str) -> NDArray:
        """An array of `SCHEMA` that has one row a sample [n_samples, …]: ``charge``, ``spin``, ``electric_field``, …"""
        older = name not in self._schema
        return np.zeros((len(self), *SCHEMA[name][1])) if older else self._values(name)

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Number of atoms of each sample [n_samples]."""
        return np.diff(self._offsets["atoms"])

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Atomic numbers of all samples, one behind the other."""
        numbers = self._values("numbers")
        if unknown := set(numbers.tolist()) - set(self.basis.elements):
            raise HampredError(f"{self.path} is damaged (atomic numbers {unknown} without a basis): make it again.")
        return numbers

    def damaged(self) -> list[int]:
        """Samples whose content no longer has the SHA-256 with which they were written."""
        bad = []
        for index in range(len(self)):
            try:
                self._rows(index)
            except HampredError:
                bad.append(index)
        return bad

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
