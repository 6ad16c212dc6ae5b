"""The Hamiltonian as an image, orbital by orbital, with lines between the atoms."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.basis import BasisLayout
from hampred.pages.plots import image
from hampred.units import HARTREE

Array = NDArray[np.float64]

DECADES = 5
"""Below the largest element; smaller ones have the darkest colour."""

MOST_ATOMS = 40
"""Atoms up to which each gets its label."""


def matrix_image(layout: BasisLayout, symbols: list[str], matrices: dict[str, Array]) -> str:
    """Absolute values of matrices on logarithmic scales.

    Args:
        layout: Orbitals of each atom.
        symbols: Of the atoms.
        matrices: Title → matrix [n, n], Hartree.

    Returns:
        HTML.
    """

    def picture(title: str, matrix: Array) -> str:
        values = HARTREE * np.abs(matrix)
        return image(lambda axes: _draw(axes, layout, symbols, title, values), 1, 5.6, 4.8, f"{title}, as an image")

    return f'<div class="figures">{"".join(picture(*each) for each in matrices.items())}</div>'


def _draw(axes: Any, layout: BasisLayout, symbols: list[str], title: str, values: Array) -> None:
    from matplotlib.colors import LogNorm

    high = float(values.max()) or 1.0
    norm = LogNorm(high * 10.0**-DECADES, high, clip=True)
    axes.grid(False)
    axes.set_title(title)
    picture = axes.imshow(np.maximum(values, norm.vmin), cmap="cividis", norm=norm, interpolation="nearest")
    axes.figure.colorbar(picture, ax=axes, label="absolute value / eV", shrink=0.85)
    edges, n = layout.offsets - 0.5, layout.n_atoms
    if n <= MOST_ATOMS:
        width = 0.8 if n <= 15 else 0.4
        axes.hlines(edges[1:-1], edges[0], edges[-1], color="white", linewidth=width)
        axes.vlines(edges[1:-1], edges[0], edges[-1], color="white", linewidth=width)
        names = [f"{symbol}{k}" for k, symbol in enumerate(symbols, 1)]
        font = 10 if n <= 10 else 7 if n <= 16 else 5
        middles = (edges[1:] + edges[:-1]) / 2
        axes.set_xticks(middles, names, rotation=90, fontsize=font)
        axes.set_yticks(middles, names, fontsize=font)
        axes.tick_params(length=0)
    else:
        axes.set(xlabel="orbital", ylabel="orbital")
