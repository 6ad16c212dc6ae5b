"""How accurate is a model of water with 500 labels, and what does its training cost?

Labels 2000 geometries of water (preset `generate/water`: PBE/def2-SVP, Gaussian displacements, random orientations),
trains on 500, validates on 500 and tests on 1000 that the training never saw. The published networks in the table were
trained on 500 geometries of the water of MD17 at the same level of theory: another draw of geometries, from molecular
dynamics, so that the figures stand side by side and are no ranking.

    python benchmarks/accuracy_water.py [--labels FOLDER] [--max-time MINUTES] [--out accuracy_water]
"""

import argparse
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from record import arguments_of, print_table, run, write_record
from runs import add_training_arguments, read_training, train_timed

import hampred
from data_gen.pipeline import generate
from hampred.cli.generate import show_progress
from hampred.cli.progress import ProgressLine
from hampred.config import GenerateConfig, load_config
from hampred.data.store import Store
from hampred.evaluation.evaluate import evaluate
from hampred.evaluation.spectrum import METRICS

N_TRAIN, N_VALIDATION, N_TEST = 500, 500, 1000
SPLIT = "geometries that train, validate and test (500 500 1000)"

PUBLISHED = {  # mean |δH| in µE_h on the water of MD17, PBE/def2-SVP, 500 training geometries
    "SchNOrb": "165",
    "SPHNet": "23",
    "PhiSNet": "16–18",
    "QHNet": "10.8",
    "QHNetV2": "10.4",
    "best published": "5.6",
}
SHOWN = ("H_mae_uEh", "H_onsite_mae_uEh", "H_offsite_mae_uEh", "occupied_mae_meV", "homo_mae_meV", "lumo_mae_meV")


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `make_labels`."""
    parser.add_argument("--labels", type=Path, help="folder of the labels, made unless they are there (OUT/labels)")
    parser.add_argument("--count", type=int, default=2000, help="geometries to label (2000)")
    parser.add_argument("--stdev", type=float, default=0.05, help="displacement of every coordinate, Å (0.05)")
    parser.add_argument("--workers", type=int, help="processes that label; as many as processors without it")


def store_path(arguments: argparse.Namespace) -> Path:
    """Where the store of labels is, or will be."""
    return (arguments.labels or arguments.out / "labels") / "labels.h5"


def make_labels(arguments: argparse.Namespace) -> None:
    """Makes the store of labels; a folder that holds one already is taken as it is."""
    if store_path(arguments).is_file():
        return
    sampling = "geometries.0.sampling.0"
    overrides = [f"{sampling}.count={arguments.count}", f"{sampling}.stdev={arguments.stdev}"]
    config = load_config(GenerateConfig, "generate/water", overrides)
    with ProgressLine() as line:
        generate(config, store_path(arguments).parent, arguments.workers, progress=partial(show_progress, line))


def describe(store: Store) -> dict:
    """What the labels are, as their store tells it."""
    return {
        "path": str(store.path),
        "n_labels": len(store),
        "level": store.level.to_dict(),
        "geometries": store.header.get("config", {}).get("geometries"),
        "label_noise_Eh": store.header.get("label_noise_Eh"),
        "md17_split": False,
    }


def split_of(n_train: int, n_validation: int, n_test: int) -> list[str]:
    """Overrides of a training that share out its labels."""
    return [f"split.train={n_train}", f"split.validation={n_validation}", f"split.test={n_test}", "split.by=geometry"]


def main():
    parser = arguments_of(__doc__, "accuracy_water")
    add_label_arguments(parser)
    parser.add_argument("--split", type=int, nargs=3, default=[N_TRAIN, N_VALIDATION, N_TEST], metavar="N", help=SPLIT)
    add_training_arguments(parser, "train/water_accuracy")
    arguments = parser.parse_args()
    labels = store_path(arguments)
    config = read_training(arguments, [labels], split_of(*arguments.split))  # a misspelt key is told at once
    make_labels(arguments)
    times = train_timed(config, arguments.out / "run")

    predictor = hampred.load(arguments.out / "run")
    with Store(labels) as store, ProgressLine() as line:
        result = evaluate(predictor, store, report=line.show)
        data = describe(store)
    means = result.table()
    figures = {
        "data": {**data, "split": dict(zip(("train", "validation", "test"), arguments.split))},
        "config": config.model_dump(mode="json"),
        "n_weights": predictor.model.net.n_parameters,
        "training": {**times, "batch_size": config.batch_size, "n_steps": predictor.header["provenance"]["n_steps"]},
        "seconds_per_prediction": result.seconds,
        "test": means,
        "published_H_mae_uEh": {"note": "water of MD17, published split: other geometries than here", **PUBLISHED},
    }
    show(figures)
    write_record(arguments.out / "accuracy_water.json", figures)


def show(figures: dict):
    """The table of the test, the cost, and the published figures."""
    data, times, test = figures["data"], figures["training"], figures["test"]
    counts, level = data["split"], data["level"]
    title = (
        f"water, {level['functional'].upper()}/{level['basis']}, {counts['train']} training geometries, "
        f"{counts['test']} test geometries\n"
        "geometries of its own: not the published MD17 split"
    )
    rows = [(METRICS[name], test[name]["model"], test[name]["baseline"], test[name]["label_noise"]) for name in SHOWN]
    rows += [(f"H, {name}: published, on the MD17 split / µE_h", text, "", "") for name, text in PUBLISHED.items()]
    print_table(title, ("", "hampred", "baseline H0", "label noise"), rows)
    cost = [
        ("weights", figures["n_weights"]),
        ("training steps", times["n_steps"]),
        ("training, wall time / min", times["wall_s"] / 60),
        ("training, CPU time / min", times["cpu_s"] / 60),
        (f"one step of {times['batch_size']} waters, CPU time / ms", times.get("step_cpu_ms")),
        ("one prediction with its orbitals / ms", 1e3 * figures["seconds_per_prediction"]),
    ]
    print_table("cost", ("", "hampred"), cost)


if __name__ == "__main__":
    run(main)
