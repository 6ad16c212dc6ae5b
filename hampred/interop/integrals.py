"""Integrals: the one-electron matrices of a molecule or crystal, computed when they are first asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hampred.basis import BasisLayout, OrbitalBasis, load_element
from hampred.blocks.matrix import BlockMatrix
from hampred.interop.electric_field import electric_field
from hampred.interop.overlap_range import overlapping
from hampred.interop.pyscf import build_mole
from hampred.interop.two_centre import Shells, TwoCentre
from hampred.units import FIELD

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Integrals:
    """Analytic integrals between the orbitals of a structure, in PySCF's AO order.

    Attributes:
        atoms: A molecule, perhaps in an electric field, or a crystal, slab or chain; positions and cell in Å.
        basis: PySCF's name of the basis set.
        charge: Total charge (e) of a molecule.
        spin: Unpaired electrons of a molecule.
    """

    atoms: Atoms
    basis: str
    charge: int = 0
    spin: int = 0

    @cached_property
    def layout(self) -> BasisLayout:
        """Orbitals of each atom.

        Raises:
            HampredError: PySCF has no such basis set, or not for an element.
        """
        return OrbitalBasis.from_name(self.basis, sorted(set(self.atoms.numbers))).layout(self.atoms.numbers)

    @cached_property
    def n_electrons(self) -> int:
        """Electrons that the orbitals hold, of a crystal those of one cell."""
        return self.layout.n_electrons(self.charge)

    @cached_property
    def mole(self) -> Any:
        """A molecule as PySCF's Mole.

        Raises:
            HampredError: The electrons do not fit charge and spin.
        """
        return build_mole(self.atoms, self.basis, self.charge, self.spin)

    @cached_property
    def shells(self) -> Shells:
        """Contracted shells of each element."""
        return {int(z): load_element(self.basis, chemical_symbols[z])[0] for z in np.unique(self.atoms.numbers)}

    @cached_property
    def overlap(self) -> BlockMatrix:
        """S_ij(R), complete to the range of the basis, sorted by (i, j, R).

        Raises:
            HampredError: A cell without volume, or an unknown basis or element.
        """
        return self.completed(self.half_overlap)

    @property
    def kinetic(self) -> BlockMatrix:
        """T_ij(R), Hartree, on the pairs of the overlap."""
        return self.completed(self.half_kinetic)

    @cached_property
    def half_overlap(self) -> BlockMatrix:
        """S_ij(R) of one of each pair and its reverse, the one with i ≥ j in a molecule, and of each atom with itself.

        Raises:
            HampredError: As `overlap`.
        """
        return self._half("int1e_ovlp_sph")

    @property
    def half_kinetic(self) -> BlockMatrix:
        """T_ij(R), Hartree, on the pairs of `half_overlap`; computed anew each time.

        Raises:
            HampredError: As `overlap`.
        """
        return self._half("int1e_kin_sph")

    def completed(self, half: BlockMatrix) -> BlockMatrix:
        """The Hermitian matrix on the pairs of the overlap from its half, such as `half_overlap`."""
        _ = self._skeleton.row_order  # found once, for all matrices
        return half.completed(self._skeleton)

    def to_sparse(self, *halves: BlockMatrix) -> list[csr_array]:
        """Hermitian matrices of a molecule from their halves, sparse [n_orbitals, n_orbitals].

        All share the arrays that say where their elements stand.
        """
        return self._skeleton.sparse_from(halves)

    @cached_property
    def electric_field(self) -> Array:
        """V/Å [3].

        Raises:
            HampredError: As `hampred.interop.electric_field.electric_field`.
        """
        return electric_field(self.atoms)

    @property
    def field_potential(self) -> BlockMatrix:
        """E·(r − R) about the centre R of nuclear charge, what electrons feel of the field; as `kinetic`, Hartree."""
        return self.completed(self.half_field_potential)

    @cached_property
    def half_field_potential(self) -> BlockMatrix:
        """Half of `field_potential`, Hartree, on the pairs of `half_overlap`."""
        charges = np.array([z - self.layout.basis.elements[int(z)].n_core for z in self.atoms.numbers])
        centred = self.atoms.copy()
        centred.positions = self.atoms.positions - charges @ self.atoms.positions / charges.sum()
        return self._half("int1e_r_sph", centred, self.electric_field / FIELD)

    @cached_property
    def _skeleton(self) -> BlockMatrix:
        return BlockMatrix(self.layout, *overlapping(self.atoms, self.basis), np.empty(0))

    @cached_property
    def _half_skeleton(self) -> BlockMatrix:
        """Pairs (j, i, −R), sorted by i: libcint's columns become rows of blocks one behind the other."""
        whole = self._skeleton
        pairs, shifts = whole.pairs[whole.once], whole.cell_shifts[whole.once]
        return BlockMatrix(self.layout, pairs[:, ::-1], -shifts, np.empty(0))

    def _half(self, name: str, atoms: Atoms | None = None, vector: Array | None = None) -> BlockMatrix:
        """Half a matrix of libcint; of three, their product with a vector."""
        half = self._half_skeleton
        values, first = np.empty(half.starts[-1]), 0
        pairs = TwoCentre(self.atoms if atoms is None else atoms, half.pairs[:, ::-1], -half.cell_shifts)
        for rows in pairs.integrals(name, self.shells, self.shells):
            rows = rows if vector is None else np.tensordot(vector, rows, 1)
            last = first + rows.size
            values[first:last].reshape(rows.shape[::-1])[:] = rows.T
            first = last
        return half.with_values(values)
