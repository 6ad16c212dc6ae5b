"""What a model learns of its own errors when its training has ended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hampred.confidence import Calibration, Familiarity
from hampred.confidence.familiarity import evenly
from hampred.data.sample import HamiltonianSample
from hampred.data.store import Store
from hampred.evaluation.states import compare_states, label_state
from hampred.inference import Predictor
from hampred.model_file import Model, load_model, save_model

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

BOUNDED = (
    *(f"H_mae_{unit}" for unit in ("uEh", "meV")),
    *(f"{what}_mae_meV" for what in ("occupied", "homo", "lumo", "gap")),
)
"""Metrics that get bounds, of molecules and of crystals."""

MOST_LABELS = 2000
"""Training labels whose atoms are looked at, evenly over all of them."""


def calibrate(path: Path, stores: Sequence[Path | str], report: Report = lambda label, done, total: None) -> None:
    """Adds to a model file what it knows of its errors; see `calibrated`. A file that has it is left alone."""
    model = load_model(path)
    if model.familiarity is None:
        save_model(path, calibrated(model, stores, report))


def calibrated(model: Model, stores: Sequence[Path | str], report: Report = lambda label, done, total: None) -> Model:
    """A model that knows the atoms of its training labels, and its errors on the labels that validated it.

    Args:
        model: Just trained.
        stores: Of its labels.
        report: Told what is being done, how much is done, and of how much.

    Returns:
        The same model; without calibration where nothing validated it.

    Raises:
        HampredError: A store is missing or damaged.
    """
    predictor = Predictor(replace(model, familiarity=None, calibration=None))
    keys = model.split.get("train", ())
    some = [keys[k] for k in evenly(len(keys), MOST_LABELS)]
    seen = _labels(stores, some, "looking at atoms", report)
    known = Familiarity.fit((label.atoms.numbers, predictor.invariants(label.atoms, label.charge)) for _, label in seen)
    novelties: list[Array] = []
    errors: list[Mapping[str, float]] = []
    names: list[str] = []
    for name, label in _labels(stores, model.split.get("validation", ()), "measuring errors", report):
        invariants = predictor.invariants(label.atoms, label.charge)
        metrics = compare_states(predictor.predict(label.atoms, label.charge), label_state(label))
        novelties.append(known.novelty(label.atoms.numbers, invariants))
        errors.append({metric: metrics[metric] for metric in BOUNDED if metric in metrics})
        names.append(name)
    return replace(model, familiarity=known, calibration=Calibration.fit(novelties, errors, names) if errors else None)


def _labels(
    stores: Sequence[Path | str], keys: Sequence[str], what: str, report: Report
) -> Iterator[tuple[str, HamiltonianSample]]:
    """Names of molecules and labels of some keys, one after the other."""
    wanted, done = set(keys), 0
    for path in stores:
        with Store(path) as store:
            for index, key in enumerate(store.keys):
                if key in wanted:
                    yield store.molecules[index], store[index]
                    done += 1
                    report(what, done, len(wanted))
