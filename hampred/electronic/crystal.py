"""CrystalState: H(R) and S(R) of a crystal, slab or chain, and its orbitals at any k."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from hampred.basis import LETTERS, BasisLayout
from hampred.blocks.matrix import BlockMatrix
from hampred.blocks.supercell import repeated, supercell
from hampred.electronic import eigen
from hampred.electronic.bands import Bands
from hampred.electronic.kmesh import KMesh
from hampred.electronic.kpath import KPath, band_path
from hampred.interop.electric_field import rotated

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with the k-points done and all of them."""

PORTION = 2**14
"""Elements of the matrices that are built at once: as many as stay in the cache."""


@dataclass(frozen=True, eq=False)
class CrystalState:
    """A closed shell of electrons in a lattice.

    Attributes:
        atoms: One cell, positions in Å.
        hamiltonian: H(R), Hartree.
        overlap: S(R), on the same list of pairs or another one.
        n_electrons: Electrons in one cell that the basis holds.
    """

    atoms: Atoms
    hamiltonian: BlockMatrix
    overlap: BlockMatrix
    n_electrons: float

    @property
    def layout(self) -> BasisLayout:
        """Orbitals of each atom."""
        return self.hamiltonian.layout

    @cached_property
    def periodic(self) -> NDArray[np.bool_]:
        """Cell vectors along which blocks couple different cells [3]; energies do not depend on k along others."""
        shifts = np.concatenate([self.hamiltonian.cell_shifts, self.overlap.cell_shifts])
        return np.abs(shifts).max(axis=0) > 0

    @cached_property
    def reciprocal(self) -> Array:
        """Reciprocal vectors as rows, with the factor 2π, 1/Å [3, 3]."""
        return 2 * np.pi * self.atoms.cell.complete().reciprocal().array

    def solve(self, k: ArrayLike) -> tuple[Array, NDArray[np.complex128]]:
        """Bloch orbitals at one k: H(k) C = S(k) C ε.

        Args:
            k: In units of the reciprocal vectors [3].

        Returns:
            Energies [m] (Hartree, ascending) and coefficients [n_orbitals, m] with C† S C = 1; m < n_orbitals where
            the basis is near-dependent (`eigen.solve`).

        Raises:
            HampredError: Matrices of different bases, numbers that are not finite, or S(k) not positive definite.
        """
        k = np.asarray(k, dtype=float)
        return eigen.solve(self.hamiltonian.bloch(k), self.overlap.bloch(k))

    def energies(self, k: ArrayLike) -> Array:
        """Energies alone at one k, which cost a third of `solve`.

        Args:
            k: In units of the reciprocal vectors [3].

        Returns:
            Hartree, ascending [m].

        Raises:
            HampredError: As `solve`.
        """
        k = np.asarray(k, dtype=float)
        return eigen.energies(self.hamiltonian.bloch(k), self.overlap.bloch(k))

    def bands(
        self,
        path: KPath | str | ArrayLike | None = None,
        projected: bool = False,
        progress: Progress | None = None,
    ) -> Bands:
        """Bands along a path.

        Args:
            path: A `KPath`, or what `band_path` takes: names of special points, corners [n, 3], None for the default.
            projected: Whether to compute Mulliken weights.
            progress: Called as the k-points are done.

        Raises:
            HampredError: As `band_path` and `solve`.
        """
        if not isinstance(path, KPath):
            path = band_path(self.atoms, path)
        found = self._at(path.kpoints, projected, progress)
        return replace(found, distances=path.distances, labels=path.labels, ticks=tuple(path.ticks))

    def mesh(self, size: ArrayLike, projected: bool = False, progress: Progress | None = None) -> Bands:
        """Bands on a Γ-centred mesh, of which time reversal halves the work.

        Args:
            size: Points along each reciprocal vector [3]; 1 is enough where `periodic` is false.
            projected: Whether to compute Mulliken weights.
            progress: Called as the k-points are done.

        Raises:
            HampredError: A size that is no mesh, and as `solve`.
        """
        mesh = KMesh.gamma_centred(size)
        found = self._at(mesh.kpoints, projected, progress)
        return replace(found, weights=mesh.weights, spread=mesh.spread(found.energies))

    def rotated(self, rotation: Array) -> "CrystalState":
        """The state of the crystal whose positions and cell vectors r became Q r.

        Args:
            rotation: Element Q of O(3), [3, 3].
        """
        h, s = self.hamiltonian.rotated(rotation), self.overlap.rotated(rotation)
        return CrystalState(rotated(self.atoms, rotation), h, s, self.n_electrons)

    def supercell(self, size: ArrayLike) -> "CrystalState":
        """The same crystal in a larger cell: three repetitions, or an integer matrix P for the cell vectors P·cell."""
        atoms = repeated(self.atoms, size)
        return CrystalState(
            atoms,
            supercell(self.hamiltonian, size),
            supercell(self.overlap, size),
            self.n_electrons * len(atoms) / len(self.atoms),
        )

    def _at(self, kpoints: Array, projected: bool, progress: Progress | None) -> Bands:
        """Bands at each k; where some k have fewer for near-dependence, the lowest that all of them have."""
        levels: list[Array] = []
        weights: list[Array] = []
        step = max(PORTION // self.layout.n_orbitals**2, 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", eigen.NearDependentBasis)  # told once below, not at each k
            for start in range(0, len(kpoints), step):
                k = kpoints[start : start + step]
                for h, s in zip(self.hamiltonian.bloch(k), self.overlap.bloch(k)):
                    if projected:
                        level, c = eigen.solve(h, s)
                        weights.append(self._mulliken(s, c))
                    else:
                        level = eigen.energies(h, s)
                    levels.append(level)
                if progress is not None:
                    progress(len(levels), len(kpoints))
        counts = np.array([len(level) for level in levels])
        n = int(counts.min())
        if n < self.layout.n_orbitals:
            warnings.warn(
                f"The basis is near-dependent at {(counts < self.layout.n_orbitals).sum()} of {len(counts)} k-points: "
                f"{n} of {self.layout.n_orbitals} bands are given.",
                eigen.NearDependentBasis,
                stacklevel=3,
            )
        stacked = np.array([weight[:, :n] for weight in weights]).swapaxes(0, 1) if projected else ()
        return Bands(
            np.asarray(kpoints, dtype=float),
            np.array([level[:n] for level in levels]),
            self.n_electrons,
            characters=dict(zip(self._kinds[0], stacked)),
        )

    def _mulliken(self, overlap: NDArray[np.complex128], c: NDArray[np.complex128]) -> Array:
        """Mulliken weight of each kind of shell in each orbital [n_kinds, m]."""
        kinds, kind_of = self._kinds
        share = (c.conj() * (overlap @ c)).real
        return np.array([share[kind_of == kind].sum(axis=0) for kind in range(len(kinds))])

    @cached_property
    def _kinds(self) -> tuple[list[str], NDArray[np.int64]]:
        """Names such as ``Si p``, and which of them each orbital is [n_orbitals]."""
        from ase.data import chemical_symbols

        shells = [(int(z), l) for z in self.layout.numbers for l in self.layout.basis.shells(int(z))]
        kinds = sorted(set(shells))
        index = np.repeat([kinds.index(shell) for shell in shells], [2 * l + 1 for _, l in shells])
        return [f"{chemical_symbols[z]} {LETTERS[l]}" for z, l in kinds], index
