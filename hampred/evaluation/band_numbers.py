"""The numbers of a band structure: as plain JSON types, and as rows of the tables that people read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hampred.electronic.band_error import alignment, band_errors
from hampred.electronic.bands import TEMPERATURE, Bands
from hampred.electronic.masses import EffectiveMasses
from hampred.evaluation.band_figure import greek
from hampred.evaluation.band_reference import BandReference
from hampred.evaluation.band_structure import BandEdge, BandStructure
from hampred.pages.html import bounded
from hampred.units import HARTREE

Row = tuple[str, str | float | None]

GAP = "gap_mae_meV"
"""Metric whose bound is told beside the gap."""

ERRORS = {
    "occupied_mae_meV": "occupied bands, mean absolute error / meV",
    "occupied_max_meV": "occupied bands, largest error / meV",
    "gap_error_meV": "error of the gap on the path / meV",
    "direct_gap_error_meV": "error of the direct gap on the path / meV",
}


def to_dict(found: BandStructure) -> dict[str, Any]:
    """Plain JSON types. Energies are eV about ``energy_zero``, k-points in units of the reciprocal vectors."""
    atoms, path, zero = found.state.atoms, found.path, found.zero.energy
    return {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "n_orbitals": found.state.layout.n_orbitals,
        "n_electrons": float(found.state.n_electrons),
        "numbers": atoms.numbers.tolist(),
        "positions_A": _plain(atoms.positions, 10),
        "cell_A": _plain(atoms.cell.array, 10),
        "pbc": [bool(periodic) for periodic in atoms.pbc],
        "energy_zero": {"name": found.zero.name, "energy_Eh": zero},
        "is_metal": bool(found.is_metal),
        "gap_eV": None if found.gap is None else HARTREE * found.gap,
        "gap_kind": None if found.gap is None else "direct" if found.gap_is_direct else "indirect",
        "direct_gap_eV": None if found.direct is None else HARTREE * found.direct.energy,
        "direct_gap_at": None if found.direct is None else _place(found.direct),
        "vbm": _edge(found.vbm, zero),
        "cbm": _edge(found.cbm, zero),
        "fermi_level_eV": HARTREE * (found.fermi_level - zero),
        "fermi_smearing_eV": HARTREE * TEMPERATURE if found.is_metal else 0.0,
        "effective_masses": {name: _masses(masses, zero) for name, masses in found.masses.items()},
        "path": {
            "kpoints": _plain(path.kpoints, 10),
            "distances_per_A": _plain(path.distances, 10),
            "labels": [{"index": index, "name": name} for index, name in path.labels],
            "energies_eV": _energies(path, zero),
            "mulliken_weights": {name: _plain(weight, 6) for name, weight in path.characters.items()},
        },
        "mesh": {"size": list(found.mesh_size), "n_kpoints": len(found.mesh.kpoints)},
        "dos": {
            "energies_eV": _plain(HARTREE * (found.dos.energies - zero), 6),
            "total_per_eV": _plain(found.dos.total / HARTREE, 6),
            "projected_per_eV": {name: _plain(part / HARTREE, 6) for name, part in found.dos.projected.items()},
            "smallest_width_eV": HARTREE * found.dos.width,
        },
        **_sure(found),
        "notes": list(found.notes),
    }


def reference_to_dict(found: BandStructure, reference: BandReference, seconds: float) -> dict[str, Any]:
    """PySCF's bands, aligned to the predicted ones, the errors and what both took.

    Args:
        found: Prediction.
        reference: On the same path.
        seconds: From the geometry to the predicted bands.
    """
    bands = reference.bands
    errors, zero = band_errors(found.path, bands), found.zero.energy + alignment(found.path, bands)
    has_gap = not bands.is_metal and bands.n_occupied < bands.n_bands
    return {
        "gap_eV": HARTREE * bands.gap.indirect if has_gap else None,
        "energies_eV": _energies(bands, zero),
        **{name: value if np.isfinite(value) else None for name, value in errors.items()},
        "scf_cycles": reference.cycles,
        "scf_seconds": reference.scf_seconds,
        "bands_seconds": reference.bands_seconds,
        "seconds": reference.seconds,
        "hampred_seconds": seconds,
        "speedup": reference.seconds / seconds,
    }


def edge_rows(found: BandStructure) -> list[Row]:
    """Gap, band edges and Fermi level: names and values."""
    if found.vbm is None:
        return [
            ("metal", "bands cross the Fermi level"),
            ("Fermi level / Hartree", f"{found.fermi_level:.6f}"),
            *_about_zero(found),
        ]
    rows: list[Row] = []
    if found.gap is not None and found.cbm is not None and found.direct is not None:
        kind = "direct" if found.gap_is_direct else "indirect"
        rows += [("band gap / eV", f"{_gap(found, HARTREE * found.gap)} ({kind})")]
        if not found.gap_is_direct:
            smallest = f"{HARTREE * found.direct.energy:.3f} at {greek(found.direct.place)}"
            rows += [("smallest direct gap / eV", smallest)]
        rows += [("conduction band minimum", greek(found.cbm.place))]
    rows += [("valence band maximum", greek(found.vbm.place)), ("VBM / Hartree", f"{found.vbm.energy:.6f}")]
    return [*rows, *_about_zero(found)]


def _gap(found: BandStructure, gap: float) -> str:
    """The gap (eV), with the bound of its error where one is known."""
    known = found.confidence
    if known is None or GAP not in known.bounds:
        return f"{gap:.3f}"
    return bounded(gap, known.bounds[GAP] / 1e3 if known.tested else None)


def _sure(found: BandStructure) -> dict[str, Any]:
    """Warning level and bounds of the prediction."""
    known = found.confidence
    return {} if known is None else {"warning": known.warning, "bounds": dict(known.bounds)}


def _about_zero(found: BandStructure) -> list[Row]:
    """Edges about a zero that the user chose: minus ionisation energy and affinity, or work function, in a vacuum."""
    if found.chosen_zero is None:
        return []
    edges = [(found.edge.name, found.edge.energy)] + ([("CBM", found.cbm.energy)] if found.cbm else [])
    return [(f"{name} − {found.zero.name} / eV", f"{HARTREE * (e - found.zero.energy):.3f}") for name, e in edges]


def mass_rows(found: BandStructure) -> list[tuple[str, ...]]:
    """Edge, k-point, direction and masses of the bands that meet there."""
    rows = []
    for name, edge in found.masses.items():
        k = ", ".join(f"{x:.3g}" for x in np.round(edge.kpoint, 6) + 0.0)
        for direction, masses in zip(edge.directions, edge.masses.T):
            rows.append((name.upper(), k, _direction(direction), ", ".join(f"{mass:.3g}" for mass in masses)))
    return rows


MASS_HEAD = ("edge", "k-point", "direction", "masses / m_e")
"""Titles of the columns of `mass_rows`."""


def reference_rows(told: Mapping[str, Any]) -> list[Row]:
    """Rows about `reference_to_dict`; no errors of the gap where the reference has none."""
    known = [name for name in ERRORS if told["gap_eV"] is not None or "gap" not in name]
    rows: list[Row] = [(ERRORS[name], told[name]) for name in known]
    if told["gap_eV"] is not None:
        rows += [("gap of PySCF on the path / eV", told["gap_eV"])]
    rows += [
        ("hampred, from the structure to the bands / s", told["hampred_seconds"]),
        (f"PySCF, SCF of {told['scf_cycles']} cycles / s", told["scf_seconds"]),
        ("PySCF, bands / s", told["bands_seconds"]),
        ("speed-up", told["speedup"]),
    ]
    return rows


def _plain(values: ArrayLike | None, digits: int) -> Any:
    """Nested lists of rounded numbers, None where they are not finite."""
    array = np.round(np.asarray(values, dtype=float), digits) + 0.0  # no −0
    return np.where(np.isfinite(array), array, None).tolist()


def _energies(bands: Bands, zero: float) -> Any:
    return _plain(HARTREE * (bands.energies - zero), 6)


def _place(edge: BandEdge) -> dict[str, Any]:
    return {"kpoint": _plain(edge.kpoint, 10), "place": edge.place}


def _edge(edge: BandEdge | None, zero: float) -> dict[str, Any] | None:
    return None if edge is None else {"energy_eV": HARTREE * (edge.energy - zero), **_place(edge)}


def _masses(masses: EffectiveMasses, zero: float) -> dict[str, Any]:
    tensor = masses.inverse_tensor
    return {
        "energy_eV": HARTREE * (masses.energy - zero),
        "kpoint": _plain(masses.kpoint, 10),
        "bands": list(masses.bands),  # counted from 0
        "directions": _plain(masses.directions, 6),
        "masses_me": _plain(masses.masses, 6),
        "inverse_tensor_per_me": None if tensor is None else _plain(tensor, 6),
    }


def _direction(vector: NDArray[np.float64]) -> str:
    """``x``, or a unit vector whose largest component is positive."""
    vector = vector * np.sign(vector[np.abs(vector).argmax()])
    for name, axis in zip("xyz", np.eye(3)):
        if np.abs(vector - axis).max() < 1e-3:
            return name
    return "(" + ", ".join(f"{x:.2f}" for x in vector.round(2) + 0.0) + ")"
