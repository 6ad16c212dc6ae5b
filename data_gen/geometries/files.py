"""Structures from any file that ASE reads."""

from collections.abc import Iterator
from pathlib import Path

from ase import Atoms

from hampred.interop.structures import read_charge, read_structures


def file_structures(path: Path, count: int | None = None, every: int = 1) -> Iterator[Atoms]:
    """Reads the frames of a file.

    Args:
        path: xyz, extxyz, sdf, mol, cif, traj, ….
        count: At most so many frames.
        every: Take each n-th frame.

    Yields:
        Structures with ``info`` source, molecule (``molecule``, ``smiles`` or ``name`` of the file, else the formula)
        and charge.

    Raises:
        HampredError: Missing, empty or malformed file, or a structure or charge that cannot be meant.
    """
    for number, atoms in enumerate(read_structures(path)[::every][:count]):
        info = atoms.info
        molecule = next((str(info[key]) for key in ("molecule", "smiles", "name") if key in info), None)
        clean = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        charge = read_charge(atoms, f"{path}, structure {number * every + 1}")
        clean.info = {"source": str(path), "molecule": molecule or atoms.get_chemical_formula(), "charge": charge}
        yield clean
