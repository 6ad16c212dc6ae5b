"""A store from matrices that were computed elsewhere: npz files, or one flat ragged HDF5 file."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import eigh

from data_gen.backends.pyscf_molecule import PySCFMolecule
from data_gen.guard import check_geometry, check_label, check_overlap
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.config import LevelConfig
from hampred.data.sample import HamiltonianSample
from hampred.data.store import write_store
from hampred.errors import FailedError, HampredError
from hampred.interop.pyscf import build_mole, overlap

Array = NDArray[np.float64]

SAME = 1e-4
"""Hartree: largest difference of an element to PySCF's own F that `verify` lets pass."""

RAGGED_ARRAYS = ("n_atoms", "n_orbitals", "numbers", "positions", "hamiltonian_triu")
MAX_BYTES = 64 << 30


def import_matrices(
    files: Sequence[Path], out: Path, level: LevelConfig | None = None, *, verify: bool = False, seed: int = 0
) -> int:
    """Writes a store from matrices in PySCF's AO order.

    Args:
        files: npz files with ``numbers``, ``positions`` (Å), ``fock`` (Hartree) and optionally ``charge``, ``energy``,
            ``dipole``, ``molecule``; or HDF5 files in the flat ragged layout (``n_atoms``, ``n_orbitals``, ``numbers``,
            ``positions``, ``hamiltonian_triu``).
        out: The store to write.
        level: Level of theory; without it the attributes of the HDF5 file tell.
        verify: Compute one random sample with PySCF and compare.
        seed: Which one that is.

    Returns:
        Number of samples.

    Raises:
        HampredError: A file cannot be read, or a matrix is not a converged closed-shell F in this basis; nothing is
            written then.
    """
    files = [Path(file) for file in files]
    level = level or _level_of(files)
    backend = PySCFMolecule(level)
    if verify:
        rows = [row for row in _rows(files) if row["fock"] is not None]
        _verify(rows[int(np.random.default_rng(seed).integers(len(rows)))], backend)
    notes = {"failures": [], "imported_from": [file.name for file in files], "verified": verify, "seed": seed}
    return write_store(out, (_sample(row, backend) for row in _rows(files)), notes)


def _level_of(files: Sequence[Path]) -> LevelConfig:
    """The level that the attributes of a flat HDF5 file tell."""
    if len(files) != 1 or files[0].suffix not in (".h5", ".hdf5"):
        raise HampredError("These files do not tell their level of theory: give --functional and --basis.")
    with _open(files[0]) as file:
        told = file.attrs
        try:
            functional = str(told["functional"])
            name = functional.split("'")[1] if "'" in functional else functional
            return LevelConfig(
                functional=name,
                basis=str(told["basis"]),
                grid_level=int(told["grid_level"]),
                conv_tol=float(told["conv_tol"]),
                density_fit=bool(told.get("density_fit", False)),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise HampredError(
                f"{files[0]} does not tell its level of theory: give --functional and --basis."
            ) from error


def _rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Arrays of each sample: where, numbers, positions, fock, charge, energy, dipole, cycles, molecule."""
    for file in files:
        if not file.is_file():
            raise HampredError(f"There is no file {file}: give npz files or a flat HDF5 file.")
        if file.suffix == ".npz":
            yield _read_npz(file)
        elif file.suffix in (".h5", ".hdf5"):
            yield from _read_ragged(file)
        else:
            raise HampredError(f"{file}: matrices are read from .npz and .h5 files.")


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise HampredError(
            f"{path} is not a plain npz file ({error}): write it with numpy.savez, without objects."
        ) from error
    missing = [name for name in ("numbers", "positions", "fock") if name not in data]
    if missing:
        raise HampredError(f"{path} lacks {', '.join(missing)}: it needs numbers, positions (Å) and fock (Hartree).")
    if wrong := [name for name in data if name != "molecule" and data[name].dtype.kind not in "iuf"]:
        raise HampredError(f"{path}: {', '.join(wrong)} must hold real numbers: correct it.")
    try:
        return {
            "where": str(path),
            "numbers": data["numbers"],
            "positions": data["positions"],
            "fock": data["fock"],
            "charge": int(data.get("charge", 0)),
            "energy": float(data.get("energy", np.nan)),
            "dipole": np.asarray(data.get("dipole", np.full(3, np.nan)), dtype=float).reshape(3),
            "cycles": int(data.get("cycles", 0)),
            "molecule": str(data["molecule"]) if "molecule" in data else None,
        }
    except (ValueError, TypeError) as error:
        raise HampredError(
            f"{path}: charge, energy and cycles must be single numbers and dipole three ({error}): correct it."
        ) from error


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise HampredError(f"{path} is not a complete HDF5 file (truncated or damaged): fetch it again.") from error


def _dataset(file: h5py.File, name: str, path: Path) -> Any:
    """A dataset of this very file that holds what it declares."""
    link = file.get(name, getlink=True)
    dataset: Any = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise HampredError(f"{path} has no dataset {name} of its own: it needs {', '.join(RAGGED_ARRAYS)}.")
    if dataset.nbytes > MAX_BYTES or (dataset.chunks is None and dataset.nbytes > dataset.id.get_storage_size()):
        raise HampredError(f"{path}: {name} declares more than it holds: the file is damaged.")
    return dataset


def _read_ragged(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        data = {name: _dataset(file, name, path) for name in RAGGED_ARRAYS}
        rows = {
            name: _dataset(file, name, path)[()]
            for name in ("smiles", "energy", "dipole", "cycles", "charge")
            if name in file
        }
        n_atoms, n_orbitals = data["n_atoms"][()].astype(int), data["n_orbitals"][()].astype(int)
        triangles = n_orbitals * (n_orbitals + 1) // 2
        ends = {"numbers": n_atoms.cumsum(), "positions": n_atoms.cumsum(), "hamiltonian_triu": triangles.cumsum()}
        for name, end in ends.items():
            if len(end) == 0 or len(data[name]) != end[-1]:
                raise HampredError(f"{path}: {name} does not have the length that n_atoms and n_orbitals ask for.")
        for index in range(len(n_atoms)):
            atoms = slice(int(ends["numbers"][index] - n_atoms[index]), int(ends["numbers"][index]))
            values = slice(
                int(ends["hamiltonian_triu"][index] - triangles[index]), int(ends["hamiltonian_triu"][index])
            )
            molecule = rows["smiles"][index] if "smiles" in rows else None
            yield {
                "where": f"{path}, sample {index}",
                "numbers": data["numbers"][atoms],
                "positions": data["positions"][atoms],
                "fock": _symmetric(data["hamiltonian_triu"][values], int(n_orbitals[index])),
                "charge": int(rows["charge"][index]) if "charge" in rows else 0,
                "energy": float(rows["energy"][index]) if "energy" in rows else np.nan,
                "dipole": rows["dipole"][index] if "dipole" in rows else np.full(3, np.nan),
                "cycles": int(rows["cycles"][index]) if "cycles" in rows else 0,
                "molecule": molecule.decode() if isinstance(molecule, bytes) else molecule,
            }


def _symmetric(triangle: Array, n: int) -> Array:
    """Full matrix [n, n] of its upper triangle, row by row."""
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n)] = triangle
    return matrix + np.triu(matrix, 1).T


def _atoms(row: dict[str, Any]) -> Atoms:
    numbers, positions = np.asarray(row["numbers"]), np.asarray(row["positions"], dtype=float)
    if numbers.ndim != 1 or positions.shape != (len(numbers), 3) or not np.issubdtype(numbers.dtype, np.integer):
        raise HampredError(f"{row['where']}: numbers must be integers [n_atoms] and positions [n_atoms, 3] in Å.")
    if not ((numbers > 0) & (numbers < 119)).all():
        raise HampredError(f"{row['where']}: an atomic number is unknown.")
    return Atoms(numbers, positions)


def _sample(row: dict[str, Any], backend: PySCFMolecule) -> HamiltonianSample:
    """The sample of a row, with orbital energies from its own F and analytic S.

    Raises:
        HampredError: The geometry or the matrix cannot be meant.
    """
    atoms, charge, fock = _atoms(row), row["charge"], np.asarray(row["fock"], dtype=np.float64)
    try:
        check_geometry(atoms, charge)
        mole = build_mole(atoms, backend.level.basis, charge)
        basis = OrbitalBasis.from_mole(mole, backend.level.basis)
        hamiltonian = BlockMatrix.from_dense(basis.layout(atoms.numbers), fock)
        s = overlap(mole)
        check_overlap(s, backend.guard.min_overlap_eigenvalue)
        if not np.isfinite(fock).all():
            raise HampredError("F has elements that are not finite: check the calculation.")
        energies, orbitals = eigh(fock, s)
        if energies[0] < -0.5 * int(atoms.numbers.max()) ** 2 - 1.0:  # no level lies below that of one electron
            raise HampredError(f"the lowest level is {energies[0]:.1f}: F must be in Hartree and in PySCF's AO order.")
        occupied = orbitals[:, : mole.nelectron // 2]
        check_label(fock, s, 2 * occupied @ occupied.T, energies, mole.nelectron)
    except (HampredError, FailedError) as error:
        raise HampredError(f"{row['where']}: {error}") from error
    molecule = row["molecule"] or atoms.get_chemical_formula()
    return HamiltonianSample(
        atoms=atoms,
        basis=basis,
        matrices={"hamiltonian": hamiltonian.hermitized()},
        orbital_energies=energies,
        level=replace(backend.level, code="imported"),
        total_energy=row["energy"],
        dipole=np.asarray(row["dipole"], dtype=float),
        scf_cycles=row["cycles"],
        charge=charge,
        provenance={"source": f"import {Path(row['where'].split(',')[0]).name}", "molecule": molecule},
    )


def _verify(row: dict[str, Any], backend: PySCFMolecule) -> None:
    """Compares one matrix with PySCF's own.

    Raises:
        HampredError: They differ, and by how much.
    """
    given = _sample(row, backend)
    own = backend.label(given.atoms, given.charge)
    error = own.hamiltonian.error(given.hamiltonian)
    if error["max"] > SAME:
        level = f"{backend.level.functional}/{backend.level.basis}"
        raise HampredError(
            f"{row['where']}: F differs from PySCF's {level} by {error['all']:.2e} Ha on average and "
            f"{error['max']:.2e} Ha at most: check functional, basis, AO order and units."
        )
