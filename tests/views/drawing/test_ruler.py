"""The ruler of sizes: every column is right by counting, texts can be read, and a notebook shows it."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import striate as st
from drawn import read
from laws.geometry import contrasts, texts
from network_strategies import networks
from striate.diagnostics import StriateError
from striate.views.drawing import ruler, theme
from striate.views.drawing.ruler import HEIGHT, ruler_drawing
from striate.views.drawing.svg import svg


def wrong(drawing):
    """The first things that are wrong."""
    for colors, palette in (("light", theme.LIGHT), ("dark", theme.DARK)):
        drawn = read(svg(drawing, colors))
        yield from (*texts(drawn), *contrasts(drawn, palette["paper"]))


def columns(drawing):
    """(left edge, height, fits) of each column that is drawn, from the left; of the first ruler."""
    bars = [m for m in drawing["marks"] if m["mark"] == "rect"]
    last = max(m["y"] + m["height"] for m in bars[:1])
    return [
        (m["x"], m["height"], m["fill"] == "good-fill")
        for m in bars
        if abs(m["y"] + m["height"] - last) < 0.2
    ]


@pytest.mark.parametrize(
    "text", ["7x7x1 -> conv 3x3 /3", "32x32x3 -> conv 5x5 6 /4 -> maxpool 3 /2", "9x9x1 -> conv 3x3"]
)
def test_columns_are_counted(text):
    """What fits is full; a bar is as long as what is left over from the next smaller size that fits."""
    found = st.sizes(text)
    (axis, *_) = found.axes.values()
    reach = min(max(8, axis.modulus * 5 // 4), 40)
    first = max(found.near - reach, 1)
    meant = []
    for n in range(first, first + 2 * reach + 1):
        below = next((m for m in range(n, 0, -1) if axis.fits(m)), None)
        if below is not None:
            meant.append(n - below)
    drawn = columns(ruler_drawing(found))
    assert [full for _, _, full in drawn] == [left == 0 for left in meant]
    most = max(meant) or 1
    for (_, high, full), left in zip(drawn, meant, strict=True):
        assert high == pytest.approx(HEIGHT if full else (HEIGHT - 8) * left / most, abs=0.11)
    steps = [b - a for (a, *_), (b, *_) in itertools.pairwise(drawn)]
    assert max(steps) - min(steps) < 0.3
    assert not [*wrong(ruler_drawing(found))]


@pytest.mark.parametrize("name", ["lenet5", "resnet50", "unet", "vgg16", "googlenet"])
@pytest.mark.parametrize("near", [None, 1, 64, 1_000_003])
def test_networks(name, near):
    drawing = ruler_drawing(st.sizes(st.create(name), near))
    assert drawing is None or not [*wrong(drawing)]
    assert name != "resnet50" or drawing


@given(networks(max_nodes=10), some.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_generated_networks(net, near):
    for name in net.inputs:
        try:
            found = st.sizes(net, near, input=name)
        except StriateError:
            continue
        drawing = ruler_drawing(found)
        assert (drawing is None) == (not any(axis.residues for axis in found.axes.values()))
        assert drawing is None or not [*wrong(drawing)]


@given(networks(max_nodes=8), some.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_the_neighbors_of_a_size_are_found_by_counting(net, near):
    for name in net.inputs:
        try:
            found = st.sizes(net, near, input=name)
        except StriateError:
            continue
        for axis in found.axes.values():
            if axis.modulus <= 64:
                counted = next((m for m in range(near, 0, -1) if axis.fits(m)), None)
                assert ruler._below(axis, near) == counted
                last = max([near, axis.minimum, *axis.residues]) + 2 * axis.modulus + 1
                assert ruler._above(axis, near) == next((m for m in range(near, last) if axis.fits(m)), None)


def test_words_say_whether_the_wish_fits():
    words = ruler_drawing(st.sizes("7x7x1 -> conv 3x3 /3"))["description"]
    assert (
        words
        == "height and width: N = 0 mod 3, N >= 3. 7 does not fit: 1 pixel more than 6, 2 pixels less than 9"
    )
    assert "9 fits" in ruler_drawing(st.sizes("7x7x1 -> conv 3x3 /3", 9))["description"]
    apart = ruler_drawing(st.sizes("7x9x1 -> conv 3x1 /3"))["description"]
    assert "height: " in apart and "width: N = 1 mod 3, N >= 4" in apart


def test_a_notebook_shows_it_over_the_rules():
    found = st.sizes("7x7x1 -> conv 3x3 /3")
    shown = found._repr_html_()
    assert shown.count("<svg") == 1 and shown.index("<svg") < shown.index("<table>")
    assert "<svg" not in st.sizes("5 -> fc 3")._repr_html_()
