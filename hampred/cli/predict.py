"""`hampred predict`: Hamiltonians and orbitals of structures."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hampred.errors import HampredError

if TYPE_CHECKING:
    from ase import Atoms

SHOWN = 40
"""Structures in the table that is printed."""

ZERO = "The zero of energy of a crystal has no meaning: H(R) is known up to μ S(R), and only differences count."


class Format(StrEnum):
    """Files that are written for each structure."""

    NPZ = "npz"
    MOLDEN = "molden"
    BOTH = "both"


class Precision(StrEnum):
    """Precision of the network."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(predict)


def predict(
    structures: Annotated[list[Path], typer.Argument(help="Files with one or more structures, in any format of ASE.")],
    model: Annotated[Path, typer.Option(help="Model file, checkpoint or run folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("predictions"),
    charge: Annotated[
        int | None, typer.Option(help="Total charge of each structure, e; by default what its file says, else 0.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="Files to write for each structure.")] = Format.NPZ,
    precision: Annotated[Precision, typer.Option(help="Of the network.")] = Precision.FLOAT64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict Hamiltonian, orbital energies and density matrix of molecules, or H(R) and S(R) of crystals."""
    from hampred.cli.output import print_json, write_json
    from hampred.cli.progress import ProgressLine
    from hampred.files import require_writable

    named = _read(structures)
    import hampred.inference as inference
    from hampred.evaluation.prediction_files import FORMATS, write_prediction
    from hampred.large import predict_stream, require_affordable

    predictor = inference.load(model, dtype=precision.value)
    crystals = predictor.level.crystal is not None
    for name, atoms in named.items():
        predictor.check(atoms, charge, name)
        require_affordable(predictor, atoms, name)
    if crystals and format_ is not Format.NPZ:
        raise HampredError(f"--format {format_.value}: molden files hold molecules only; crystals have --format npz.")
    require_writable(out)
    formats = FORMATS if format_ is Format.BOTH else (format_.value,)
    results = []
    with ProgressLine() as line:
        for name, prediction in zip(named, predict_stream(predictor, named.values(), charge)):
            results.append(write_prediction(out, name, prediction, formats))
            line.show("predicting", len(results), len(named))
    summary = {
        "model": str(model),
        "level": predictor.level.to_dict(),
        "precision": precision.value,
        "notes": [ZERO] if crystals else [],
        "structures": results,
    }
    write_json(out / "summary.json", summary)
    if as_json:
        print_json(summary)
    else:
        _print(results, crystals, out)


def _print(results: Sequence[dict[str, Any]], crystals: bool, out: Path) -> None:
    """Prints a table of the first structures, and what the user should know."""
    from hampred.cli.output import print_table

    if crystals:
        head = ("structure", "formula", "k-mesh", "gap / eV", "direct / eV", "VBM or E_F / E_h")
        rows = [_crystal_row(result) for result in results[:SHOWN]]
    else:
        columns = ("name", "formula", "homo_eV", "lumo_eV", "gap_eV", "dipole_D")
        head = ("structure", "formula", "HOMO / eV", "LUMO / eV", "gap / eV", "dipole / D")
        rows = [[result[column] for column in columns] for result in results[:SHOWN]]
    print_table("", head, rows)
    if crystals:
        typer.echo(ZERO)
    for result in results[:SHOWN]:
        for text in result["notes"]:
            typer.echo(f"note: {result['name']}: {text}", err=True)
    more = f"… and {len(results) - SHOWN} more, all of them in summary.json\n" if len(results) > SHOWN else ""
    count = "1 structure" if len(results) == 1 else f"{len(results)} structures"
    typer.echo(f"{more}{count}: matrices and summary.json in {out}")


def _crystal_row(result: dict[str, Any]) -> list[str | float | None]:
    """What the table tells of a crystal."""
    mesh, zero = result["kpoint_mesh"], result["energy_zero"]
    size = "×".join(map(str, mesh)) if mesh else "–"
    gap = "metal" if result["is_metal"] else result["gap_eV"]
    return [result["name"], result["formula"], size, gap, result["direct_gap_eV"], zero and zero["energy_Eh"]]


def _read(paths: Sequence[Path]) -> "dict[str, Atoms]":
    """All structures of all files under names that are unique, read before anything is computed."""
    from hampred.interop.structures import read_structures

    named: dict[str, Atoms] = {}
    for path in paths:
        images = read_structures(path)
        width = len(str(len(images)))
        for k, atoms in enumerate(images):
            stem = path.stem if len(images) == 1 else f"{path.stem}-{k + 1:0{width}d}"
            name, copy = stem, 1
            while name in named:
                copy += 1
                name = f"{stem}.{copy}"
            named[name] = atoms
    return named
