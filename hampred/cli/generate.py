"""`hampred generate`: DFT labels."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hampred.cli.output import counted, resumable
from hampred.cli.progress import ProgressLine, duration

if TYPE_CHECKING:
    from data_gen.pipeline import Plan
    from data_gen.summary import GenerationSummary, Progress
    from hampred.config import GenerateConfig

SHOWN_FAILURES = 10


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(generate)


def generate(
    config: Annotated[str, typer.Argument(help="YAML file, or a preset such as generate/water.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, overrides the file; repeatable.", metavar="KEY=VALUE")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; as many as processors by default.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler, such as tcp://10.0.0.1:8786.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; labels/<config> by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count structures, estimate the time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Label geometries with PySCF: the same command resumes, and recomputes nothing that is finished."""
    from data_gen import pipeline
    from hampred.config import GenerateConfig, load_config

    settings = load_config(GenerateConfig, config, set_ or [])
    out = out or Path("labels") / Path(config).stem
    if dry_run:
        plan = pipeline.make_plan(settings, pipeline.make_backend(settings))
        _tell_plan(plan, settings, workers, as_json)
        return
    with resumable(out), ProgressLine() as line:
        summary = pipeline.generate(settings, out, workers, scheduler, partial(show_progress, line))
    _tell_summary(summary, as_json)


def show_progress(line: ProgressLine, progress: "Progress") -> None:
    """Shows the state of a generation."""
    failed = f"{progress.failed} failed" if progress.failed else ""
    line.show(progress.message, progress.done + progress.failed, progress.total, progress.rate, failed)


def _tell_plan(plan: "Plan", settings: "GenerateConfig", workers: int | None, as_json: bool) -> None:
    from data_gen.supervisor import cpu_count

    orbitals = list(plan.n_orbitals.values())
    atoms = [len(plan.structures[key]) for key in plan.n_orbitals]
    n_workers = workers or cpu_count()
    told = {
        "n_structures": len(plan.structures),
        "n_refused": len(plan.refused),
        "refused": sorted(set(plan.refused.values())),
        "n_atoms": [min(atoms, default=0), max(atoms, default=0)],
        "n_orbitals": [min(orbitals, default=0), max(orbitals, default=0)],
        "level": settings.level.model_dump(mode="json"),
        "estimated_wall_s": round(plan.cpu_seconds() / n_workers, 1),
        "workers": n_workers,
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    counts = f"{counted(told['n_structures'], 'structure')}, {told['n_refused']} refused"
    sizes = "atoms {}–{}, orbitals {}–{}".format(*told["n_atoms"], *told["n_orbitals"])
    level = f"{settings.level.functional}/{settings.level.basis}"
    wall = f"about {duration(told['estimated_wall_s'])} with {counted(n_workers, 'worker')}"
    typer.echo(f"{counts}, {sizes}, {level}: {wall}")
    for reason in told["refused"][:SHOWN_FAILURES]:
        typer.echo(f"refused: {reason}", err=True)


def _tell_summary(summary: "GenerationSummary", as_json: bool) -> None:
    told = summary.to_dict()
    if as_json:
        typer.echo(json.dumps(told))
        return
    noise = f", label noise {1e6 * summary.label_noise:.2g} µE_h" if summary.label_noise is not None else ""
    typer.echo(
        f"{summary.store}: {counted(summary.n_labels, 'label')} of {counted(summary.n_structures, 'structure')} "
        f"({summary.n_new} new in {duration(summary.wall_s)}){noise}"
    )
    for failure in summary.failures[:SHOWN_FAILURES]:
        typer.echo(f"no label: {failure.molecule or failure.key[:8]}: {failure.kind}: {failure.reason}", err=True)
    if len(summary.failures) > SHOWN_FAILURES:
        typer.echo(f"… and {len(summary.failures) - SHOWN_FAILURES} more: see failures/ beside the store", err=True)
