"""CrystalLevel: what defines the label of a crystal beyond functional, basis and convergence."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.errors import HampredError

IntArray = NDArray[np.int64]


MOLECULES_ONLY = ("grid_level", "density_fit", "auxbasis")
"""Parts of a level of theory that crystals do not have."""


@dataclass(frozen=True)
class CrystalLevel:
    """Pseudopotential, plane waves and meshes of k-points.

    Meshes are given as lengths, so that one level holds for a cell, its strained copies and its supercells: a direction
    whose lattice planes are h apart gets the smallest number of points n with n h ≥ length; a direction that is not
    periodic gets one point.

    Attributes:
        pseudo: PySCF's name of the pseudopotentials.
        ke_cutoff: Kinetic energy up to which the density is expanded in plane waves, Hartree.
        kpoint_length: Of the Γ-centred mesh on which the density is converged, Å.
        folding_length: Of the odd mesh whose H(k) are transformed to H(R), Å: H(R) must have decayed at half of it.
        smearing: Width of the Fermi–Dirac occupations of a metal, Hartree; 0 for insulators.
    """

    pseudo: str = "gth-pbe"
    ke_cutoff: float = 20.0
    kpoint_length: float = 10.0
    folding_length: float = 18.0
    smearing: float = 0.0

    def kpoint_mesh(self, atoms: Atoms) -> IntArray:
        """Points of the mesh of the density along each reciprocal cell vector [3]."""
        return mesh_of(atoms, self.kpoint_length)

    def folding_mesh(self, atoms: Atoms) -> IntArray:
        """Points of the mesh of H(k) along each reciprocal cell vector [3], all odd."""
        return mesh_of(atoms, self.folding_length) // 2 * 2 + 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CrystalLevel":
        """Inverse of `to_dict`; unknown keys are ignored."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})


def heights(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of the lattice planes along each cell vector [3], in the unit of the cell vectors (rows) [3, 3].

    Raises:
        HampredError: The cell has no volume.
    """
    lengths = np.linalg.norm(cell, axis=1)
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-6 * max(float(np.prod(lengths)), 1e-6):
        raise HampredError(
            "The cell has no volume: give three independent cell vectors, with vacuum along directions that are not "
            "periodic (ASE: atoms.center(vacuum=8, axis=2))."
        )
    return plane_distances(cell)


def plane_distances(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of the lattice planes along each cell vector [3], which all are 0 where the cell has no volume."""
    areas = np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    return abs(np.linalg.det(cell)) / np.maximum(areas, 1e-12)


def mesh_of(atoms: Atoms, length: float) -> IntArray:
    """Points along each reciprocal cell vector [3]: smallest n with n h ≥ length (Å), 1 where there are no periods."""
    # the tolerance keeps n of a supercell commensurate where both are equal
    n = np.ceil(length / heights(atoms.cell.array) - 1e-6).astype(np.int64)
    return np.where(atoms.pbc, np.maximum(n, 1), 1)
