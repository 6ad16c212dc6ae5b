"""Total energy, Fock matrix and forces of any density at a level of theory: PySCF's functional without its SCF."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import eigh

from hampred.interop.electric_field import electric_field, in_electric_field
from hampred.interop.pyscf import build_mole, threads_for, unsolved_field
from hampred.units import BOHR

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EnergyFunctional:
    """E[D] = tr(D h) + E_J[D] + E_xc[D] + E_nuc of a molecule, and its derivatives by D and by the nuclei.

    h holds the potential of the electric field of the atoms, counted from the centre of nuclear charge.

    For the density of a predicted Hamiltonian that is wrong by δH, E is wrong by order δH² (E is stationary at the
    self-consistent density) and forces are wrong by order δH.

    Attributes:
        atoms: The molecule, positions in Å, perhaps with an electric field.
        level: `hampred.data.sample.LevelOfTheory`: functional, basis set, grid, density fitting.
        charge: Total charge (e).
        spin: Unpaired electrons. With any, D and F are those of α and β [2, n, n], and E is that of UKS.
    """

    atoms: Atoms
    level: Any
    charge: int = 0
    spin: int = 0

    @cached_property
    def field(self) -> Any:
        """PySCF's RKS or UKS object, never run; its integrals and grid are built once."""
        field = unsolved_field(build_mole(self.atoms, self.level.basis, self.charge, self.spin), self.level)
        field = in_electric_field(field, electric_field(self.atoms))
        field.verbose, field.chkfile = 0, None
        return field

    def energy_and_fock(self, density: Array) -> tuple[float, Array]:
        """One Fock build.

        Args:
            density: D [(2,) n, n], any symmetric matrix with tr(D S) = number of electrons.

        Returns:
            E[D] in Hartree, and F[D] = dE/dD [(2,) n, n] in Hartree.
        """
        field = self.field
        with threads_for(field.mol):
            core, potential = field.get_hcore(), field.get_veff(dm=density)
            energy = field.energy_tot(dm=density, h1e=core, vhf=potential)
        return float(energy), np.asarray(core + potential)

    def forces(self, coefficients: Array, n_occupied: int | tuple[int, int], fock: Array) -> Array:
        """Forces of a density of occupied and empty orbitals, self-consistent or not.

        With the orbitals moving no more than it takes to keep them orthonormal, D^x = −½ D S^x D, the derivative of E
        by a nucleus is (Pulay, Mol. Phys. 17, 197 (1969))

            E^x = tr(D h^x) + E_J^x[D] + E_xc^x[D] + E_nuc^x − tr(W S^x),    W = ½ D F[D] D,

        where h^x … S^x are derivatives of integrals alone. At self-consistency this W is the usual 2 C ε Cᵀ over the
        occupied orbitals; off it, F[D] in place of predicted ε halved the mean error where predictions are poor, and
        made no difference to the mean where they are good (docs/properties.md). What is left is of order δH. As in
        PySCF, the integration grid does not move with the nuclei.

        Args:
            coefficients: Orbitals as columns [(2,) n, m], orthonormal in S, occupied ones first.
            n_occupied: Doubly occupied orbitals; of unpaired electrons those of α and of β.
            fock: F[D] [(2,) n, n] of their density, Hartree, from `energy_and_fock`.

        Returns:
            [n_atoms, 3] in Hartree/Å.
        """
        field = self.field
        if self.spin:
            assert isinstance(n_occupied, tuple)
            channels = (_canonical(c, n, f, 1.0) for c, n, f in zip(coefficients, n_occupied, fock))
            field.mo_energy, field.mo_coeff, field.mo_occ = map(np.array, zip(*channels))
        else:
            assert isinstance(n_occupied, int)
            field.mo_energy, field.mo_coeff, field.mo_occ = _canonical(coefficients, n_occupied, fock, 2.0)
        with threads_for(field.mol):
            gradient = field.nuc_grad_method().set(verbose=0).kernel()
        return -np.asarray(gradient) / BOHR

    def extrapolation(self) -> Any:
        """PySCF's DIIS of this mean field: ``update(S, D, F)`` gives the next F (Pulay, J. Comput. Chem. 3, 556)."""
        from pyscf.scf.diis import CDIIS

        return CDIIS(self.field)


def _canonical(coefficients: Array, n_occupied: int, fock: Array, filling: float) -> tuple[Array, Array, Array]:
    """Energies, orbitals and occupations whose C ε Cᵀ is D F D: those that diagonalise F among the occupied ones."""
    orbitals, occupied = coefficients.copy(), coefficients[:, :n_occupied]
    energies = np.zeros(coefficients.shape[1])
    if n_occupied:
        energies[:n_occupied], mixing = eigh(occupied.T @ fock @ occupied)
        orbitals[:, :n_occupied] = occupied @ mixing
    return energies, orbitals, np.where(np.arange(len(energies)) < n_occupied, filling, 0.0)


def harris_energy(energy: float, fock: Array, density: Array, output: Array) -> float:
    """E[D] + tr(F[D] (D' − D)) with the density D' of F[D], which costs no further Fock build.

    The functional of Harris (Phys. Rev. B 31, 1770 (1985)) and Foulkes and Haydock (Phys. Rev. B 39, 12520 (1989)): its
    error is of second order as that of E[D], and smaller where D' is nearer to self-consistency than D.

    Args:
        energy: E[D], Hartree.
        fock: F[D] [(2,) n, n], Hartree.
        density: D [(2,) n, n].
        output: D' [(2,) n, n], of the lowest orbitals of F[D].

    Returns:
        Hartree; it may lie above or below the energy of an SCF.
    """
    return energy + float(np.sum(fock * (output - density)))
