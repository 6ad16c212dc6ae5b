"""k-points of a band structure: the path, and the mesh of its density of states, as dense as the cell affords."""

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from hampred.electronic.kmesh import KMesh
from hampred.electronic.kpath import SPACING, KPath, band_path, periodic_directions
from hampred.errors import HampredError
from hampred.interop.crystal_level import CrystalLevel

IntArray = NDArray[np.int64]

MESH_WORK = 16_000
"""k-points × orbitals of a mesh: as many points for a cell as for its supercell, half a second or so."""

LONGEST = 1000.0
"""Å; where the search for the mesh starts: lattice planes h apart get the smallest number n with n h ≥ this length."""

WORK = 3e11
"""k-points × orbitals³ that a path or mesh takes unless the user asks for more: some minutes on one processor."""

MOST_KPOINTS = 1_000_000
"""Of a mesh; more are a slip of the keyboard."""


def choose_path(
    atoms: Atoms, n_orbitals: int, path: str | ArrayLike | None = None, spacing: float | None = None
) -> tuple[KPath, list[str]]:
    """The path, with fewer points for a cell so large that all of them would take long.

    Args:
        atoms: Crystal, slab or chain.
        n_orbitals: Of one cell.
        path: As `band_path` takes it.
        spacing: Largest distance of neighbouring points, 1/Å; by default `SPACING` where the cell affords it.

    Returns:
        The path, and what to tell the user about it.

    Raises:
        HampredError: As `band_path`.
    """
    found = band_path(atoms, path, SPACING if spacing is None else spacing)
    if spacing is not None or len(found.kpoints) <= _affordable(n_orbitals):
        return found, []
    coarser = float(f"{SPACING * len(found.kpoints) / _affordable(n_orbitals):.2g}")
    fewer = band_path(atoms, path, coarser)
    note = (
        f"{n_orbitals} orbitals: {len(fewer.kpoints)} k-points {coarser:g} 1/Å apart on the path; "
        f"--spacing {SPACING:g} computes {len(found.kpoints)}."
    )
    return fewer, [note]


def choose_mesh(atoms: Atoms, n_orbitals: int, size: ArrayLike | None = None) -> IntArray:
    """The mesh of the density of states and of a metal's Fermi level.

    Args:
        atoms: Crystal, slab or chain.
        n_orbitals: Of one cell.
        size: Points along each reciprocal vector [3]; by default as many as `MESH_WORK` allows, evenly dense.

    Returns:
        Points along each reciprocal vector [3].

    Raises:
        HampredError: Not three positive integers, or more than `MOST_KPOINTS` points.
    """
    if size is not None:
        chosen = np.asarray(size)
        if chosen.shape == (3,) and chosen.min() > 0 and np.prod(chosen.astype(float)) > MOST_KPOINTS:
            raise HampredError(f"A k-mesh of {_text(chosen)} has more than {MOST_KPOINTS:,} points: give fewer.")
        KMesh.gamma_centred(chosen)
        return chosen
    periodic, length = periodic_directions(atoms), LONGEST
    while True:
        chosen = np.where(periodic, CrystalLevel(kpoint_length=length).kpoint_mesh(atoms), 1)
        if chosen.max() == 1 or 0.5 * chosen.prod() * n_orbitals <= MESH_WORK:  # half, by time reversal
            return chosen
        length *= 0.95


def _affordable(n_orbitals: int) -> int:
    """k-points that `WORK` allows."""
    return max(int(WORK / n_orbitals**3), 1)


def _text(size: NDArray) -> str:
    return "×".join(map(str, size))
