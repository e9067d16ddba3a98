"""Layers and columns of graphs that a reader can check on paper."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.views.drawing.wiring import taps, wired

RESIDUAL = {"in": [], "a": ["in"], "b": ["a"], "add": ["b", "in"], "out": ["add"]}
INCEPTION = {"in": [], "a": ["in"], "b": ["in"], "c": ["b"], "d": ["in"], "join": ["a", "c", "d", "in"]}
DENSE = {"in": [], "a": ["in"], "b": ["in", "a"], "c": ["in", "a", "b"]}


def test_a_residual_block_is_one_column_and_a_line_next_to_it():
    wiring = wired(RESIDUAL)
    assert wiring.layer == {"in": 0, "a": 1, "b": 2, "add": 3, "out": 4}
    assert len(set(wiring.column.values())) == 1
    assert wiring.columns == 2
    (column, lane) = wiring.lanes["in"]
    assert (lane.first, lane.last) == (1, 2)
    assert column != wiring.column["in"]


def test_branches_of_an_inception_block_have_a_column_each():
    wiring = wired(INCEPTION)
    assert wiring.layer == {"in": 0, "a": 1, "b": 1, "c": 2, "d": 1, "join": 3}
    assert wiring.column["b"] == wiring.column["c"] == wiring.column["join"] == wiring.column["in"]
    assert len({wiring.column[key] for key in "abd"}) == 3


def test_a_dense_block_has_one_line_for_each_value_that_skips():
    wiring = wired(DENSE)
    assert len(set(wiring.column.values())) == 1
    assert sorted(wiring.lanes) == ["a", "in"]
    assert wiring.columns == 3


def test_an_input_stands_right_before_what_reads_it():
    wiring = wired({"left": [], "a": ["left"], "b": ["a"], "late": [], "join": ["b", "late"]})
    assert wiring.layer["late"] == wiring.layer["join"] - 1


@st.composite
def graphs(draw):
    reads = {"0": []}
    for k in range(1, draw(st.integers(1, 14))):
        known = list(reads)
        reads[str(k)] = draw(
            st.lists(st.sampled_from(known), min_size=0 if k < 3 else 1, max_size=4, unique=True)
        )
    return reads


@given(graphs())
def test_no_two_share_a_place(reads):
    wiring = wired(reads)
    assert wiring.layer.keys() == wiring.column.keys() == reads.keys()
    for key, sources in reads.items():
        assert all(wiring.layer[source] < wiring.layer[key] for source in sources)
    places = [(wiring.layer[key], wiring.column[key]) for key in reads]
    places += [
        (layer, at) for at, lane in wiring.lanes.values() for layer in range(lane.first, lane.last + 1)
    ]
    assert len(set(places)) == len(places)
    assert {column for _, column in places} <= set(range(wiring.columns))
    assert all(0 < tap.gap <= max(wiring.layer.values()) for tap in taps(reads, wiring))


@pytest.mark.parametrize("kind", ["chain", "residual"])
def test_columns_do_not_grow_with_depth(kind):
    reads = {"0": []}
    for k in range(1, 600):
        skip = [str(k - 3)] if kind == "residual" and k % 3 == 0 else []
        reads[str(k)] = [str(k - 1), *skip]
    assert wired(reads).columns <= 2
    assert [*itertools.islice(wired(reads).layer.values(), 3)] == [0, 1, 2]


@pytest.mark.parametrize("many", range(2, 8))
def test_branches_stand_in_the_order_in_which_they_are_declared(many):
    branches = [f"b{k}" for k in range(many)]
    column = wired({"x": (), **dict.fromkeys(branches, ("x",)), "concat": branches}).column
    assert sorted(branches, key=column.__getitem__) == branches
    assert column[branches[(many - 1) // 2]] == column["x"] == column["concat"]
