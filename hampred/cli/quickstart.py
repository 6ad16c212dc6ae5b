"""`hampred quickstart`: the whole path on real PySCF labels of water, in a few minutes."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hampred.cli.evaluate import evaluate_into, print_evaluation
from hampred.cli.generate import show_progress
from hampred.cli.output import print_json, resumable
from hampred.cli.progress import ProgressLine, duration
from hampred.cli.train import train_and_calibrate

if TYPE_CHECKING:
    from hampred.config import TrainConfig

N_ROTATIONS = 50


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(quickstart)


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("quickstart"),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that label; as many as processors.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for the training.", metavar="KEY=VALUE")
    ] = None,
    n_labels: Annotated[int, typer.Option(min=20, help="Geometries of water to label.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Label water with PySCF, train, and evaluate on unseen geometries in unseen orientations; minutes on two cores."""
    start = time.monotonic()
    settings = _training(out / "labels" / "labels.h5", n_labels, set_ or [])  # a misspelt key is told at once
    with resumable(out):
        labels = _label(out / "labels", n_labels, workers)
        model = _train(settings, out / "run")
        typer.echo(f"3/3 evaluation: unseen geometries, {N_ROTATIONS} rotations and mirror images of some", err=True)
        result = evaluate_into(out, model, labels, "test", N_ROTATIONS)
    wall = time.monotonic() - start
    if as_json:
        print_json({"model": str(model), "wall_s": round(wall, 1), **result.to_dict()})
        return
    print_evaluation(result)
    typer.echo(
        f"{duration(wall)} in all. Look at {out / 'report.html'}, and go on with\n"
        f"  hampred predict my_water.xyz --model {model} --out predictions\n"
        f"  hampred evaluate --model {model} --data {labels} --rotations 500 --out evaluation\n"
        f"  hampred info {model}"
    )


def _label(out: Path, count: int, workers: int | None) -> Path:
    """Labels geometries in random orientations."""
    from data_gen.pipeline import generate
    from hampred.config import GenerateConfig, load_config

    typer.echo(f"1/3 labels: {count} geometries of water, PBE/def2-SVP, random orientations → {out}", err=True)
    settings = load_config(GenerateConfig, "generate/water", [f"geometries.0.sampling.0.count={count}"])
    with ProgressLine() as line:
        return generate(settings, out, workers, progress=lambda state: show_progress(line, state)).store


def _training(labels: Path, n_labels: int, overrides: list[str]) -> "TrainConfig":
    """Settings to train on four fifths of the labels; a twentieth validates, the rest is left to test."""
    from hampred.config import TrainConfig, load_config
    from hampred.nn.models import require_settings

    split = [f"split.train={4 * n_labels // 5}", f"split.validation={n_labels // 20}", "split.test=null"]
    settings = load_config(TrainConfig, "train/water", [f"data=[{json.dumps(str(labels))}]", *split, *overrides])
    require_settings(settings.net.name, settings.net.model_extra or {})
    return settings


def _train(settings: "TrainConfig", out: Path) -> Path:

    typer.echo(f"2/3 training: O(3)-equivariant network on ΔH = H − H0 → {out}", err=True)
    with ProgressLine() as line:
        return train_and_calibrate(settings, out, line)
