"""`hampred evaluate`: a model against the labels of a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hampred.evaluation.evaluate import Evaluation


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(evaluate)


def evaluate(
    model: Annotated[Path, typer.Option(help="Model file, checkpoint or run folder.")],
    data: Annotated[Path, typer.Option(help="Store of labels.")],
    split: Annotated[str, typer.Option(help="train, validation, test, or all.")] = "test",
    rotations: Annotated[int, typer.Option(min=0, help="Random elements of O(3), every second improper.")] = 0,
    properties: Annotated[
        bool, typer.Option("--properties", help="Also energies, forces, quadrupoles and charges of molecules.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("evaluation"),
    seed: Annotated[int, typer.Option(min=0, help="Of the rotations.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare predictions with labels: table, evaluation.json and report.html."""
    from hampred.cli.output import print_json

    result = evaluate_into(out, model, data, split, rotations, seed, properties)
    if as_json:
        print_json(result.to_dict())
    else:
        print_evaluation(result)
        typer.echo(f"report: {out / 'report.html'}")


def evaluate_into(
    out: Path, model: Path, data: Path, split: str, rotations: int, seed: int = 0, properties: bool = False
) -> "Evaluation":
    """Evaluates, and writes evaluation.json and report.html into a folder."""
    from hampred.cli.output import write_json
    from hampred.cli.progress import ProgressLine
    from hampred.data.store import Store
    from hampred.files import require_writable

    with Store(data) as store:
        import hampred.inference as inference
        from hampred.evaluation.evaluate import choose, require_fit
        from hampred.evaluation.evaluate import evaluate as run
        from hampred.evaluation.learning import find_metrics, read_metrics
        from hampred.evaluation.report import write_report

        predictor = inference.load(model)
        require_fit(predictor, store)
        choose(store, predictor.header["split"], split)
        require_writable(out)
        with ProgressLine() as line:
            result = run(predictor, store, split, rotations, seed, properties, line.show)
    result.about = {"model": str(model), **result.about}
    metrics = find_metrics(model)
    result.learning = read_metrics(metrics) if metrics else {}
    write_json(out / "evaluation.json", result.to_dict())
    write_report(out / "report.html", result)
    return result


def print_evaluation(result: "Evaluation") -> None:
    """Prints the metrics of an evaluation, and its rotation test where there is one."""
    from hampred.cli.output import counted, print_table
    from hampred.evaluation.coverage import HEAD, coverage, coverage_rows
    from hampred.evaluation.sections.rotations import ASTERISK, ROTATION_HEAD, rotation_rows

    title = f"{counted(len(result.molecules), 'structure')}, {result.about['split']} split of {result.about['data']}"
    head = ("mean over structures", "model", f"baseline {result.about['baseline']}", "label noise")
    print_table(title, head, result.rows())
    if result.about.get("labels_with_forces") == 0:
        typer.echo("the labels have no forces to compare with: set forces: true where they are generated")
    unit, size = result.unit
    baseline = result.baseline_errors.element_pairs(size)
    pairs = [(name, value, baseline.get(name)) for name, value in result.errors.element_pairs(size).items()]
    print_table("", ("H by element pair", f"model / {unit}", f"baseline / {unit}"), pairs)
    covered = coverage_rows(coverage(result.molecules), result.metrics)
    if covered:
        print_table("", HEAD, covered)
    if result.rotations is not None:
        told = result.rotations.to_dict()
        counts = counted(told["n_molecules"], "structure"), counted(told["n_rotations"], "rotation")
        facts: list[tuple[str, float]] = [
            ("largest |H(Qx) − D H(x) Dᵀ| / E_h", told["max_error_Eh"]),
            ("the same relative to max|H|", told["max_relative_error"]),
        ]
        print_table(f"{' × '.join(counts)}, {told['n_improper']} improper", ("any orientation", ""), facts)
        print_table("", ROTATION_HEAD, rotation_rows(result))
        typer.echo(ASTERISK)
