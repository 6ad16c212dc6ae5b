"""`hampred calibrate`: how large the errors of a model are, learned from labels that it was not trained on."""

from pathlib import Path
from typing import Annotated

import typer

from hampred.errors import HampredError

SUFFIX = ".safetensors"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(calibrate)


def calibrate(
    model: Annotated[Path, typer.Option(help="Run folder or model file.")],
    data: Annotated[
        list[Path], typer.Option(help="Store of labels of molecules that the training lacked; repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="File of the calibrated model.")] = Path("calibrated.safetensors"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Learn the bounds of errors that predictions carry from labels of more molecules than a training keeps aside."""
    from hampred.cli.output import counted, print_json, print_table
    from hampred.cli.progress import ProgressLine
    from hampred.files import require_writable

    if out.is_dir() or out.suffix != SUFFIX:
        raise HampredError(f"{out} would be a model file: let its name end in {SUFFIX}.")
    require_writable(out.parent)
    from hampred.evaluation.confidence import validated_by, with_bounds
    from hampred.evaluation.states import metrics_of
    from hampred.model_file import load_model, save_model

    before = load_model(model)
    with ProgressLine() as line:
        after = with_bounds(validated_by(before, data), data, line.show)
    found = after.calibration
    assert found is not None  # some label is left
    save_model(out, after)
    new, old = (law.bounds(found.usual) if law else {} for law in (found, before.calibration))
    if as_json:
        told = {"model": str(model), "file": str(out), "bounds": new, "bounds_before": old, "coverage": found.coverage}
        told |= {"n_structures": found.n_structures, "n_molecules": found.n_molecules, "notes": found.notes}
        print_json(told)
        return
    names = metrics_of(after.level.crystal is not None)
    rows = [(names[metric], bound, old.get(metric)) for metric, bound in new.items()]
    print_table("", ("bound of a usual structure", "now", "before"), rows)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    labels = f"{counted(found.n_structures, 'label')} of {counted(found.n_molecules, 'molecule')}"
    share, spread = (100 * x for x in found.coverage)
    expected = f"{share:.0f} ± {spread:.0f} % of the errors of others like these"
    typer.echo(f"{out}: bounds from {labels}, within which {expected} are expected")
