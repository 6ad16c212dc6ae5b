"""Evaluation of a model on the samples of a store: every metric beside the baseline's error and the label noise."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from hampred.confidence import Confidence
from hampred.data.sample import HamiltonianSample
from hampred.data.store import Store
from hampred.electronic.crystal import CrystalState
from hampred.electronic.state import ElectronicState
from hampred.errors import HampredError
from hampred.evaluation.band_comparison import BandComparison, band_comparison
from hampred.evaluation.coverage import coverage
from hampred.evaluation.equivariance import RotationTest, rotation_test
from hampred.evaluation.open_shells import SPIN_METRICS
from hampred.evaluation.property_errors import FORCE_METRICS, PROPERTY_METRICS, property_errors
from hampred.evaluation.spectrum import ErrorMap, finite, shell_names
from hampred.evaluation.states import State, baseline_state, blocks, compare_states, label_state, levels, metrics_of
from hampred.units import MICRO_HARTREE, MILLI_EV

if TYPE_CHECKING:
    from hampred.inference import Predictor

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

SPLITS = ("train", "validation", "test", "all")
MAX_POINTS = 4000
"""Matrix elements of one molecule that the plots keep."""
MATRIX_ERRORS = {f"H{where}_mae_uEh": MICRO_HARTREE for where in ("", "_onsite", "_offsite")}
MATRIX_ERRORS |= {f"H{where}_mae_meV": MILLI_EV for where in ("", "_onsite", "_offsite")}
"""Metrics that the noise of the labels bounds from below, and the size of their unit in 1/Hartree."""
MOST_LEVELS, MOST_BANDS = 3, 2
"""Molecules and crystals whose levels or bands are drawn."""
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
        confidence: What the prediction said of its own errors; None of a model that was not calibrated.
    """

    key: str
    name: str
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    confidence: Confidence | None = None


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
        metrics: What each metric says, with its unit.
        molecules: Metrics of each sample.
        errors: Errors of H by place.
        baseline_errors: The same of the baseline.
        points: ``onsite`` and ``offsite`` → [n, 2] elements of H − H0 (label, prediction), Hartree; a random part.
        levels: Orbital energies of some molecules.
        bands: Bands of some crystals.
        label_noise: Noise of the labels in an element of H (Hartree), None where it was not measured.
        seconds: Seconds of prediction and diagonalisation for one molecule.
        rotations: Result of the rotation test, None without one.
        learning: Columns of the ``metrics.csv`` of the training run: name → [n, 2] (step, value); empty without one.
    """

    about: dict[str, Any]
    metrics: Mapping[str, str]
    molecules: list[MoleculeResult] = field(default_factory=list)
    errors: ErrorMap = field(default_factory=ErrorMap)
    baseline_errors: ErrorMap = field(default_factory=ErrorMap)
    points: dict[str, Array] = field(default_factory=dict)
    levels: list[Levels] = field(default_factory=list)
    bands: list[BandComparison] = field(default_factory=list)
    label_noise: float | None = None
    seconds: float = 0.0
    rotations: RotationTest | None = None
    learning: dict[str, Array] = field(default_factory=dict)

    @property
    def unit(self) -> tuple[str, float]:
        """Name and size (1/Hartree) of the unit of errors of H: crystals are told in meV, as their bands."""
        return ("meV", MILLI_EV) if "H_mae_meV" in self.metrics else ("µE_h", MICRO_HARTREE)

    def table(self) -> dict[str, dict[str, float | None]]:
        """Metric → means over the molecules: ``model``, ``baseline`` and ``label_noise``; None where there is none."""
        rows: dict[str, dict[str, float | None]] = {}
        for name in self.metrics:
            unit = MATRIX_ERRORS.get(name)
            noise = None if self.label_noise is None or unit is None else unit * self.label_noise
            rows[name] = {
                "model": _mean(m.metrics.get(name) for m in self.molecules),
                "baseline": _mean(m.baseline.get(name) for m in self.molecules),
                "label_noise": noise,
            }
        return rows

    def rows(self) -> list[tuple[str, float | None, float | None, float | None]]:
        """`table` as people read it: what a metric says, model, baseline and label noise, which one row tells for H."""
        found = []
        for name, row in self.table().items():
            title, *values = as_read(name, self.metrics[name], row["model"], row["baseline"])
            found.append((title, *values, None if "onsite" in name or "offsite" in name else row["label_noise"]))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything but the points of the plots, as plain JSON types."""
        name, size = self.unit
        unit = name.replace("µE_h", "uEh")
        return {
            **self.about,
            "n_molecules": len(self.molecules),
            "seconds_per_molecule": round(self.seconds, 4),
            "label_noise_Eh": self.label_noise,
            "metrics": self.table(),
            f"H_mae_{unit}_by_element_pair": self.errors.element_pairs(size),
            f"baseline_H_mae_{unit}_by_element_pair": self.baseline_errors.element_pairs(size),
            "rotations": self.rotations.to_dict() if self.rotations else None,
            "coverage": coverage(self.molecules),
            "molecules": [
                {"key": m.key, "name": m.name, **finite(m.metrics), "baseline": finite(m.baseline), **_sure(m)}
                for m in self.molecules
            ],
        }


def as_read(metric: str, title: str, *values: float | None) -> tuple[Any, ...]:
    """Title and values of a metric as people read them: a similarity of nearly 1 by what it lacks."""
    if metric != "orbital_similarity":
        return title, *values
    return "1 − orbital similarity", *(None if value is None else max(1 - value, 0.0) for value in values)


def _sure(molecule: MoleculeResult) -> dict[str, Any]:
    """Warning level and bounds of one sample."""
    known = molecule.confidence
    if known is None:
        return {}
    return {"mean_novelty": float(known.novelty.mean()), "warning": known.warning, "bounds": dict(known.bounds)}


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
        HampredError: No such part, it is empty, or none of its samples is in the store.
    """
    if part not in SPLITS:
        raise HampredError(f"There is no split {part!r}: choose one of {', '.join(SPLITS)}.")
    if part == "all":
        return list(range(len(store)))
    wanted = set(split.get(part, ()))
    if not wanted:
        kept = ", ".join(name for name in ("test", "validation", "train") if split.get(name))
        raise HampredError(f"The model kept no {part} samples (split.{part}: 0): choose --split {kept} or all.")
    chosen = [index for index, key in enumerate(store.keys) if key in wanted]
    if not chosen:
        raise HampredError(
            f"None of the model's {len(wanted)} {part} samples is in {store.path}: "
            "give the store it was trained on, or --split all."
        )
    return chosen


def evaluate(
    predictor: "Predictor",
    store: Store,
    split: str = "test",
    n_rotations: int = 0,
    seed: int = 0,
    properties: bool = False,
    report: Report = lambda label, done, total: None,
) -> Evaluation:
    """Compares the predictions of a model with labels.

    Args:
        predictor: The model.
        store: Labels of its basis and level of theory.
        split: Part of the model's split, or ``all``.
        n_rotations: Random elements of O(3) under which up to `MAX_ROTATED` of the molecules are predicted again.
        seed: Of the rotations and of the part of the matrix elements that plots show.
        properties: Also compare energies, forces, quadrupoles and charges of molecules, which takes a Fock build of
            PySCF for each prediction and each H0.
        report: Told what is being done, how much is done, and of how much.

    Raises:
        HampredError: Basis, level or split do not fit, a label is an open shell of which the model knows nothing, or
            properties of crystals.
    """
    require_fit(predictor, store)
    if properties and store.level.crystal is not None:
        raise HampredError(f"{store.path} holds crystals, and --properties is for molecules: leave it out.")
    chosen = choose(store, predictor.header["split"], split)
    metrics = dict(metrics_of(store.level.crystal is not None))
    metrics |= SPIN_METRICS if store.of_samples("spin")[chosen].any() else {}
    metrics |= PROPERTY_METRICS if properties else {}
    result = Evaluation(_about(predictor, store, split), metrics)
    result.label_noise = store.header.get("label_noise_Eh")
    with_baseline = predictor.baseline_name != "none"
    collector = _Collector(result, with_baseline, np.random.default_rng(seed), len(chosen), properties)
    names, keys = store.molecules, store.keys
    rotated = set(np.linspace(0, len(chosen) - 1, min(len(chosen), MAX_ROTATED)).astype(int)) if n_rotations else set()
    kept: list[tuple[State, State]] = []
    start = time.perf_counter()
    for k, index in enumerate(chosen):
        sample = store[index]
        tick = time.perf_counter()
        prediction = predictor.predict(sample.atoms, sample.charge)
        levels(prediction)
        result.seconds += (time.perf_counter() - tick) / len(chosen)
        label = label_state(sample)
        collector.add(keys[index], names[index], prediction, label, sample)
        if k in rotated:
            kept.append((label, prediction))
        report("evaluating", k + 1, len(chosen))
    if kept:
        labels, predictions = zip(*kept)
        total = len(kept) * n_rotations
        result.rotations = rotation_test(
            predictor, labels, predictions, n_rotations, seed, lambda done: report("rotating", done, total)
        )
    if properties:
        _tell_forces(result)
    result.about["wall_s"] = round(time.perf_counter() - start, 2)
    return result


def require_fit(predictor: "Predictor", store: Store) -> None:
    """Refuses a store of another kind of structures, basis or level than the model's.

    Raises:
        HampredError: It is one.
    """
    known, held = ("molecules" if level.crystal is None else "crystals" for level in (predictor.level, store.level))
    if known != held:
        raise HampredError(f"The model predicts {known}, and {store.path} holds {held}: give a store of {known}.")
    predictor.basis.require_compatible(store.basis, "the model", str(store.path))
    predictor.level.require_equal(store.level)


def _tell_forces(result: Evaluation) -> None:
    """Counts the labels that have forces; metrics that no molecule has are left out of the tables."""
    with_forces = sum(FORCE_METRICS.keys() <= molecule.metrics.keys() for molecule in result.molecules)
    result.about["labels_with_forces"] = with_forces
    if not with_forces:
        result.metrics = {name: told for name, told in result.metrics.items() if name not in FORCE_METRICS}


def _about(predictor: "Predictor", store: Store, split: str) -> dict[str, Any]:
    return {
        "data": str(store.path),
        "split": split,
        "baseline": predictor.baseline_name,
        "level": predictor.level.to_dict(),
        "net": predictor.header.get("net", {}),
        "shells": {chemical_symbols[z]: shell_names(e.shells, e.n_core) for z, e in predictor.basis.elements.items()},
    }


class _Collector:
    """Adds molecules one by one to an evaluation, keeping what plots need and no more."""

    def __init__(
        self, result: Evaluation, with_baseline: bool, generator: np.random.Generator, count: int, properties: bool
    ) -> None:
        self.result, self.with_baseline, self.generator = result, with_baseline, generator
        self.properties = properties
        self.share = max(MAX_POINTS * 5 // count, 20)  # elements that one molecule gives to the plots

    def add(self, key: str, name: str, prediction: State, label: State, sample: HamiltonianSample) -> None:
        """Adds a molecule or crystal."""
        result, base = self.result, baseline_state(prediction, label)
        states = [prediction, base] if self.with_baseline else [prediction]
        found = [compare_states(state, label) for state in states]
        if self.properties:
            more = property_errors(cast(list[ElectronicState], states), cast(ElectronicState, label), sample)
            found = [{**metrics, **others} for metrics, others in zip(found, more)]
        errors = found[0], found[1] if self.with_baseline else {}
        result.molecules.append(MoleculeResult(key, name, *errors, getattr(prediction, "confidence", None)))
        h, found, h0 = (blocks(state, label) for state in (label, prediction, base))
        result.errors.add(found.minus(h))
        result.baseline_errors.add(h0.minus(h))
        self._add_spectrum(name, prediction, label, base)
        onsite, once = h.onsite[h.pair_of_value], h.once[h.pair_of_value]
        for kind, mask in (("onsite", onsite), ("offsite", ~onsite & once)):
            pairs = np.stack([(h.values - h0.values)[mask], (found.values - h0.values)[mask]], axis=1)
            picked = self.generator.permutation(len(pairs))[: min(self.share, MAX_POINTS)]
            known = result.points.get(kind, np.empty((0, 2)))
            result.points[kind] = np.concatenate([known, pairs[picked]])

    def _add_spectrum(self, name: str, prediction: State, label: State, base: State) -> None:
        """Keeps the levels or bands of the first few of different names."""
        result = self.result
        if name in {shown.name for shown in (*result.levels, *result.bands)}:
            return
        if isinstance(label, CrystalState) and isinstance(prediction, CrystalState):
            compared = band_comparison(name, prediction, label) if len(result.bands) < MOST_BANDS else None
            result.bands += [compared] if compared else []
        elif len(result.levels) < MOST_LEVELS:
            energies, n_occupied = levels(label)
            base_energies = levels(base)[0] if self.with_baseline else None
            result.levels.append(Levels(name, n_occupied, energies, levels(prediction)[0], base_energies))
