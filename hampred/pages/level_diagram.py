"""Orbital energies around the gap as a drawing (SVG) whose levels choose what is shown in 3D."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.channel import Channel, channels
from hampred.pages.scene import State, signed, surfaces
from hampred.units import HARTREE

Array = NDArray[np.float64]

BELOW, ABOVE = 10.0, 8.0
"""What is shown below the HOMO and above the LUMO, eV."""

WIDTH, HEIGHT, EDGE = 300, 500, 26
LEFT, RIGHT = 52, 180
"""Between which levels are drawn."""

COLUMN_GAP = 14
"""Between the levels of α and β."""

DEGENERATE = 0.01
"""Difference (eV) below which levels stand side by side."""

LINE = 15
"""Height of a line of text."""


def level_diagram(state: State) -> str:
    """The drawing; of an open shell the levels of α and β side by side.

    Args:
        state: The molecule; levels HOMO−2 to LUMO+2 of each spin carry the number of their surface as ``data-field``.
    """
    low, high = _window(state)
    shown = np.concatenate([channel.energies for channel in channels(state)]) * HARTREE
    shown = shown[(shown >= low) & (shown <= high)]
    low, high = np.floor(max(low, shown.min() - 1)), np.ceil(min(high, shown.max() + 1))
    scale = (HEIGHT - 2 * EDGE) / (high - low)

    def y(energy: float) -> float:
        return float(EDGE + (high - energy) * scale)

    drawn, columns = surfaces(state), channels(state)
    width = (RIGHT - LEFT - COLUMN_GAP * (len(columns) - 1)) / len(columns)
    parts = [*_axis(low, high, y)]
    for column, channel in enumerate(columns):
        left = LEFT + column * (width + COLUMN_GAP)
        parts += _levels(channel, drawn, (left, left + width), (low, high), y)
    homo, lumo = HARTREE * state.homo, HARTREE * state.lumo
    parts += _words(homo, lumo, y)
    told = f"HOMO {signed(homo)} eV" + (f", LUMO {signed(lumo)} eV" if np.isfinite(lumo) else "")
    return (
        f'<svg id="levels" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Orbital energies: {told}">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def left_out(state: State) -> str:
    """How many levels the drawing leaves out, in words."""
    energies = HARTREE * np.concatenate([channel.energies for channel in channels(state)])
    low, high = _window(state)
    counts = {"lower": int((energies < low).sum()), "higher": int((energies > high).sum())}
    parts = [f"{count} {where}" for where, count in counts.items() if count]
    return f"{' and '.join(parts)} orbitals are not drawn." if parts else ""


def _window(state: State) -> tuple[float, float]:
    """Between which energies levels are drawn, eV."""
    homo, lumo = HARTREE * state.homo, HARTREE * state.lumo
    ends = [homo, lumo] if np.isfinite(lumo) else [homo]
    return min(ends) - BELOW, max(ends) + ABOVE


def _levels(
    channel: Channel,
    drawn: Mapping[tuple[str, int], int],
    column: tuple[float, float],
    window: tuple[float, float],
    y: Callable[[float], float],
) -> Iterator[str]:
    """The levels of one spin between two heights (eV), in a column of the drawing."""
    if channel.spin:
        yield f'<text class="spin" x="{sum(column) / 2:.1f}" y="{EDGE - 14}">{channel.spin}</text>'
    energies = HARTREE * channel.energies
    for group in _groups(energies, np.flatnonzero((energies >= window[0]) & (energies <= window[1]))):
        for k, (left, right) in zip(group, _places(len(group), *column)):
            kind = "occupied" if k < channel.n_occupied else "empty"
            number = drawn.get((channel.spin, int(k)))
            target = "" if number is None else f' data-field="{number}"'
            what = f"{channel.spin} orbital" if channel.spin else "Orbital"
            title = f"{what} {k + 1}: {signed(energies[k], 3)} eV"
            ends = f'x1="{left:.1f}" x2="{right:.1f}" y1="{y(energies[k]):.1f}" y2="{y(energies[k]):.1f}"'
            yield f'<g class="{kind}"{target}><title>{title}</title><line class="reach" {ends}/><line {ends}/></g>'


def _axis(low: float, high: float, y: Callable[[float], float]) -> Iterator[str]:
    """Energies at the left, and a thin line for each."""
    for energy in np.arange(np.ceil(low / 2) * 2, high + 0.1, 2):
        yield f'<line class="grid" x1="{LEFT - 6}" x2="{RIGHT + 8}" y1="{y(energy):.1f}" y2="{y(energy):.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 10}" y="{y(energy) + 4:.1f}">{signed(energy, 0)}</text>'
    yield f'<text class="tick unit" x="{LEFT - 6}" y="{EDGE - 14}">eV</text>'


def _groups(energies: Array, shown: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Levels that are degenerate together."""
    return np.split(shown, np.flatnonzero(np.diff(energies[shown]) > DEGENERATE) + 1) if len(shown) else []


def _places(n: int, first: float, last: float) -> list[tuple[float, float]]:
    """From where to where n levels side by side are drawn."""
    between = 8 if n > 1 else 0
    width = min(70.0, (last - first - between * (n - 1)) / n)
    start = (first + last - n * width - between * (n - 1)) / 2
    return [(start + k * (width + between), start + k * (width + between) + width) for k in range(n)]


def _words(homo: float, lumo: float, y: Callable[[float], float]) -> Iterator[str]:
    """HOMO, LUMO and the gap between them (eV)."""
    x, low = RIGHT + 16, y(homo)
    if not np.isfinite(lumo):
        yield f'<text x="{x}" y="{low + 5:.1f}">HOMO {signed(homo)}</text>'
        return
    high = y(lumo)
    apart = max(0.0, LINE - (low - high)) / 2
    yield f'<text x="{x}" y="{low + apart + 5:.1f}">HOMO {signed(homo)}</text>'
    yield f'<text x="{x}" y="{high - apart + 5:.1f}">LUMO {signed(lumo)}</text>'
    if low - high > 4 * LINE:
        middle = (low + high) / 2
        for start, end in ((high + LINE, middle - LINE), (middle + 10, low - LINE + 4)):
            yield f'<line class="gap" x1="{x + 20}" x2="{x + 20}" y1="{start:.1f}" y2="{end:.1f}"/>'
        yield f'<text class="gap" x="{x}" y="{middle + 2:.1f}">gap {signed(lumo - homo)}</text>'
