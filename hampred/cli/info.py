"""`hampred info`: what a store or a model holds."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hampred.errors import FailedError, HampredError

if TYPE_CHECKING:
    from hampred.data.store import Store

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SHOWN = 10


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
    import numpy as np
    from ase.data import chemical_symbols

    from hampred.data.store import Store

    with Store(path) as store:
        sizes = store.n_atoms
        failures = store.header.get("failures", [])
        found: dict[str, Any] = {
            "kind": "store",
            "n_samples": len(store),
            "molecules": dict(Counter(store.molecules).most_common()),
            "elements": {chemical_symbols[z]: int(n) for z, n in zip(*np.unique(store.numbers, return_counts=True))},
            "atoms_per_sample": {int(n): int(c) for n, c in zip(*np.unique(sizes, return_counts=True))},
            **_level(store.level.to_dict()),
            "basis_hash": store.basis.hash[:16],
            "label_noise_Eh": store.header.get("label_noise_Eh"),
            "n_failures": len(failures),
            "failures": dict(Counter(_reason(failure) for failure in failures).most_common()),
        }
        if verify:
            found["damaged"] = _damaged(store)
    return found


def _damaged(store: "Store") -> list[int]:
    return store.damaged()


def _reason(failure: Any) -> str:
    """Kind and reason of a failure that a generator noted."""
    if not isinstance(failure, dict):
        return str(failure)
    return ": ".join(str(failure[key]) for key in ("kind", "reason") if failure.get(key))


def _level(level: dict[str, Any]) -> dict[str, Any]:
    return {f"level.{name}": value for name, value in level.items() if value not in (None, "")}


def _model(path: Path, verify: bool) -> dict[str, Any]:
    """Summary of a model as plain JSON types."""
    from hampred.model_file import load_model, read_header

    header = read_header(path)
    provenance = header["provenance"]
    found = {
        "kind": "model",
        "net": header["net"]["name"],
        **{f"net.{name}": value for name, value in header["net"]["settings"].items() if _short(value)},
        "baseline": header["baseline"].get("name"),
        "elements": {symbol: len(e["shells"]) for symbol, e in header["basis"]["elements"].items()},
        **_level(header["level"]),
        "basis_hash": header["basis_hash"][:16],
        **{f"n_{part}": len(keys) for part, keys in header["split"].items()},
        **{f"provenance.{name}": value for name, value in provenance.items() if _short(value)},
    }
    if verify:
        load_model(path)  # weights and header must fit together
        found["verified"] = True
    return found


def _short(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool)) or (isinstance(value, list) and len(value) <= 6)


def _text(value: Any) -> str:
    """A value in one cell of the table."""
    if isinstance(value, dict):
        parts = [f"{name} {count}" if name != "" else str(count) for name, count in list(value.items())[:SHOWN]]
        return ", ".join(parts) + (f", … {len(value) - SHOWN} more" if len(value) > SHOWN else "") or "none"
    return "–" if value is None else str(value)
