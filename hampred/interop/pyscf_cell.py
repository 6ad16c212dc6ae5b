"""PySCF cells from numbers, and the analytic overlap of a crystal as blocks S_ij(R)."""

from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis, load_element, load_pseudopotential
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.interop.crystal_level import heights
from hampred.units import BOHR

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEGLIGIBLE = 1e-12
"""Overlap of two atoms (norm of their block) below which blocks are left out."""

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
    symbols = [chemical_symbols[z] for z in atoms.numbers]
    cell = gto.Cell(verbose=0)
    cell.a, cell.unit = atoms.cell.array / BOHR, "Bohr"
    cell.atom = [(s, tuple(map(float, r))) for s, r in zip(symbols, atoms.positions / BOHR)]
    cell.basis = {symbol: load_element(basis, symbol)[0] for symbol in set(symbols)}
    cell.pseudo = {symbol: load_pseudopotential(pseudo, symbol) for symbol in set(symbols)}
    cell.ke_cutoff = float(ke_cutoff)
    cell.spin = None
    cell.build(dump_input=False, parse_arg=False)
    _check_vacuum(atoms, basis)
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


def overlap_blocks(atoms: Atoms, basis: str) -> BlockMatrix:
    """Analytic overlap S_ij(R) of a crystal or molecule, complete to the range of the basis.

    Args:
        atoms: Positions and cell in Å; only lattice vectors along periodic directions count.
        basis: Name of a basis set that PySCF knows.

    Returns:
        All blocks whose norm can exceed `NEGLIGIBLE`, sorted by (i, j, R).

    Raises:
        HampredError: A cell without volume, or an unknown basis or element.
    """
    from pyscf import gto

    pairs, shifts = _overlapping(atoms, basis)
    mole = _bare_mole(atoms, basis)
    table, bas, env = gto.conc_env(mole._atm, mole._bas, mole._env, mole._atm, mole._bas, mole._env)
    moved = table[mole.natm :, gto.PTR_COORD, None] + np.arange(3)
    blocks = BlockMatrix(OrbitalBasis.from_mole(mole, basis).layout(atoms.numbers), pairs, shifts, np.empty(0))
    values = np.empty(blocks.starts[-1])
    slices = (0, mole.nbas, mole.nbas, 2 * mole.nbas)
    lattice, which = np.unique(shifts, axis=0, return_inverse=True)
    order = np.argsort(which[blocks.pair_of_value], kind="stable")
    cuts = np.searchsorted(which[blocks.pair_of_value][order], np.arange(len(lattice) + 1))
    for k, vector in enumerate(lattice):
        env[moved] = mole.atom_coords() + vector @ atoms.cell.array / BOHR
        dense = gto.moleintor.getints("int1e_ovlp_sph", table, bas, env, shls_slice=slices)
        here = order[cuts[k] : cuts[k + 1]]
        values[here] = dense[blocks.rows[here], blocks.columns[here]]
    return BlockMatrix(blocks.layout, pairs, shifts, values).hermitized()


def overlap_range(basis: str, first: int, second: int, threshold: float = NEGLIGIBLE) -> float:
    """Distance of two elements (atomic numbers) beyond which the norm of their overlap is below a threshold, Bohr."""
    distances, norms = _overlap_decay(basis, *sorted((int(first), int(second))))
    above = np.flatnonzero(norms > threshold)
    return float(distances[min(above[-1] + 1, len(distances) - 1)])


@lru_cache(maxsize=1024)
def _overlap_decay(basis: str, first: int, second: int) -> tuple[Array, Array]:
    """Distances (Bohr) and Frobenius norms of the overlap of two elements, which no rotation changes."""
    shells = [load_element(basis, chemical_symbols[z])[0] for z in (first, second)]
    diffuse = min(primitive[0] for element in shells for shell in element for primitive in shell[1:])
    distances = np.arange(0, 1.5 * np.sqrt(-2 * np.log(NEGLIGIBLE) / diffuse), 0.25)
    positions = np.zeros((len(distances) + 1, 3))
    positions[1:, 2] = distances * BOHR
    mole = _bare_mole(Atoms([first] + [second] * len(distances), positions), basis)
    bra = mole.aoslice_by_atom()[0, 1]
    matrix = mole.intor("int1e_ovlp", shls_slice=(0, bra, bra, mole.nbas))
    return distances, np.linalg.norm(matrix.reshape(len(matrix), len(distances), -1), axis=(0, 2))


def _overlapping(atoms: Atoms, basis: str, threshold: float = NEGLIGIBLE) -> tuple[IntArray, IntArray]:
    """Atoms i, j [n_pairs, 2] and cell shifts [n_pairs, 3] of the blocks within the range of the basis, sorted."""
    elements, kind = np.unique(atoms.numbers, return_inverse=True)
    ranges = BOHR * np.array([[overlap_range(basis, a, b, threshold) for b in elements] for a in elements])
    between = atoms.positions - atoms.positions[:, None]  # [i, j, 3]
    if atoms.pbc.any():
        reach = ranges.max() + np.linalg.norm(between, axis=-1).max()
        sides = np.where(atoms.pbc, np.ceil(reach / heights(atoms.cell.array)), 0).astype(np.int64)
    else:
        sides = np.zeros(3, dtype=np.int64)
    grids = np.meshgrid(*(np.arange(-n, n + 1) for n in sides), indexing="ij")
    lattice = np.stack(grids, axis=-1).reshape(-1, 3)
    limits = ranges[kind[:, None], kind]
    found = []
    for vector in lattice:
        near = np.linalg.norm(between + vector @ atoms.cell.array, axis=-1) <= limits
        i, j = np.nonzero(near)
        found.append(np.column_stack([i, j, np.broadcast_to(vector, (len(i), 3))]))
    table = np.concatenate(found)
    table = table[np.lexsort(table.T[::-1])]
    return table[:, :2], table[:, 2:]


def _check_vacuum(atoms: Atoms, basis: str) -> None:
    """Refuses a slab or chain that touches its images across the vacuum."""
    if atoms.pbc.all():
        return
    images = atoms.copy()
    images.pbc = True
    _, shifts = _overlapping(images, basis, LARGEST_VACUUM_OVERLAP)
    for axis in np.flatnonzero(~atoms.pbc):
        if shifts[:, axis].any():
            raise HampredError(
                f"The structure is not periodic along cell vector {axis + 1}, but overlaps with its image there: "
                f"add vacuum (ASE: atoms.center(vacuum=8, axis={axis})), or set pbc to True."
            )


def _bare_mole(atoms: Atoms, basis: str) -> Any:
    """The orbitals alone: a PySCF Mole for overlap integrals."""
    from pyscf import gto

    symbols = [chemical_symbols[z] for z in atoms.numbers]
    mole = gto.Mole(verbose=0)
    mole.atom = [(s, tuple(map(float, r))) for s, r in zip(symbols, atoms.positions / BOHR)]
    mole.unit, mole.spin = "Bohr", None
    mole.basis = {symbol: load_element(basis, symbol)[0] for symbol in set(symbols)}
    mole.build(dump_input=False, parse_arg=False)
    return mole


def smallest_overlap_eigenvalue(overlap: BlockMatrix, kpoints: Array) -> float:
    """Smallest eigenvalue of S(k) at some k-points [n_k, 3] (units of the reciprocal cell vectors)."""
    return min(float(np.linalg.eigvalsh(overlap.bloch(k))[0]) for k in kpoints)
