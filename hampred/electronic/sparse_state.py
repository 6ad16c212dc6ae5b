"""SparseState: a Hamiltonian of a large molecule and its orbitals around the gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from hampred.basis import BasisLayout
from hampred.electronic import eigen
from hampred.electronic.sparse_eigen import FrontierOrbitals, SparseEigenproblem

FRAGMENT = 100
"""Atoms of the fragment whose gap tells where the molecule's may lie."""

CUT_BONDS = 3
"""Levels above and below the middle of a fragment among which its widest gap is sought."""


@dataclass(frozen=True, eq=False)
class SparseState:
    """A closed shell of doubly occupied orbitals.

    Attributes:
        atoms: The molecule, positions in Å.
        layout: Orbitals of each atom.
        hamiltonian: H, sparse [n, n], Hartree, AO order.
        overlap: S, sparse [n, n].
        n_occupied: Doubly occupied orbitals.
        charge: Total charge (e).
        notes: What the user should know of the Hamiltonian.
    """

    atoms: Atoms
    layout: BasisLayout
    hamiltonian: csr_array
    overlap: csr_array
    n_occupied: int
    charge: int = 0
    notes: Sequence[str] = ()

    @cached_property
    def problem(self) -> SparseEigenproblem:
        """H C = S C ε."""
        return SparseEigenproblem(self.hamiltonian, self.overlap)

    def frontier(self, k: int = 1) -> FrontierOrbitals:
        """The k highest occupied and the k lowest empty orbitals.

        Raises:
            FailedError: The search for the gap did not end, or Lanczos did not converge.
        """
        return self.problem.frontier(self.n_occupied, k, self.gap_guess)

    @cached_property
    def gap_guess(self) -> float:
        """Middle of the widest gap near the Fermi level of a fragment (Hartree), whose matrices are the molecule's."""
        fragment = self._fragment()
        rows = np.concatenate([np.arange(*self.layout.offsets[[atom, atom + 1]]) for atom in fragment])
        h, s = (matrix[rows][:, rows].toarray() for matrix in (self.hamiltonian, self.overlap))
        energies, _ = eigen.solve(h, s)
        middle = self.layout.basis.layout(self.atoms.numbers[fragment]).n_electrons() // 2
        # every bond that was cut leaves an orbital in the gap, which a level or two may shift
        near = energies[max(middle - CUT_BONDS, 0) : middle + CUT_BONDS]
        widest = int(np.argmax(np.diff(near)))
        return float(near[widest : widest + 2].mean())

    def _fragment(self) -> NDArray[np.int64]:
        """Some `FRAGMENT` atoms in the middle: whole molecules of a cluster, or a piece cut at bonds of heavy atoms."""
        from ase.neighborlist import natural_cutoffs, neighbor_list
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        i, j = neighbor_list("ij", self.atoms, natural_cutoffs(self.atoms, mult=1.2))
        x, light = self.atoms.positions, self.atoms.numbers == 1
        tree = cKDTree(x)
        _, nearest = tree.query(x[tree.query(x.mean(axis=0))[1]], min(FRAGMENT, len(x)))
        for bonds in (np.ones(len(i), dtype=bool), light[i] | light[j]):
            graph = coo_array((np.ones(bonds.sum()), (i[bonds], j[bonds])), shape=2 * (len(x),))
            _, unit = connected_components(graph, directed=False)
            whole = np.flatnonzero(np.isin(unit, unit[np.atleast_1d(nearest)]))
            if len(whole) <= 2 * FRAGMENT:
                return whole
        return np.sort(nearest)
