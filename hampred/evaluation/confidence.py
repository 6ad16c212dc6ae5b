"""What a model learns of its own errors when its training has ended, or later from other labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.confidence import Calibration, Familiarity
from hampred.confidence.familiarity import evenly
from hampred.data.sample import HamiltonianSample
from hampred.data.store import Store
from hampred.errors import HampredError
from hampred.evaluation.evaluate import require_fit
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
    """Adds to the file of a model just trained what it knows of its errors. A file that has it is left alone.

    Args:
        path: Of the model file.
        stores: Of its labels.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: A store is missing or damaged.
    """
    model = load_model(path)
    if model.familiarity is None:
        save_model(path, with_bounds(with_familiarity(model, stores, report), stores, report))


def with_familiarity(
    model: Model, stores: Sequence[Path | str], report: Report = lambda label, done, total: None
) -> Model:
    """A model that knows the atoms of its training labels.

    Args:
        model: Just trained.
        stores: Of its labels.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: A store is missing or damaged.
    """
    predictor = Predictor(replace(model, familiarity=None, calibration=None))
    keys = model.split.get("train", ())
    some = [keys[k] for k in evenly(len(keys), MOST_LABELS)]
    seen = _labels(stores, some, "looking at atoms", report)
    known = Familiarity.fit((label.atoms.numbers, predictor.invariants(label.atoms, label.charge)) for _, label in seen)
    return replace(model, familiarity=known)


def with_bounds(model: Model, stores: Sequence[Path | str], report: Report = lambda label, done, total: None) -> Model:
    """A model that knows its errors on the labels that validate it; without calibration where there are none.

    Args:
        model: With `familiarity`.
        stores: Of its validation labels.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: A store is missing or damaged.
    """
    assert model.familiarity is not None
    predictor = Predictor(replace(model, calibration=None))
    novelties: list[Array] = []
    errors: list[Mapping[str, float]] = []
    names: list[str] = []
    for name, label in _labels(stores, model.split.get("validation", ()), "measuring errors", report):
        invariants = predictor.invariants(label.atoms, label.charge)
        metrics = compare_states(predictor.predict(label.atoms, label.charge), label_state(label))
        novelties.append(model.familiarity.novelty(label.atoms.numbers, invariants))
        errors.append({metric: metrics[metric] for metric in BOUNDED if metric in metrics})
        names.append(name)
    return replace(model, calibration=Calibration.fit(novelties, errors, names) if errors else None)


def validated_by(model: Model, stores: Sequence[Path | str]) -> Model:
    """A model to whose validation labels belong all of some stores that it was not trained on or keeps for tests.

    Args:
        model: With `familiarity`, as every finished training leaves it.
        stores: Labels of its elements, basis and level of theory.

    Raises:
        HampredError: The training has not ended, a store does not fit the model, or no label is left.
    """
    if model.familiarity is None:
        raise HampredError("The model does not know the atoms that it was trained on: let its training end.")
    predictor, taken = Predictor(model), {key for part in ("train", "test") for key in model.split.get(part, ())}
    keys: list[str] = []
    for path in stores:
        with Store(path) as store:
            require_fit(predictor, store)
            _require_known(model.familiarity, store)
            keys += [key for key in store.keys if key not in taken]
    if not keys:
        raise HampredError(f"The model was trained on or is to be tested on all labels of {stores[0]}: give others.")
    kept = dict.fromkeys([*model.split.get("validation", ()), *keys])
    return replace(model, split={**model.split, "validation": list(kept)})


def _require_known(familiarity: Familiarity, store: Store) -> None:
    """Refuses a store with elements that no training label had.

    Raises:
        HampredError: It has some.
    """
    strange = [chemical_symbols[z] for z in np.unique(store.numbers) if z not in familiarity.elements]
    if strange:
        raise HampredError(f"{store.path} holds {', '.join(strange)}, which the model does not know: give others.")


def _labels(
    stores: Sequence[Path | str], keys: Sequence[str], what: str, report: Report
) -> Iterator[tuple[str, HamiltonianSample]]:
    """Names of molecules and labels of some keys, one after the other, each once."""
    wanted, total, done = set(keys), len(set(keys)), 0
    for path in stores:
        with Store(path) as store:
            for index, key in enumerate(store.keys):
                if key in wanted:
                    wanted.discard(key)
                    yield store.molecules[index], store[index]
                    done += 1
                    report(what, done, total)
