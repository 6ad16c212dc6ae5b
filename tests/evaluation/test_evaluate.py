"""Metrics, the rotation test and the report on real labels."""

import json
import re

import numpy as np
import pytest

from hampred.data.sample import LevelOfTheory
from hampred.errors import HampredError
from hampred.evaluation.evaluate import choose, evaluate
from hampred.evaluation.learning import find_metrics, read_metrics
from hampred.evaluation.report import render, write_report
from hampred.evaluation.spectrum import METRICS, ORIENTATION_DEPENDENT, ErrorMap, compare, onsite_mask, shell_names
from hampred.evaluation.states import hamiltonian_blocks, label_state


@pytest.fixture(scope="module")
def evaluation(make_stand, store):
    result = evaluate(make_stand(), store, "test", n_rotations=6)
    result.about["model"] = "stand"
    return result


def test_identical_states_have_no_error(make_stand, store):
    label = label_state(store[4])
    metrics = compare(label, label)
    assert metrics.pop("orbital_similarity") == pytest.approx(1, abs=1e-12)
    assert list(metrics) == [name for name in METRICS if name != "orbital_similarity"]
    assert all(value == 0 for value in metrics.values())


def test_matrix_errors_follow_their_definition(make_stand, store):
    prediction = make_stand().predict(store[0].atoms)
    label = label_state(store[0])
    metrics, error = compare(prediction, label), 1e6 * np.abs(prediction.hamiltonian - label.hamiltonian)
    onsite = onsite_mask(label.layout)
    assert onsite.sum() == 25 + 1 + 1
    assert metrics["H_onsite_mae_uEh"] == pytest.approx(error[onsite].mean())
    assert metrics["H_mae_uEh"] == pytest.approx(error.mean())
    errors = ErrorMap()
    errors.add(hamiltonian_blocks(prediction).minus(hamiltonian_blocks(label)))
    pairs = errors.element_pairs()
    assert set(pairs) == {"H", "O", "H–H", "H–O"}
    assert pairs["O"] == pytest.approx(error[:5, :5].mean())
    assert pairs["H–O"] == pytest.approx(error[:5, 5:].mean())
    rows, image = errors.matrix(onsite=True)
    assert rows == [(1, 0), (8, 0), (8, 1), (8, 2)]
    assert image[3, 3] == pytest.approx(error[2:5, 2:5].mean()) and np.isnan(image[0, 1])


def test_evaluation_stands_beside_baseline_and_noise(evaluation):
    table = evaluation.table()
    assert len(evaluation.molecules) == 3
    assert table["H_mae_uEh"]["model"] < table["H_mae_uEh"]["baseline"]
    assert table["H_mae_uEh"]["label_noise"] == pytest.approx(0.1)
    assert table["homo_mae_meV"]["label_noise"] is None
    assert 0.9 < table["orbital_similarity"]["model"] <= 1


def test_rotation_test_passes_an_equivariant_predictor(evaluation):
    told = evaluation.rotations.to_dict()
    assert (told["n_molecules"], told["n_rotations"], told["n_improper"]) == (3, 6, 3)
    assert told["max_relative_error"] < 1e-12
    changes = told["largest_change"]
    assert max(changes[name] for name in METRICS if name not in ORIENTATION_DEPENDENT) < 1e-6
    assert changes["H_rms_uEh"] < 1e-6 < changes["H_mae_uEh"]


def test_rotation_test_catches_one_that_is_not(make_stand, store):
    told = evaluate(make_stand(noise=1e-4), store, "test", n_rotations=4).rotations.to_dict()
    assert told["max_error_Eh"] > 1e-5
    assert told["max_relative_error_proper"] > 1e-6 and told["max_relative_error_improper"] > 1e-6


def test_json_is_strict(evaluation):
    assert json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))["n_molecules"] == 3


def test_splits(store, split):
    assert choose(store, split, "train") == [0, 1]
    assert choose(store, split, "all") == list(range(5))
    for part in ("validation", "nonsense"):
        with pytest.raises(HampredError):
            choose(store, split, part)


def test_other_levels_and_bases_are_refused(make_stand, store):
    stand = make_stand()
    stand.level = LevelOfTheory("pbe", "PBE", "sto-3g")
    with pytest.raises(HampredError, match="functional"):
        evaluate(stand, store)


def test_report_is_self_contained_and_escaped(evaluation, tmp_path):
    write_report(tmp_path / "report.html", evaluation)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|//cdn|<script|<link|@import|url\(", text)
    assert "&lt;script&gt;" in text
    assert text.count("data:image/png;base64,") >= 4
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_report_shows_the_learning_curve_of_the_run(evaluation, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    csv = "epoch,step,train_loss,val_H_mae_uEh\n0,1,0.5,\n0,2,,100\n1,3,nan,\n1,4,0.2,50\n"
    (tmp_path / "metrics.csv").write_text(csv)
    for model in (tmp_path, tmp_path / "model.safetensors", tmp_path / "checkpoints" / "last.ckpt"):
        assert find_metrics(model) == tmp_path / "metrics.csv"
    lines = read_metrics(tmp_path / "metrics.csv")
    assert lines["train_loss"].tolist() == [[1, 0.5], [4, 0.2]] and lines["val_H_mae_uEh"].shape == (2, 2)
    evaluation.learning = lines
    assert "Learning curve" in render(evaluation)
    evaluation.learning = {}
    assert "Learning curve" not in render(evaluation)


def test_shell_names():
    assert shell_names((0, 0, 1, 1, 2)) == ["1s", "2s", "2p", "3p", "3d"]
    assert shell_names((0, 0, 1, 2), n_core=10) == ["3s", "4s", "3p", "3d"]  # Si with a pseudopotential
    assert shell_names((0, 1, 2), n_core=28) == ["4s", "4p", "4d"]  # I in def2
