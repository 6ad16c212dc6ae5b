"""What every page keeps: texts stay texts, and no script runs but those that it names."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

import hampred.pages
from hampred.pages.html import bounded, data_block, number, page, table

HOSTILE = """</title></script><script>run()</script><img src=x onerror="run()">'"&{0}%s"""


@pytest.mark.parametrize(
    ("value", "bound", "told"),
    [
        (7.02, 0.00022, "7.02000 ± 0.00022"),
        (2.6384, 0.069, "2.638 ± 0.069"),
        (10.46, 2.9, "10.5 ± 2.9"),
        (10.46, 29.4, "10 ± 29"),
        (6.14, None, "6.140 ± ?"),
        (1, 0, "1.000000 ± 0.000000"),
    ],
)
def test_a_value_has_the_digits_that_its_bound_leaves(value, bound, told):
    assert bounded(value, bound) == told


def test_numbers_of_one_column_look_alike():
    assert [number(x) for x in (0.0, 1e-4, 0.5, 1727, 20030, 3e6)] == [
        "0",
        "1.00e-04",
        "0.5",
        "1727",
        "20030",
        "3.00e+06",
    ]


def test_texts_stay_texts():
    text = page(HOSTILE, [(HOSTILE, table((HOSTILE,), [(HOSTILE,)]))])
    assert "<script" not in text and "<img" not in text


def test_page_without_scripts_forbids_them():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page("", []))
    assert policy.startswith("default-src 'none';") and "script-src" not in policy


def test_policy_names_the_scripts_and_no_others():
    text = page("", [], scripts=["first()", "{second}"])
    (policy,) = re.findall(r"script-src ([^\";]+)", text)
    hashes = [f"'sha256-{b64encode(sha256(s.encode()).digest()).decode()}'" for s in ("first()", "{second}")]
    assert policy.split() == hashes and "<script>{second}</script>" in text


@pytest.mark.parametrize("script", ["'</SCRIPT>'", "'<!--'"])
def test_script_that_would_end_within_a_page_is_refused(script):
    with pytest.raises(ValueError, match="would end"):
        page("", [], scripts=[script])


def test_data_come_back_and_end_no_script():
    data = {"text": HOSTILE, "numbers": [1, 2.5]}
    (text,) = re.findall(r">(.*)</script>", data_block("a", data))
    assert "<" not in text and json.loads(text) == data


def test_vendored_script_is_the_one_that_its_note_names():
    vendor = Path(hampred.pages.__file__).parent / "vendor"
    assert sha256((vendor / "3Dmol-min.js").read_bytes()).hexdigest() in (vendor / "README.md").read_text()
