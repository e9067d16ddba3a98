"""Counts, bytes and durations: read, written, and what a slip is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import FormatError
from striate.units import clock, duration, format_bytes, parse_bytes, parse_count


@pytest.mark.parametrize(
    ("text", "number"),
    [("5M", 5_000_000), ("600m", 600_000_000), ("1.5k", 1500), ("1_000", 1000), (7, 7), ("2 G", 2 * 10**9)],
)
def test_counts(text, number):
    assert parse_count(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("64MiB", 2**26), ("64MB", 64 * 10**6), ("1.5 KiB", 1536), ("12", 12), ("3B", 3), (0, 0)],
)
def test_bytes(text, number):
    assert parse_bytes(text) == number


@pytest.mark.parametrize("text", ["", "M", "5 apples", "-3", "5MiB", -1, True, 2.5, None, [], "1e6"])
def test_what_is_not_a_count(text):
    with pytest.raises(FormatError, match='write "5M"'):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "GB", "5 apples", -1, True, 2.5, None, "1e6"])
def test_what_is_not_an_amount_of_memory(text):
    with pytest.raises(FormatError, match='write "64MiB"'):
        parse_bytes(text)


@given(st.integers(1, 2**50))
def test_bytes_are_rounded_up_and_can_be_read(number):
    again = parse_bytes(format_bytes(number))
    assert number <= again <= number + max(number // 10, 999)


@given(st.floats(0, 3.5e5))
def test_times_keep_their_width(seconds):
    assert len(clock(seconds)) <= 8 and len(duration(seconds)) <= 11
