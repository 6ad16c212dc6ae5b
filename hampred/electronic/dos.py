"""DensityOfStates: bands on a k-mesh, each energy broadened by a Gaussian as wide as the mesh is coarse."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hampred.electronic.bands import Bands
from hampred.errors import HampredError

Array = NDArray[np.float64]

WIDTH = 0.004
"""Hartree (0.1 eV); smallest standard deviation of the Gaussians."""


@dataclass(frozen=True, eq=False)
class DensityOfStates:
    """States per energy of one cell, both spins.

    Attributes:
        energies: Hartree [m].
        total: 1/Hartree [m]; integrates to 2 · n_bands.
        projected: Mulliken shares, ``Si p`` → [m], 1/Hartree; they sum to the total.
        width: Smallest standard deviation of the Gaussians, Hartree.
    """

    energies: Array
    total: Array
    projected: Mapping[str, Array]
    width: float


def density_of_states(bands: Bands, width: float = WIDTH, energies: ArrayLike | None = None) -> DensityOfStates:
    """Density of states 2 Σ_k w_k Σ_n g(ε − ε_n(k)) with normalised Gaussians g of variance width² + spread².

    Args:
        bands: On a mesh.
        width: Standard deviation of g where a band is flat, Hartree.
        energies: Where to evaluate it [m], Hartree; by default all bands and 6 widths beyond, 5 points a width.

    Raises:
        HampredError: Bands along a path, or a width that is not positive.
    """
    if bands.weights is None:
        raise HampredError("A density of states needs bands on a k-mesh: a path does not sample the Brillouin zone.")
    if not width > 0:
        raise HampredError(f"A width of {width} Hartree: give a positive number.")
    widths = np.hypot(width, 0.0 if bands.spread is None else bands.spread) + 0 * bands.energies
    low, high = float((bands.energies - 6 * widths).min()), float((bands.energies + 6 * widths).max())
    grid = np.linspace(low, high, int(5 * (high - low) / width)) if energies is None else np.asarray(energies, float)
    shares = {"total": np.ones_like(bands.energies), **bands.characters}
    values = {name: np.zeros(len(grid)) for name in shares}
    for k, (weight, levels, sigma) in enumerate(zip(bands.weights, bands.energies, widths)):
        gaussians = np.exp(-0.5 * ((grid[:, None] - levels) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        for name, share in shares.items():
            values[name] += 2 * weight * (gaussians @ share[k])
    return DensityOfStates(grid, values.pop("total"), values, width)
