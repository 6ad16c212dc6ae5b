"""`hampred evaluate --properties`: energies, charges and the rest in the table, the JSON and the report."""

import json

from hampred.cli import main
from hampred.evaluation.property_errors import FORCE_METRICS, PROPERTY_METRICS


def test_properties_are_in_table_json_and_report(small_model, small_store, tmp_path, capsys):
    words = ["evaluate", "--model", str(small_model), "--data", str(small_store), "--out", str(tmp_path)]
    assert main([*words, "--properties"]) == 0
    output = capsys.readouterr().out
    assert "energy, absolute error / kcal/mol" in output and "the labels have no forces" in output
    told = json.loads((tmp_path / "evaluation.json").read_text())
    for name in PROPERTY_METRICS.keys() - FORCE_METRICS.keys():
        assert told["metrics"][name]["model"] > 0 and told["metrics"][name]["baseline"] > 0
        assert all(name in molecule for molecule in told["molecules"])
    assert not FORCE_METRICS.keys() & told["metrics"].keys()
    assert "Löwdin charges" in (tmp_path / "report.html").read_text()
    assert main([*words, "--json"]) == 0
    assert not PROPERTY_METRICS.keys() & json.loads(capsys.readouterr().out)["metrics"].keys()


def test_properties_of_crystals_are_refused(silicon_model, silicon_store, tmp_path, refused):
    words = ("evaluate", "--model", silicon_model, "--data", silicon_store, "--split", "all", "--out", tmp_path)
    assert "for molecules" in refused(*words, "--properties")
