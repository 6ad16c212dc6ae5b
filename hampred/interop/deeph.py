"""A crystal as a folder of DeepH-pack's data, for its tools and those of its successors.

The layout is that of DeepH-pack's preprocessing (Li et al., Nat. Comput. Sci. 2, 367 (2022), its repository
mzjb/DeepH-pack): vectors as columns in Å, energies in eV, blocks H_ij(R) under keys ``[Rx, Ry, Rz, i, j]`` with atoms
counted from 1.
"""

import json
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.units import HARTREE

ORDER = "PySCF: p as x, y, z; l >= 2 as m = -l ... l (d as xy, yz, z2, xz, x2-y2)"
"""Order of the orbitals of a shell; DeepH-pack itself follows OpenMX (d as z2, x2-y2, xy, xz, yz)."""


def write_deeph(
    folder: Path, atoms: Atoms, hamiltonian: BlockMatrix, overlap: BlockMatrix, fermi_level: float = 0.0
) -> None:
    """Writes a folder of DeepH-pack's data; it appears under its name when it is complete.

    Files: ``lat.dat``, ``rlat.dat``, ``site_positions.dat`` (Å or 1/Å, one vector a column), ``element.dat`` (atomic
    numbers), ``orbital_types.dat`` (l of the shells of each atom), ``info.json``, ``hamiltonians.h5`` (eV) and
    ``overlaps.h5``. Both matrices get one list of blocks, as DeepH-pack's own programs read it. Orbitals keep PySCF's
    order, which ``info.json`` states under ``orbital_order``: bands do not depend on it, local coordinates do.

    Args:
        folder: Is replaced where it holds such a folder already.
        atoms: One cell, positions in Å.
        hamiltonian: Hartree.
        overlap: On the same list of pairs or another one.
        fermi_level: Hartree.

    Raises:
        HampredError: A cell without volume, a folder of something else, or one that cannot be written.
    """
    if abs(np.linalg.det(atoms.cell.array)) < 1e-9:
        raise HampredError("DeepH needs a cell with volume: give a slab or chain a vector along its vacuum.")
    if folder.exists() and not (folder / "info.json").is_file():
        raise HampredError(f"{folder} exists and is no folder of DeepH's data: choose another output folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder.parent) as name:
            fresh = Path(name) / folder.name
            fresh.mkdir()
            _write_structure(fresh, atoms, hamiltonian, fermi_level)
            _write_matrices(fresh, hamiltonian, overlap)
            if folder.exists():
                shutil.move(folder, Path(name) / "old")
            shutil.move(fresh, folder)
    except OSError as error:
        raise HampredError(f"Cannot write {folder}: {error.strerror or error}. Choose another folder.") from error


def _write_structure(folder: Path, atoms: Atoms, hamiltonian: BlockMatrix, fermi_level: float) -> None:
    layout = hamiltonian.layout
    np.savetxt(folder / "lat.dat", atoms.cell.array.T)
    np.savetxt(folder / "rlat.dat", 2 * np.pi * np.linalg.inv(atoms.cell.array))
    np.savetxt(folder / "site_positions.dat", atoms.positions.T)
    np.savetxt(folder / "element.dat", atoms.numbers, fmt="%d")
    shells = ["  ".join(map(str, layout.basis.shells(int(z)))) for z in layout.numbers]
    (folder / "orbital_types.dat").write_text("\n".join(shells) + "\n", encoding="utf-8")
    info = {
        "nsites": len(atoms),
        "isorthogonal": False,
        "isspinful": False,
        "norbits": layout.n_orbitals,
        "fermi_level": HARTREE * fermi_level,
        "basis": layout.basis.name,
        "orbital_order": ORDER,
    }
    (folder / "info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")


def _write_matrices(folder: Path, hamiltonian: BlockMatrix, overlap: BlockMatrix) -> None:
    """Both matrices on the blocks that either of them has."""
    both = np.unique(
        np.concatenate([np.column_stack([m.cell_shifts, m.pairs]) for m in (hamiltonian, overlap)]), axis=0
    )
    blocks = BlockMatrix(hamiltonian.layout, both[:, 3:], both[:, :3], np.empty(0))
    keys = [str(row) for row in (both + [0, 0, 0, 1, 1]).tolist()]
    for name, matrix, scale in (("hamiltonians", hamiltonian, HARTREE), ("overlaps", overlap, 1.0)):
        whole = matrix.on_pairs_of(blocks)
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for index, key in enumerate(keys):
                file[key] = scale * whole.block(index)
