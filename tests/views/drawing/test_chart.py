"""Axes of charts: every value on its axis, round ticks, texts that do not meet, lines that keep their extremes."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.views.drawing.chart import apart, count_axis, thinned, value_axis
from striate.views.drawing.sheet import LINE, SMALL_FONT_SIZE

SIZES = st.floats(1e-8, 1e8)


@given(st.lists(SIZES, min_size=1, max_size=20))
def test_an_axis_holds_every_value_between_its_ticks(values):
    axis = value_axis(values, 200, 0)
    assert axis.low <= min(values) * (1 + 1e-6) and max(values) <= axis.high * (1 + 1e-6)
    assert all(-0.01 <= axis.at(value) <= 200.01 for value in values)
    assert 1 <= len(axis.ticks) <= 12
    places = [axis.at(value) for value, _ in axis.ticks]
    assert places == sorted(places, reverse=True)
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    assert all(-0.01 <= place <= 200.01 for place in places)
    assert axis.log == (max(values) / min(values) >= 20)


@given(st.lists(SIZES, min_size=1, max_size=9))
def test_ticks_say_where_they_stand(values):
    for value, text in value_axis(values, 200, 0).ticks:
        assert float(text.replace(",", "")) == pytest.approx(value, rel=1e-2, abs=1e-300)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_shares_are_percentages_up_to_100(values):
    axis = value_axis(values, 200, 0, share=True)
    assert axis.low + 1e-9 >= 0 and axis.high <= 1 + 1e-9 and not axis.log
    assert axis.low <= min(values) + 1e-9 and max(values) <= axis.high + 1e-9
    assert all(text.endswith(" %") for _, text in axis.ticks)


@given(st.integers(1, 10**6))
def test_epochs_are_counted_from_1(count):
    axis = count_axis(count, 0, 540)
    assert axis.ticks[0][1] == "1"
    assert all(value == int(value) and 1 <= value <= count for value, _ in axis.ticks)
    assert len(axis.ticks) <= 13


def test_log_axes_are_logarithmic():
    axis = value_axis([0.01, 1.0], 200, 0)
    assert axis.at(0.1) == pytest.approx(100)
    assert [text for _, text in axis.ticks] == ["0.01", "0.1", "1"]


GAP = LINE * SMALL_FONT_SIZE


@given(st.lists(st.floats(0, 200), min_size=1, max_size=14))
def test_texts_stand_apart_and_in_order(wished):
    places = apart(wished, 0, 200)
    pairs = sorted(zip(wished, places, strict=True))
    for (_, one), (_, other) in itertools.pairwise(pairs):
        assert other - one >= GAP - 1e-6
    assert min(places) >= -1e-6 and max(places) <= 200 + 1e-6
    if all(abs(a - b) >= GAP for k, a in enumerate(wished) for b in wished[:k]):
        assert places == pytest.approx(wished)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=400))
def test_a_thinned_line_keeps_its_ends_and_extremes(heights):
    points = [(k * 0.05, y) for k, y in enumerate(heights)]
    kept = thinned(points)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(kept) and set(kept) <= set(points)
    assert {min(heights), max(heights)} <= {y for _, y in kept}
    assert len(kept) <= 4 * math.ceil(len(heights) * 0.05 + 1)


@pytest.mark.parametrize(
    ("low", "high"), [(5e-324, 1e308), (1e-320, 1e-310), (1e308, 1.7e308), (0.5, 1.7e308), (1.0, 100.0)]
)
def test_a_logarithmic_axis_holds_all_numbers(low, high):
    scale = value_axis([low, high], 0, 1, log=True)
    assert 0 <= scale.at(low) <= scale.at(high) <= 1 and scale.ticks
