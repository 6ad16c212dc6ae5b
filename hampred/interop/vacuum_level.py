"""The electrostatic potential in the vacuum beside a slab or around a chain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hampred.errors import HampredError
from hampred.interop.periodic_fock import PeriodicFock

Array = NDArray[np.float64]

STEP = 1.0
"""Å, over which the potential is compared with itself."""


@dataclass(frozen=True)
class VacuumLevel:
    """Energy of an electron at rest in the vacuum.

    Attributes:
        energy: Hartree, about the zero of energy of F (`PeriodicFock.at`).
        slope: Largest change of the potential over `STEP` in the vacuum, Hartree; 0 where it is wide enough.
    """

    energy: float
    slope: float


def vacuum_level(fock: PeriodicFock, density: NDArray) -> VacuumLevel:
    """Electrostatic potential in the middle of the vacuum, averaged along the periodic directions.

    Args:
        fock: Of a slab or chain.
        density: Density matrices at the k-points of ``fock.field`` [n_kpts, n_orbitals, n_orbitals].

    Raises:
        HampredError: The structure is periodic along all cell vectors.
    """
    atoms = fock.atoms
    if atoms.pbc.all():
        raise HampredError("A crystal without a vacuum has no vacuum level: give a slab or chain, or another zero.")
    potential = _electrostatic_potential(fock, density)
    potential = potential.mean(axis=tuple(np.flatnonzero(atoms.pbc)), keepdims=True)
    shape = np.array(potential.shape)
    middle = np.array([_middle_of_void(fractions) for fractions in atoms.get_scaled_positions().T])
    place = np.round(middle * shape).astype(int) % shape
    step = np.maximum(np.round(STEP / atoms.cell.lengths() * shape).astype(int), 1)
    around = [sign * step * axis for axis in np.eye(3, dtype=int) for sign in (-1, 1)]
    level = float(potential[tuple(place)])
    nearby = np.array([potential[tuple((place + change) % shape)] for change in around])
    return VacuumLevel(level, float(np.abs(nearby - level).max()))


def _electrostatic_potential(fock: PeriodicFock, density: NDArray) -> Array:
    """Hartree potential and the long-ranged part of the pseudopotentials on the grid of the density, Hartree.

    Both are what F holds: their averages over the cell are PySCF's.
    """
    from pyscf.pbc import tools
    from pyscf.pbc.gto.pseudo import pp_int

    cell, mesh = fock.cell, fock.cell.mesh
    wave_vectors = cell.get_Gv(mesh)
    rho = np.asarray(fock.field._numint.get_rho(cell, density, None, fock.field.kpts)).real
    hartree = tools.get_coulG(cell, mesh=mesh) * tools.fft(rho, mesh) * (cell.vol / len(rho))
    cores = -np.einsum("ag,ag->g", cell.get_SI(wave_vectors), pp_int.get_gth_vlocG_part1(cell, wave_vectors))
    return tools.ifft((hartree + cores) * (len(rho) / cell.vol), mesh).real.reshape(mesh)


def _middle_of_void(fractions: Array) -> float:
    """Middle of the widest gap between positions along one cell vector, as a fraction of it."""
    ordered = np.sort(fractions % 1.0)
    gaps = np.diff([*ordered, ordered[0] + 1.0])
    widest = int(gaps.argmax())
    return float(ordered[widest] + gaps[widest] / 2) % 1.0
