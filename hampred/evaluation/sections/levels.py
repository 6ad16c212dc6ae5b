"""Orbital-energy levels side by side: label, prediction, baseline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.evaluation.evaluate import Evaluation, Levels
from hampred.pages.html import note
from hampred.pages.plots import COLOURS, image
from hampred.units import HARTREE

LOWEST, EMPTY = -35.0, 4
"""eV; the valence levels shown, and the empty orbitals beside them."""


def levels(evaluation: Evaluation) -> str:
    """One diagram for each of some molecules; empty for crystals."""
    shown = evaluation.levels
    if not shown:
        return ""

    def draw(*axes: Any) -> None:
        for one, molecule in zip(axes, shown):
            _diagram(one, molecule)

    text = f"Valence levels and the lowest {EMPTY} empty ones; occupied levels are drawn full, empty ones dashed."
    return note(text) + image(draw, len(shown), 4.2, 5.0)


def _diagram(axes: Any, molecule: Levels) -> None:
    columns = [("label", molecule.label), ("prediction", molecule.prediction)]
    if molecule.baseline is not None:
        columns.append(("baseline", molecule.baseline))
    last = molecule.n_occupied + EMPTY
    for place, (name, energies) in enumerate(columns):
        for k, energy in enumerate(HARTREE * energies[:last]):
            style = "-" if k < molecule.n_occupied else (0, (2, 1.5))
            axes.plot(
                [place - 0.38, place + 0.38], [energy, energy], color=COLOURS[name], linestyle=style, linewidth=1.6
            )
    frame = HARTREE * np.concatenate([energies[:last] for _, energies in columns[:2]])
    frame = frame[frame > LOWEST] if (frame > LOWEST).any() else frame
    margin = 0.05 * (frame.max() - frame.min()) + 0.2
    low, high = frame.min() - margin, frame.max() + margin
    axes.set(ylim=(low, high), ylabel="orbital energy / eV")
    axes.set_title(molecule.name[:40], parse_math=False)  # a name may hold dollar signs
    names = [name if _visible(energies[:last], low, high) else f"{name}\n(out of range)" for name, energies in columns]
    axes.set_xticks(range(len(columns)), names)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.grid(axis="x", visible=False)


def _visible(energies: NDArray[np.float64], low: float, high: float) -> bool:
    return bool(((HARTREE * energies > low) & (HARTREE * energies < high)).any())
