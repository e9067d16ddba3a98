"""Drawn parts: whole, apart, by class, by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import SourceError, UsageError
from striate.train.data import ArrayData, open_data
from striate.train.data.splits import choose, complete, draw_holdout
from train.data.makers import five_parts

labels = st.lists(st.integers(0, 3), min_size=1, max_size=60)


def numbered(y, names=None):
    naming = (lambda index: names[index]) if names else None
    return ArrayData(np.zeros((len(y), 2, 2)), y, ["a", "b", "c", "d"], naming=naming)


@given(labels, st.lists(st.floats(0, 0.4), min_size=1, max_size=2), st.integers(0, 5))
def test_parts_are_whole_and_apart(y, shares, seed):
    data = numbered(y)
    parts = draw_holdout(data, tuple(shares), seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))
    for label in range(4):
        count = y.count(label)
        kept, *drawn = ((data.labels[part] == label).sum() for part in parts)
        assert kept or not count
        for share, got in zip(shares, drawn):
            assert got <= max(share * count + 1, 1) and (got >= share * count - 1 or not share)
            assert got or not share or count <= len(shares)


@given(labels.filter(lambda y: len(y) > 5), st.integers(0, 5), st.data())
def test_a_file_more_moves_only_neighbors(y, seed, draw):
    """Names decide, not numbers: each class exchanges at most one image with each part."""
    names = [f"image{number}" for number in range(len(y))]
    gone = draw.draw(st.integers(0, len(y) - 1))
    before = numbered(y, names)
    after = numbered(y[:gone] + y[gone + 1 :], names[:gone] + names[gone + 1 :])
    old = {before.name(int(i)) for i in draw_holdout(before, (0.2,), seed)[1]}
    new = {after.name(int(i)) for i in draw_holdout(after, (0.2,), seed)[1]}
    assert len(old ^ new) <= 2


def test_seeds_differ_and_repeat():
    data = numbered([0] * 100)
    draws = {tuple(draw_holdout(data, (0.1,), seed)[1].tolist()) for seed in (0, 1, 2, 0)}
    assert len(draws) == 3


def test_what_is_there_is_kept():
    data = numbered([0, 1] * 20)
    parts = {"train": data, "validation": data, "test": data}
    assert complete(parts, 0.1, 0) == parts
    drawn = complete({"train": data, "test": data}, 0.1, 0)
    assert drawn["test"] is data and (len(drawn["train"]), len(drawn["validation"])) == (36, 4)
    assert "validation" not in complete({"train": data}, 0, 0)
    assert set(complete({"test": data}, 0.1, 0)) == {"test"}
    assert set(complete({"all": data}, 0, 0)) == {"train"}


def test_a_class_of_one_stays_in_training():
    parts = complete({"all": numbered([0] * 30 + [1])}, 0.1, 0)
    assert parts["train"].counts() == {"a": 24, "b": 1, "c": 0, "d": 0}


def test_choosing():
    data = numbered([0, 1])
    parts = {"train": data, "validation": data}
    for name in ("val", "valid", "validation", "dev", "VAL"):
        assert choose(parts, name, "x") is data
    assert len(choose(parts, "all", "x")) == 4
    with pytest.raises(SourceError, match="x has no test part") as caught:
        choose(parts, "test", "x")
    five_parts(caught.value)
    with pytest.raises(UsageError, match="no part 'tests'") as caught:
        choose(parts, "tests", "x")
    assert "did you mean test?" in five_parts(caught.value)


@pytest.mark.parametrize("holdout", [-0.1, 0.5, 1, float("nan")])
def test_shares_without_meaning(holdout):
    with pytest.raises(UsageError) as caught:
        open_data((np.zeros((4, 2, 2)), [0, 1, 0, 1]), holdout=holdout)
    five_parts(caught.value)


def test_joined_parts_are_one_set():
    x = np.arange(6, dtype=np.uint8).reshape(6, 1, 1)
    data = open_data({"train": (x[:4], [0, 1, 2, 0]), "test": (x[4:], [1, 2])}, "all")
    assert [data.image(index).item() for index in range(6)] == list(range(6))
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2] and data.name(4).endswith("test#0")
    assert next(data.batches(6)).x.ravel() == pytest.approx(np.arange(6) / 255)
