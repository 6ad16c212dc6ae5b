"""One label in one orientation is enough for every orientation: the benchmark's short form."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "one_example.py"


def test_one_example_teaches_every_orientation(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "one_example.json").read_text())
    net, rows = results["hampred"], results["perceptron"]
    assert net["largest_difference_of_errors_Eh"] < 1e-9
    assert net["largest_deviation_from_rotated_prediction_Eh"] < 1e-11
    assert net["test_rms_uEh"] < 0.5 * results["baseline_rms_uEh"]
    assert rows[0]["rotations"] == 1 and rows[0]["test_rms_uEh"] > 20 * rows[0]["train_rms_uEh"]
    assert all(abs(row["n_parameters"] / net["n_parameters"] - 1) < 0.02 for row in rows)
    assert (tmp_path / "one_example.png").stat().st_size > 10_000
