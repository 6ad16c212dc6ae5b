"""The page of a predicted molecule: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hampred.electronic.channel import channels
from hampred.electronic.eigen import DEPENDENCE
from hampred.electronic.open_shell import OpenShellState
from hampred.files import replacing
from hampred.pages.html import GAP_BOUND, bounded, data_block, note, page, table
from hampred.pages.level_diagram import left_out, level_diagram
from hampred.pages.matrix_image import matrix_image
from hampred.pages.provenance import of_programs
from hampred.pages.scene import PHASES, State, populations, scene, signed
from hampred.units import DEBYE, HARTREE

if TYPE_CHECKING:
    from hampred.confidence import Confidence  # whose package imports torch

Array = NDArray[np.float64]

SCRIPTS = ("vendor/3Dmol-min.js", "surface.js", "molecule.js")

MOST_ROWS = 30
"""Of a table that is not made to scroll."""


@dataclass(frozen=True, eq=False)
class MoleculePage:
    """What the page of a molecule tells.

    Attributes:
        state: The molecule and its Hamiltonian, or those of both spins.
        name: Of the molecule; any text.
        about: Where the Hamiltonian comes from: what → text.
        baseline: H0 [n, n], Hartree, whose correction is shown too.
        energy: Total energy, Hartree.
        notes: What the reader should know.
        confidence: How sure the prediction is, which bounds the error of the gap.
    """

    state: State
    name: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    baseline: Array | None = None
    energy: float | None = None
    notes: Sequence[str] = ()
    confidence: "Confidence | None" = None

    def html(self) -> str:
        """The page, without any outside resource."""
        sections = [
            ("", self._head() + "".join(map(note, self._all_notes()))),
            ("", _stage(self.state)),
            ("Orbitals around the gap", _orbitals(self.state)),
            ("Atoms", _atoms(self.state)),
            ("Hamiltonian", self._matrices()),
            ("Provenance", table(("", ""), [*self.about.items(), *of_programs().items()])),
        ]
        style, *scripts = (_resource(name) for name in ("molecule.css", *SCRIPTS))
        return page(self.name or self.state.atoms.get_chemical_formula(), sections, style, scripts)

    def write(self, path: Path) -> None:
        """Writes the page; it appears under its name only when complete.

        Raises:
            HampredError: The path cannot be written.
        """
        content = self.html()
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")

    def frame(self, height: int = 900) -> str:
        """The page within another one, such as a notebook, which its scripts cannot reach.

        Args:
            height: Pixels.
        """
        return (
            f'<iframe srcdoc="{escape(self.html())}" sandbox="allow-scripts" title="Predicted molecule" '
            f'style="width: 100%; height: {height}px; border: 1px solid #ddd;"></iframe>'
        )

    def _head(self) -> str:
        """Formula and level of theory, and what is asked first."""
        state = self.state
        charge = f", charge {signed(state.charge, 0)}" if state.charge else ""
        level = self.about.get("Level of theory", "")
        formula = state.atoms.get_chemical_formula()
        subtitle = " · ".join(filter(None, (f"{formula}{charge}" if self.name != formula or charge else "", level)))
        told = {
            "HOMO": f"{signed(HARTREE * state.homo, 3)} eV",
            "LUMO": f"{signed(HARTREE * state.lumo, 3)} eV" if np.isfinite(state.lumo) else "–",
            "Gap": self._gap(),
            "Dipole": f"{DEBYE * np.linalg.norm(state.dipole):.3f} D",
            "Electrons": f"{state.occupations.sum():.0f}",
            "Orbitals": str(state.orbital_energies.shape[-1]),
        }
        if isinstance(state, OpenShellState):
            told |= {"Unpaired electrons": str(state.spin), "⟨S²⟩": f"{state.s_squared:.3f}"}
        if self.energy is not None:
            told["Total energy"] = f"{signed(self.energy, 6)} Eₕ"
        items = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for what, value in told.items())
        return f'<p class="subtitle">{escape(subtitle)}</p>\n<dl class="key">{items}</dl>\n'

    def _gap(self) -> str:
        """The gap, with the bound of its error where one is known."""
        gap, known = HARTREE * self.state.gap, self.confidence
        if not np.isfinite(gap):
            return "–"
        if known is None or "gap_mae_meV" not in known.bounds:
            return f"{signed(gap, 3)} eV"
        return bounded(gap, known.bounds["gap_mae_meV"] / 1e3 if known.tested else None).replace("-", "−") + " eV"

    def _matrices(self) -> str:
        state = self.state
        spins = isinstance(state, OpenShellState)
        matrices = {"|H|" + ", mean of both spins" * spins: state.hamiltonian}
        if self.baseline is not None:
            matrices["|H − H0|, beyond the baseline"] = state.hamiltonian - self.baseline
        if spins:
            matrices["½ |H_α − H_β|, the splitting of the spins"] = state.spin_splitting
        return matrix_image(state.layout, state.atoms.get_chemical_symbols(), matrices)

    def _all_notes(self) -> list[str]:
        state, notes = self.state, list(self.notes)
        if state.charge:
            notes.append("The dipole moment of an ion depends on the origin of the coordinates.")
        if lost := state.layout.n_orbitals - state.orbital_energies.shape[-1]:
            notes.append(f"{lost} orbitals with an overlap eigenvalue below {DEPENDENCE} were projected out")
        if self.confidence is not None and "gap_mae_meV" in self.confidence.bounds:
            notes.append(GAP_BOUND)
        return list(dict.fromkeys(notes))


def _stage(state: State) -> str:
    """The molecule in 3D, what is shown there, and the levels beside it."""
    data = scene(state)
    legend = "".join(
        f'<span><span class="phase" style="background: {colour}"></span>{sign}</span>'
        for colour, sign in zip(PHASES, ("positive", "negative"))
    )
    kinds = "".join(f'<option value="{kind}">{name}s</option>' for kind, name in populations(state).items())
    dipole = '<label><input type="checkbox" id="dipole"> Dipole, from − to +</label>' if data["dipole"] else ""
    return f"""<div class="stage"><div>
<div id="viewer" tabindex="0" role="application"
 aria-label="Molecule in 3D. Arrow keys turn it, plus and minus zoom."></div>
<p id="shown" aria-live="polite"></p>
<div id="controls">
{_buttons(state, [field["name"] for field in data["fields"]])}
<label>Surface at <input type="range" id="level" min="0" max="100" step="1"> <output id="level-value"></output></label>
{dipole}
<label>Labels <select id="labels"><option value="none">none</option><option value="atoms">atoms</option>
{kinds}</select></label>
<span class="note">Sign:{legend}</span>
</div>
<noscript><p class="note">The molecule in 3D needs JavaScript; the numbers below are complete without it.</p></noscript>
</div><div>
{level_diagram(state)}{note(f"Click a level to see its orbital. {left_out(state)}".strip())}</div></div>
""" + data_block("molecule-data", data)


def _buttons(state: State, names: Sequence[str]) -> str:
    """What is drawn: a row of orbitals for each spin, and one of densities; of a closed shell all in one row."""
    rows, rest = [], [*enumerate(names)]
    for channel in channels(state) if isinstance(state, OpenShellState) else ():
        n = len(channel.around_gap())
        rows.append(rest[:n])
        rest = rest[n:]
    return "\n".join(
        '<div class="row" role="group" aria-label="Surface">'
        + "".join(
            f'<button type="button" data-field="{i}" aria-pressed="false">{escape(name)}</button>' for i, name in row
        )
        + "</div>"
        for row in [*rows, [*rest, ("none", "No surface")]]
    )


def _orbitals(state: State) -> str:
    head = ("orbital", "number", "electrons", "energy / eV", "energy / Eₕ")
    rows = [
        (
            channel.named(name),
            str(k + 1),
            f"{channel.occupations[k]:.3g}",
            signed(HARTREE * channel.energies[k], 3),
            signed(channel.energies[k], 5),
        )
        for channel in channels(state)
        for name, k in reversed(channel.around_gap().items())
    ]
    return f'<div class="scroll numbers">{table(head, rows)}</div>'


def _atoms(state: State) -> str:
    kinds = populations(state)
    units = [f"{name} / e" if "charge" in name else name for name in kinds.values()]
    values = zip(*(state.properties[kind] for kind in kinds))
    rows = [
        (f"{symbol}{k}", *(signed(x, 4) for x in position), *(signed(q, 3) for q in own))
        for k, (symbol, position, own) in enumerate(
            zip(state.atoms.get_chemical_symbols(), state.atoms.positions, values), 1
        )
    ]
    head = ("atom", "x / Å", "y / Å", "z / Å", *units)
    kind = "scroll numbers tall" if len(rows) > MOST_ROWS else "scroll numbers"
    return f'<div class="{kind}" tabindex="0">{table(head, rows)}</div>'


@cache
def _resource(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
