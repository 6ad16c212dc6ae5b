"""ElectronicState: a Hamiltonian of a molecule and all that follows from it, solved when first asked for."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import BasisLayout
from hampred.electronic import eigen, orbitals
from hampred.electronic.properties import PROPERTIES
from hampred.electronic.properties.potential import electrostatic_potential
from hampred.electronic.properties.property import PropertyValues
from hampred.errors import HampredError
from hampred.interop.electric_field import rotated
from hampred.interop.pyscf import build_mole

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ElectronicState:
    """A closed shell of doubly occupied orbitals, or of levels that a temperature fills.

    Attributes:
        atoms: The molecule, positions in Å.
        layout: Orbitals of each atom.
        hamiltonian: H [n, n], Hartree, AO order.
        overlap: S [n, n].
        n_occupied: Doubly occupied orbitals.
        charge: Total charge (e).
        temperature: k_B T of the electrons, Hartree: at 0 the lowest orbitals are full (Aufbau), above it occupations
            and all that depends on the density follow Fermi and Dirac.
    """

    atoms: Atoms
    layout: BasisLayout
    hamiltonian: Array
    overlap: Array
    n_occupied: int
    charge: int = 0
    temperature: float = 0.0

    def __post_init__(self) -> None:
        """Refuses what is no temperature.

        Raises:
            HampredError: It is below 0 or no number.
        """
        if not self.temperature >= 0:
            raise HampredError(f"The temperature of the electrons is {self.temperature} E_h: give 0 or more.")

    @cached_property
    def _solution(self) -> tuple[Array, Array]:
        return eigen.solve(self.hamiltonian, self.overlap)

    @property
    def orbital_energies(self) -> Array:
        """Eigenvalues [m], Hartree, ascending."""
        return self._solution[0]

    @property
    def orbital_coefficients(self) -> Array:
        """Orbitals as columns [n, m], orthonormal in S."""
        return self._solution[1]

    @cached_property
    def occupations(self) -> Array:
        """Electrons in each orbital [m]: 2 or 0, or between them above a temperature of 0."""
        energies = self.orbital_energies
        if self.temperature:
            return orbitals.fermi_occupations(energies, 2 * self.n_occupied, self.temperature)
        return orbitals.occupations(len(energies), self.n_occupied)

    @property
    def homo(self) -> float:
        """Energy of the highest occupied orbital, Hartree."""
        return orbitals.frontier(self.orbital_energies, self.n_occupied)[0]

    @property
    def lumo(self) -> float:
        """Energy of the lowest empty orbital, Hartree; NaN without one."""
        return orbitals.frontier(self.orbital_energies, self.n_occupied)[1]

    @property
    def gap(self) -> float:
        """LUMO − HOMO, Hartree."""
        return orbitals.frontier(self.orbital_energies, self.n_occupied)[2]

    @property
    def occupation_notes(self) -> list[str]:
        """What speaks against the occupation, in words."""
        if self.temperature:  # which fills the orbitals of a level alike
            return []
        return orbitals.notes_of_level(*orbitals.split_level(self.orbital_energies, self.n_occupied))

    @cached_property
    def density_matrix(self) -> Array:
        """D [n, n] with tr(D S) = number of electrons."""
        return orbitals.density_matrix(self.orbital_coefficients, self.occupations)

    @property
    def density(self) -> Array:
        """What functionals of the density take: D [n, n]."""
        return self.density_matrix

    def with_fock(self, fock: Array) -> Self:
        """The same molecule with another Hamiltonian F [n, n], Hartree."""
        return replace(self, hamiltonian=fock)

    @cached_property
    def mole(self) -> Any:
        """The molecule as PySCF's Mole, for integrals."""
        return build_mole(self.atoms, self.layout.basis.name, self.charge)

    @cached_property
    def properties(self) -> PropertyValues:
        """Name → value of everything in `hampred.electronic.properties.PROPERTIES`, each computed at first access."""
        return PropertyValues(self, PROPERTIES)

    @property
    def dipole(self) -> Array:
        """Dipole moment [3] about the origin of the coordinates, atomic units (e·a0)."""
        return self.properties["dipole"]

    def electrostatic_potential(self, points: Array) -> Array:
        """Potential of nuclei and electrons at some points [n, 3] in Å: [n] in Hartree/e."""
        return electrostatic_potential(self, points)

    def rotated(self, rotation: Array) -> "ElectronicState":
        """The state of the molecule whose positions r and field became Q r: H and S become D H Dᵀ and D S Dᵀ.

        Args:
            rotation: Element Q of O(3), [3, 3].
        """
        d, atoms = self.layout.rotation(rotation), rotated(self.atoms, rotation)
        return replace(self, atoms=atoms, hamiltonian=d @ self.hamiltonian @ d.T, overlap=d @ self.overlap @ d.T)
