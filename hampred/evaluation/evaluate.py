"""Evaluation of a model on the samples of a store: every metric beside the baseline's error and the label noise."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.data.sample import HamiltonianSample
from hampred.data.store import Store
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.evaluation.equivariance import RotationTest, rotation_test
from hampred.evaluation.spectrum import HARTREE_METRICS, METRICS, ErrorMap, compare, finite, onsite_mask, shell_names
from hampred.units import MICRO_HARTREE

if TYPE_CHECKING:
    from hampred.inference import Prediction, Predictor

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

SPLITS = ("train", "validation", "test", "all")
MAX_POINTS = 4000
"""Matrix elements of one molecule that the plots keep."""
MAX_ROTATED = 10
"""Molecules of a rotation test."""


@dataclass(frozen=True)
class MoleculeResult:
    """Metrics of one sample.

    Attributes:
        key: Hash of the sample.
        name: Molecule, as its provenance names it, or its formula.
        metrics: Metric → the model's error.
        baseline: Metric → the baseline's error; empty where the baseline is ``none``.
    """

    key: str
    name: str
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Levels:
    """Orbital energies of one molecule (Hartree): label, prediction, and baseline unless that is ``none``."""

    name: str
    n_occupied: int
    label: Array
    prediction: Array
    baseline: Array | None


@dataclass(eq=False)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        about: What was evaluated on what: ``model``, ``data``, ``split``, ``baseline``, ``level``, … as plain JSON.
        molecules: Metrics of each sample.
        errors: Errors of H by place.
        baseline_errors: The same of the baseline.
        points: ``onsite`` and ``offsite`` → [n, 2] elements of H − H0 (label, prediction), Hartree; a random part.
        levels: Orbital energies of some molecules.
        label_noise: Noise of the labels in an element of H (Hartree), None where it was not measured.
        seconds: Seconds of prediction and diagonalisation for one molecule.
        rotations: Result of the rotation test, None without one.
        learning: Columns of the ``metrics.csv`` of the training run: name → [n, 2] (step, value); empty without one.
    """

    about: dict[str, Any]
    molecules: list[MoleculeResult] = field(default_factory=list)
    errors: ErrorMap = field(default_factory=ErrorMap)
    baseline_errors: ErrorMap = field(default_factory=ErrorMap)
    points: dict[str, Array] = field(default_factory=dict)
    levels: list[Levels] = field(default_factory=list)
    label_noise: float | None = None
    seconds: float = 0.0
    rotations: RotationTest | None = None
    learning: dict[str, Array] = field(default_factory=dict)

    def table(self) -> dict[str, dict[str, float | None]]:
        """Metric → means over the molecules: ``model``, ``baseline`` and ``label_noise``; None where there is none."""
        rows: dict[str, dict[str, float | None]] = {}
        for name in METRICS:
            noise = self.label_noise if name in HARTREE_METRICS else None
            rows[name] = {
                "model": _mean(m.metrics.get(name) for m in self.molecules),
                "baseline": _mean(m.baseline.get(name) for m in self.molecules),
                "label_noise": None if noise is None else MICRO_HARTREE * noise,
            }
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Everything but the points of the plots, as plain JSON types."""
        return {
            **self.about,
            "n_molecules": len(self.molecules),
            "seconds_per_molecule": round(self.seconds, 4),
            "label_noise_Eh": self.label_noise,
            "metrics": self.table(),
            "H_mae_uEh_by_element_pair": self.errors.element_pairs(),
            "baseline_H_mae_uEh_by_element_pair": self.baseline_errors.element_pairs(),
            "rotations": self.rotations.to_dict() if self.rotations else None,
            "molecules": [
                {"key": m.key, "name": m.name, **finite(m.metrics), "baseline": finite(m.baseline)}
                for m in self.molecules
            ],
        }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def choose(store: Store, split: Mapping[str, list[str]], part: str) -> list[int]:
    """Indices of the samples of a store that belong to one part of a model's split.

    Args:
        store: The labels.
        split: Keys of samples under ``train``, ``validation`` and ``test``.
        part: One of these, or ``all``.

    Raises:
        HampredError: No such part, or none of its samples is in the store.
    """
    if part not in SPLITS:
        raise HampredError(f"There is no split {part!r}: choose one of {', '.join(SPLITS)}.")
    if part == "all":
        return list(range(len(store)))
    wanted = set(split.get(part, ()))
    chosen = [index for index, key in enumerate(store.keys) if key in wanted]
    if not chosen:
        raise HampredError(
            f"None of the model's {len(wanted)} {part} samples is in {store.path}: "
            "give the store it was trained on, or --split all."
        )
    return chosen


def label_state(sample: HamiltonianSample, overlap: Array) -> ElectronicState:
    """A label as a state, with the overlap [n, n] that a prediction brought along.

    Raises:
        HampredError: The label is an open shell or a crystal.
    """
    if sample.spin or sample.atoms.pbc.any():
        raise HampredError("Open shells and crystals cannot be evaluated yet: give a store of closed-shell molecules.")
    atoms, layout = sample.atoms, sample.basis.layout(sample.atoms.numbers)
    return ElectronicState(atoms, layout, sample.hamiltonian.to_dense(), overlap, sample.n_occupied, sample.charge)


def evaluate(
    predictor: "Predictor",
    store: Store,
    split: str = "test",
    n_rotations: int = 0,
    seed: int = 0,
    report: Report = lambda label, done, total: None,
) -> Evaluation:
    """Compares the predictions of a model with labels.

    Args:
        predictor: The model.
        store: Labels of its basis and level of theory.
        split: Part of the model's split, or ``all``.
        n_rotations: Random elements of O(3) under which up to `MAX_ROTATED` of the molecules are predicted again.
        seed: Of the rotations and of the part of the matrix elements that plots show.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: Basis, level or split do not fit, or a label is no closed-shell molecule.
    """
    predictor.basis.require_compatible(store.basis, "the model", str(store.path))
    predictor.level.require_equal(store.level)
    chosen = choose(store, predictor.header["split"], split)
    result = Evaluation(_about(predictor, store, split), label_noise=store.header.get("label_noise_Eh"))
    collector = _Collector(result, predictor.baseline_name != "none", np.random.default_rng(seed), len(chosen))
    names, keys = store.molecules, store.keys
    rotated = set(np.linspace(0, len(chosen) - 1, min(len(chosen), MAX_ROTATED)).astype(int)) if n_rotations else set()
    kept: list[tuple[ElectronicState, Prediction]] = []
    start = time.perf_counter()
    for k, index in enumerate(chosen):
        sample = store[index]
        tick = time.perf_counter()
        prediction = predictor.predict(sample.atoms, sample.charge)
        _ = prediction.orbital_energies
        result.seconds += (time.perf_counter() - tick) / len(chosen)
        label = label_state(sample, prediction.overlap)
        collector.add(keys[index], names[index], prediction, label)
        if k in rotated:
            kept.append((label, prediction))
        report("evaluating", k + 1, len(chosen))
    if kept:
        labels, predictions = zip(*kept)
        total = len(kept) * n_rotations
        result.rotations = rotation_test(
            predictor, labels, predictions, n_rotations, seed, lambda done: report("rotating", done, total)
        )
    result.about["wall_s"] = round(time.perf_counter() - start, 2)
    return result


def _about(predictor: "Predictor", store: Store, split: str) -> dict[str, Any]:
    return {
        "data": str(store.path),
        "split": split,
        "baseline": predictor.baseline_name,
        "level": predictor.level.to_dict(),
        "net": predictor.header.get("net", {}),
        "shells": {chemical_symbols[z]: shell_names(e.shells) for z, e in predictor.basis.elements.items()},
    }


class _Collector:
    """Adds molecules one by one to an evaluation, keeping what plots need and no more."""

    def __init__(self, result: Evaluation, with_baseline: bool, generator: np.random.Generator, count: int) -> None:
        self.result, self.with_baseline, self.generator = result, with_baseline, generator
        self.share = max(MAX_POINTS * 5 // count, 20)  # elements that one molecule gives to the plots

    def add(self, key: str, name: str, prediction: "Prediction", label: ElectronicState) -> None:
        """Adds a molecule."""
        result, h0 = self.result, prediction.baseline_hamiltonian
        base = ElectronicState(label.atoms, label.layout, h0, label.overlap, label.n_occupied, label.charge)
        baseline = compare(base, label) if self.with_baseline else {}
        result.molecules.append(MoleculeResult(key, name, compare(prediction, label), baseline))
        result.errors.add(prediction.hamiltonian - label.hamiltonian, label.layout)
        result.baseline_errors.add(h0 - label.hamiltonian, label.layout)
        if len(result.levels) < 3 and name not in {levels.name for levels in result.levels}:
            base_energies = base.orbital_energies if self.with_baseline else None
            energies = (label.orbital_energies, prediction.orbital_energies, base_energies)
            result.levels.append(Levels(name, label.n_occupied, *energies))
        onsite = onsite_mask(label.layout)
        upper = np.triu(np.ones_like(onsite))
        for kind, mask in (("onsite", onsite & upper), ("offsite", ~onsite & upper)):
            pairs = np.stack([(label.hamiltonian - h0)[mask], (prediction.hamiltonian - h0)[mask]], axis=1)
            picked = self.generator.permutation(len(pairs))[: min(self.share, MAX_POINTS)]
            known = result.points.get(kind, np.empty((0, 2)))
            result.points[kind] = np.concatenate([known, pairs[picked]])
