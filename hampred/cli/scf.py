"""`hampred scf`: SCFs of PySCF from its default guess and from predictions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ase import Atoms

    from hampred.inference import Predictor

COLUMNS = ("structure", "guess", "cycles", "ratio", "seconds", "ratio", "ΔE / E_h")


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(scf)


def scf(
    structure: Annotated[Path, typer.Argument(help="File with one or more structures, in any format of ASE.")],
    model: Annotated[Path, typer.Option(help="Model file, checkpoint or run folder.")],
    charge: Annotated[
        int | None, typer.Option(help="Total charge of each structure, e; by default what its file says, else 0.")
    ] = None,
    spin: Annotated[
        int | None,
        typer.Option(min=0, help="Unpaired electrons of each structure; by default what its file says, else 0."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for scf.json.", show_default="none")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run PySCF from its default guess and from a predicted Hamiltonian: cycles, seconds, energies."""
    from hampred.cli.output import print_json, write_json
    from hampred.files import require_writable
    from hampred.interop.structures import read_spin, read_structures

    images = read_structures(structure)
    names = [structure.stem if len(images) == 1 else f"{structure.stem}-{k}" for k in range(1, len(images) + 1)]
    import hampred.inference as inference
    from hampred.scf import require_trained_for

    predictor = inference.load(model)
    if spin is not None:
        for atoms in images:
            atoms.info["multiplicity"] = spin + 1  # which has but one meaning
    charges = [predictor.check(atoms, charge, name) for name, atoms in zip(names, images)]
    spins = [read_spin(atoms, own) for atoms, own in zip(images, charges)]
    for own in sorted({*zip(charges, spins)}):
        require_trained_for(predictor, *own)
    if out is not None:
        require_writable(out)
    rows = _compare(predictor, names, images, charges, spins)
    found = {
        "model": str(model),
        "level": predictor.level.of_spins(spins).to_dict(),
        **_summary(rows),
        "structures": rows,
    }
    if out is not None:
        write_json(out / "scf.json", found)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _compare(
    predictor: "Predictor", names: list[str], images: "list[Atoms]", charges: list[int], spins: list[int]
) -> list[dict[str, Any]]:
    """A row of the result for each structure."""
    from hampred.cli.progress import ProgressLine
    from hampred.evaluation.scf_comparison import compare_scf, load_tables

    rows = []
    with ProgressLine() as line:
        for name, atoms, charge, spin in zip(names, images, charges, spins):
            line.show("SCF", len(rows), len(images), more=name)
            if not rows:
                load_tables(predictor, atoms, charge)
            told = {"name": name, "charge": charge, "spin": spin}
            rows.append(told | compare_scf(predictor, atoms, charge).to_dict())
    return rows


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of the sums over all structures, and what the numbers mean."""
    from hampred.evaluation.scf_comparison import DEFINITIONS

    sums = {
        quantity: [sum(row[start][quantity] for row in rows) for start in ("warm", "default")]
        for quantity in ("cycles", "wall_s", "cpu_s")
    }
    return {
        "definitions": DEFINITIONS,
        "ratio_of_sums": {quantity: warm / default for quantity, (warm, default) in sums.items()},
    }


def _print(found: dict[str, Any]) -> None:
    from hampred.cli.output import print_table
    from hampred.evaluation.scf_comparison import SAME_ENERGY

    rows, level = found["structures"], found["level"]
    table = [
        (row["name"], row["guess"])
        + (f"{row['default']['cycles']} → {row['warm']['cycles']}", f"{row['ratio']['cycles']:.2f}")
        + (f"{row['default']['wall_s']:.2f} → {row['warm']['wall_s']:.2f}", f"{row['ratio']['wall_s']:.2f}")
        + (f"{row['energy_difference_Eh']:.0e}",)
        for row in rows
    ]
    of = f"{level['method']} {level['functional']}/{level['basis']}"
    print_table(f"an SCF, {of}: default guess → warm start", COLUMNS, table)
    for row in rows:
        for start in ("default", "warm"):
            if not row[start]["converged"]:
                typer.echo(f"{row['name']}: the SCF from the {start} guess did not converge")
        if row["guess"] == "default":
            typer.echo(f"{row['name']}: the guard left the prediction ({row['guard']['reason']})")
        if abs(row["energy_difference_Eh"]) > SAME_ENERGY and row["default"]["converged"] and row["warm"]["converged"]:
            typer.echo(f"{row['name']}: the two SCFs found different solutions")
    total = found["ratio_of_sums"]
    typer.echo(f"all structures: {total['cycles']:.2f} of the cycles, {total['wall_s']:.2f} of the seconds")
    typer.echo("ratio = warm start / default guess; seconds of the warm start include the prediction and the guard")
