"""The bands of PySCF on the same path: an SCF, and F(k) built at every k-point."""

import time
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from hampred.data.sample import LevelOfTheory
from hampred.electronic import eigen
from hampred.electronic.bands import Bands
from hampred.errors import HampredError
from hampred.evaluation.band_structure import Show
from hampred.interop.periodic_fock import MAX_CYCLE, PeriodicFock

PORTION = 64
"""k-points at which F is built at once; each portion costs one more evaluation of the density."""

ELEMENTS = 2**24
"""Elements of the matrices of a portion."""


@dataclass(frozen=True, eq=False)
class BandReference:
    """PySCF's bands.

    Attributes:
        bands: On the path of the prediction.
        cycles: Of the SCF.
        scf_seconds: From the geometry to the converged density.
        bands_seconds: From the density to the bands.
    """

    bands: Bands
    cycles: int
    scf_seconds: float
    bands_seconds: float

    @property
    def seconds(self) -> float:
        """From the geometry to the bands."""
        return self.scf_seconds + self.bands_seconds


def reference_fock(atoms: Atoms, level: LevelOfTheory) -> PeriodicFock:
    """PySCF's mean field of a crystal at the level of a model, not yet run.

    Raises:
        HampredError: A level for molecules, and as `PeriodicFock`.
    """
    if level.crystal is None:
        raise HampredError("This level of theory is one for molecules: bands need a model of crystals.")
    return PeriodicFock(atoms, level.functional, level.basis, level.crystal)


def reference_bands(atoms: Atoms, level: LevelOfTheory, path: Bands, show: Show | None = None) -> BandReference:
    """Converges the density with PySCF and diagonalises its F(k) along the path.

    Args:
        atoms: The crystal.
        level: Of the model.
        path: Predicted bands, on whose k-points the reference is computed.
        show: Called as the work goes on.

    Raises:
        HampredError: As `reference_fock`.
        FailedError: The SCF does not converge.
    """
    start = time.perf_counter()
    fock = reference_fock(atoms, level)
    density = fock.converge(level.conv_tol, progress=show and (lambda cycle: show("PySCF's SCF", cycle, MAX_CYCLE)))
    middle = time.perf_counter()
    n, energies = fock.layout.n_orbitals, []
    step = min(PORTION, max(ELEMENTS // n**2, 1))
    for first in range(0, len(path.kpoints), step):
        if show:
            show("PySCF's bands", first, len(path.kpoints))
        k = path.kpoints[first : first + step]
        overlaps = fock.overlap(k)
        energies += [eigen.energies(f, s) for f, s in zip(fock.at(density, k), overlaps)]
    n_bands = min(map(len, energies))
    bands = replace(path, energies=np.array([level[:n_bands] for level in energies]), characters={})
    return BandReference(bands, int(fock.field.cycles), middle - start, time.perf_counter() - middle)
