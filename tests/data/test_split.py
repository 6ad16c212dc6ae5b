"""Splits: disjoint, reproducible, whole molecules together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hampred.data.split import split_samples
from hampred.errors import HampredError


@given(counts=st.lists(st.integers(1, 6), min_size=4, max_size=12), seed=st.integers(0, 99))
def test_parts_are_disjoint_and_complete(counts, seed):
    molecules = [f"m{k}" for k, count in enumerate(counts) for _ in range(count)]
    for by in ("geometry", "molecule"):
        parts = split_samples(molecules, 0.5, 0.25, None, by, seed)
        everything = sorted(index for members in parts.values() for index in members)
        assert everything == list(range(len(molecules)))
        assert parts == split_samples(molecules, 0.5, 0.25, None, by, seed)
        if by == "molecule":
            names = [{molecules[k] for k in members} for members in parts.values()]
            assert sum(map(len, names)) == len(set.union(*names))


def test_whole_numbers_are_counts():
    parts = split_samples(["a"] * 20, 10, 4, 3, "geometry", 0)
    assert [len(members) for members in parts.values()] == [10, 4, 3]


def test_nothing_validates_where_nothing_is_asked():
    parts = split_samples(["a"] * 20, 20, 0, None, "geometry", 0)
    assert [len(members) for members in parts.values()] == [20, 0, 0]


@pytest.mark.parametrize(
    ("train", "validation", "test"), [(19, 2, None), (0.9, 0.2, None), (5, 5, 11), (1e-3, 0.5, 1), (0.5, 1e-3, 1)]
)
def test_too_much_is_refused(train, validation, test):
    with pytest.raises(HampredError, match="split"):
        split_samples(["a"] * 20, train, validation, test, "geometry", 0)
