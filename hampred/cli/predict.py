"""`hampred predict`: Hamiltonians and orbitals of structures."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

SHOWN = 40
"""Structures in the table that is printed."""

MOLECULE_COLUMNS = {"name": None, "formula": None, "HOMO / eV": 3, "LUMO / eV": 3, "gap / eV": 3, "dipole / D": 3}
CRYSTAL_COLUMNS = {"name": None, "formula": None, "k-mesh": None}
CRYSTAL_COLUMNS |= {"gap / eV": 3, "direct / eV": 3, "VBM or E_F / E_h": 5}
"""Titles of columns and their decimals."""
PROPERTY_COLUMNS = {"energy_Eh": ("E / E_h", 5), "largest_force_Eh_A": ("max |F| / E_h/Å", 4)}
"""What a molecule is told with ``--energy`` and ``--forces``: key, title of the column and decimals."""

BOUND = "bound_gap_mae_meV"
"""Key of the error of the gap that 90 % of the predictions stay below."""

ZERO = "The zero of energy of a crystal has no meaning: H(R) is known up to μ S(R), and only differences count."


class Format(StrEnum):
    """Kinds of files: `hampred.evaluation.prediction_formats.FORMATS`, which is slow to import."""

    NPZ = "npz"
    H5 = "h5"
    JSON = "json"
    EXTXYZ = "extxyz"
    MOLDEN = "molden"
    CUBE = "cube"
    HTML = "html"


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
    spin: Annotated[
        int | None,
        typer.Option(min=0, help="Unpaired electrons of each structure; by default what its file says, else 0."),
    ] = None,
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", help="Kind of files to write; repeatable.", show_default="npz"),
    ] = None,
    energy: Annotated[bool, typer.Option("--energy", help="Total energy too: a Fock build for each molecule.")] = False,
    forces: Annotated[bool, typer.Option("--forces", help="Energy and forces too: a gradient besides.")] = False,
    spacing: Annotated[float, typer.Option(min=0.01, max=2.0, help="Of the points of cube files, Å.")] = 0.2,
    precision: Annotated[Precision, typer.Option(help="Of the network.")] = Precision.FLOAT64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict Hamiltonian, orbital energies and density matrix of molecules, or H(R) and S(R) of crystals."""
    from hampred.cli.output import print_json, write_json
    from hampred.cli.progress import ProgressLine
    from hampred.files import require_writable
    from hampred.interop.structures import read_named

    named = read_named(structures, taken=("summary",))  # whose JSON file would be that of the run
    import hampred.inference as inference
    from hampred.evaluation.prediction_files import SUMMARY, PredictionFiles, kind_of
    from hampred.large import is_large, predict_stream, require_affordable

    predictor = inference.load(model, dtype=precision.value)
    crystals = predictor.level.crystal is not None
    kinds = {}
    for name, atoms in named.items():
        if spin is not None:
            atoms.info["multiplicity"] = spin + 1  # which has but one meaning
        own_charge = predictor.check(atoms, charge, name)
        require_affordable(predictor, atoms, name)
        kinds[name] = kind_of(atoms, is_large(predictor, atoms), own_charge)
    files = PredictionFiles(out, [*dict.fromkeys(f.value for f in formats or [Format.NPZ])], energy, forces, spacing)
    files.check(named, kinds, predictor.basis)
    require_writable(out)
    files.start()
    results, summary = [], {"model": str(model), "level": predictor.level.of_spins(predictor.trained_spins).to_dict()}
    summary |= {"precision": precision.value, "notes": [ZERO] if crystals else []}
    try:
        with ProgressLine() as line:
            for name, prediction in zip(named, predict_stream(predictor, named.values(), charge)):
                results.append(files.write(name, prediction))
                line.show("predicting", len(results), len(named))
    finally:  # an interrupted run tells what it has
        files.finish()
        summary |= {"complete": len(results) == len(named), "structures": results}
        write_json(out / SUMMARY, summary)
    if as_json:
        print_json(summary)
    else:
        _print(results, crystals, out)


def _print(results: Sequence[dict[str, Any]], crystals: bool, out: Path) -> None:
    """Prints a table of the first structures, and what the user should know."""
    from hampred.cli.output import counted, print_table
    from hampred.pages.html import GAP_BOUND

    if crystals:
        columns, row = CRYSTAL_COLUMNS, _crystal_row
    else:
        columns, row = dict(MOLECULE_COLUMNS), _molecule_row
        for key, (title, digits) in PROPERTY_COLUMNS.items():
            columns |= {title: digits} if any(key in result for result in results) else {}
    print_table("", list(columns), map(row, results[:SHOWN]), {t: d for t, d in columns.items() if d is not None})
    if crystals:
        typer.echo(ZERO)
    if any(BOUND in result and result["gap_eV"] is not None for result in results[:SHOWN]):
        typer.echo(GAP_BOUND)
    for result in results[:SHOWN]:
        for text in result["notes"]:
            typer.echo(f"note: {result['name']}: {text}", err=True)
    more = f"… and {len(results) - SHOWN} more, all of them in summary.json\n" if len(results) > SHOWN else ""
    typer.echo(f"{more}{counted(len(results), 'structure')}: files and summary.json in {out}")


def _molecule_row(result: dict[str, Any]) -> list[str | float | None]:
    """What the table tells of a molecule."""
    values = [result[column] for column in ("name", "formula", "homo_eV", "lumo_eV")]
    return [*values, _gap(result), result["dipole_D"], *(result[key] for key in PROPERTY_COLUMNS if key in result)]


def _crystal_row(result: dict[str, Any]) -> list[str | float | None]:
    """What the table tells of a crystal."""
    mesh, zero = result["kpoint_mesh"], result["energy_zero"]
    size = "×".join(map(str, mesh)) if mesh else "–"
    gap = "metal" if result["is_metal"] else _gap(result)
    return [result["name"], result["formula"], size, gap, result["direct_gap_eV"], zero and zero["energy_Eh"]]


def _gap(result: dict[str, Any]) -> str | float | None:
    """The gap (eV), with the bound of its error where one is known."""
    from hampred.confidence.calibration import LEVELS
    from hampred.pages.html import bounded

    if BOUND not in result or result["gap_eV"] is None:
        return result["gap_eV"]
    return bounded(result["gap_eV"], result[BOUND] / 1e3 if result["warning"] != LEVELS[-1] else None)
