"""Labels of crystals, slabs and chains: Kohn–Sham calculations with GTH pseudopotentials and k-points in PySCF."""

import time
from typing import Any

import numpy as np
import pyscf
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from pyscf import dft
from pyscf.lib import num_threads
from scipy.linalg import eigvalsh

from data_gen.backends.pyscf_molecule import functional_definition
from data_gen.guard import ELECTRONS, BadLabelError, check_crystal
from hampred.basis import OrbitalBasis, is_gth, load_pseudopotential, require_basis_name
from hampred.blocks.matrix import BlockMatrix
from hampred.config import CrystalConfig, GuardConfig, LevelConfig, ScfConfig
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.electronic.orbitals import SMALLEST_GAP
from hampred.errors import HampredError
from hampred.interop.crystal_level import CrystalLevel
from hampred.interop.electric_field import electric_field
from hampred.interop.folding import mesh_kpoints
from hampred.interop.integrals import Integrals
from hampred.interop.periodic_fock import PeriodicFock, comparison_path, occupied_band_error, require_semilocal
from hampred.interop.pyscf_cell import check_vacuum, smallest_overlap_eigenvalue
from hampred.interop.structures import read_spin
from hampred.units import MILLI_EV

Array = NDArray[np.float64]

SMALLEST_ELEMENT = 1e-7
"""Hartree: blocks of H(R) without a larger element are not stored; together they move bands by less than 0.1 meV."""


class PySCFCrystal:
    """Restricted Kohn–Sham labels of crystals; LDA and GGA functionals.

    Attributes:
        level: What defines the labels.
    """

    def __init__(
        self, level: LevelConfig, scf: ScfConfig | None = None, guard: GuardConfig | None = None, forces: bool = False
    ) -> None:
        """Checks the level against PySCF's and libxc's own tables.

        Raises:
            HampredError: Unknown functional or basis set, or settings that crystals do not have.
        """
        self.scf, self.guard = scf or ScfConfig(), guard or GuardConfig()
        if forces:
            raise HampredError("Forces of crystals are not computed by this version: set forces: false.")
        if level.density_fit or level.auxbasis is not None:
            raise HampredError("Crystals use plane waves for the density: leave level.density_fit and auxbasis out.")
        require_basis_name(level.basis)
        if not is_gth(level.basis):
            raise HampredError(
                f"Basis set {level.basis} is not made for pseudopotentials: choose gth-szv-molopt-sr or "
                "gth-dzvp-molopt-sr."
            )
        definition = functional_definition(level.functional)
        require_semilocal(level.functional)
        self.level = LevelOfTheory(
            functional=level.functional.lower(),
            functional_definition=definition,
            basis=level.basis.lower(),
            conv_tol=level.conv_tol,
            method="KRKS",
            code=f"PySCF {pyscf.__version__}, libxc {dft.libxc.__version__}",
            crystal=CrystalLevel(**(level.crystal or CrystalConfig()).model_dump()),
        )

    @property
    def crystal(self) -> CrystalLevel:
        """Pseudopotential, plane waves and meshes."""
        return self.level.crystal or CrystalLevel()

    def check(self, atoms: Atoms, charge: int) -> int:
        """Refuses a structure before any work.

        Returns:
            Number of orbitals of one cell.

        Raises:
            HampredError: As `data_gen.guard.check_crystal`; or too little vacuum, an element without basis or
                pseudopotential, more electrons than fit the basis, or a metal without smearing.
        """
        electric_field(atoms)  # a crystal has none, and no unpaired electrons either
        read_spin(atoms)
        check_crystal(atoms, charge, allow_unusual_distances=self.guard.allow_unusual_distances)
        basis = OrbitalBasis.from_name(self.level.basis, atoms.numbers)
        for z in basis.elements:
            load_pseudopotential(self.crystal.pseudo, chemical_symbols[z])
        check_vacuum(atoms, self.level.basis)
        n_orbitals = basis.layout(atoms.numbers).n_orbitals
        n_electrons = sum(int(z) - basis.elements[int(z)].n_core for z in atoms.numbers)
        if n_electrons > 2 * n_orbitals:
            raise HampredError(f"{n_electrons} electrons do not fit {n_orbitals} orbitals: choose a larger basis set.")
        if n_electrons % 2 and not self.crystal.smearing:
            raise HampredError(
                f"A cell of {atoms.get_chemical_formula()} has {n_electrons} electrons, so it is a metal: set "
                "level.crystal.smearing (such as 0.005 Hartree)."
            )
        return n_orbitals

    def cpu_seconds(self, n_orbitals: int) -> float:
        """5 s at 8 orbitals and 20 Hartree (silicon), growing with orbitals and plane waves."""
        return 5.0 * (n_orbitals / 8) ** 0.6 * self.crystal.ke_cutoff / 20

    def label(self, atoms: Atoms, charge: int = 0) -> HamiltonianSample:
        """Runs the SCF, takes F(k) at the converged density on the dense mesh and folds it to H(R).

        Args:
            atoms: Positions and cell in Å; ``info`` goes into the provenance.
            charge: Total charge (e), which must be 0.

        Raises:
            HampredError: The guard refuses the structure, or H(R) has not decayed on the mesh.
            FailedError: Not converged, or a label that must not be learned from.
        """
        start, cpu = time.perf_counter(), time.process_time()
        self.check(atoms, charge)
        fock = PeriodicFock(atoms, self.level.functional, self.level.basis, self.crystal)
        overlap = Integrals(atoms, self.level.basis).overlap
        smallest = self._check_overlap(overlap, fock)
        density = fock.converge(self.level.conv_tol, self.scf.max_cycle, self.scf.retries)
        gap = self._check_density(fock)
        hamiltonian = _without_small_blocks(fock.blocks(density))
        provenance = {key: value for key, value in atoms.info.items() if isinstance(value, (str, int, float))}
        provenance |= {"min_overlap_eigenvalue": smallest, "threads": num_threads(), "gap_on_mesh_Eh": gap}
        provenance |= {"kpoint_mesh": fock.density_mesh.tolist(), "folding_mesh": fock.mesh.tolist()}
        provenance |= self._check_folding(fock, density, hamiltonian, overlap)
        provenance |= {
            "wall_s": round(time.perf_counter() - start, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
        }
        gamma = np.zeros(3)
        sample = HamiltonianSample(
            atoms=Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc),
            basis=hamiltonian.layout.basis,
            matrices={"hamiltonian": hamiltonian},
            orbital_energies=eigvalsh(hamiltonian.bloch(gamma), overlap.bloch(gamma)),
            level=self.level,
            total_energy=float(fock.field.e_tot),
            scf_cycles=int(fock.field.cycles),
            provenance=provenance,
        )
        if sample.n_electrons != fock.cell.nelectron:
            raise BadLabelError(
                f"{fock.cell.nelectron} electrons where {sample.n_electrons} were expected: choose a basis and a "
                "pseudopotential of one family."
            )
        return sample

    def _check_overlap(self, overlap: BlockMatrix, fock: PeriodicFock) -> float:
        """Smallest eigenvalue of S(k) on the dense mesh."""
        smallest = smallest_overlap_eigenvalue(overlap, mesh_kpoints(fock.mesh)[0])
        if smallest < self.guard.min_overlap_eigenvalue:
            raise HampredError(
                f"The basis is nearly linearly dependent here (smallest eigenvalue of S(k) {smallest:.1e} < "
                f"{self.guard.min_overlap_eigenvalue:.0e}): choose a basis such as gth-szv-molopt-sr."
            )
        return smallest

    def _check_density(self, fock: PeriodicFock) -> float | None:
        """Gap between the bands on the mesh of the density, Hartree; negative for a metal, None without empty bands."""
        energies, n_filled = np.asarray(fock.field.mo_energy), (fock.cell.nelectron + 1) // 2
        if not (np.isfinite(energies).all() and np.isfinite(fock.field.e_tot)):
            raise BadLabelError("F has elements that are not finite: check geometry and basis.")
        density, overlap = np.asarray(fock.field.make_rdm1()), np.asarray(fock.field.get_ovlp())
        held = float(np.einsum("kij,kji->", density, overlap).real) / len(density)
        if abs(held - fock.cell.nelectron) > ELECTRONS:
            raise BadLabelError(
                f"The density holds {held:.6f} electrons where {fock.cell.nelectron} were expected: check basis and "
                "pseudopotential."
            )
        if n_filled == energies.shape[1]:
            return None
        gap = float(energies[:, n_filled].min() - energies[:, n_filled - 1].max())
        if gap < SMALLEST_GAP and not self.crystal.smearing:
            raise BadLabelError(
                f"The gap is {gap:.1e} Ha: a metal; set level.crystal.smearing (such as 0.005 Hartree)."
            )
        return gap

    def _check_folding(
        self, fock: PeriodicFock, density: NDArray, hamiltonian: BlockMatrix, overlap: BlockMatrix
    ) -> dict[str, Any]:
        """Compares the bands of H(R) with those of F(k) built directly, between the points of the mesh.

        Raises:
            HampredError: They differ too much.
        """
        k = comparison_path(fock.atoms.pbc)
        n_bands = (fock.cell.nelectron + 1) // 2
        error = occupied_band_error(hamiltonian, overlap, fock.at(density, k), k, n_bands) * MILLI_EV
        if not error <= self.guard.max_folding_error:
            mesh, length = "×".join(map(str, fock.mesh)), self.crystal.folding_length
            raise HampredError(
                f"H(R) has not decayed on the {mesh} mesh: bands are off by {error:.3g} meV (guard.max_folding_error "
                f"{self.guard.max_folding_error:g}); raise level.crystal.folding_length, from {length:g} Å to "
                f"{1.4 * length:.0f} Å or so."
            )
        return {"folding_error_meV": round(error, 6), "folding_error_kpoints": len(k)}


def _without_small_blocks(matrix: BlockMatrix) -> BlockMatrix:
    """Drops blocks without an element above `SMALLEST_ELEMENT`; onsite blocks stay."""
    largest = np.maximum.reduceat(np.abs(matrix.values), matrix.starts[:-1])
    keep = matrix.onsite | (largest > SMALLEST_ELEMENT)
    values = matrix.values[keep[matrix.pair_of_value]]
    return BlockMatrix(matrix.layout, matrix.pairs[keep], matrix.cell_shifts[keep], values)
