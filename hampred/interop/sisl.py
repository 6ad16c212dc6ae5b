"""A crystal as a sisl Hamiltonian, for transport and other tight-binding tools."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.sparse import csr_matrix

from hampred.basis import LETTERS, BasisLayout
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import HampredError
from hampred.units import HARTREE


def to_sisl(atoms: Atoms, hamiltonian: BlockMatrix, overlap: BlockMatrix) -> Any:
    """Gives H(R) and S(R) to sisl.

    Orbitals keep PySCF's order, signs and names (``2p y``): sisl sees matrices, not the shapes of orbitals, so its
    functions that draw orbitals or rotate them do not apply.

    Args:
        atoms: One cell, positions in Å.
        hamiltonian: Hartree.
        overlap: On the same list of pairs or another one.

    Returns:
        Non-orthogonal `sisl.Hamiltonian`, energies in eV, lengths in Å.

    Raises:
        HampredError: sisl is not installed, or the cell has no volume.
    """
    try:
        import sisl
    except ImportError as error:
        raise HampredError("A sisl Hamiltonian needs sisl: pip install 'hampred[sisl]'.") from error
    if abs(np.linalg.det(atoms.cell.array)) < 1e-9:
        raise HampredError("sisl needs a cell with volume: give a slab or chain a vector along its vacuum.")
    shifts = np.abs(np.concatenate([hamiltonian.cell_shifts, overlap.cell_shifts])).max(axis=0)
    geometry = _geometry(sisl, atoms, hamiltonian, overlap)
    geometry.set_nsc(2 * shifts + 1)
    shape = geometry.no, geometry.no_s
    matrices = []
    for matrix, scale in ((hamiltonian, HARTREE), (overlap, 1.0)):
        cell = geometry.lattice.sc_index(matrix.cell_shifts)
        columns = matrix.columns + geometry.no * np.asarray(cell)[matrix.pair_of_value]
        matrices.append(csr_matrix((scale * matrix.values, (matrix.rows, columns)), shape=shape))
    return sisl.Hamiltonian.fromsp(geometry, matrices[0], S=matrices[1])


def _geometry(sisl: Any, atoms: Atoms, hamiltonian: BlockMatrix, overlap: BlockMatrix) -> Any:
    """Atoms with the orbitals of their element, whose range is half that of the blocks."""
    layout, reach = hamiltonian.layout, 0.0
    for matrix in (hamiltonian, overlap):
        first, second = atoms.positions[matrix.pairs.T]
        vectors = second + matrix.cell_shifts @ atoms.cell.array - first
        reach = max(reach, float(np.linalg.norm(vectors, axis=1).max()))
    kinds = {
        int(z): sisl.Atom(int(z), [sisl.Orbital(0.5 * reach + 0.01, tag=tag) for tag in _orbital_names(layout, int(z))])
        for z in np.unique(layout.numbers)
    }
    lattice = sisl.Lattice(atoms.cell.array)
    return sisl.Geometry(atoms.positions, [kinds[int(z)] for z in atoms.numbers], lattice=lattice)


def _orbital_names(layout: BasisLayout, number: int) -> list[str]:
    """``1s``, ``2p x``, …, ``3d -2``, …: unique within an element, shells counted from 1s, 2p, 3d."""
    count: dict[int, int] = {}
    names = []
    for l in layout.basis.shells(number):
        count[l] = count.get(l, l) + 1
        parts = [""] if l == 0 else [" x", " y", " z"] if l == 1 else [f" {m}" for m in range(-l, l + 1)]
        names += [f"{count[l]}{LETTERS[l]}{part}" for part in parts]
    if len(set(names)) != len(names):
        raise HampredError(f"Orbitals of {chemical_symbols[number]} without unique names: report this basis.")
    return names
