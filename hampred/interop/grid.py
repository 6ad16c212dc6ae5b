"""A regular box of points around a molecule, and what PySCF's orbitals make there: orbitals, density, potential."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.errors import HampredError
from hampred.units import BOHR

Array = NDArray[np.float64]

SLICE_ELEMENTS = 4_000_000
"""Numbers of a slice of points; 32 MB, whatever the size of the molecule and of the box."""

MOST_POINTS = 20_000_000
"""Points beyond which a box is refused: one array of them is 160 MB."""

NEAREST = 1e-3
"""Distance to a nucleus (Bohr) below which its potential rises no more, so that every value is finite."""


@dataclass(frozen=True)
class Grid:
    """Points origin + i a + j b + k c; the last index runs fastest, as in a cube file.

    Attributes:
        origin: First point [3], Å.
        axes: Steps a, b and c as rows [3, 3], Å.
        shape: Points along each.
    """

    origin: Array
    axes: Array
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, atoms: Atoms, margin: float = 3.5, spacing: float = 0.2) -> "Grid":
        """A box along x, y and z whose middle is the middle of the molecule.

        Args:
            atoms: The molecule, positions in Å.
            margin: From the outermost nuclei to the outermost points, at least, Å.
            spacing: Of the points, Å.

        Raises:
            HampredError: A spacing that is no length, or more than `MOST_POINTS` points.
        """
        if not 0 < spacing < np.inf:
            raise HampredError(f"Points {spacing} Å apart make no box: give a spacing such as 0.2 Å.")
        low, high = atoms.positions.min(axis=0), atoms.positions.max(axis=0)
        counts = np.ceil((high - low + 2 * margin) / spacing).astype(int) + 1
        if (n := int(np.prod(counts, dtype=float))) > MOST_POINTS:
            raise HampredError(f"A box of {n} points is more than {MOST_POINTS}: give a spacing above {spacing} Å.")
        origin = (low + high - spacing * (counts - 1)) / 2
        return cls(origin, spacing * np.eye(3), (int(counts[0]), int(counts[1]), int(counts[2])))

    @property
    def n_points(self) -> int:
        """Points in all."""
        return int(np.prod(self.shape))

    @cached_property
    def volume(self) -> float:
        """Of one point, Bohr³: the sum of a density times this is a number of electrons."""
        return float(abs(np.linalg.det(self.axes / BOHR)))

    def points(self, start: int = 0, stop: int | None = None) -> Array:
        """Positions [n, 3] of the points start … stop − 1 in the order of the box, Å."""
        stop = self.n_points if stop is None else min(stop, self.n_points)
        indices = np.stack(np.unravel_index(np.arange(start, stop), self.shape), axis=1)
        return self.origin + indices @ self.axes

    def slices(self, n_numbers: int) -> Iterator[slice]:
        """The box in portions, where each point needs `n_numbers` numbers of memory."""
        step = max(1, SLICE_ELEMENTS // n_numbers)
        for start in range(0, self.n_points, step):
            yield slice(start, min(start + step, self.n_points))


def orbital_values(mole: Any, grid: Grid, coefficients: Array) -> Array:
    """Orbitals ψ_p(r) = Σ_i φ_i(r) C_ip at the points of a box.

    Args:
        mole: Built PySCF Mole.
        grid: The box.
        coefficients: Orbitals as columns C [n, m], PySCF's AO order.

    Returns:
        [m, *grid.shape], Bohr^(−3/2).
    """
    values = np.empty((coefficients.shape[1], grid.n_points))
    for part, functions in _functions(mole, grid):
        values[:, part] = coefficients.T @ functions.T
    return values.reshape(-1, *grid.shape)


def density_values(mole: Any, grid: Grid, density: Array) -> Array:
    """Electron density ρ(r) = Σ_ij φ_i(r) D_ij φ_j(r) at the points of a box.

    Args:
        mole: Built PySCF Mole.
        grid: The box.
        density: Density matrix D [n, n], symmetric.

    Returns:
        [*grid.shape], e/Bohr³; core electrons that a pseudopotential replaces are not in it.
    """
    values = np.empty(grid.n_points)
    for part, functions in _functions(mole, grid):
        values[part] = ((functions @ density) * functions).sum(axis=1)
    return values.reshape(grid.shape)


def electrostatic_potential(mole: Any, grid: Grid, density: Array) -> Array:
    """Electrostatic potential V(r) = Σ_A Z_A / |r − R_A| − Σ_ij D_ij ⟨φ_i| 1/|r − r'| |φ_j⟩ at the points of a box.

    Args:
        mole: Built PySCF Mole; its nuclear charges leave out the electrons that a core potential replaces.
        grid: The box.
        density: Density matrix D [n, n], symmetric.

    Returns:
        [*grid.shape], Hartree/e; finite also on a nucleus, see `NEAREST`.
    """
    values = np.empty(grid.n_points)
    nuclei, charges = mole.atom_coords(), mole.atom_charges()
    for part in grid.slices(3 * mole.natm + 3):
        points = grid.points(part.start, part.stop)
        distances = np.linalg.norm(points[:, None] / BOHR - nuclei, axis=2)
        attraction = (charges / np.maximum(distances, NEAREST)).sum(axis=1)
        values[part] = attraction + electronic_potential(mole, points, density)
    return values.reshape(grid.shape)


def electronic_potential(mole: Any, points: Array, density: Array) -> Array:
    """Potential −Σ_ij D_ij ⟨φ_i| 1/|r − r'| |φ_j⟩ of the electrons at points r.

    Args:
        mole: Built PySCF Mole.
        points: Where, [n_points, 3] in Å.
        density: Density matrix D [n, n], symmetric.

    Returns:
        [n_points], Hartree/e.
    """
    values = np.empty(len(points))
    step = max(1, SLICE_ELEMENTS // (3 * mole.nao**2))  # integrals, and PySCF's copy of them in another order
    for start in range(0, len(points), step):
        part = points[start : start + step]
        integrals = mole.intor("int1e_grids", hermi=1, grids=part / BOHR).reshape(len(part), -1)
        values[start : start + step] = -integrals @ density.ravel()
    return values


def _functions(mole: Any, grid: Grid) -> Iterator[tuple[slice, Array]]:
    """Orbitals of the basis [n_points of the slice, n] at the points of one slice after the other, Bohr^(−3/2)."""
    from pyscf.dft.numint import eval_ao

    for part in grid.slices(2 * mole.nao):
        yield part, eval_ao(mole, grid.points(part.start, part.stop) / BOHR)
