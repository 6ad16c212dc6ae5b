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
from untrained import crystal_model

from hampred.confidence import Calibration, Familiarity, most_novel
from hampred.confidence.calibration import LEVELS, SHARE, weighted_quantile
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.model_file import load_model, save_model
from hampred.nn.models import architectures


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


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 1.5))
def test_bounds_hold_for_their_share_of_new_errors(seed, power):
    """Errors that grow as a power of the novelty: the bound follows it, and covers what it says."""
    rng = np.random.default_rng(seed)
    u = np.exp(rng.normal(size=600))
    errors = np.abs(rng.normal(size=600)) * u**power
    fitted = Calibration.fit([*u[:300, None]], [{"x": e} for e in errors[:300]], [f"m{k}" for k in range(300)])
    bounds = np.array([fitted.confidence(np.array([each])).bounds["x"] for each in u[300:]])
    assert abs((errors[300:] <= bounds).mean() - SHARE) < 0.1  # four standard deviations
    assert abs(fitted.laws["x"][0] - power) < 0.35


def test_a_molecule_counts_once_however_many_labels_it_has():
    errors = [{"x": 1.0}] * 9 + [{"x": 50.0}] * 900
    names = [f"m{k}" for k in range(9)] + ["one"] * 900
    rare = Calibration.fit(ones(909), errors, [*names[:9], *["m0"] * 900])
    assert weighted_quantile(np.array([1.0, 50.0]), np.array([9.0, 1.0]), 0.9) == 1.0
    assert rare.n_molecules == 9 and rare.n_structures == 909
    assert Calibration.fit(ones(909), errors, names).laws["x"][1] == 50.0  # of ten molecules, the worst


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


def test_most_novel_takes_what_is_new_and_no_look_alikes(rng):
    known = Familiarity.fit([random_atoms(rng, 200)])
    usual = [random_atoms(rng, 5) for _ in range(10)]
    numbers, strange = usual[0][0], usual[0][1] + 40
    other = usual[0][1] + [0, 0, 9, 0, 0]
    pool = [*usual, (numbers, strange), (numbers, strange + 1e-3), (numbers, other)]
    chosen, novelties = most_novel(known, pool, 4)
    assert len({10, 11} & set(chosen[:2])) == 1 and 12 in chosen[:2]  # one of the two that look alike, and the other
    assert chosen[0] != chosen[1] and len(set(chosen)) == 4
    assert novelties == sorted(novelties, reverse=True)
    assert most_novel(known, pool, 100)[0] and len(most_novel(known, pool, 100)[0]) == len(pool)


def test_most_novel_is_the_choice_step_by_step(rng):
    """Each time the largest mean novelty with all atoms known that were chosen before, in widths of the training."""
    train, pool = [random_atoms(rng, 40)], [random_atoms(rng, int(n)) for n in rng.integers(1, 9, 30)]
    known, told = Familiarity.fit(train), []
    chosen, novelties = most_novel(known, pool, 12, lambda *state: told.append(state))
    assert told[-1] == ("choosing structures", 12, 12)
    for step, (best, novelty) in enumerate(zip(chosen, novelties)):
        scores = [mean_novelty(known, structure, [pool[k] for k in chosen[:step]]) for structure in pool]
        left = [k for k in range(len(pool)) if k not in chosen[:step]]
        assert best == max(left, key=scores.__getitem__) and novelty == pytest.approx(scores[best], rel=1e-9)


def mean_novelty(
    known: Familiarity, structure: tuple[np.ndarray, np.ndarray], more: list[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Mean over the atoms of a structure of n xᵀ (Σ x xᵀ + λ)⁻¹ x / d, with more atoms in the sum."""
    total = 0.0
    for z, part in known.elements.items():
        x = [part.standardised(invariants[numbers == z]) for numbers, invariants in (structure, *more)]
        matrix = np.linalg.inv(part.precision()) * part.count + sum((y.T @ y for y in x[1:]), np.zeros(()))
        total += part.count * float(np.sum(x[0].T * np.linalg.solve(matrix, x[0].T))) / len(part.mean)
    return total / len(structure[0])


def test_a_broken_structure_in_a_pool_does_no_harm(rng):
    known = Familiarity.fit([random_atoms(rng, 200)])
    numbers, invariants = random_atoms(rng, 5)
    pool = [(numbers, invariants * 1e9), (numbers, invariants * 1e9), (numbers, invariants + 1)]
    assert set(most_novel(known, pool, 3)[0]) == {0, 1, 2}
