"""Does the choice of `hampred select` need fewer labels than a random one?

Leaves out some labels of a store, drawn like the pool that the rest makes, as a test, and lets two strategies choose
from the pool: at random, and by `hampred select`, which begins without a model and goes on, each round, with the one
that the last round trained. It gets a share of the labels that the random choice gets in the same round. Every training
has the same number of steps and no validation, so that only the labels that it learns from differ. Printed are the
errors on the test labels, those of the choice over those of the random one, and how many labels the choice needs for
the error that the random one reaches.

    python benchmarks/selection.py STORE [--counts 50 100 …] [--share 0.7] [--seeds 0 1] [--steps N] [--by molecule]

Trainings that are done are kept in the folder: the same command goes on.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from statistics import mean

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms
from record import arguments_of, drawing, print_table, run, say, write_record
from runs import add_training_arguments, read_training, train_timed, with_steps

from hampred.cli.output import write_json
from hampred.cli.progress import ProgressLine
from hampred.data.sample import HamiltonianSample
from hampred.data.split import split_samples
from hampred.data.store import Store, write_store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import evaluate
from hampred.evaluation.selection import select, select_first
from hampred.inference import Predictor
from hampred.model_file import load_model

STRATEGIES = ("random", "select")
METRICS = {"H_mae_uEh": "H MAE / µE_h", "occupied_mae_meV": "occupied ε / meV", "gap_mae_meV": "gap / meV"}


def main():
    parser = arguments_of(__doc__, "selection")
    parser.add_argument("store", type=Path, metavar="STORE", help="labels of different molecules")
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[50, 100, 150, 200, 300], help="random labels of each round"
    )
    parser.add_argument("--share", type=float, default=0.7, help="of these labels, which select chooses (0.7)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the draws of test and random labels")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of each (2000)")
    parser.add_argument("--test", type=float, default=0.15, help="share of the labels or molecules that test (0.15)")
    parser.add_argument("--by", choices=("geometry", "molecule"), default="geometry", help="what the test leaves out")
    add_training_arguments(parser, "train/molecules")
    arguments = parser.parse_args()
    counts = sorted(arguments.counts)
    rounds = {"random": counts, "select": [round(arguments.share * n) for n in counts]}
    if not rounds["select"][0] or len(set(rounds["select"])) < len(counts):
        raise HampredError(f"--share {arguments.share:g} leaves select no labels for a round: give larger --counts.")
    with Store(arguments.store) as store:
        rows = [row for seed in arguments.seeds for row in learn(arguments, store, rounds, seed)]
    means = [averaged(rows, strategy, n) for strategy in STRATEGIES for n in rounds[strategy]]
    needed = {metric: labels_needed(means, metric) for metric in METRICS}
    head = ["choice", "labels", "molecules", *METRICS.values()]
    keys = ["strategy", "n_labels", "n_molecules", *METRICS]
    title = f"test labels left out by {arguments.by}, {len(arguments.seeds)} draws"
    print_table(title, head, [[m[k] for k in keys] for m in means], len(counts))
    titles = ["random labels", *(f"as many by select, {name}" for name in METRICS.values())]
    print_table("the same error", titles, [[n, *(needed[m][n] for m in METRICS)] for n in counts])
    of_errors = error_ratios(means, rounds)
    titles = ["random labels", "labels by select", *METRICS.values()]
    print_table("error of select over that of random", titles, [list(ratios.values()) for ratios in of_errors])
    plot(means, arguments.out / "selection.png")
    figures = {"rows": rows, "means": means, "error_ratios": of_errors}
    ratios = {metric: {n: ratio_of(needed[metric][n], n) for n in counts} for metric in METRICS}
    write_record(arguments.out / "selection.json", {**figures, "labels_needed": needed, "ratios": ratios})


def learn(arguments, store: Store, rounds: dict[str, list[int]], seed: int) -> list[dict]:
    """Draws test and pool, and trains round after round with both strategies."""
    parts = split_samples(store.molecules, 1 - arguments.test, 0, None, arguments.by, seed)
    order, test = np.random.default_rng(seed).permutation(parts["train"]), [store.keys[k] for k in parts["test"]]
    most = max(counts[-1] for counts in rounds.values())
    if most > len(order):
        raise HampredError(f"{most} labels asked of a pool of {len(order)}: give smaller --counts.")
    rows = []
    for strategy in STRATEGIES:
        chosen: list[int] = []
        last = None
        for n in rounds[strategy]:
            out = arguments.out / f"seed_{seed}" / f"{strategy}_{n}"
            if strategy == "random":
                chosen = order[:n].tolist()
            else:
                chosen = chosen + by_select(store, order, chosen, n - len(chosen), last, out)
            figures = {"strategy": strategy, "seed": seed, "n_pool": len(order), "n_test": len(test)}
            rows.append(figures | measure(arguments, store, chosen, test, out))
            last = out / "run"
            say(f"{strategy} {n}, seed {seed}: H {rows[-1]['H_mae_uEh']:.0f} µE_h")
    return rows


def by_select(
    store: Store, pool: np.ndarray, chosen: list[int], count: int, model: Path | None, out: Path
) -> list[int]:
    """Labels that would say most about the pool, as the last model, if there is one, sees it; kept in a file."""
    kept = out / "chosen.json"
    if not kept.is_file():
        waiting = {str(k): with_charge(store[k]) for k in pool if k not in chosen}
        with ProgressLine() as line:
            if model is None:
                found = select_first(waiting, count, line.show)
            else:
                found = select(Predictor(load_model(model)), waiting, count, line.show)
        write_json(kept, {"after": chosen, "chosen": [int(name) for name in found.names]})
    told = json.loads(kept.read_text())
    if told["after"] != chosen or len(told["chosen"]) != count:
        raise HampredError(f"{kept} is of another choice, or the pool has no more: give another --out or --counts.")
    return told["chosen"]


def with_charge(sample: HamiltonianSample) -> Atoms:
    """The structure of a label, which tells its charge."""
    atoms = sample.atoms.copy()
    atoms.info["charge"] = sample.charge
    return atoms


def measure(arguments, store: Store, chosen: list[int], test: list[str], out: Path) -> dict:
    """Trains on some labels and tests; what is finished already is taken."""
    labels, kept = out / "labels.h5", out / "test.json"
    if not labels.is_file():
        write_store(labels, (store[k] for k in chosen))
    split = [f"split.train={len(chosen)}", "split.validation=0", "split.test=0", "split.by=geometry"]
    config = with_steps(read_training(arguments, [labels], split), len(chosen), arguments.steps)
    times = train_timed(config, out / "run", f"{len(chosen)} labels")
    if not kept.is_file():
        with ProgressLine() as line:
            model = replace(load_model(out / "run"), split={"test": test})
            result = evaluate(Predictor(model), store, report=line.show)
        write_json(kept, {name: row["model"] for name, row in result.table().items()})
    molecules = {store.molecules[k] for k in chosen}
    about = {"n_labels": len(chosen), "n_molecules": len(molecules), "training": times}
    return {**about, **json.loads(kept.read_text())}


def averaged(rows: list[dict], strategy: str, n: int) -> dict:
    """Means over the seeds."""
    same = [row for row in rows if row["strategy"] == strategy and row["n_labels"] == n]
    numbers = {key: mean(row[key] for row in same) for key in ("n_molecules", *METRICS)}
    return {"strategy": strategy, "n_labels": n, **numbers}


def labels_needed(means: list[dict], metric: str) -> dict[int, float | None]:
    """Labels by select for the error of random ones, interpolated between the rounds; None where no round reaches it.

    The errors are made to fall monotonically first: more labels are never taken to be worse. Where the first round is
    better already, its number of labels stands: fewer may be enough.
    """
    curve = {s: [(m["n_labels"], m[metric]) for m in means if m["strategy"] == s] for s in STRATEGIES}
    n, errors = np.array(curve["select"]).T
    falling = np.minimum.accumulate(errors)
    needed: dict[int, float | None] = {}
    for n_random, error in curve["random"]:
        reached = falling.min() <= error
        at = np.exp(np.interp(-np.log(error), -np.log(falling), np.log(n)))
        needed[n_random] = float(at) if reached else None
    return needed


def error_ratios(means: list[dict], rounds: dict[str, list[int]]) -> list[dict]:
    """Of each round: labels of both strategies, and mean errors of select over those of random."""
    at = {(m["strategy"], m["n_labels"]): m for m in means}
    found = []
    for n, fewer in zip(rounds["random"], rounds["select"]):
        errors = {metric: at["select", fewer][metric] / at["random", n][metric] for metric in METRICS}
        found.append({"random": n, "select": fewer, **errors})
    return found


def ratio_of(needed: float | None, n: int) -> float | None:
    return None if needed is None else needed / n


def plot(means: list[dict], path: Path):
    """Errors against the number of labels."""
    with drawing(path, len(METRICS)) as axes:
        for panel, (metric, title) in zip(axes, METRICS.items()):
            for strategy in STRATEGIES:
                same = [m for m in means if m["strategy"] == strategy]
                panel.loglog([m["n_labels"] for m in same], [m[metric] for m in same], "o-", label=strategy)
            panel.set(xlabel="labels", ylabel=title)
            counts = sorted({m["n_labels"] for m in means})
            panel.set_xticks(counts, [str(n) for n in counts])
            panel.xaxis.minorticks_off()
            panel.legend()


if __name__ == "__main__":
    run(main)
