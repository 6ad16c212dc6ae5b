"""Damaged and hostile files, and settings that do not fit: one line, exit code 2, nothing half-written."""

import errno
import json
import shutil

import h5py
import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from hampred.cli import main
from hampred.errors import HampredError
from hampred.files import locked, replacing, require_writable

WATER = "3\n{}\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("2\n\nO 0 0 0\nO 0 0 1e15\n", "beyond"),
        (WATER.format("Properties=species:S:1:pos:R:99999999"), "too many columns"),
        (WATER.format('Lattice="1e-3 0 0 0 5 0 0 0 5"'), "thinner"),
        (WATER.format("charge=1"), "9 electrons"),
        (WATER.format("charge=0.5"), "whole number"),
        (WATER.format("charge=1e999"), "whole number"),
        (WATER.format("spin=2"), "closed shells"),
        ("1\n\nD 0 0 0\n", "isotopes"),
        ("1\n\nX 0 0 0\n", "without a known element"),
        ("3\nWasser für\n".encode("latin1") + WATER.format("").encode()[3:], "UTF-8"),
    ],
)
def test_structures(refused, tmp_path, small_model, content, words):
    path = tmp_path / "in.xyz"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in refused("predict", path, "--model", small_model, "--out", tmp_path / "out")


def test_xyz_files_are_checked_without_their_suffix(refused, tmp_path, small_model):
    path = tmp_path / "water"
    path.write_text("99999999999\n\nO 0 0 0\n")
    assert "number of atoms" in refused("predict", path, "--model", small_model, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("charge", "told"),
    [(-20, "7 orbitals, which is too few"), (10, "no electrons left"), (-(10**23), "7 orbitals, which is too few")],
)
def test_charges_that_do_not_fit(refused, tmp_path, small_model, charge, told):
    path = tmp_path / "in.xyz"
    path.write_text(WATER.format(""))
    words = ("--model", small_model, "--out", tmp_path / "out", "--charge", charge)
    assert told in refused("predict", path, *words)


def test_windows_line_ends_and_the_charge_of_the_file(tmp_path, small_model):
    path = tmp_path / "in.xyz"
    path.write_bytes(WATER.format("charge=2").replace("\n", "\r\n").encode())
    assert main(["predict", str(path), "--model", str(small_model), "--out", str(tmp_path)]) == 0
    with np.load(tmp_path / "in.npz", allow_pickle=False) as data:
        assert data["charge"] == 2 and data["occupations"].sum() == 8


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (["format"], "other", "not a hampred model"),
        (["version"], 99, "update hampred"),
        (["version"], "x", "version"),
        (["version"], 1, "train the model again, in a new folder"),
        (["net", "settings", "inputs"], ["x"], "inputs"),
        (["net", "settings", "forms"], None, "forms"),
        (["net"], [], "net"),
        (["net", "name"], "os.system", "no network"),
        (["net", "settings", "n_layers"], 10**7, "n_layers"),
        (["net", "settings", "natural"], 10**9, "natural"),
        (["net", "settings", "lmax"], 60, "lmax"),
        (["net", "settings", "cutoff"], float("nan"), "cutoff"),
        (["net", "settings", "hidden"], "x", "hidden"),
        (["basis", "elements", "O", "shells"], [0, 1, 0], "contradicts"),
        (["basis", "elements", "O"], None, "damaged"),
        (["basis_hash"], "x", "contradicts"),
        (["baseline", "name"], "x", "no baseline"),
        (["split"], None, "split"),
        (["level"], "pbe", "level"),
    ],
    ids=str,
)
def test_headers_of_models(refused, tmp_path, small_model, place, value, words):
    with safe_open(small_model, framework="pt") as file:
        header = json.loads(file.metadata()["hampred"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    inner = header
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "m.safetensors"
    save_file(weights, path, metadata={"hampred": json.dumps(header)})
    assert words in refused("info", path, "--verify")


@pytest.mark.parametrize("shape", [None, (3,)])
def test_weights_that_do_not_fit(refused, tmp_path, small_model, shape):
    with safe_open(small_model, framework="pt") as file:
        metadata, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    first = next(iter(weights))
    del weights[first]
    weights |= {first: torch.zeros(shape)} if shape else {}
    save_file(weights, tmp_path / "m.safetensors", metadata=metadata)
    assert "damaged" in refused("info", tmp_path / "m.safetensors", "--verify")


def replaced(name, value):
    def edit(file):
        dtype = file[name].dtype
        del file[name]
        file[name] = np.frombuffer(value, dtype="u1") if isinstance(value, bytes) else np.asarray(value(dtype))

    return edit


def written(name, place, value):
    def edit(file):
        file[name][place] = value

    return edit


def linked(file):
    del file["positions"]
    file["positions"] = h5py.ExternalLink("elsewhere.h5", "/positions")


STORES = {
    "header is a list": replaced("header", b"[1, 2]"),
    "header is no JSON": replaced("header", b"\xff{"),
    "header is deep": replaced("header", b"[" * 100000),
    "offsets are fractions": replaced("offsets/atoms", lambda _: [0.0, 3.0, 6.0, 9.0]),
    "offsets begin elsewhere": written("offsets/atoms", 0, -5),
    "offsets are empty": replaced("offsets/atoms", lambda dtype: np.zeros(0, dtype)),
    "unknown element": written("numbers", 0, 200),
    "provenance is no JSON": written("provenance", 0, ord("x")),
    "external link": linked,
}


@pytest.mark.parametrize("edit", STORES.values(), ids=STORES)
def test_damaged_stores(refused, tmp_path, small_store, small_model, edit):
    path = tmp_path / "labels.h5"
    shutil.copy(small_store, path)
    with h5py.File(path, "r+") as file:
        edit(file)
    assert str(path) in refused("info", path)
    assert str(path) in refused("evaluate", "--model", small_model, "--data", path, "--out", tmp_path / "out")


def test_every_truncation_and_flipped_byte_is_told(tmp_path, small_store, capfd):
    content = small_store.read_bytes()
    path, generator = tmp_path / "labels.h5", np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[generator.integers(len(content))] ^= 1 << generator.integers(8)
        path.write_bytes(damaged if generator.integers(2) else damaged[: generator.integers(len(content))])
        code, output = main(["info", str(path), "--verify"]), capfd.readouterr()
        assert code in (0, 1, 2) and "unexpected" not in output.err and (code == 0) == (output.err == "")


@pytest.fixture
def config(tmp_path, train_settings):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(train_settings))
    return path


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epohcs=3", "did you mean epochs"),
        ("epochs=yes", "quote it"),
        ("split.train=100", "asked of 12"),
        ("split.trian=1", "did you mean train"),
        ("net.natura=8", "did you mean natural"),
        ("net.natural=-1", "whole number"),
        ("net.inputs=[overlaps]", "net.inputs"),
        ("net.inputs=overlap", "net.inputs"),
        ("net.forms=[]", "net.forms"),
        ("net.pair_cutoff=5.5", "net.pair_cutoff 5.5 is less than net.cutoff 6"),
        ("net={name: bond_frame, inputs: []}", "overlap"),
        ("net.cutoff=.nan", "positive number"),
        ("net.lmax=50", "lower it"),
        ("trainer.devices=0", "devices=0"),
        ("trainer.accelerator=x", "accelerator=x"),
        ("trainer.strategy=x", "strategy=x"),
        ("trainer.max_time=soon", "max_time=soon"),
        ("trainer.max_time=1:00:00:00", "quote it"),
        ("trainer.precision=16", "precision"),
        ("threads=100000", "threads"),
        ("data=[absent.h5]", "no file absent.h5"),
    ],
)
def test_settings_of_a_training(refused, tmp_path, config, setting, words):
    assert words in refused("train", config, "--out", tmp_path / "run", "--set", setting)
    assert not (tmp_path / "run").exists()


def test_gpu_that_is_not_there(refused, tmp_path, config):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert "gpu" in refused("train", config, "--out", tmp_path / "run", "--set", "trainer.accelerator=gpu")


def test_the_same_store_twice(refused, tmp_path, config, label_store):
    words = ("train", config, "--out", tmp_path / "run", "--set", f"data=[{label_store}, {label_store}]")
    assert "same sample twice" in refused(*words)


def test_a_training_that_diverges_fails(tmp_path, config, capsys):
    words = ["train", str(config), "--out", str(tmp_path / "run"), "--set", "optimizer.learning_rate=1e8"]
    assert main([*words, "--set", "epochs=8"]) == 1
    assert "diverged" in capsys.readouterr().err and not (tmp_path / "run" / "model.safetensors").exists()


def test_run_folders(refused, tmp_path, run_folder):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    assert "own folder" in refused("train", run, "--out", tmp_path / "other")
    (run / "model.safetensors").unlink()
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert "starts again" in refused("train", run)
    (run / "config.yaml").rename(tmp_path / "c.yaml")
    assert "no config.yaml" in refused("train", tmp_path / "c.yaml", "--out", run)


def test_two_trainings_do_not_share_a_folder(tmp_path, config, capsys):
    with locked(tmp_path / "run"):
        assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 2
    assert "Another run works" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_an_interrupt_tells_how_to_go_on(refused, tmp_path, config, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hampred.training.run.train", interrupted)
    assert "resume with: hampred" in refused("train", config, "--out", tmp_path / "run", code=130)


@pytest.mark.parametrize("out", ["file/out", "file", "x" * 300])
def test_output_that_cannot_be_written(refused, tmp_path, config, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert "another" in refused("train", config, "--out", out)
    assert "Cannot write" in refused("generate", "generate/water", "--out", out)


GOOD = {"numbers": [1, 1], "positions": [[0, 0, 0], [0, 0, 0.74]], "fock": [[-0.2, -0.4], [-0.4, -0.2]]}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"fock": np.eye(2) * 1j}, "real numbers"),
        ({"positions": [["a"] * 3] * 2}, "real numbers"),
        ({"fock": np.full((2, 2), np.nan)}, "not finite"),
        ({"charge": [1, 2]}, "single numbers"),
        ({"charge": np.nan}, "single numbers"),
        ({"dipole": [0, 0]}, "three"),
        ({"energy": "x"}, "real numbers"),
        (None, "not a plain npz"),
    ],
)
def test_imported_matrices(refused, tmp_path, arrays, words):
    path = tmp_path / "m.npz"
    np.savez(path, **GOOD | (arrays or {}))
    if arrays is None:
        path.write_bytes(path.read_bytes()[:300])
    words_of = ("--functional", "pbe", "--basis", "sto-3g", "--out", tmp_path / "labels.h5")
    assert words in refused("import", path, *words_of)


def test_a_full_disk_leaves_no_trace(tmp_path):
    with pytest.raises(HampredError, match="Make room"), replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_trying_to_write_creates_nothing(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
