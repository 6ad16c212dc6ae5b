"""What `hampred predict` writes of each structure, and what it tells of it in one line."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from hampred.basis import OrbitalBasis
from hampred.confidence import Confidence
from hampred.electronic.crystal import CrystalState
from hampred.electronic.eigen import DEPENDENCE, NearDependentBasis
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.sparse_state import SparseState
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.evaluation.band_sampling import choose_mesh
from hampred.evaluation.prediction_formats import (
    CRYSTAL,
    EXTXYZ,
    FORMATS,
    LARGE,
    MOLECULE,
    OPEN_SHELL,
    Contents,
    State,
    frame,
    require_formats,
    require_moderate_cubes,
    require_shells,
    write_extxyz,
)
from hampred.interop.block_file import BlockFile
from hampred.interop.electric_field import electric_field
from hampred.interop.structures import read_spin
from hampred.units import DEBYE, HARTREE

SUMMARY = "summary.json"
"""What is told of all structures of a run."""

FRONTIER = 10
"""Orbitals on each side of the gap that are written of a large molecule."""

MOST_ORBITALS = 4000
"""Orbitals of a cell beyond which no gap is sought, which is minutes for each k-point."""


@dataclass(frozen=True)
class PredictionFiles:
    """Files of one run.

    Attributes:
        out: Folder.
        formats: Of `FORMATS`.
        energy: Whether the total energy is wanted too: a Fock build for each molecule.
        forces: Whether forces and energy are wanted: a gradient besides.
        spacing: Of the points of cube files, Å.
    """

    out: Path
    formats: Sequence[str] = ("npz",)
    energy: bool = False
    forces: bool = False
    spacing: float = 0.2
    _frames: list[Atoms] = field(default_factory=list, init=False)

    def check(self, structures: Mapping[str, Atoms], kinds: Mapping[str, str], basis: OrbitalBasis) -> None:
        """Refuses, before anything is computed, what cannot be written.

        Args:
            structures: By name.
            kinds: Of the structures, by name; of `hampred.evaluation.prediction_formats.KINDS`.
            basis: Orbitals of the model.

        Raises:
            HampredError: A format or property that a structure does not have, or files that would be too large.
        """
        for name, kind in kinds.items():
            require_formats(self.formats, kind, name)
            if (self.energy or self.forces) and kind not in (MOLECULE, OPEN_SHELL):
                raise HampredError(
                    f"{name} is a {kind}, and molecules only have --energy and --forces: leave them out."
                )
        if "molden" in self.formats:
            require_shells(structures, basis)
        if "cube" in self.formats:
            require_moderate_cubes(structures, kinds, basis, self.spacing)

    def write(self, name: str, state: State) -> dict[str, Any]:
        """Writes the files of one structure.

        Args:
            name: Of the files, without their ending.
            state: A molecule, a large one with sparse matrices, or a crystal.

        Returns:
            Names of the files and what the user asks first, as plain JSON types; units in the keys.

        Raises:
            HampredError: They cannot be written, or S is not positive definite.
            FailedError: The gap of a large molecule was not found.
        """
        told: dict[str, Any] = {
            "name": name,
            "formula": state.atoms.get_chemical_formula(),
            "n_atoms": len(state.atoms),
            "n_orbitals": state.layout.n_orbitals,
        }
        if isinstance(state, CrystalState):
            found, arrays = _crystal(state)
        elif isinstance(state, SparseState):
            found, arrays = _large_molecule(state)
        else:
            found, arrays = self._molecule(state)
        if (field := electric_field(state.atoms)).any():
            arrays["electric_field_V_A"] = field
        confidence = getattr(state, "confidence", None)
        if confidence is not None:
            found |= _sure(confidence)
            arrays["novelty"] = confidence.novelty
        of_state = getattr(state, "notes", getattr(state, "occupation_notes", ()))
        found["notes"] = [*found["notes"], *of_state]
        contents = Contents(name, state, told | found, arrays, self.spacing)
        files: list[str] = []
        for wanted in self.formats:
            write = FORMATS[wanted].write
            files += [EXTXYZ] if write is None else write(self.out, contents)
        if EXTXYZ in files:
            self._frames.append(frame(contents))
        return {**told, "files": files, **found}

    def start(self) -> None:
        """Removes what an earlier run in the same folder told of all its structures.

        Raises:
            HampredError: It cannot be removed.
        """
        for name in (SUMMARY, *([EXTXYZ] if "extxyz" in self.formats else [])):
            old = self.out / name
            try:
                old.unlink(missing_ok=True)
            except OSError as error:
                raise HampredError(f"Cannot remove {old} ({error.strerror}): choose another --out.") from error

    def finish(self) -> None:
        """Writes the file that holds all structures, where it is wanted.

        Raises:
            HampredError: It cannot be written.
        """
        if self._frames:
            write_extxyz(self.out / EXTXYZ, self._frames)

    def _molecule(self, state: ElectronicState | OpenShellState) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is told of a molecule, and its arrays: dense matrices and all orbitals, those of both spins."""
        lost = state.layout.n_orbitals - state.orbital_energies.shape[-1]
        notes = [f"{lost} orbitals with an overlap eigenvalue below {DEPENDENCE} were projected out"] if lost else []
        energies = {"homo_eV": state.homo, "lumo_eV": state.lumo, "gap_eV": state.gap}
        told = {
            "charge": state.charge,
            **{key: HARTREE * value if np.isfinite(value) else None for key, value in energies.items()},
            "dipole_D": DEBYE * float(np.linalg.norm(state.dipole)),
        }
        arrays = {
            "numbers": state.atoms.numbers,
            "positions_A": state.atoms.positions,
            "charge": state.charge,
            "hamiltonian": state.hamiltonian,
            "overlap": state.overlap,
            "orbital_energies_Eh": state.orbital_energies,
            "orbital_coefficients": state.orbital_coefficients,
            "occupations": state.occupations,
            "density_matrix": state.density_matrix,
            "dipole_ea0": state.dipole,
            "mulliken_charges_e": state.properties["mulliken_charges"],
        }
        if isinstance(state, OpenShellState):
            told |= {"spin": state.spin, "s_squared": state.s_squared}
            arrays |= {"spin": state.spin, "spin_splitting": state.spin_splitting}
            arrays |= {"spin_density_matrix": state.spin_density_matrix, "s_squared": state.s_squared}
            arrays["mulliken_spins"] = state.properties["mulliken_spins"]
        if self.energy or self.forces:
            told["energy_Eh"] = arrays["energy_Eh"] = state.energy
        if self.forces:
            arrays["forces_Eh_A"] = state.forces
            told["largest_force_Eh_A"] = float(np.linalg.norm(state.forces, axis=1).max())
        return {**told, "notes": notes}, arrays


def _sure(confidence: Confidence) -> dict[str, Any]:
    """How sure a prediction is, as plain JSON types."""
    bounds = {f"bound_{name}": value for name, value in confidence.bounds.items()}
    return {"mean_novelty": float(confidence.novelty.mean()), "warning": confidence.warning, **bounds}


def kind_of(atoms: Atoms, is_large: bool, charge: int = 0) -> str:
    """Kind of a structure of a total charge (e), of `hampred.evaluation.prediction_formats.KINDS`."""
    if atoms.pbc.any():
        return CRYSTAL
    return OPEN_SHELL if read_spin(atoms, charge) else LARGE if is_large else MOLECULE


def _crystal(state: CrystalState) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is told of a crystal, and H(R) and S(R)."""
    file = BlockFile(state.atoms, state.hamiltonian, state.overlap, state.n_electrons)
    return {"n_electrons": float(state.n_electrons), **_gap(state)}, file.arrays()


def _gap(state: CrystalState) -> dict[str, Any]:
    """Gap on a Γ-centred mesh and zero of energy; None where it has none, or was too large to look."""
    n = state.layout.n_orbitals
    told: dict[str, Any] = dict.fromkeys(("kpoint_mesh", "is_metal", "gap_eV", "direct_gap_eV", "energy_zero"))
    if n > MOST_ORBITALS:
        return {**told, "notes": [f"no gap: the cell has {n} orbitals, more than {MOST_ORBITALS}"]}
    mesh = choose_mesh(state.atoms, n)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NearDependentBasis)
        bands = state.mesh(mesh)
    told |= {"kpoint_mesh": mesh.tolist(), "is_metal": bool(bands.is_metal)}
    told["notes"] = [str(warning.message) for warning in caught]
    if bands.is_metal:
        return {**told, "energy_zero": {"name": "Fermi level", "energy_Eh": bands.fermi_level()}}
    if bands.n_occupied < bands.n_bands:
        told |= {"gap_eV": HARTREE * bands.gap.indirect, "direct_gap_eV": HARTREE * bands.gap.direct}
    vbm = float(bands.energies[:, bands.n_occupied - 1].max())
    return {**told, "energy_zero": {"name": "VBM", "energy_Eh": vbm}}


def _large_molecule(state: SparseState) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is told of a large molecule, and sparse matrices (CSR) and the orbitals around its gap."""
    frontier = state.frontier(FRONTIER)
    arrays = {
        "numbers": state.atoms.numbers,
        "positions_A": state.atoms.positions,
        "charge": state.charge,
        "orbital_energies_Eh": frontier.energies,
        "orbital_coefficients": frontier.coefficients,
        "first_orbital": frontier.first,
        "n_occupied": state.n_occupied,
    }
    for matrix, of in ((state.hamiltonian, "hamiltonian"), (state.overlap, "overlap")):
        arrays |= {f"{of}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
    told = {
        "charge": state.charge,
        "homo_eV": HARTREE * frontier.homo,
        "lumo_eV": HARTREE * frontier.lumo,
        "gap_eV": HARTREE * frontier.gap,
        "dipole_D": None,
        "notes": [f"large: sparse matrices (CSR) and the {2 * FRONTIER} orbitals around the gap"],
    }
    return told, arrays
