"""Every mistake of a user ends with exit code 2 and one line that helps, and leaves nothing behind."""

import errno

import pytest
import torch
from ase.build import molecule
from ase.io import write

import hampred.cli
from hampred.cli import main
from hampred.errors import FailedError, HampredError

WATER = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("two\n\nH 0 0 0\n", "number of atoms"),
        ("99999999999\n\nH 0 0 0\n", "number of atoms"),
        ("3\n\nO 0 0 0\n", "ends after 1"),
        ("1\n\nO zero 0 0\n", "cannot read"),
        ("2\n\nO 0 0 0\nO 0 0 0.1\n", "apart"),
        ("1\n\nO nan 0 0\n", "not finite"),
        ("1\n\nQq 0 0 0\n", "Qq"),
        ("1\n\nS 0 0 0\n", "does not know the element S"),
        ("2\n\nO 0 0 0\nH 0 0 0.97\n", "9 electrons"),
        ('3\nLattice="5 0 0 0 5 0 0 0 5"\n' + WATER[3:], "periodic"),
    ],
    ids=[
        "empty",
        "header",
        "huge",
        "truncated",
        "number",
        "overlap",
        "nan",
        "symbol",
        "unknown",
        "open-shell",
        "crystal",
    ],
)
def test_predict_refuses_structures(refused, tmp_path, small_model, content, words):
    path = tmp_path / "in.xyz"
    path.write_text(content)
    assert words in refused("predict", path, "--model", small_model, "--out", tmp_path / "out")


def test_one_bad_structure_stops_before_anything_is_written(refused, tmp_path, small_model):
    good, bad = tmp_path / "good.xyz", tmp_path / "bad.xyz"
    write(good, [molecule("H2O")] * 3)
    bad.write_text("1\n\nS 0 0 0\n")
    assert "bad" in str(bad) and refused("predict", good, bad, "--model", small_model, "--out", tmp_path / "out")


def test_models_that_are_none(refused, tmp_path, small_store):
    (tmp_path / "in.xyz").write_text(WATER)
    (tmp_path / "notes.txt").write_text("no model")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    (tmp_path / "folder").mkdir()
    for name in ("notes.txt", "foreign.ckpt", "folder", "absent.safetensors"):
        path = tmp_path / name
        for words in (("predict", tmp_path / "in.xyz"), ("evaluate", "--data", small_store)):
            assert "model" in refused(*words, "--model", path, "--out", tmp_path / "out")
        assert refused("info", path)


def test_truncated_model(refused, tmp_path, small_model):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(small_model.read_bytes()[:-100])
    assert "model" in refused("info", path)


def test_truncated_store(refused, tmp_path, small_store, small_model):
    path = tmp_path / "cut.h5"
    path.write_bytes(small_store.read_bytes()[:3000])
    assert "truncated" in refused("info", path)
    assert "truncated" in refused("evaluate", "--model", small_model, "--data", path, "--out", tmp_path / "out")


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_output_that_cannot_be_written(refused, tmp_path, small_store, small_model, verb):
    (tmp_path / "in.xyz").write_text(WATER)
    (tmp_path / "file").write_text("")
    first = [tmp_path / "in.xyz"] if verb == "predict" else ["--data", small_store]
    assert "Cannot write" in refused(verb, *first, "--model", small_model, "--out", tmp_path / "file" / "out")


def test_splits_that_are_empty_or_unknown(refused, tmp_path, small_store, small_model):
    words = ("evaluate", "--model", small_model, "--data", small_store, "--out", tmp_path / "out", "--split")
    assert "train samples" in refused(*words, "train")
    assert "choose one of" in refused(*words, "tset")
    assert refused(*words, "validation").endswith("(split.validation: 0): choose --split test or all.\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check-basis", "sto-3gg"], "did you mean"),
        (["check-basis", "sto-3g", "--elements", "C", "Qq"], "no element 'Qq'"),
        (["check-basis", "def2-svp", "--elements", "U"], "no U"),
        (["check-basis", "sto-3g", "--rotations", "0"], "--rotations"),
        (["check-basi"], "Did you mean 'check-basis'?"),
        (["predict", "x", "--model", "m", "--format", "nope"], "'--format': 'nope' is not one of"),
        (["train", "generate/water"], "did you mean the preset train/water?"),
        (["predict"], "--help"),
        (["info", "absent.h5"], "no file"),
    ],
)
def test_misspelt_words(refused, words, told):
    assert told in refused(*words)


def test_no_words_print_the_help_alone(capfd):
    assert main([]) == 2
    output = capfd.readouterr()
    assert "predict" in output.out + output.err and "error" not in output.err


@pytest.mark.parametrize("verb", ["generate", "train"])
def test_a_verb_lists_its_own_presets(refused, verb):
    other = {"generate": "train", "train": "generate"}[verb]
    told = refused(verb, "nowhere")
    assert f"{verb}/water" in told and f"{other}/" not in told


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (HampredError("two\nlines"), 2, "two lines"),
        (FailedError("did not work"), 1, "did not work"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "no space left"),
        (ValueError("a fault of ours"), 1, "unexpected ValueError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_line_with_its_code(refused, monkeypatch, error, code, told):
    def fail(words):
        raise error

    monkeypatch.setattr(hampred.cli, "_run", fail)
    assert told in refused("info", "x", code=code)


def test_debug_shows_the_traceback(monkeypatch):
    with pytest.raises(HampredError):
        main(["info", "absent.h5", "--debug"])
    monkeypatch.setenv("HAMPRED_DEBUG", "1")
    with pytest.raises(HampredError):
        main(["info", "absent.h5"])
