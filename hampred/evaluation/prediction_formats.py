"""The kinds of files that hold predictions: one function a format, and which structures it can hold."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from hampred.basis import OrbitalBasis
from hampred.electronic.channel import AROUND_GAP, channels
from hampred.electronic.crystal import CrystalState
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.sparse_state import SparseState
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.files import replacing
from hampred.interop.electric_field import electric_field, with_field
from hampred.units import BOHR, HARTREE

State = ElectronicState | OpenShellState | SparseState | CrystalState

MOLECULE, OPEN_SHELL, LARGE, CRYSTAL = KINDS = "molecule", "open shell", "large molecule", "crystal"
"""Kinds of structures: with dense matrices, with those of two spins, with sparse ones, and with H(R)."""

EXTXYZ = "predictions.extxyz"
"""The one file of a run that holds all structures."""

FRAME_INFO = ("homo_eV", "lumo_eV", "gap_eV", "direct_gap_eV", "s_squared", "warning")
"""What is told of a structure in the comment line of that file, where there is any."""

FRAME_ARRAYS = {"charges": "mulliken_charges_e", "spins": "mulliken_spins", "novelty": "novelty"}
"""Columns of that file → arrays, where there are any."""

MATRICES = ("hamiltonian", "spin_splitting", "overlap", "density_matrix", "spin_density", "orbital_coefficients")
"""Names that arrays begin with which are not in JSON files."""

N_CUBES = {MOLECULE: len(AROUND_GAP) + 3, OPEN_SHELL: 2 * len(AROUND_GAP) + 4}
"""Cube files of a structure, at most."""

MOST_BYTES = 20e9
"""Of all cube files of a run, beyond which they are refused."""

MOST_INTEGRALS = 4e11
"""Of the electrostatic potential of one molecule, beyond which it is refused: more than an hour on one core."""

SPIN_WORDS = {"": [], "α": ["alpha"], "β": ["beta"]}
"""How names and titles of files tell the spin of an orbital."""

HIGHEST_OF_MOLDEN = 4
"""Angular momentum (g) beyond which molden files know no orbitals; PySCF's writer leaves them out without a word."""


@dataclass(frozen=True, eq=False)
class Contents:
    """All that the files of one structure may tell.

    Attributes:
        name: Of the files, without their ending.
        state: The solved structure.
        told: What the user asks first, as plain JSON types; units in the keys.
        arrays: Structure, matrices, orbitals and properties by name; units in the names, PySCF's AO order.
        spacing: Of the points of cube files, Å.
    """

    name: str
    state: State
    told: dict[str, Any]
    arrays: dict[str, Any]
    spacing: float


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        kinds: Structures that it can hold, of `KINDS`.
        write: Writes into a folder what there is of one structure, and gives the names of the files; None for the one
            file of a run.
    """

    kinds: Sequence[str]
    write: Callable[[Path, Contents], list[str]] | None


def write_npz(out: Path, contents: Contents) -> list[str]:
    """All arrays."""
    name = f"{contents.name}.npz"
    with replacing(out / name) as temporary, temporary.open("wb") as file:
        np.savez(file, **contents.arrays)
    return [name]


def write_h5(out: Path, contents: Contents) -> list[str]:
    """All arrays as datasets; what is told as attributes, where it is one number or text."""
    import h5py

    name = f"{contents.name}.h5"
    with replacing(out / name) as temporary, h5py.File(temporary, "w") as file:
        for key, value in contents.arrays.items():
            file[key] = value
        file.attrs.update({k: v for k, v in contents.told.items() if isinstance(v, (bool, int, float, str))})
    return [name]


def write_json(out: Path, contents: Contents) -> list[str]:
    """What is told, and all arrays but the matrices."""
    name = f"{contents.name}.json"
    arrays = {k: np.asarray(v).tolist() for k, v in contents.arrays.items() if not k.startswith(MATRICES)}
    with replacing(out / name) as temporary:
        temporary.write_text(json.dumps(contents.told | arrays, allow_nan=False) + "\n", encoding="utf-8")
    return [name]


def write_molden(out: Path, contents: Contents) -> list[str]:
    """All orbitals, with their energies and occupations; of an open shell those of α, then those of β."""
    from hampred.interop import molden

    state = _molecule(contents)
    name = f"{contents.name}.molden"
    with replacing(out / name) as temporary:
        orbitals = state.orbital_energies, state.orbital_coefficients, state.occupations
        molden.write_molden(temporary, state.mole, *orbitals)
    return [name]


def write_cubes(out: Path, contents: Contents) -> list[str]:
    """Orbitals around the gap, density, difference density and electrostatic potential: a file for each.

    An open shell has orbitals of α and β, and its spin density.
    """
    from hampred.interop.atomic_density import superposed_atoms
    from hampred.interop.cube import cube_grid, write_cube
    from hampred.interop.grid import density_values, electrostatic_potential, orbital_values

    state = _molecule(contents)
    mole, density, names = state.mole, state.density_matrix, []
    grid = cube_grid(state.atoms, contents.spacing)

    def write(what: str, title: str, values: Any) -> None:
        names.append(f"{contents.name}.{what}.cube")
        with replacing(out / names[-1]) as temporary:
            write_cube(temporary, f"{contents.name}: {title}", mole, grid, values)

    for channel in channels(state):
        spin = SPIN_WORDS[channel.spin]
        for orbital, k in channel.around_gap().items():
            words = [*spin, orbital.replace("−", "-")]
            title = f"{' '.join(words)}, {HARTREE * channel.energies[k]:.4f} eV; Bohr^(-3/2)"
            write(".".join(words).lower(), title, orbital_values(mole, grid, channel.coefficients[:, [k]]))
    write("density", "electron density; e/Bohr^3", density_values(mole, grid, density))
    if isinstance(state, OpenShellState):
        spin_density = density_values(mole, grid, state.spin_density_matrix)
        write("spin", "spin density, alpha minus beta; e/Bohr^3", spin_density)
    difference = density_values(mole, grid, density - superposed_atoms(mole))
    write("difference", "electron density minus superposed Hartree-Fock atoms; e/Bohr^3", difference)
    write("esp", "electrostatic potential; Hartree/e", electrostatic_potential(mole, grid, density))
    return names


def write_html(out: Path, contents: Contents) -> list[str]:
    """A page with orbitals in 3D, levels, charges and matrices."""
    from hampred.prediction import OpenShellPrediction, Prediction

    state, told = contents.state, contents.told
    assert isinstance(state, Prediction | OpenShellPrediction)
    name = f"{contents.name}.html"
    state.page(contents.name, told.get("energy_Eh"), told["notes"]).write(out / name)
    return [name]


def frame(contents: Contents) -> Atoms:
    """The structure as an image of an extended XYZ file.

    Returns:
        Atoms whose ``info`` and ``arrays`` hold what was predicted under ``hampred_…``; energy and forces, where there
        are any, as results of a calculator (eV, eV/Å).
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    state, told, arrays = contents.state, contents.told, contents.arrays
    given = state.atoms
    atoms = Atoms(given.numbers, given.positions, cell=given.cell, pbc=given.pbc)
    atoms = with_field(atoms, electric_field(given))
    atoms.info["name"] = contents.name
    if "charge" in told:
        atoms.info["charge"] = told["charge"]
    if told.get("spin"):
        atoms.info["spin"] = told["spin"]
    atoms.info |= {f"hampred_{key}": told[key] for key in FRAME_INFO if told.get(key) is not None}
    if "dipole_ea0" in arrays:
        atoms.info["hampred_dipole_eA"] = BOHR * arrays["dipole_ea0"]
    atoms.arrays |= {f"hampred_{name}": arrays[key] for name, key in FRAME_ARRAYS.items() if key in arrays}
    results = {key[: key.index("_")]: HARTREE * arrays[key] for key in ("energy_Eh", "forces_Eh_A") if key in arrays}
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def write_extxyz(path: Path, frames: Sequence[Atoms]) -> None:
    """Writes all structures of a run.

    Args:
        path: File.
        frames: From `frame`.

    Raises:
        HampredError: The path cannot be written.
    """
    from ase.io import write

    with replacing(path) as temporary:
        write(temporary, frames, format="extxyz")


FORMATS: dict[str, Format] = {
    "npz": Format(KINDS, write_npz),
    "h5": Format(KINDS, write_h5),
    "json": Format(KINDS, write_json),
    "extxyz": Format(KINDS, None),
    "molden": Format((MOLECULE, OPEN_SHELL), write_molden),
    "cube": Format((MOLECULE, OPEN_SHELL), write_cubes),
    "html": Format((MOLECULE, OPEN_SHELL), write_html),
}
"""By name; to add a format is to add a function and a line here."""


def require_formats(formats: Iterable[str], kind: str, name: str) -> None:
    """Refuses files that cannot hold a structure.

    Args:
        formats: Of `FORMATS`.
        kind: Of `KINDS`.
        name: How the message calls the structure.

    Raises:
        HampredError: That.
    """
    for wanted in formats:
        if kind not in FORMATS[wanted].kinds:
            others = ", ".join(key for key, known in FORMATS.items() if kind in known.kinds)
            raise HampredError(f"{name} is a {kind}, and {wanted} files hold molecules only: choose from {others}.")


def require_shells(structures: Mapping[str, Atoms], basis: OrbitalBasis) -> None:
    """Refuses molden files of orbitals that they do not know.

    Args:
        structures: Molecules by name.
        basis: Their orbitals.

    Raises:
        HampredError: An element has shells beyond g.
    """
    for name, atoms in structures.items():
        for number in map(int, set(atoms.numbers)):
            if max(basis.shells(number)) > HIGHEST_OF_MOLDEN:
                raise HampredError(
                    f"{name}: molden files hold s to g orbitals, and {basis.name} has higher ones of "
                    f"{chemical_symbols[number]}: choose another --format."
                )


def require_moderate_cubes(
    structures: Mapping[str, Atoms], kinds: Mapping[str, str], basis: OrbitalBasis, spacing: float
) -> None:
    """Refuses cube files that would fill the disk or take hours.

    Args:
        structures: Molecules by name.
        kinds: Of the structures, by name; of `KINDS`.
        basis: Their orbitals.
        spacing: Of the points, Å.

    Raises:
        HampredError: That, with a spacing that would do.
    """
    from hampred.interop.cube import BYTES_PER_VALUE, cube_grid

    n_bytes = 0.0
    for name, atoms in structures.items():
        n_points, n_orbitals = cube_grid(atoms, spacing).n_points, basis.layout(atoms.numbers).n_orbitals
        n_bytes += N_CUBES[kinds[name]] * BYTES_PER_VALUE * n_points
        if (excess := n_points * n_orbitals**2 / MOST_INTEGRALS) > 1:
            raise HampredError(
                f"{name}: the potential of {n_orbitals} orbitals at {n_points} points takes hours: "
                f"give --spacing {1.05 * spacing * excess ** (1 / 3):.2f} or more."
            )
    if n_bytes > MOST_BYTES:
        raise HampredError(
            f"The cube files would fill {n_bytes / 1e9:.0f} GB: "
            f"give --spacing {1.05 * spacing * (n_bytes / MOST_BYTES) ** (1 / 3):.2f} or more, or fewer structures."
        )


def _molecule(contents: Contents) -> ElectronicState | OpenShellState:
    """The state of a molecule, which is what `require_formats` lets through."""
    state = contents.state
    assert isinstance(state, ElectronicState | OpenShellState)
    return state
