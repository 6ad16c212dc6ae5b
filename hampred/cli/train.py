"""`hampred train`: from labels to a model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hampred.cli.output import resumable
from hampred.cli.progress import ProgressLine
from hampred.errors import HampredError

if TYPE_CHECKING:
    from hampred.config import TrainConfig


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(train)


def train(
    config: Annotated[str, typer.Argument(help="YAML file, a preset such as train/water, or a run folder to resume.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, overrides the file; repeatable.", metavar="KEY=VALUE")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/<config> by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check data and configuration, count, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a network on labels: the same command, or `hampred train RUN`, resumes a killed run."""
    settings, folder = _settings(config, set_ or [], out)
    if dry_run:
        told = _plan(settings)
    else:
        from hampred.training import run

        finished = (folder / "model.safetensors").exists()
        with resumable(folder), ProgressLine() as line:
            model = train_and_calibrate(settings, folder, line)
        if not run.is_first_process():
            return
        notes = [f"{folder} was already finished: nothing was trained"] if finished else []
        notes += _notes(model)
        told = {"model": str(model), **_last_validation(folder / "metrics.csv"), "notes": notes}
    if as_json:
        typer.echo(json.dumps(told))
    else:
        notes = told.pop("notes", [])
        typer.echo("\n".join(f"{key:24} {value}" for key, value in told.items()))
        for note in notes:
            typer.echo(f"note: {note}", err=True)


def train_and_calibrate(settings: "TrainConfig", out: Path, line: ProgressLine) -> Path:
    """Trains into a folder, and lets the model learn how large its errors are; both go on where they were stopped."""
    from hampred.evaluation.confidence import calibrate
    from hampred.training.run import is_first_process, train

    model = train(settings, out, line.show)
    if is_first_process():
        calibrate(model, settings.data, line.show)
    return model


def _settings(config: str, overrides: list[str], out: Path | None) -> "tuple[TrainConfig, Path]":
    """Configuration and folder of a new run or of one that is to go on."""
    from hampred.config import TrainConfig, load_config, read_run

    if Path(config).is_dir():
        if out is not None and out.resolve() != Path(config).resolve():
            raise HampredError("A run goes on in its own folder: leave out --out, or give its config.yaml.")
        return read_run(Path(config), overrides), Path(config)
    return load_config(TrainConfig, config, overrides), out or Path("runs") / Path(config).stem


def _plan(settings: "TrainConfig") -> dict[str, Any]:
    """What a run would do."""
    from hampred.training.run import prepare

    model, graphs = prepare(settings)
    steps = settings.epochs * max(len(graphs["train"]) // min(settings.batch_size, len(graphs["train"])), 1)
    return {
        **{f"n_{name}": len(keys) for name, keys in model.split.items()},
        "n_steps": steps,
        "n_parameters": model.net.n_parameters,
        "net": model.net.name,
        "baseline": model.baseline.name,
        "basis": model.net.basis.name,
        "functional": model.level.functional,
    }


def _notes(model: Path) -> list[str]:
    """What the user should know of the bounds of errors that a model has learned."""
    from hampred.confidence import Calibration
    from hampred.model_file import read_header

    header = read_header(model)
    if not header["split"]["validation"]:
        return ["without validation labels, val_… are errors of the training labels, and predictions have no bounds"]
    calibration = header.get("calibration")
    return [] if calibration is None else Calibration.from_dict(calibration).notes


def _last_validation(metrics: Path) -> dict[str, float]:
    """Errors of the last validation, as the log of the run holds them."""
    from hampred.evaluation.learning import read_metrics

    return {name: round(float(points[-1, 1]), 3) for name, points in read_metrics(metrics).items() if "val" in name}
