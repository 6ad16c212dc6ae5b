"""What `hampred bands` writes: figures, bands.json and a report in one HTML file."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hampred.evaluation.band_figure import CHARACTER_COLOURS, WINDOW, save_band_figure
from hampred.evaluation.band_numbers import MASS_HEAD, edge_rows, mass_rows, reference_rows
from hampred.evaluation.band_reference import BandReference
from hampred.evaluation.band_structure import BandStructure
from hampred.files import replacing
from hampred.interop.crystal_level import MOLECULES_ONLY
from hampred.pages.html import note, page, table
from hampred.units import HARTREE

FORMATS = ("png", "svg")
BANDS, FAT_BANDS = "bands", "fat_bands"
"""Names of the figures."""


def write_figures(out: Path, found: BandStructure, reference: BandReference | None = None) -> list[str]:
    """Draws the bands, and fat bands where there are Mulliken weights, into a folder as PNG and SVG.

    Returns:
        Names of the files.

    Raises:
        HampredError: They cannot be written.
    """
    zero: dict[str, Any] = {"zero": found.zero.energy, "zero_name": found.zero.name, "window": _window(found)}
    known = None if reference is None else reference.bands
    names = [f"{BANDS}.{form}" for form in FORMATS]
    for name in names:
        save_band_figure(out / name, found.path, found.dos, reference=known, **zero)
    if not found.path.characters:
        return names
    fat = [f"{FAT_BANDS}.{form}" for form in FORMATS]
    for name in fat:
        save_band_figure(out / name, found.path, found.dos, characters=shown_characters(found), **zero)
    return names + fat


def shown_characters(found: BandStructure) -> list[str]:
    """Names of the Mulliken weights that are drawn: as many as there are colours, the largest in the window."""
    energies, (low, high) = HARTREE * (found.dos.energies - found.zero.energy), _window(found)
    inside = (energies > low) & (energies < high)
    size = {name: float(np.abs(part[inside]).sum()) for name, part in found.dos.projected.items()}
    largest = sorted(size, key=lambda name: size[name], reverse=True)[: len(CHARACTER_COLOURS)]
    return [name for name in size if name in largest]


def _window(found: BandStructure) -> tuple[float, float]:
    """Energies that are drawn, eV about the zero: a wide gap is shown whole."""
    edge = HARTREE * (found.edge.energy - found.zero.energy)
    return edge + WINDOW[0], edge + max(WINDOW[1], HARTREE * (found.gap or 0) + 4)


def write_report(out: Path, found: BandStructure, about: Mapping[str, Any]) -> None:
    """Writes report.html beside the figures, which it holds.

    Args:
        out: Folder of the figures.
        found: What to report.
        about: What bands.json holds.

    Raises:
        HampredError: The path cannot be written.
    """
    title = f"Bands of {found.state.atoms.get_chemical_formula()}"
    sections = [
        ("Bands", _bands(out, found, about)),
        ("Elements and shells", _fat_bands(out, found)),
        ("Gap and band edges", table(("", ""), edge_rows(found))),
        ("Effective masses", _masses(found)),
        ("Against PySCF", _reference(about.get("reference"))),
        ("Notes", "".join(map(note, found.notes))),
        ("How it was made", table(("", ""), _provenance(found, about))),
    ]
    with replacing(out / "report.html") as temporary:
        temporary.write_text(page(title, sections), encoding="utf-8")


def _bands(out: Path, found: BandStructure, about: Mapping[str, Any]) -> str:
    size = "×".join(map(str, found.mesh_size))
    text = (
        f"{len(found.path.kpoints)} k-points along the path; density of states of both spins from a {size} mesh "
        f"({len(found.mesh.kpoints)} points, Gaussians of {HARTREE * found.dos.width:.2g} eV or more). "
        f"Energies are relative to the {found.zero.name}."
    )
    if about.get("reference"):
        text += f" The bands are aligned to the reference over the occupied ones ({_shift(about['reference'])})."
    return note(text) + _image(out / f"{BANDS}.png")


def _fat_bands(out: Path, found: BandStructure) -> str:
    if not found.path.characters:
        return ""
    text = "The area of a dot is the Mulliken weight of the shells of an element in the orbital."
    hidden = set(found.path.characters) - set(shown_characters(found))
    if hidden:
        text += f" Not drawn, but in bands.json: {', '.join(sorted(hidden))}."
    return note(text) + _image(out / f"{FAT_BANDS}.png")


def _image(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{path.stem}" src="data:image/png;base64,{data}">'


def _shift(reference: Mapping[str, Any]) -> str:
    return f"a shift of {reference['shift_meV']:.3g} meV: the potential of an infinite crystal has no zero"


def _masses(found: BandStructure) -> str:
    rows = mass_rows(found)
    if not rows:
        return ""
    text = (
        "1/(d²ε/dk²) at the extremum next to the edge, negative at a maximum: along the principal axes of a single "
        "band, along x, y and z where several bands meet, which have no tensor."
    )
    return note(text) + table(MASS_HEAD, rows)


def _reference(told: Mapping[str, Any] | None) -> str:
    return table(("", ""), reference_rows(told)) if told else ""


def _provenance(found: BandStructure, about: Mapping[str, Any]) -> Sequence[tuple[str, str | float | None]]:
    level = {name: value for name, value in about.get("level", {}).items() if name not in MOLECULES_ONLY}
    crystal = level.pop("crystal", None) or {}
    rows: list[tuple[str, str | float | None]] = [
        (name, str(about[name])) for name in ("structure", "model", "hampred", "made") if name in about
    ]
    rows += [(f"level: {name}", str(value)) for name, value in {**level, **crystal}.items() if value not in (None, "")]
    rows += [
        ("atoms", str(len(found.state.atoms))),
        ("orbitals", str(found.state.layout.n_orbitals)),
        ("electrons", f"{found.state.n_electrons:g}"),
        ("cell / Å", json.dumps(found.state.atoms.cell.array.round(4).tolist())),
    ]
    return rows + [(f"seconds: {name}", value) for name, value in about.get("seconds", {}).items()]
