"""PySCF cells from numbers."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import load_element, load_pseudopotential
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.crystal_level import heights
from hampred.interop.overlap_range import overlapping
from hampred.units import BOHR

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

LARGEST_VACUUM_OVERLAP = 1e-4
"""Overlap (norm of a block) with an image across the vacuum from which on a slab or chain is no longer one."""


def build_cell(atoms: Atoms, basis: str, pseudo: str = "gth-pbe", ke_cutoff: float = 20.0) -> Any:
    """A PySCF Cell, built from numbers only. Slabs and chains are three-dimensional cells with vacuum.

    Args:
        atoms: The crystal: positions and cell in Å, periodic along at least one cell vector.
        basis: Name of a basis set that PySCF knows, made for the pseudopotentials.
        pseudo: Name of GTH pseudopotentials that PySCF knows.
        ke_cutoff: Kinetic energy of the plane waves, Hartree.

    Raises:
        HampredError: Not periodic, a cell without volume or left-handed, too little vacuum, or an element that the
            basis set or the pseudopotentials lack.
    """
    from pyscf.pbc import gto

    check_cell(atoms)
    check_vacuum(atoms, basis)
    symbols = [chemical_symbols[z] for z in atoms.numbers]
    cell = gto.Cell(verbose=0)
    cell.a, cell.unit = atoms.cell.array / BOHR, "Bohr"
    cell.atom = [(s, tuple(map(float, r))) for s, r in zip(symbols, atoms.positions / BOHR)]
    cell.basis = {symbol: load_element(basis, symbol)[0] for symbol in set(symbols)}
    cell.pseudo = {symbol: load_pseudopotential(pseudo, symbol) for symbol in set(symbols)}
    cell.ke_cutoff = float(ke_cutoff)
    cell.spin = None
    cell.build(dump_input=False, parse_arg=False)
    return cell


def check_cell(atoms: Atoms) -> None:
    """Refuses a structure that is not a crystal, slab or chain in a right-handed cell.

    Raises:
        HampredError: Not periodic, or a cell without volume or left-handed.
    """
    if not atoms.pbc.any():
        raise HampredError("The structure is not periodic: set pbc, or use a basis set and level for molecules.")
    heights(atoms.cell.array)
    if np.linalg.det(atoms.cell.array) < 0:
        raise HampredError(
            "The cell vectors are left-handed, which PySCF does not integrate correctly: swap two of them."
        )


def check_vacuum(atoms: Atoms, basis: str) -> None:
    """Refuses a slab or chain that touches its images across the vacuum.

    Args:
        atoms: Positions and cell in Å.
        basis: Name of a basis set that PySCF knows, whose range tells how much vacuum is needed.

    Raises:
        HampredError: It does.
    """
    if atoms.pbc.all():
        return
    images = atoms.copy()
    images.pbc = True
    _, shifts = overlapping(images, basis, LARGEST_VACUUM_OVERLAP)
    for axis in np.flatnonzero(~atoms.pbc):
        if shifts[:, axis].any():
            raise HampredError(
                f"The structure is not periodic along cell vector {axis + 1}, but overlaps with its image there: "
                f"add vacuum (ASE: atoms.center(vacuum=8, axis={axis})), or set pbc to True."
            )


def smallest_overlap_eigenvalue(overlap: BlockMatrix, kpoints: Array) -> float:
    """Smallest eigenvalue of S(k) at some k-points [n_k, 3] (units of the reciprocal cell vectors)."""
    return min(float(np.linalg.eigvalsh(overlap.bloch(k))[0]) for k in kpoints)
