"""PySCF's Fock matrix of a crystal as blocks F_ij(R).

The density lives on a coarse mesh of k-points. F(k) of that density is then built, without further cycles, on a denser
odd mesh, which resolves the range of F(R), and folded. PySCF leaves out the average of the electrostatic potential, so
that F is defined up to μS with a number μ that depends on the volume: compare bands after aligning them.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import eigvalsh

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.errors import FailedError, HampredError
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.folding import fold, mesh_kpoints
from hampred.interop.pyscf_cell import build_cell

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

MAX_CYCLE = 60
"""SCF cycles, after which a level shift is tried."""

NEARLY_METAL = 5e-3
"""Hartree: gap below which a density that DIIS does not converge is not tried again, which takes long and fails too."""

PATH_POINTS = 3
"""k-points on each straight piece of the path on which folded bands are compared."""


class PeriodicFock:
    """The Kohn–Sham operator of one crystal at one level of theory.

    Attributes:
        atoms: The crystal.
        level: Pseudopotential, plane waves and meshes.
        cell: PySCF's Cell.
        field: PySCF's KRKS object on the mesh of the density, not yet run.
    """

    def __init__(self, atoms: Atoms, functional: str, basis: str, level: CrystalLevel) -> None:
        """Builds cell and mean field.

        Raises:
            HampredError: See `build_cell`; or the functional is neither an LDA nor a GGA.
        """
        from pyscf.pbc import dft
        from pyscf.pbc.dft.multigrid import MultiGridNumInt

        require_semilocal(functional)
        self.atoms, self.level, self._basis = atoms, level, basis
        self.cell = build_cell(atoms, basis, level.pseudo, level.ke_cutoff)
        field = dft.KRKS(self.cell, self.cell.make_kpts(self.density_mesh.tolist()), xc=functional)
        field._numint = MultiGridNumInt(self.cell)
        field.verbose, field.chkfile = 0, None
        if level.smearing:
            from pyscf.pbc.scf.addons import smearing

            field = smearing(field, sigma=level.smearing, method="fermi")
        self.field = field

    @cached_property
    def layout(self) -> Any:
        """Orbitals of each atom."""
        return OrbitalBasis.from_mole(self.cell, self._basis).layout(self.atoms.numbers)

    @property
    def density_mesh(self) -> NDArray[np.int64]:
        """Mesh of the density [3]; denser where PySCF, which fills whole pairs, would round half a pair up."""
        mesh = self.level.kpoint_mesh(self.atoms)
        odd = self.cell.nelectron % 2 and mesh.prod() % 2
        return mesh + self.atoms.pbc if odd else mesh

    @property
    def mesh(self) -> NDArray[np.int64]:
        """Odd mesh on which F(k) is folded [3]."""
        return self.level.folding_mesh(self.atoms)

    def at(self, density: NDArray, kpoints: Array) -> ComplexArray:
        """F(k) of a density.

        Args:
            density: Density matrices at the k-points of ``field`` [n_kpts, n_orbitals, n_orbitals].
            kpoints: In units of the reciprocal cell vectors [n_k, 3].

        Returns:
            Hermitian matrices [n_k, n_orbitals, n_orbitals], Hartree.
        """
        k = self.cell.get_abs_kpts(np.asarray(kpoints))
        core = np.asarray(self.field.get_hcore(self.cell, k), dtype=np.complex128)
        potential = np.asarray(self.field.get_veff(self.cell, density, kpts=self.field.kpts, kpts_band=k))
        fock: ComplexArray = core + potential
        return 0.5 * (fock + fock.conj().transpose(0, 2, 1))

    def overlap(self, kpoints: Array) -> ComplexArray:
        """PySCF's S(k) [n_k, n_orbitals, n_orbitals] at k in units of the reciprocal cell vectors [n_k, 3]."""
        k = self.cell.get_abs_kpts(np.asarray(kpoints))
        return np.asarray(self.field.get_ovlp(self.cell, k), dtype=np.complex128)

    def blocks(self, density: NDArray) -> BlockMatrix:
        """F_ij(R) of a density, folded from the odd mesh: all blocks that this mesh tells apart, Hartree."""
        return fold(self.layout, self.atoms, self.mesh, self.at(density, mesh_kpoints(self.mesh)[0]))

    def converge(
        self,
        conv_tol: float,
        max_cycle: int = MAX_CYCLE,
        retries: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray:
        """Converges the density: DIIS, then once more with a level shift.

        Args:
            conv_tol: Of the energy, Hartree.
            max_cycle: Cycles of each attempt.
            retries: Whether to try a level shift.
            progress: Called with the number of each cycle.

        Returns:
            Density matrices at the k-points of ``field`` [n_kpts, n_orbitals, n_orbitals]. Afterwards ``field.cycles``
            counts the cycles of all attempts.

        Raises:
            FailedError: Not converged.
        """
        field, cycles = self.field, 0
        field.conv_tol, field.max_cycle = conv_tol, max_cycle
        field.callback = None if progress is None else lambda scope: progress(int(scope["cycle"]) + 1)
        for shift in (0.0, 0.3, 0.0) if retries else (0.0,):
            field.level_shift = shift
            field.kernel(dm0=field.make_rdm1() if cycles else None)
            cycles += int(field.cycles)
            if (field.converged and not shift) or (not field.converged and self._is_nearly_metal()):
                break
        field.cycles = cycles
        if not field.converged:
            hint = "" if self.level.smearing else "; if this is a metal, set level.crystal.smearing"
            raise FailedError(f"not converged with {max_cycle} cycles{hint}")
        return np.asarray(field.make_rdm1())

    def _is_nearly_metal(self) -> bool:
        """Whether the bands of the last cycle leave next to no gap for whole occupations."""
        energies, n = np.asarray(self.field.mo_energy), (self.cell.nelectron + 1) // 2
        if self.level.smearing or n >= energies.shape[1]:
            return False
        return float(energies[:, n].min() - energies[:, n - 1].max()) < NEARLY_METAL

    def guess(self) -> NDArray:
        """Superposed atomic densities (PySCF's minao guess) at the k-points of ``field``."""
        return np.asarray(self.field.get_init_guess(key="minao"))


def require_semilocal(functional: str) -> None:
    """Lets LDA and GGA functionals through, for which the multigrid integrator is made.

    Raises:
        HampredError: A hybrid, a meta-GGA, or no functional that libxc knows.
    """
    from pyscf.dft import libxc

    try:
        semilocal = libxc.xc_type(functional) in ("LDA", "GGA") and not libxc.is_hybrid_xc(functional)
    except (KeyError, ValueError) as error:
        raise HampredError(f"libxc does not know the functional {functional!r}: write one such as pbe.") from error
    if not semilocal:
        raise HampredError(f"{functional} is neither an LDA nor a GGA: crystals are labelled with one, such as pbe.")


def comparison_path(periodic: NDArray[np.bool_]) -> Array:
    """k-points off the mesh, on a path from Γ along the periodic directions through corners of the cell and back.

    Args:
        periodic: Whether the structure is periodic along each cell vector [3].

    Returns:
        k in units of the reciprocal cell vectors [n_k, 3], at odd sixths of each piece of the path.
    """
    axes = np.eye(3)[np.asarray(periodic)] / 2
    corners = np.concatenate([np.zeros((1, 3)), np.cumsum(axes, axis=0), np.zeros((1, 3))])
    steps = (2 * np.arange(PATH_POINTS) + 1) / (2 * PATH_POINTS)
    return np.concatenate([a + steps[:, None] * (b - a) for a, b in pairwise(corners)])


def occupied_band_error(
    blocks: BlockMatrix, overlap: BlockMatrix, reference: ComplexArray, kpoints: Array, n_bands: int
) -> float:
    """Largest error of the lowest bands of a folded Hamiltonian.

    Args:
        blocks: H_ij(R), Hartree.
        overlap: S_ij(R).
        reference: H(k) built directly [n_k, n_orbitals, n_orbitals], Hartree.
        kpoints: In units of the reciprocal cell vectors [n_k, 3].
        n_bands: How many bands count.

    Returns:
        Hartree.
    """
    worst = 0.0
    for k, direct in zip(kpoints, reference):
        s = overlap.bloch(k)
        error = eigvalsh(blocks.bloch(k), s)[:n_bands] - eigvalsh(direct, s)[:n_bands]
        worst = max(worst, float(np.abs(error).max()))
    return worst
