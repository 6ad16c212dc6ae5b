"""Each benchmark in the small, from its command to its table and its JSON file; the same command resumes."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
TINY = {"natural": 8, "unnatural": 4, "n_layers": 1, "hidden": 16, "n_radial": 8}
SMALL_NET = [word for key, value in TINY.items() for word in ("--set", f"net.{key}={value}")]
BY_MOLECULE = ["--set", "split.train=1", "--set", "split.validation=1", "--set", "split.seed=0"]


@pytest.fixture
def benchmark(monkeypatch, tmp_path, capsys):
    """Runs a benchmark as a command would, into `tmp_path`; gives its JSON and what it printed."""

    def run(name: str, *words: object) -> tuple[dict, str]:
        monkeypatch.syspath_prepend(str(FOLDER))
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words), "--out", str(tmp_path)])
        capsys.readouterr()
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        record = json.loads((tmp_path / f"{name}.json").read_text())
        assert record["benchmark"] == name and record["machine"]["cpu"] and record["versions"]["torch"]
        assert name in record["command"]
        return record, capsys.readouterr().out

    return run


def test_accuracy_water(benchmark, tmp_path):
    words = ["--count", 8, "--stdev", 0.03, "--workers", 1, "--config", "train/water", "--split", 5, 1, 2, *SMALL_NET]
    record, printed = benchmark("accuracy_water", *words, "--max-time", 5, "--set", "epochs=3")
    assert "not the published MD17 split" in printed and "SchNOrb" in printed
    assert record["data"]["n_labels"] == 8 and record["data"]["geometries"][0]["sampling"][0]["stdev"] == 0.03
    assert record["config"]["trainer"]["max_time"] == "00:00:05:00"
    assert record["training"]["cpu_s"] > 0 and record["training"]["step_cpu_ms"] > 0
    assert record["test"]["H_mae_uEh"]["model"] > 0 and record["n_weights"] > 0
    assert (tmp_path / "labels" / "labels.h5").is_file()


def test_data_efficiency_resumes(benchmark, label_store, tmp_path):
    words = ["--labels", label_store.parent, "--counts", 2, 6, "--validation", 1, "--test", 4, "--steps", 4, *SMALL_NET]
    first, _ = benchmark("data_efficiency", *words)
    weights = (tmp_path / "train_6" / "model.safetensors").read_bytes()
    again, _ = benchmark("data_efficiency", *words)
    assert first["rows"] == again["rows"] and weights == (tmp_path / "train_6" / "model.safetensors").read_bytes()
    assert [row["n_train"] for row in first["rows"]] == [2, 6] and {row["n_steps"] for row in first["rows"]} == {4}
    assert (tmp_path / "data_efficiency.png").stat().st_size > 10_000


def test_data_efficiency_never_tests_on_what_it_trains_on(benchmark, label_store, tmp_path):
    words = ["--labels", label_store.parent, "--counts", 6, "--validation", 1, "--test", 6, "--steps", 2, *SMALL_NET]
    with pytest.raises(SystemExit) as end:
        benchmark("data_efficiency", *words)
    assert end.value.code == 2


def test_transfer(benchmark, label_store):
    words = [*BY_MOLECULE, *SMALL_NET, "--set", "epochs=1"]
    record, printed = benchmark("transfer", label_store, label_store, *words)
    small, large = record["groups"][:2]
    assert record["train"]["n_train_molecules"] == small["n_molecules"] == 1
    # TEST is TRAIN here: what was trained and validated on is left out of it
    assert small["methods"] == large["methods"] and large["n_labels"] == record["train"]["n_test_labels"]
    assert set(small["methods"]) == {"hampred", "projectors", "sap", "fitted_sap", "minao"}
    assert 0 < small["methods"]["fitted_sap"]["H_mae_uEh"] < small["methods"]["sap"]["H_mae_uEh"]
    assert small["methods"]["minao"]["H_mae_uEh"] > 0
    assert small["methods"]["hampred"]["ratio_to_small"] == 1
    assert "minao" in printed


def test_selection_resumes(benchmark, label_store):
    words = [label_store, "--counts", 3, 6, "--seeds", 0, "--steps", 2, "--test", 0.2, *SMALL_NET]
    first, printed = benchmark("selection", *words)
    again, _ = benchmark("selection", *words)
    assert first["rows"] == again["rows"] and "error of select over that of random" in printed
    errors = {(mean["strategy"], mean["n_labels"]): mean["H_mae_uEh"] for mean in first["means"]}
    assert list(errors) == [("random", 3), ("random", 6), ("select", 2), ("select", 4)]
    ratios = [ratio["H_mae_uEh"] for ratio in first["error_ratios"]]
    assert ratios == [errors["select", 2] / errors["random", 3], errors["select", 4] / errors["random", 6]]


def test_selection_needs_labels_for_both(benchmark, label_store):
    with pytest.raises(SystemExit) as end:
        benchmark("selection", label_store, "--counts", 1, 2, "--share", 0.2)
    assert end.value.code == 2


def test_inference_speed(benchmark):
    words = ["--molecules", "ethanol", "--repeats", 1, "--functional", "pbe", "--basis", "sto-3g", *SMALL_NET]
    record, printed = benchmark("inference_speed", *words)
    row = record["molecules"]["ethanol"]
    parts = row["float64"]["parts_cpu_s"]
    assert all(parts[name] > 0 for name in ("graph", "S and T", "H0", "network", "assembly", "diagonalise"))
    assert row["pyscf"]["converged"] and row["ratio_float64"] > 1
    assert record["start_wall_s"]["process"] > record["start_wall_s"]["import"] > 0
    assert "ethanol" in printed


def test_ablations(benchmark, label_store, tmp_path):
    words = [*BY_MOLECULE, *SMALL_NET, "--only", "preset", "no orbital loss", "--steps", 3, "--scf", 1]
    record, printed = benchmark("ablations", label_store, *words)
    rows = record["variants"]
    assert set(rows) == {"preset", "no orbital loss"} and rows["no orbital loss"]["overrides"] == ["loss.orbitals=0"]
    assert all(row["H_onsite_mae_uEh"] > 0 and 0 < row["density_error"] < 2 for row in rows.values())
    assert all(row["scf_cycles"] >= 1 for row in rows.values())
    assert "★" in printed and (tmp_path / "ablations.png").stat().st_size > 10_000


def test_warm_start_resumes(benchmark, run_folder, label_store, tmp_path):
    words = [run_folder, label_store, "--split", "all", "--n", 2]
    first, printed = benchmark("warm_start", *words, "--starts", "trained")
    again, _ = benchmark("warm_start", *words)
    assert [row["starts"]["trained"] for row in first["labels"]] == [r["starts"]["trained"] for r in again["labels"]]
    assert {group["start"] for group in again["groups"]} == {"trained", "initial weights", "exchanged weights"}
    assert len(first["labels"]) == 2 and "trained" in printed and "exchanged" not in printed
    assert (tmp_path / "rows.json").is_file()
    for group in again["groups"]:
        assert group["largest_energy_difference_Eh"] < 1e-7 and group["n_unconverged"] == 0
        assert group["largest_ratio_of_cycles"] <= 1


def test_field(benchmark):
    words = ["--count", 7, "--workers", 1, "--split", 4, 1, 2, "--polarizabilities", 1, "--only", "vector", *SMALL_NET]
    record, printed = benchmark("field", *words, "--set", "epochs=2", "--set", "validate_every_epochs=1")
    errors = record["errors"]
    assert set(errors) == {"H0 alone", "vector"} and errors["vector"]["overrides"] == [
        "net.conditions=[electric_field]",
        "net.inputs=[overlap]",
    ]
    assert 2 < record["mean_isotropic_polarizability_a03"] < 10 and 0 < record["mean_field_V_A"] < 0.5
    assert all(row["induced_mD"] > 0 and row["polarizability_a03"] > 0 for row in errors.values())
    assert "polarisability" in printed


def test_dynamics(benchmark, small_model):
    record, printed = benchmark("dynamics", small_model, "--scf-steps", 14, "--fmax", 0.1, "--n", 2)
    assert [row["forces"] for row in record["optima"]] == ["PySCF", "14 SCF steps"]
    assert record["optima"][0]["largest_bond_error_A"] == 0 and record["optima"][1]["largest_bond_error_A"] < 1e-3
    assert len(record["optima"][0]["bonds_A"]) == 2 and len(record["optima"][0]["angles_deg"]) == 1
    reference, found = (row["energies_eV"] for row in record["dynamics"])
    assert len(found) == 3 and max(abs(a - b) for a, b in zip(reference, found)) < 1e-4
    assert "drift" in printed
