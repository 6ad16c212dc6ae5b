"""Orbital energies around the gap as a drawing (SVG) whose levels choose what is shown in 3D."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.state import ElectronicState
from hampred.pages.scene import frontier, signed
from hampred.units import HARTREE

Array = NDArray[np.float64]

BELOW, ABOVE = 10.0, 8.0
"""What is shown below the HOMO and above the LUMO, eV."""

WIDTH, HEIGHT, EDGE = 300, 500, 26
LEFT, RIGHT = 52, 180
"""Between which levels are drawn."""

DEGENERATE = 0.01
"""Difference (eV) below which levels stand side by side."""

LINE = 15
"""Height of a line of text."""


def level_diagram(state: ElectronicState) -> str:
    """The drawing.

    Args:
        state: The molecule; levels HOMO−2 to LUMO+2 carry the index of their surface as ``data-field``.
    """
    energies = HARTREE * state.orbital_energies
    n = state.n_occupied
    top = energies[n] if n < len(energies) else energies[n - 1]
    low, high = energies[n - 1] - BELOW, top + ABOVE
    shown = np.flatnonzero((energies >= low) & (energies <= high))
    low, high = np.floor(max(low, energies[shown[0]] - 1)), np.ceil(min(high, energies[shown[-1]] + 1))
    scale = (HEIGHT - 2 * EDGE) / (high - low)

    def y(energy: float) -> float:
        return float(EDGE + (high - energy) * scale)

    field_of = {k: i for i, k in enumerate(frontier(state).values())}
    parts = [*_axis(low, high, y)]
    for group in _groups(energies, shown):
        for k, (left, right) in zip(group, _places(len(group))):
            kind = "occupied" if k < n else "empty"
            target = f' data-field="{field_of[k]}"' if k in field_of else ""
            title = f"Orbital {k + 1}: {signed(energies[k], 3)} eV"
            ends = f'x1="{left:.1f}" x2="{right:.1f}" y1="{y(energies[k]):.1f}" y2="{y(energies[k]):.1f}"'
            parts.append(
                f'<g class="{kind}"{target}><title>{title}</title><line class="reach" {ends}/><line {ends}/></g>'
            )
    parts += _words(energies, n, y)
    told = f"HOMO {signed(energies[n - 1])} eV" + (f", LUMO {signed(energies[n])} eV" if n < len(energies) else "")
    return (
        f'<svg id="levels" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Orbital energies: {told}">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def left_out(state: ElectronicState) -> str:
    """How many levels the drawing leaves out, in words."""
    energies, n = HARTREE * state.orbital_energies, state.n_occupied
    low = int((energies < energies[n - 1] - BELOW).sum())
    high = int((energies > energies[min(n, len(energies) - 1)] + ABOVE).sum())
    parts = [f"{low} lower"] * bool(low) + [f"{high} higher"] * bool(high)
    return f"{' and '.join(parts)} orbitals are not drawn." if parts else ""


def _axis(low: float, high: float, y: Callable[[float], float]) -> Iterator[str]:
    """Energies at the left, and a thin line for each."""
    for energy in np.arange(np.ceil(low / 2) * 2, high + 0.1, 2):
        yield f'<line class="grid" x1="{LEFT - 6}" x2="{RIGHT + 8}" y1="{y(energy):.1f}" y2="{y(energy):.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 10}" y="{y(energy) + 4:.1f}">{signed(energy, 0)}</text>'
    yield f'<text class="tick unit" x="{LEFT - 6}" y="{EDGE - 14}">eV</text>'


def _groups(energies: Array, shown: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Levels that are degenerate together."""
    return np.split(shown, np.flatnonzero(np.diff(energies[shown]) > DEGENERATE) + 1)


def _places(n: int) -> list[tuple[float, float]]:
    """From where to where n levels side by side are drawn."""
    between = 8 if n > 1 else 0
    width = min(70.0, (RIGHT - LEFT - between * (n - 1)) / n)
    start = (LEFT + RIGHT - n * width - between * (n - 1)) / 2
    return [(start + k * (width + between), start + k * (width + between) + width) for k in range(n)]


def _words(energies: Array, n: int, y: Callable[[float], float]) -> Iterator[str]:
    """HOMO, LUMO and the gap between them."""
    x, homo = RIGHT + 16, y(energies[n - 1])
    if n == len(energies):
        yield f'<text x="{x}" y="{homo + 5:.1f}">HOMO {signed(energies[n - 1])}</text>'
        return
    lumo = y(energies[n])
    apart = max(0.0, LINE - (homo - lumo)) / 2
    yield f'<text x="{x}" y="{homo + apart + 5:.1f}">HOMO {signed(energies[n - 1])}</text>'
    yield f'<text x="{x}" y="{lumo - apart + 5:.1f}">LUMO {signed(energies[n])}</text>'
    if homo - lumo > 4 * LINE:
        middle = (homo + lumo) / 2
        for start, end in ((lumo + LINE, middle - LINE), (middle + 10, homo - LINE + 4)):
            yield f'<line class="gap" x1="{x + 20}" x2="{x + 20}" y1="{start:.1f}" y2="{end:.1f}"/>'
        yield f'<text class="gap" x="{x}" y="{middle + 2:.1f}">gap {signed(energies[n] - energies[n - 1])}</text>'
