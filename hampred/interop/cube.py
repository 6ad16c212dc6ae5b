"""Gaussian cube files: values on a box of points, which most programs that draw molecules read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.interop.grid import Grid
from hampred.units import BOHR

Array = NDArray[np.float64]

BYTES_PER_VALUE = 13.2
"""In the file: thirteen characters a number, six numbers a line."""

DECIMALS = 6
"""Of a length in Bohr in the head of the file."""


def cube_grid(atoms: Atoms, spacing: float) -> Grid:
    """A box around a molecule whose origin and steps a cube file holds to the last digit.

    Args:
        atoms: The molecule, positions in Å.
        spacing: Of the points, Å.

    Raises:
        HampredError: As `Grid.around`.
    """
    grid = Grid.around(atoms, spacing=spacing)
    return replace(grid, **{name: BOHR * (getattr(grid, name) / BOHR).round(DECIMALS) for name in ("origin", "axes")})


def write_cube(path: Path, title: str, mole: Any, grid: Grid, values: Array) -> None:
    """Writes the values of one function.

    The atoms carry their nuclear charges without the electrons that a core potential replaces; lengths are in Bohr.

    Args:
        path: File to write.
        title: Its first line.
        mole: Built PySCF Mole.
        grid: The box.
        values: Of the function at the points [*grid.shape], atomic units.
    """
    from pyscf.data.elements import charge

    n_lines, rest = divmod(grid.shape[2], 6)
    row = "\n".join(["%13.5E" * 6] * n_lines + ["%13.5E" * rest] * bool(rest)) + "\n"
    with path.open("w", encoding="ascii", errors="replace") as file:
        file.write(f"{' '.join(title.split())}\nOUTER LOOP: X, MIDDLE LOOP: Y, INNER LOOP: Z\n")
        file.write(_line(mole.natm, grid.origin / BOHR))
        for count, step in zip(grid.shape, grid.axes / BOHR):
            file.write(_line(count, step))
        for atom, (effective, place) in enumerate(zip(mole.atom_charges(), mole.atom_coords())):
            file.write(_line(charge(mole.atom_symbol(atom)), (effective, *place)))
        for line in values.reshape(-1, grid.shape[2]):
            file.write(row % tuple(line.tolist()))


def _line(count: int, numbers: Any) -> str:
    return f"{count:5d}" + "".join(f"{number:12.{DECIMALS}f}" for number in numbers) + "\n"
