"""Widths of text: sums that can be checked, and cuts that fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.views.drawing.widths import lines, shortened, width


def test_widths_are_sums_of_advances():
    assert width("", 12) == 0
    assert width("il", 100) == 56
    assert width("il", 100, bold=True) == pytest.approx(71.12)
    assert width("\u6d41", 10) == 10.5
    assert width("e\u0301\u200b", 100) == width("e", 100)


@given(st.text(), st.floats(4, 40), st.floats(20, 400), st.booleans())
def test_a_shortened_text_fits(text, size, room, bold):
    cut = shortened(text, size, room, bold)
    assert cut == "…" or width(cut, size, bold) <= room
    assert cut == text or "…" in cut


@given(st.text(alphabet="ab W-", max_size=80), st.floats(30, 200))
def test_lines_fit_and_keep_every_word(text, room):
    broken = lines(text, 10, room)
    assert all(width(line, 10) <= room for line in broken)
    if "…" not in "".join(broken):
        assert " ".join(broken).split() == text.split()


def test_ends_of_a_long_name_stay():
    assert shortened("layer4.2.conv3.weight", 10, 80) == "layer4.2.c…ight"
