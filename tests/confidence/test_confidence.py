"""Novelty of atoms, bounds of errors, and the choice of what to label next."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from untrained import crystal_model

from hampred.confidence import Calibration, Familiarity, most_representative
from hampred.confidence.calibration import LEVELS, SHARE, weighted_quantile
from hampred.confidence.representatives import NOISE, REACH
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.model_file import load_model, save_model
from hampred.nn.models import architectures

WEIGHTS = {1: 5.0, 6: 14.0, 8: 14.0, 14: 13.0}
"""Of atoms in a choice."""


def random_atoms(rng: np.random.Generator, n: int = 30, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers and invariants."""
    return rng.choice([1, 6], n), rng.normal(size=(n, d)) * [1, 3, 0.1, 2, 1] + 4


def ones(n: int, value: float = 1.0) -> list[np.ndarray]:
    """Novelties of structures of one atom."""
    return [np.array([value])] * n


@pytest.fixture(scope="module", params=sorted(architectures()))
def predictor(request) -> Predictor:
    model = crystal_model((1, 6, 8), request.param)
    return Predictor(replace(model, level=replace(model.level, crystal=None)))


def test_novelty_is_invariant_under_rotations_mirrors_and_permutations(predictor, rng):
    atoms = molecule("CH3CHO")
    known = Familiarity.fit([(a.numbers, predictor.invariants(a)) for a in map(molecule, ("CH3OH", "H2CO", "CH4"))])
    expected = known.novelty(atoms.numbers, predictor.invariants(atoms))
    for improper in (False, True):
        order = rng.permutation(len(atoms))
        turned = Atoms(atoms.numbers, atoms.positions @ random_rotation(rng, improper).T)[order]
        found = known.novelty(turned.numbers, predictor.invariants(turned))
        np.testing.assert_allclose(found, expected[order], rtol=1e-9)


def test_known_atoms_have_novelty_one_on_average(rng):
    numbers, invariants = random_atoms(rng, 400)
    known = Familiarity.fit([(numbers, invariants)])
    for z in (1, 6):
        assert known.novelty(numbers, invariants)[numbers == z].mean() == pytest.approx(1, rel=0.02)  # FLOOR
    assert known.novelty(numbers[:1], invariants[:1] + 100)[0] > 1000


def test_invariants_that_never_change_do_no_harm(rng):
    numbers, invariants = random_atoms(rng)
    invariants[:, 2] = 0.0
    known = Familiarity.fit([(numbers, invariants)])
    assert np.isfinite(known.novelty(numbers, invariants)).all()


def test_unknown_elements_are_refused(rng):
    known = Familiarity.fit([random_atoms(rng)])
    with pytest.raises(HampredError, match="hold no O: leave it out"):
        known.novelty(np.array([8]), np.zeros((1, 5)))
    with pytest.raises(HampredError, match="hold no Cl"):
        most_representative(known, [(np.array([17]), np.zeros((1, 5)))], 1, WEIGHTS)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 1.5))
def test_bounds_hold_for_their_share_of_new_errors(seed, power):
    """Errors that grow as a power of the novelty: the bound follows it, and covers what it says."""
    rng = np.random.default_rng(seed)
    u = np.exp(rng.normal(size=2000))
    errors = np.abs(rng.normal(size=2000)) * u**power
    fitted = Calibration.fit([*u[:1000, None]], [{"x": e} for e in errors[:1000]], [f"m{k}" for k in range(1000)])
    bounds = np.array([fitted.confidence(np.array([each])).bounds["x"] for each in u[1000:]])
    assert abs((errors[1000:] <= bounds).mean() - SHARE) < 0.07  # five standard deviations
    assert abs(fitted.laws["x"][0] - power) < 0.35


@pytest.mark.parametrize("n", [1, 9, 18, 40])
def test_the_coverage_of_few_calibration_structures_is_told(n, rng):
    """Mean and spread of the share of new errors within the bounds, over many draws of the old ones."""
    scores = rng.uniform(size=(4000, n))  # whose share below q is q
    errors = [[{"x": score} for score in row] for row in scores]
    fits = [Calibration.fit(ones(n), row, [f"m{k}" for k in range(n)]) for row in errors]
    within = np.array([fitted.laws["x"][1] for fitted in fits])
    mean, spread = fits[0].coverage
    assert within.mean() == pytest.approx(mean, abs=5 * spread / np.sqrt(len(fits)))
    assert within.std() == pytest.approx(spread, rel=0.06)


def test_a_molecule_counts_once_however_many_labels_it_has():
    errors = [{"x": 1.0}] * 9 + [{"x": 50.0}] * 900
    names = [f"m{k}" for k in range(9)] + ["one"] * 900
    rare = Calibration.fit(ones(909), errors, [*names[:9], *["m0"] * 900])
    assert weighted_quantile(np.array([1.0, 50.0]), np.array([9.0, 1.0]), 0.9) == 1.0
    assert rare.n_molecules == 9 and rare.n_structures == 909
    assert Calibration.fit(ones(909), errors, names).laws["x"][1] == 50.0  # of ten molecules, the worst


def test_bounds_of_too_few_labels_or_molecules_are_told():
    for n, molecules, told in (
        (9, "a" * 9, ""),
        (8, "a" * 8, "8 calibration labels"),
        (30, "abc" * 10, "3 calibration"),
    ):
        notes = Calibration.fit(ones(n), [{"x": 1.0}] * n, [*molecules]).notes
        assert [told in note for note in notes] == [True] * bool(told)


def test_warning_levels_follow_the_calibration():
    fitted = Calibration.fit(ones(19) + ones(1, 5.0), [{"x": 1.0}] * 20, [str(k) for k in range(20)])
    words = [fitted.confidence(np.full(3, u)).warning for u in (0.5, 3.0, 6.0)]
    assert tuple(words) == LEVELS


def test_one_strange_atom_of_many_is_warned_of():
    usual = [np.array([0.5, 0.5, 1.0, 2.0])] * 19 + [np.array([0.5, 0.5, 1.0, 8.0])]
    fitted = Calibration.fit(usual, [{"x": 1.0}] * 20, [str(k) for k in range(20)])
    assert fitted.newest == (2.0, 8.0)
    chains = [np.array([*[0.1] * 39, newest]) for newest in (1.5, 4.0, 30.0)]
    assert max(chain.mean() for chain in chains) < fitted.usual
    assert [fitted.confidence(chain).warning for chain in chains] == list(LEVELS)
    assert "atom 40 (H) is the newest to the model, 30:" in fitted.confidence(chains[2]).notes(Atoms("H40"))[0]
    older = Calibration.from_dict({name: value for name, value in fitted.to_dict().items() if name != "newest"})
    assert older.newest is None and [older.confidence(chain).level for chain in chains] == [0, 0, 0]


def test_bounds_shrink_no_further_than_what_was_tested():
    """A perfect crystal is less novel than any of the rattled ones that calibrated; its error need not be smaller."""
    fitted = Calibration.fit(ones(5, 0.5) + ones(5, 2.0), [{"x": 1.0}] * 10, [str(k) for k in range(10)])
    assert fitted.laws["x"][0] > 0.1 and fitted.smallest == 0.5
    perfect, least = (fitted.confidence(np.full(3, u)).bounds["x"] for u in (1e-6, 0.5))
    assert perfect == least < fitted.confidence(np.full(3, 2.0)).bounds["x"]


def test_atoms_without_any_novelty_do_no_harm():
    fitted = Calibration.fit(ones(9) + ones(1, 0.0), [{"x": 1.0}] * 10, [str(k) for k in range(10)])
    assert np.isfinite(fitted.laws["x"]).all()
    told = fitted.confidence(np.zeros(2))
    assert told.level == 0 and np.isfinite(told.bounds["x"])
    none = Calibration.fit(ones(3, 0.0), [{"x": 1.0}] * 3, ["a", "b", "c"])
    assert none.confidence(np.zeros(2)).bounds["x"] == pytest.approx(1.0) and none.confidence(np.zeros(2)).level == 0


def test_calibration_comes_back_from_json():
    fitted = Calibration.fit(
        [np.array([1.0]), np.array([1.0, 3.0])],
        [{"x": 1.0, "y": float("nan")}, {"x": 3.0, "y": float("nan")}],
        ["a", "b"],
    )
    assert set(fitted.laws) == {"x"} and fitted.newest == (3.0, 3.0)
    assert Calibration.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_a_model_file_keeps_what_the_model_knows(predictor, rng, tmp_path):
    structures = [molecule(name) for name in ("CH3OH", "H2CO")]
    known = Familiarity.fit([(a.numbers, predictor.invariants(a)) for a in structures])
    calibration = Calibration.fit(ones(1) + ones(1, 2.0), [{"homo_mae_meV": 1.0}, {"homo_mae_meV": 3.0}], ["a", "b"])
    model = replace(predictor.model, familiarity=known, calibration=calibration)
    save_model(tmp_path / "model.safetensors", model)
    loaded = Predictor(load_model(tmp_path / "model.safetensors"))
    told = loaded.predict(molecule("CH3CHO")).confidence
    assert told is not None and set(told.bounds) == {"homo_mae_meV"} and told.level == 2
    alone = loaded.predict([*structures, molecule("CH3CHO")])[2].confidence  # in a batch
    assert alone is not None
    np.testing.assert_allclose(alone.novelty, told.novelty, rtol=1e-9)
    assert predictor.predict(structures[0]).confidence is None
    kept = loaded.model.familiarity
    assert kept is not None
    for z, part in known.elements.items():
        np.testing.assert_allclose(kept.elements[z].rows, part.rows, rtol=1e-5, atol=1e-6)
    older = Familiarity.from_arrays({name: array for name, array in known.arrays().items() if "rows" not in name})
    assert older is not None and most_representative(
        older, [(a.numbers, predictor.invariants(a)) for a in structures], 1, WEIGHTS
    )


def test_float32_knows_the_same_atoms(predictor):
    single = Predictor(predictor.model, torch.float32)
    atoms = molecule("CH3OH")
    np.testing.assert_allclose(single.invariants(atoms), predictor.invariants(atoms), rtol=2e-3, atol=2e-4)


def test_crystals_know_their_atoms_in_every_cell():
    predictor = Predictor(crystal_model((14,)))
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=1)
    twice = atoms.repeat((2, 1, 1))
    np.testing.assert_allclose(predictor.invariants(twice)[:2], predictor.invariants(atoms), rtol=1e-7, atol=1e-9)


def structures_of(points: np.ndarray, size: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Structures of so many hydrogen atoms with invariants near points [n, d]."""
    return [(np.ones(size, dtype=int), point + 0.01 * np.arange(size)[:, None]) for point in points]


def test_choice_takes_what_many_are_like_and_no_look_alikes(rng):
    usual = rng.normal(size=(40, 3))
    group, other, alone = 20 + rng.normal(size=(30, 3)), rng.normal(size=(10, 3)) - [40, 0, 0], np.array([[0, 0, 90.0]])
    known = Familiarity.fit(structures_of(usual[:20]))
    pool = structures_of(np.concatenate([group, other, alone, usual[20:]]))
    chosen = most_representative(known, pool, 3, WEIGHTS)
    assert chosen[0] < 30 and 30 <= chosen[1] < 40 and chosen[2] == 40  # one of each group, what is alone after them
    assert sorted(most_representative(known, pool, 100, WEIGHTS)) == list(range(len(pool)))
    assert 0 <= most_representative(known, structures_of(group, 1) + structures_of(group[:1], 9), 1, WEIGHTS)[0] < 31


def test_choice_is_that_of_all_gains_computed_anew(rng, monkeypatch):
    monkeypatch.setattr("hampred.confidence.representatives.RANK", 1e-10)  # nothing of the kernel is left out
    pool, told = [random_atoms(rng, int(n)) for n in rng.integers(1, 9, 25)], []
    train = pool[:4]  # of other atoms the kernel's expansion on those of the pool is not exact
    known = Familiarity.fit(train)
    chosen = most_representative(known, pool, 8, WEIGHTS, lambda *state: told.append(state))
    assert told[-1] == ("comparing structures", 25, 25)
    for step, best in enumerate(chosen):
        doubts = [doubt(known, [*train, *(pool[k] for k in chosen[:step]), pool[new]], pool) for new in range(25)]
        assert doubts[best] == pytest.approx(min(doubts), rel=1e-4)


def doubt(known: Familiarity, labels: list, pool: list) -> float:
    """Sum over a pool of the mean variance of a structure, of a Gaussian process that was told of the labels."""
    total = 0.0
    sizes = np.concatenate([np.full(len(numbers), sum(WEIGHTS[z] for z in numbers)) for numbers, _ in pool])
    all_numbers = np.concatenate([numbers for numbers, _ in pool])
    for z, part in known.elements.items():
        ours, theirs = (
            part.points(np.concatenate([invariants[numbers == z] for numbers, invariants in structures]))
            for structures in (pool, labels)
        )
        length = REACH * np.median(pdist(ours))
        mixed, among = (np.exp(-((cdist(points, theirs) / length) ** 2)) for points in (ours, theirs))
        told = np.einsum("ij,ji->i", mixed, np.linalg.solve(among + NOISE * np.eye(len(among)), mixed.T))
        total += (WEIGHTS[z] / sizes[all_numbers == z] * (1 - told)).sum()
    return total


def test_a_broken_structure_in_a_pool_does_no_harm(rng):
    known = Familiarity.fit([random_atoms(rng, 200)])
    numbers, invariants = random_atoms(rng, 5)
    pool = [(numbers, invariants * 1e9), (numbers, invariants * 1e9), (numbers, invariants + 1)]
    assert set(most_representative(known, pool, 3, WEIGHTS)) == {0, 1, 2}
