"""What the lines of the course say, computed."""

from urllib.parse import parse_qsl

import pytest

import striate as st
from striate.views.page.course import COURSE

EXAMPLES = {one["text"]: one["route"] for line in COURSE for one in line["examples"]}


def layer(route):
    """The network of an address of the view Layer."""
    view, _, query = route.removeprefix("#").partition("?")
    assert view == "layer"
    at = dict(parse_qsl(query))
    n, f, s, p, c, k = (int(at.get(name, 1)) for name in "nfspck")
    mode = "" if at.get("mode", "zeros") == "zeros" else f" mode {at['mode']}"
    return st.parse(f"{n}x{n}x{c} -> conv {f}x{f} {k} /{s} pad {p}{mode}")


def side(route):
    return st.analyze(layer(route)).nodes[-1].output.shape[-1]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("stride 1: 5", 5), ("stride 2: 3", 3), ("stride 1: 7x7 to 5x5", 5), ("stride 2: 7x7 to 3x3", 3),
        ("the next layer: 28x28 to 24x24", 24), ("6 filters give 28x28x6", 28),
        ("F = 3: P = 1", 7), ("F = 5: P = 2", 7), ("F = 7: P = 3", 7),
    ],
)  # fmt: skip
def test_sizes_of_the_examples(text, size):
    assert side(EXAMPLES[text]) == size


@pytest.mark.parametrize(
    ("text", "corner", "most"),
    [("3x3 on 5x5: 1 to 9", 1, 9), ("2x2 on 3x3: 1 2 1 / 2 4 2 / 1 2 1", 1, 4), ("corner 4 of 9", 4, 9),
     ("full: 9 of 9", 9, 9), ("circular: 9 of 9", 9, 9)],
)  # fmt: skip
def test_counts_of_the_examples(text, corner, most):
    pixels = st.pixels(layer(EXAMPLES[text]))
    assert pixels.at(0, 0) == corner
    assert pixels.most == most


def test_numbers_of_the_lines():
    said = {line["title"]: line["text"] for line in COURSE}
    conv = st.analyze(layer(next(line["route"] for line in COURSE if "Fully" in line["title"])))
    dense = st.analyze(st.parse("32x32x3 -> flatten -> fc 4704"))
    assert f"{dense.totals.params:,} parameters" in said["Fully connected layers"]
    assert f"a convolution has {conv.totals.params}." in said["Fully connected layers"]
    assert "2.33" in said["Output size"] and "13 of 49" in said["Output size"]
    assert st.pixels(layer("#layer?n=7&f=3&s=3&p=0")).unread == 13
    assert st.analyze(st.parse("32x32x1 -> [conv 5x5]*7")).nodes[-1].output.shape[2:] == (4, 4)
