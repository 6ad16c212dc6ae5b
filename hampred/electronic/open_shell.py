"""OpenShellState: two Hamiltonians of a molecule, for electrons of spin α and β, and all that follows from them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import BasisLayout
from hampred.electronic import eigen, orbitals
from hampred.electronic.properties import OPEN_SHELL_PROPERTIES
from hampred.electronic.properties.potential import electrostatic_potential
from hampred.electronic.properties.property import PropertyValues
from hampred.interop.electric_field import rotated
from hampred.interop.pyscf import build_mole

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OpenShellState:
    """Spin-unrestricted orbitals: the lowest ones of each spin hold an electron each. α stands before β everywhere.

    Attributes:
        atoms: The molecule, positions in Å.
        layout: Orbitals of each atom.
        hamiltonian: ½ (H_α + H_β) [n, n], Hartree, AO order.
        spin_splitting: ½ (H_α − H_β) [n, n], Hartree.
        overlap: S [n, n].
        n_occupied: Electrons of spin α and β.
        charge: Total charge (e).
    """

    atoms: Atoms
    layout: BasisLayout
    hamiltonian: Array
    spin_splitting: Array
    overlap: Array
    n_occupied: tuple[int, int]
    charge: int = 0

    @property
    def spin(self) -> int:
        """Unpaired electrons."""
        return self.n_occupied[0] - self.n_occupied[1]

    @property
    def hamiltonians(self) -> Array:
        """H_α and H_β [2, n, n], Hartree."""
        return np.stack([self.hamiltonian + self.spin_splitting, self.hamiltonian - self.spin_splitting])

    @cached_property
    def _solutions(self) -> tuple[Array, Array]:
        energies, coefficients = zip(*(eigen.solve(h, self.overlap) for h in self.hamiltonians))
        return np.stack(energies), np.stack(coefficients)

    @property
    def orbital_energies(self) -> Array:
        """Eigenvalues [2, m], Hartree, ascending for each spin."""
        return self._solutions[0]

    @property
    def orbital_coefficients(self) -> Array:
        """Orbitals as columns [2, n, m], orthonormal in S for each spin."""
        return self._solutions[1]

    @cached_property
    def occupations(self) -> Array:
        """Electrons in each orbital [2, m]: 1 or 0."""
        m = self.orbital_energies.shape[1]
        return np.stack([0.5 * orbitals.occupations(m, n) for n in self.n_occupied])

    @property
    def homo(self) -> float:
        """Energy of the highest occupied orbital of either spin, Hartree."""
        return float(np.nanmax([orbitals.frontier(e, n)[0] for e, n in zip(self.orbital_energies, self.n_occupied)]))

    @property
    def lumo(self) -> float:
        """Energy of the lowest empty orbital of either spin, Hartree; NaN without one."""
        found = [orbitals.frontier(e, n)[1] for e, n in zip(self.orbital_energies, self.n_occupied)]
        return float(np.nanmin(found)) if np.isfinite(found).any() else float("nan")

    @property
    def gap(self) -> float:
        """LUMO − HOMO, Hartree."""
        return self.lumo - self.homo

    @property
    def occupation_notes(self) -> list[str]:
        """What speaks against the occupation, in words."""
        levels = [orbitals.split_level(e, n) for e, n in zip(self.orbital_energies, self.n_occupied)]
        return [note for spin, level in zip("αβ", levels) for note in orbitals.notes_of_level(*level, spin)]

    @cached_property
    def density_matrices(self) -> Array:
        """D_α and D_β [2, n, n], with tr(D S) = electrons of each spin."""
        return np.stack(
            [orbitals.density_matrix(*channel) for channel in zip(self.orbital_coefficients, self.occupations)]
        )

    @property
    def density_matrix(self) -> Array:
        """D_α + D_β [n, n]."""
        return self.density_matrices.sum(axis=0)

    @property
    def spin_density_matrix(self) -> Array:
        """D_α − D_β [n, n]."""
        return self.density_matrices[0] - self.density_matrices[1]

    @property
    def density(self) -> Array:
        """What functionals of the density take: D_α and D_β [2, n, n]."""
        return self.density_matrices

    def with_fock(self, fock: Array) -> Self:
        """The same molecule with other Hamiltonians F_α and F_β [2, n, n], Hartree."""
        return replace(self, hamiltonian=fock.mean(axis=0), spin_splitting=0.5 * (fock[0] - fock[1]))

    @cached_property
    def mole(self) -> Any:
        """The molecule as PySCF's Mole, for integrals."""
        return build_mole(self.atoms, self.layout.basis.name, self.charge, self.spin)

    @cached_property
    def properties(self) -> PropertyValues:
        """Name → value of everything in `OPEN_SHELL_PROPERTIES`, each computed at first access."""
        return PropertyValues(self, OPEN_SHELL_PROPERTIES)  # pyright: ignore

    @property
    def dipole(self) -> Array:
        """Dipole moment [3] about the origin of the coordinates, atomic units (e·a0)."""
        return self.properties["dipole"]

    @property
    def s_squared(self) -> float:
        """⟨S²⟩ of the determinant of the occupied orbitals."""
        return float(self.properties["s_squared"])

    def electrostatic_potential(self, points: Array) -> Array:
        """Potential of nuclei and electrons at some points [n, 3] in Å: [n] in Hartree/e."""
        return electrostatic_potential(self, points)  # pyright: ignore

    def rotated(self, rotation: Array) -> "OpenShellState":
        """The state of the molecule whose positions r and field became Q r.

        Args:
            rotation: Element Q of O(3), [3, 3].
        """
        d = self.layout.rotation(rotation)
        turned = (d @ m @ d.T for m in (self.hamiltonian, self.spin_splitting, self.overlap))
        h, splitting, s = turned
        return replace(self, atoms=rotated(self.atoms, rotation), hamiltonian=h, spin_splitting=splitting, overlap=s)
