"""Figures of band structures: bands, fat bands, density of states, and a reference behind them."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.band_error import alignment
from hampred.electronic.bands import Bands
from hampred.electronic.dos import DensityOfStates
from hampred.errors import HampredError
from hampred.pages.plots import COLOURS, save
from hampred.units import HARTREE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

CHARACTER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito again, one for each element and l."""

WINDOW = (-15.0, 10.0)
"""eV about the zero of energy, where the bands reach that far."""


def save_band_figure(
    path: Path,
    bands: Bands,
    dos: DensityOfStates | None = None,
    reference: Bands | None = None,
    characters: Sequence[str] = (),
    zero: float | None = None,
    zero_name: str = "VBM",
    window: tuple[float, float] = WINDOW,
) -> None:
    """Draws a band structure into a PNG, SVG or PDF file.

    Args:
        path: File.
        bands: Along a path.
        dos: Of the same Hamiltonian, drawn beside the bands.
        reference: On the same path, drawn in black; the bands are shifted by `alignment` to it.
        characters: Names of Mulliken weights, such as ``Si p``, drawn as the area of dots.
        zero: Hartree, drawn as zero; by default the highest occupied energy on the path. A metal has the Fermi level.
        zero_name: What is zero.
        window: Lowest and highest energy, eV.

    Raises:
        HampredError: Bands on a mesh, weights that were not computed, a metal without a zero, or a file that
            cannot be written.
    """
    _distances(bands)
    missing = [name for name in characters if name not in bands.characters]
    if missing:
        known = ", ".join(bands.characters) or "none: compute bands with projected=True"
        raise HampredError(f"No Mulliken weights of {', '.join(missing)}; there are {known}.")
    zero = _highest_occupied(bands) if zero is None else zero

    def draw(axes: "Axes", beside: "Axes | None" = None) -> None:
        draw_bands(axes, bands, reference, zero, zero_name, window, grey=bool(characters))
        _draw_characters(axes, bands, zero, characters)
        if reference is not None or characters:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        if beside is not None and dos is not None:
            _draw_dos(beside, dos, zero, characters)

    save(path, draw, [5.0] if dos is None else [5.0, 1.8], height=4.5)


def draw_bands(
    axes: "Axes",
    bands: Bands,
    reference: Bands | None,
    zero: float,
    zero_name: str,
    window: tuple[float, float] = WINDOW,
    grey: bool = False,
) -> None:
    """Draws lines and scales of a band structure; arguments as `save_band_figure`.

    Args:
        axes: To draw into.
        bands: Along a path.
        reference: On the same path, or None.
        zero: Hartree.
        zero_name: What is zero.
        window: Lowest and highest energy, eV.
        grey: Whether the bands are the background of something else.
    """
    if reference is not None:
        shifted = zero + alignment(bands, reference)
        _draw_lines(axes, reference, shifted, COLOURS["label"], "-", "reference")
    colour = "#999999" if grey else COLOURS["prediction"]
    style, label = ("--", "prediction") if reference is not None else ("-", None)
    _draw_lines(axes, bands, zero, colour, style, label)
    _finish(axes, bands, zero, zero_name, window)


def greek(names: str) -> str:
    """Names of k-points as people write them: Γ for G."""
    return re.sub(r"\bG\b", "Γ", names)


def _highest_occupied(bands: Bands) -> float:
    if bands.is_metal:
        raise HampredError("Bands of a metal: give the Fermi level, which follows from bands on a k-mesh.")
    return float(bands.energies[:, bands.n_occupied - 1].max())


def _distances(bands: Bands) -> Array:
    if bands.distances is None:
        raise HampredError("A figure of bands needs a path: these were computed on a mesh.")
    return bands.distances


def _runs(bands: Bands) -> list[slice]:
    """Parts of the path without a jump."""
    corners, at = [index for index, _ in bands.labels], _distances(bands)
    jumps = [b for a, b in pairwise(corners) if b == a + 1 and at[a] == at[b]]
    return [slice(a, b) for a, b in pairwise([0, *jumps, len(at)])]


def _draw_lines(axes: "Axes", bands: Bands, zero: float, colour: str, style: str, label: str | None) -> None:
    x, energies = _distances(bands), HARTREE * (bands.energies - zero)
    width = float(np.clip(60 / bands.n_bands, 0.3, 1.2))  # hundreds of bands would be one area
    for run in _runs(bands):
        lines = axes.plot(x[run], energies[run], color=colour, linestyle=style, linewidth=width)
        lines[0].set_label(label or "")
        label = None


def _draw_characters(axes: "Axes", bands: Bands, zero: float, characters: Sequence[str]) -> None:
    style = {"alpha": 0.5, "linewidths": 0}
    distances = np.broadcast_to(_distances(bands)[:, None], bands.energies.shape)
    for name, colour in zip(characters, CHARACTER_COLOURS):
        area = 20 * np.clip(bands.characters[name], 0, None)  # negative Mulliken weights have no area
        # thousands of dots: pixels, also in SVG and PDF
        axes.scatter(distances, HARTREE * (bands.energies - zero), area, color=colour, rasterized=True, **style)
        axes.scatter([], [], 30, color=colour, label=name, **style)


def _finish(axes: "Axes", bands: Bands, zero: float, zero_name: str, window: tuple[float, float]) -> None:
    low, high = (HARTREE * (limit - zero) for limit in (bands.energies.min(), bands.energies.max()))
    axes.set_ylim(max(window[0], low - 1), min(window[1], high + 1))
    axes.set_xlim(*_distances(bands)[[0, -1]])
    axes.set_xticks([at for at, _ in bands.ticks], [greek(name) for _, name in bands.ticks])
    axes.grid(False, axis="y")
    axes.axhline(0.0, color="#000000", linewidth=0.6, linestyle=":")
    axes.set_ylabel(f"energy − {zero_name} / eV")


def _draw_dos(axes: "Axes", dos: DensityOfStates, zero: float, characters: Sequence[str]) -> None:
    energies = HARTREE * (dos.energies - zero)
    axes.plot(dos.total / HARTREE, energies, color=COLOURS["label"], linewidth=1.2)
    for name, colour in zip(characters, CHARACTER_COLOURS):
        if name in dos.projected:
            axes.plot(dos.projected[name] / HARTREE, energies, color=colour, linewidth=1.2)
    low, high = axes.get_ylim()
    shown = dos.total[(energies > low) & (energies < high)] / HARTREE
    axes.set_xlim(0, 1.05 * float(shown.max(initial=1e-6)))
    axes.axhline(0.0, color="#000000", linewidth=0.6, linestyle=":")
    axes.set_xlabel("states / (eV cell)")
    axes.locator_params(axis="x", nbins=3, prune="lower")  # the zero would touch the last name of the path
