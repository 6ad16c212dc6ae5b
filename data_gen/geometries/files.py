"""Structures from any file that ASE reads."""

from collections.abc import Iterator
from pathlib import Path

from ase import Atoms

from hampred.interop.electric_field import electric_field, with_field
from hampred.interop.structures import read_charge, read_spin, read_structures


def file_structures(path: Path, count: int | None = None, every: int = 1) -> Iterator[Atoms]:
    """Reads the frames of a file.

    Args:
        path: xyz, extxyz, sdf, mol, cif, traj, ….
        count: At most so many frames.
        every: Take each n-th frame.

    Yields:
        Structures with ``info`` source, molecule (``molecule``, ``smiles`` or ``name`` of the file, else the formula)
        and charge, and ``spin`` (unpaired electrons) and ``electric_field`` (V/Å) where the file tells them.

    Raises:
        HampredError: Missing, empty or malformed file, or a structure, charge, spin or field that cannot be meant.
    """
    for number, atoms in enumerate(read_structures(path)[::every][:count]):
        info = atoms.info
        molecule = next((str(info[key]) for key in ("molecule", "smiles", "name") if key in info), None)
        clean = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        charge = read_charge(atoms, f"{path}, structure {number * every + 1}")
        clean.info = {"source": str(path), "molecule": molecule or atoms.get_chemical_formula(), "charge": charge}
        if spin := read_spin(atoms, charge, f"{path}, structure {number * every + 1}"):
            clean.info["spin"] = spin
        field = electric_field(atoms, f"{path}, structure {number * every + 1}")
        yield with_field(clean, field)
