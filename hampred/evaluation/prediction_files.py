"""What `hampred predict` writes of a structure, and what it tells of it in one line."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hampred.electronic.crystal import CrystalState
from hampred.electronic.eigen import DEPENDENCE, NearDependentBasis
from hampred.electronic.sparse_state import SparseState
from hampred.electronic.state import ElectronicState
from hampred.evaluation.band_sampling import choose_mesh
from hampred.files import replacing
from hampred.interop.block_file import BlockFile
from hampred.units import DEBYE, HARTREE

FORMATS = ("npz", "molden")

FRONTIER = 10
"""Orbitals on each side of the gap that are written of a large molecule."""

MOST_ORBITALS = 4000
"""Orbitals of a cell beyond which no gap is sought, which is minutes for each k-point."""


def write_prediction(
    out: Path, name: str, state: ElectronicState | SparseState | CrystalState, formats: Sequence[str] = FORMATS[:1]
) -> dict[str, Any]:
    """Writes the files of one structure.

    Args:
        out: Folder.
        name: Of the files, without their ending.
        state: A molecule, a large one with sparse matrices, or a crystal.
        formats: Of `FORMATS`; crystals and large molecules have npz only.

    Returns:
        Names of the files and what the user asks first, as plain JSON types; units in the keys.

    Raises:
        HampredError: They cannot be written, or S is not positive definite.
        FailedError: The gap of a large molecule was not found.
    """
    about = {
        "name": name,
        "formula": state.atoms.get_chemical_formula(),
        "n_atoms": len(state.atoms),
        "n_orbitals": state.layout.n_orbitals,
    }
    if isinstance(state, CrystalState):
        return {**about, **_crystal(out, name, state)}
    about["charge"] = state.charge
    if isinstance(state, SparseState):
        return {**about, **_large_molecule(out, name, state, formats)}
    return {**about, **_molecule(out, name, state, formats)}


def _crystal(out: Path, name: str, state: CrystalState) -> dict[str, Any]:
    """H(R) and S(R), and the gap on a Γ-centred mesh."""
    found = _gap(state)
    BlockFile(state.atoms, state.hamiltonian, state.overlap, state.n_electrons).write(out / f"{name}.npz")
    return {"n_electrons": float(state.n_electrons), "files": [f"{name}.npz"], **found}


def _gap(state: CrystalState) -> dict[str, Any]:
    """Gap and zero of energy of a crystal; None where it has none, or was too large to look."""
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


def _molecule(out: Path, name: str, state: ElectronicState, formats: Sequence[str]) -> dict[str, Any]:
    """Dense matrices and all orbitals."""
    if "npz" in formats:
        _save(out / f"{name}.npz", _arrays(state))
    if "molden" in formats:
        with replacing(out / f"{name}.molden") as temporary:
            _molden(temporary, state)
    lost = state.layout.n_orbitals - len(state.orbital_energies)
    notes = [f"{lost} orbitals with an overlap eigenvalue below {DEPENDENCE} were projected out"] if lost else []
    energies = {"homo_eV": state.homo, "lumo_eV": state.lumo, "gap_eV": state.gap}
    return {
        "files": [f"{name}.{ending}" for ending in formats],
        **{key: HARTREE * value if np.isfinite(value) else None for key, value in energies.items()},
        "dipole_D": DEBYE * float(np.linalg.norm(state.dipole)),
        "notes": notes,
    }


def _arrays(state: ElectronicState) -> dict[str, Any]:
    """What an npz file of a molecule holds; matrices in PySCF's AO order."""
    return {
        "numbers": state.atoms.numbers,
        "positions_A": state.atoms.positions,
        "charge": state.charge,
        "hamiltonian": state.hamiltonian,
        "overlap": state.overlap,
        "orbital_energies_Eh": state.orbital_energies,
        "orbital_coefficients": state.orbital_coefficients,
        "occupations": state.occupations,
        "density_matrix": state.density_matrix,
    }


def _molden(path: Path, state: ElectronicState) -> None:
    from hampred.interop.molden import write_molden
    from hampred.interop.pyscf import build_mole

    mole = build_mole(state.atoms, state.layout.basis.name, state.charge)
    write_molden(path, mole, state.orbital_energies, state.orbital_coefficients, state.occupations)


def _large_molecule(out: Path, name: str, state: SparseState, formats: Sequence[str]) -> dict[str, Any]:
    """Sparse matrices (CSR) and the orbitals around the gap."""
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
    _save(out / f"{name}.npz", arrays)
    notes = [f"large: sparse matrices (CSR) and the {2 * FRONTIER} orbitals around the gap"]
    return {
        "files": [f"{name}.npz"],
        "homo_eV": HARTREE * frontier.homo,
        "lumo_eV": HARTREE * frontier.lumo,
        "gap_eV": HARTREE * frontier.gap,
        "dipole_D": None,
        "notes": notes + ["no molden file, which needs all orbitals"] * ("molden" in formats),
    }


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
