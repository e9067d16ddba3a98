"""What holds in pictures of pixels, fields, layers and of two networks: as in test_drawings, asked of the SVG file."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import striate
from drawn import read
from exhaustive import EXHAUSTIVE
from laws.geometry import cells, contrasts, crossings, texts
from laws.pictured import SHAPED, many
from network_strategies import networks, renamed
from striate.diagnostics import StriateError
from striate.models import catalogue
from striate.views.drawing import theme
from striate.views.drawing.comparison import diff_picture
from striate.views.json_records import show_record

KINDS = [
    ("pixels", {}),
    ("pixels", {"compare": True}),
    ("field", {}),
    ("layer", {}),
    ("layer", {"numbers": True}),
    ("fc", {}),
]
MODELS = [entry.name for entry in catalogue.entries()] if EXHAUSTIVE else ["lenet5", "resnet50", "unet"]
themes = st.sampled_from(["light", "dark"])


def picture(net, kind, options, colors):
    """None for a network with nothing to draw in this kind, which the user is told."""
    try:
        return striate.draw(net, kind, theme=colors, **options)
    except StriateError as error:
        assert "\n  fix " in str(error)
        return None


def wrong(made):
    """The first things that are wrong."""
    if made is None:
        return []
    drawn = read(made.svg)
    paper = {"light": theme.LIGHT, "dark": theme.DARK}[made.theme]["paper"]
    return list(itertools.islice([*texts(drawn), *contrasts(drawn, paper), *cells(made.scene)], 3))


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_catalogue(name, kind, options, colors):
    assert wrong(picture(striate.create(name), kind, options, colors)) == []


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("name", SHAPED)
def test_shapes_of_graphs(name, kind, options):
    for colors in ("light", "dark"):
        assert wrong(picture(SHAPED[name](), kind, options, colors)) == []


@given(networks(max_nodes=10) | renamed(), st.sampled_from(KINDS), themes, st.data())
@settings(max_examples=1000 if EXHAUSTIVE else 80, deadline=None)
def test_generated_networks(net, kind, colors, data):
    name, options = kind
    node = data.draw(st.sampled_from(["", *(node.name for node in net.nodes)]))
    assert wrong(picture(net, name, {**options, "node": node}, colors)) == []


@pytest.mark.parametrize("kind", ["pixels", "field", "layer", "fc"])
def test_a_thousand_nodes(kind):
    assert wrong(picture(many(), kind, {}, "light")) == []


# -- two networks ---------------------------------------------------------------------------------------------------


def between(one, other, colors):
    return diff_picture((one, other), (show_record(one), show_record(other)), colors)


def wrong_between(made):
    return [*wrong(made), *itertools.islice(crossings(read(made.svg)), 3)]


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize(
    "pair", [("vgg11", "vgg16"), ("resnet18", "resnet50"), ("googlenet", "unet")], ids=str
)
def test_two_networks_of_the_catalogue(pair, colors):
    assert wrong_between(between(*map(striate.create, pair), colors)) == []


@pytest.mark.parametrize("name", SHAPED)
def test_two_shapes_of_graphs(name):
    """A network next to itself, and next to one that has nothing of it."""
    for other in (name, "residual", "named"):
        assert wrong_between(between(SHAPED[name](), SHAPED[other](), "light")) == []


some = networks(max_nodes=10) | renamed()


@given(some, some, themes)
@settings(max_examples=500 if EXHAUSTIVE else 40, deadline=None)
def test_two_generated_networks(one, other, colors):
    assert wrong_between(between(one, other, colors)) == []


def test_the_laws_can_fail():
    made = striate.draw("7x7x1 -> conv 3x3", "pixels", theme="light")
    marks = made.scene["drawing"]["marks"]
    number = next(m for m in marks if m["mark"] == "text" and m["fill"] in theme.CELL_INK)
    assert wrong(made) == []
    number["text"] = "1234567"
    assert "leaves its cell" in " ".join(cells(made.scene))
    number |= {"text": "1", "fill": "cell-pale" if number["fill"] == "cell-dark" else "cell-dark"}
    assert "contrast" in " ".join(cells(made.scene))
