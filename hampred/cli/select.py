"""`hampred select`: the structures of a pool that are most worth labelling first, or next."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ase import Atoms

    from hampred.evaluation.selection import Selection

SHOWN = 20
"""Structures in the table that is printed."""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(select)


def select(
    pool: Annotated[list[Path], typer.Argument(help="Files with structures, in any format of ASE.")],
    model: Annotated[
        Path | None, typer.Option(help="Run folder or model file; without it, what to label first is chosen.")
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Structures to choose.")] = 50,
    out: Annotated[Path, typer.Option(help="File of the chosen structures, extxyz.")] = Path("selected.extxyz"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Choose the structures of a pool from which a model would learn most, to label them with hampred generate."""
    from hampred.cli.output import print_json
    from hampred.interop.structures import read_named

    _check_output(out)
    named = read_named(pool)
    found = _choose(named, model, count)
    _write(out, found, named)
    novelties = found.novelties or [None] * len(found.names)
    told = {"model": model and str(model), "n_pool": len(named), "file": str(out), "unknown": found.unknown}
    told["selected"] = [{"name": name, "novelty": novelty} for name, novelty in zip(found.names, novelties)]
    if as_json:
        print_json(told)
    else:
        _show(found)
        order = "next" if model else "first"
        typer.echo(f"{len(found.names)} of {len(named)} structures in {out}, the most worth labelling {order} on top")


def _choose(named: "dict[str, Atoms]", model: Path | None, count: int) -> "Selection":
    """The choice, by a model or without one."""
    from hampred.cli.progress import ProgressLine
    from hampred.evaluation.selection import select as choose
    from hampred.evaluation.selection import select_first

    if model is None:
        with ProgressLine() as line:
            return select_first(named, count, line.show)
    import hampred.inference as inference

    predictor = inference.load(model)
    for name, atoms in named.items():
        if set(atoms.numbers) <= set(predictor.basis.elements):
            predictor.check(atoms, None, name)
    with ProgressLine() as line:
        return choose(predictor, named, count, line.show)


def _write(out: Path, found: "Selection", named: "dict[str, Atoms]") -> None:
    """The chosen structures as a file."""
    from ase.io import write

    from hampred.files import replacing

    chosen = []
    for k, name in enumerate(found.names):
        atoms = named[name].copy()
        atoms.info["hampred_name"] = name
        atoms.info.pop("hampred_novelty", None)  # of an earlier choice
        if found.novelties is not None:
            atoms.info["hampred_novelty"] = round(found.novelties[k], 4)
        chosen.append(atoms)
    with replacing(out) as temporary:
        write(temporary, chosen, format="extxyz")


def _show(found: "Selection") -> None:
    """The first of them as a table, and what could not be ranked."""
    from hampred.cli.output import print_table

    if found.novelties is not None:
        print_table("", ("structure", "novelty"), [*zip(found.names, found.novelties)][:SHOWN])
    else:
        print_table("", ("structure",), [(name,) for name in found.names[:SHOWN]])
    if found.unknown:
        first, reason = next(iter(found.unknown.items()))
        n = len(found.unknown)
        told = f"{first} holds" if n == 1 else f"{n} structures (first: {first}) hold"
        typer.echo(f"note: {told} {reason}", err=True)


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
