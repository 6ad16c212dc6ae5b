"""`hampred select`: the structures of a pool that are most worth labelling next."""

from pathlib import Path
from typing import Annotated

import typer

SHOWN = 20
"""Structures in the table that is printed."""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(select)


def select(
    pool: Annotated[list[Path], typer.Argument(help="Files with structures, in any format of ASE.")],
    model: Annotated[Path, typer.Option(help="Run folder or model file.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Structures to choose.")] = 50,
    out: Annotated[Path, typer.Option(help="File of the chosen structures, extxyz.")] = Path("selected.extxyz"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Choose the structures of a pool from which a model would learn most, to label them with hampred generate."""
    from ase.io import write

    from hampred.cli.output import print_json, print_table
    from hampred.cli.progress import ProgressLine
    from hampred.files import replacing
    from hampred.interop.structures import read_named

    _check_output(out)
    named = read_named(pool)
    import hampred.inference as inference
    from hampred.evaluation.selection import select as choose

    predictor = inference.load(model)
    known = {name: atoms for name, atoms in named.items() if set(atoms.numbers) <= set(predictor.basis.elements)}
    for name, atoms in known.items():
        predictor.check(atoms, None, name)
    with ProgressLine() as line:
        found = choose(predictor, named, count, line.show)
    chosen = []
    for name, novelty in zip(found.names, found.novelties):
        atoms = named[name].copy()
        atoms.info |= {"hampred_name": name, "hampred_novelty": round(novelty, 4)}
        chosen.append(atoms)
    with replacing(out) as temporary:
        write(temporary, chosen, format="extxyz")
    told = {"model": str(model), "n_pool": len(named), "file": str(out), "unknown": found.unknown}
    told["selected"] = [{"name": n, "novelty": u} for n, u in zip(found.names, found.novelties)]
    if as_json:
        print_json(told)
        return
    print_table("", ("structure", "novelty"), [*zip(found.names, found.novelties)][:SHOWN])
    if found.unknown:
        first, reason = next(iter(found.unknown.items()))
        n = len(found.unknown)
        told = f"{first} holds" if n == 1 else f"{n} structures (first: {first}) hold"
        typer.echo(f"note: {told} {reason}", err=True)
    typer.echo(f"{len(chosen)} of {len(named)} structures in {out}, the most worth labelling first")


def _check_output(out: Path) -> None:
    """Refuses a file that cannot be written, or that nothing could read again, before any work.

    Raises:
        HampredError: That.
    """
    from hampred.errors import HampredError
    from hampred.files import require_writable
    from hampred.interop.structures import XYZ_SUFFIXES

    if out.is_dir():
        raise HampredError(f"{out} is a folder: give the file of the chosen structures, --out {out}/selected.extxyz.")
    if out.suffix.lower() not in XYZ_SUFFIXES:
        raise HampredError(f"{out} would hold extxyz: let its name end in {' or '.join(XYZ_SUFFIXES)}.")
    require_writable(out.parent)
