"""Bands: energies ε_n(k) of a crystal, its band gap and Fermi level."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.orbitals import fermi_level
from hampred.errors import HampredError

Array = NDArray[np.float64]

TEMPERATURE = 1e-3
"""Hartree (27 meV); k_B T of the occupations of a metal."""


@dataclass(frozen=True)
class BandGap:
    """Edges of the bands on the k-points that were sampled.

    Attributes:
        vbm: Highest energy of the occupied bands, Hartree.
        cbm: Lowest energy of the empty bands, Hartree.
        vbm_index: k-point of the highest occupied energy.
        cbm_index: k-point of the lowest empty energy.
        direct: Smallest difference at one k, Hartree.
        direct_index: k-point where it is.
    """

    vbm: float
    cbm: float
    vbm_index: int
    cbm_index: int
    direct: float
    direct_index: int

    @property
    def indirect(self) -> float:
        """CBM − VBM, Hartree; negative where the bands overlap."""
        return self.cbm - self.vbm


@dataclass(frozen=True, eq=False)
class Bands:
    """Energies at some k-points: along a path, or on a mesh.

    Attributes:
        kpoints: In units of the reciprocal vectors [n, 3].
        energies: Hartree, ascending at each k [n, n_bands].
        n_electrons: In one cell.
        distances: Length of the path up to each k, 1/Å [n]; None on a mesh.
        labels: (index of the k-point, name) of the corners of the path.
        ticks: (distance, name) of the corners of the path.
        weights: Share of the Brillouin zone of each k [n], sum 1; None on a path.
        spread: Half the change of each energy to the next k of a mesh, Hartree [n, n_bands]; None on a path.
        characters: Mulliken weights, ``Si p`` → [n, n_bands]. They sum to 1 over the names; single ones may leave
            [0, 1], as Mulliken populations do.
    """

    kpoints: Array
    energies: Array
    n_electrons: float
    distances: Array | None = None
    labels: tuple[tuple[int, str], ...] = ()
    ticks: tuple[tuple[float, str], ...] = ()
    weights: Array | None = None
    spread: Array | None = None
    characters: Mapping[str, Array] = field(default_factory=dict)

    def __repr__(self) -> str:
        where = "path" if self.weights is None else "mesh"
        return f"Bands({len(self.kpoints)} k-points of a {where}, n_bands={self.n_bands}, n_occupied={self.n_occupied})"

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return self.energies.shape[1]

    @property
    def n_occupied(self) -> int:
        """Bands that the electrons fill in an insulator; rounded down where they are odd."""
        return int(self.n_electrons // 2)

    @cached_property
    def gap(self) -> BandGap:
        """Edges next to `n_occupied`.

        Raises:
            HampredError: There is no occupied, or no empty band.
        """
        n = self.n_occupied
        if not 0 < n < self.n_bands:
            raise HampredError(f"{n} occupied of {self.n_bands} bands have no gap between them: check the basis.")
        top, bottom = self.energies[:, n - 1], self.energies[:, n]
        vbm, cbm, direct = int(top.argmax()), int(bottom.argmin()), int((bottom - top).argmin())
        return BandGap(float(top[vbm]), float(bottom[cbm]), vbm, cbm, float(bottom[direct] - top[direct]), direct)

    @property
    def is_metal(self) -> bool:
        """Whether bands are partly filled on these k-points: an odd number of electrons, or no gap."""
        return self.n_electrons % 2 != 0 or (self.n_occupied < self.n_bands and self.gap.indirect <= 0)

    def fermi_level(self, temperature: float = TEMPERATURE) -> float:
        """Middle of the gap of an insulator; of a metal the level of Fermi–Dirac occupations on the mesh.

        Args:
            temperature: k_B T, Hartree.

        Raises:
            HampredError: A metal along a path, which does not sample the Brillouin zone.
        """
        if not self.is_metal:
            return 0.5 * (self.gap.vbm + self.gap.cbm) if self.n_occupied < self.n_bands else float(self.energies.max())
        if self.weights is None:
            raise HampredError("The Fermi level of a metal needs a k-mesh: a path does not sample the Brillouin zone.")
        return fermi_level(self.energies, self.n_electrons, temperature, self.weights)
