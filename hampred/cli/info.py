"""`hampred info`: what a store or a model holds."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hampred.errors import FailedError, HampredError

if TYPE_CHECKING:
    from hampred.data.sample import HamiltonianSample
    from hampred.data.store import Store

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SHOWN = 10
KINDS = ("molecule", "chain", "slab", "crystal")
"""By the number of periodic directions."""

UNITS = {
    "ke_cutoff": "ke_cutoff_Eh",
    "kpoint_length": "kpoint_length_A",
    "folding_length": "folding_length_A",
    "smearing": "smearing_Eh",
}


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(info)


def info(
    file: Annotated[Path, typer.Argument(help="Store (labels.h5), model file, checkpoint or run folder.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read everything and check every hash.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Summarise a store of labels or a model."""
    from hampred.cli.output import print_json, print_table

    if not (file.is_file() or file.is_dir()):
        raise HampredError(f"There is no file {file}: give a store, a model or the folder of a run.")
    found = _store(file, verify) if _is_hdf5(file) else _model(file, verify)
    if as_json:
        print_json(found)
    else:
        print_table(str(file), ("", ""), [(name, _text(value)) for name, value in found.items()])
    if found.get("damaged"):
        raise FailedError(f"{len(found['damaged'])} samples of {file} are damaged: make the store again.")


def _is_hdf5(path: Path) -> bool:
    if path.is_dir():
        return False
    if path.suffix in (".h5", ".hdf5"):
        return True
    with path.open("rb") as file:
        return file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE


def _store(path: Path, verify: bool) -> dict[str, Any]:
    """Summary of a store as plain JSON types."""
    from ase.data import chemical_symbols

    from hampred.data.store import Store

    with Store(path) as store:
        failures = store.header.get("failures", [])
        found: dict[str, Any] = {
            "kind": "store",
            "n_samples": len(store),
            "molecules": dict(Counter(store.molecules).most_common()),
            "elements": {chemical_symbols[z]: n for z, n in _counts(store.numbers).items()},
            "atoms_per_sample": _counts(store.n_atoms),
            **(_crystals(store) if store.level.crystal else _conditions(store)),
            **_level(store.level.of_spins(store.of_samples("spin")).to_dict()),
            "basis_hash": store.basis.hash[:16],
            "label_noise_uEh": _scaled(store.header.get("label_noise_Eh"), 1e6),
            "n_failures": len(failures),
            "failures": dict(Counter(_reason(failure) for failure in failures).most_common()),
        }
        if verify:
            found["damaged"] = store.damaged()
    return found


def _counts(values: Iterable[int]) -> dict[int, int]:
    """Number → how often it is there, ascending."""
    return dict(sorted(Counter(map(int, values)).items()))


def _conditions(store: "Store") -> dict[str, Any]:
    """Charges (e), unpaired electrons and fields of the labels of molecules."""
    import numpy as np

    strengths = np.linalg.norm(store.of_samples("electric_field"), axis=1)
    counts = {f"{name}s": _counts(store.of_samples(name)) for name in ("charge", "spin")}
    return {**counts, "largest_field_V_A": float(strengths.max(initial=0.0))}


def _crystals(store: "Store") -> dict[str, Any]:
    """Cells, meshes and errors of the labels of crystals; those of damaged samples are left out."""
    from hampred.units import HARTREE

    kinds, meshes, foldings = Counter[str](), Counter[str](), Counter[str]()
    volumes, errors, gaps = [], [], []
    for sample in _readable(store):
        atoms, notes = sample.atoms, sample.provenance
        kinds[KINDS[int(atoms.pbc.sum())]] += 1
        meshes[_mesh(notes.get("kpoint_mesh"))] += 1
        foldings[_mesh(notes.get("folding_mesh"))] += 1
        volumes += [atoms.cell.volume / len(atoms)] if atoms.pbc.all() else []
        errors += [notes["folding_error_meV"]] if "folding_error_meV" in notes else []
        gaps += [HARTREE * notes["gap_on_mesh_Eh"]] if notes.get("gap_on_mesh_Eh") is not None else []
    return {
        "periodicity": dict(kinds.most_common()),
        "volume_per_atom_A3": _range(volumes),
        "kpoint_meshes": dict(meshes.most_common()),
        "folding_meshes": dict(foldings.most_common()),
        "folding_error_meV": _range(errors),
        "gap_on_mesh_eV": _range(gaps),
        "n_metals": sum(gap <= 0 for gap in gaps),
    }


def _readable(store: "Store") -> "Iterator[HamiltonianSample]":
    """Samples whose checksum holds."""
    for index in range(len(store)):
        try:
            yield store[index]
        except HampredError:
            continue


def _mesh(size: Any) -> str:
    return "×".join(map(str, size)) if size else "unknown"


def _range(values: list[float]) -> dict[str, float] | None:
    """Smallest, median and largest; None without values."""
    if not values:
        return None
    return {"min": float(min(values)), "median": median(values), "max": float(max(values))}


def _reason(failure: Any) -> str:
    """Kind and reason of a failure that a generator noted."""
    if not isinstance(failure, dict):
        return str(failure)
    return ": ".join(str(failure[key]) for key in ("kind", "reason") if failure.get(key))


def _level(level: dict[str, Any]) -> dict[str, Any]:
    """What defines the labels; of crystals without what molecules alone have."""
    from hampred.interop.crystal_level import MOLECULES_ONLY

    crystal = level.get("crystal")
    shown = {name: value for name, value in level.items() if not (crystal and name in ("crystal", *MOLECULES_ONLY))}
    shown |= {f"crystal.{UNITS.get(name, name)}": value for name, value in (crystal or {}).items()}
    return {f"level.{name}": value for name, value in shown.items() if value not in (None, "")}


def _model(path: Path, verify: bool) -> dict[str, Any]:
    """Summary of a model as plain JSON types."""
    from hampred.data.sample import LevelOfTheory
    from hampred.model_file import load_model, read_header

    header = read_header(path)
    provenance = header["provenance"]
    found = {
        "kind": "model",
        "predicts": "crystals" if header["level"].get("crystal") else "molecules",
        "net": header["net"]["name"],
        **{f"net.{name}": value for name, value in header["net"]["settings"].items() if _short(value)},
        "baseline": header["baseline"].get("name"),
        "shells": {symbol: len(e["shells"]) for symbol, e in header["basis"]["elements"].items()},
        **_level(LevelOfTheory.from_dict(header["level"]).of_spins(provenance.get("spins", [0])).to_dict()),
        "basis_hash": header["basis_hash"][:16],
        **{f"n_{part}": len(keys) for part, keys in header["split"].items()},
        **_calibration(header.get("calibration")),
        **{f"provenance.{name}": value for name, value in provenance.items() if _short(value) and name != "n_train"},
    }
    if verify:
        load_model(path)  # weights and header must fit together
        found["verified"] = True
    return found


def _calibration(header: dict[str, Any] | None) -> dict[str, Any]:
    """How large the errors of a model are on atoms like those of its labels, and how sure that is."""
    from hampred.cli.output import counted
    from hampred.confidence import Calibration

    if header is None:
        return {"calibrated": False}
    found = Calibration.from_dict(header)
    share, spread = (100 * x for x in found.coverage)
    return {
        "calibrated_on": f"{counted(found.n_structures, 'label')} of {counted(found.n_molecules, 'molecule')}",
        "expected_within_bounds": f"{share:.0f} ± {spread:.0f} %",
        **{f"usual_bound.{metric}": bound for metric, bound in found.bounds(found.usual).items()},
        "notes": found.notes,
    }


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _short(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool)) or (isinstance(value, list) and len(value) <= 6)


def _text(value: Any) -> str:
    """A value in one cell of the table."""
    if isinstance(value, dict):
        parts = [f"{name}: {_text(count)}" if name != "" else _text(count) for name, count in value.items()][:SHOWN]
        return ", ".join(parts) + (f", … {len(value) - SHOWN} more" if len(value) > SHOWN else "") or "none"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else str(value)
