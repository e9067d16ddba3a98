"""What holds in every step of a picture that moves: as in test_drawings, asked of the animated file at each time.

Steps of GIF and WebP files are these drawings as images (tests/views/drawing/test_animation.py).
"""

import itertools
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import striate
from drawn import local, read
from exhaustive import EXHAUSTIVE
from laws.geometry import cells, contrasts, texts
from laws.pictured import SHAPED
from network_strategies import networks, renamed
from striate.diagnostics import StriateError
from striate.models import catalogue
from striate.views.drawing import theme
from striate.views.drawing.extra import in_letters
from striate.views.drawing.motion import still
from striate.views.drawing.picture import Picture
from striate.views.drawing.svg import svg

LAYERS = [
    "7x7x1 -> conv 3x3",
    "7x7x1 -> conv 3x3 /3",
    "7x7x3 -> conv 3x3 4 pad 1",
    "6x5x2 -> conv 2x3 3 /2",
    "9x9x1 -> conv 3x3 dilation 2",
    "8x8x2 -> maxpool 2",
    "8x8x2 -> avgpool 3x3 /2 pad 1",
    "4x4x1 -> tconv 3x3 2 /2",
    "1d 12x2 -> conv 3 4",
    "1d 100x1 -> conv 3",
    "224x224x3 -> conv 7x7 64 /2 pad 3",
    "10x10x10x1 -> conv 3x3x3 2",
]
MODELS = [entry.name for entry in catalogue.entries()] if EXHAUSTIVE else ["lenet5"]
SHAPES = [*SHAPED] if EXHAUSTIVE else ["named", "failing", "volume", "siamese"]
KEYFRAMES = re.compile(r"@keyframes (\S+?)\{((?:[\d.]+%\{opacity:[01]\})+)\}")
RULE = re.compile(r"\.(\S+?)\{animation:(\S+) ([\d.]+)s step-end infinite\}")


def picture(net, numbers, colors, node=""):
    """None where there is no layer with a window, or no numbers can be written, which the user is told."""
    try:
        return striate.draw(net, "layer", node=node, animate=True, numbers=numbers or None, theme=colors)
    except StriateError as error:
        assert "\n  fix " in str(error)
        return None


def frames(root, motion):
    """The classes that the style sheet of a file hides in each step."""
    sheet = " ".join(element.text or "" for element in root.iter() if local(element) == "style")
    changes = {
        name: [(float(at), seen == "1") for at, seen in re.findall(r"([\d.]+)%\{opacity:([01])\}", body)]
        for name, body in KEYFRAMES.findall(sheet)
    }
    assert changes.keys() == {name for name, same, _ in RULE.findall(sheet) if name == same}
    lasts = {name: float(seconds) for name, _, seconds in RULE.findall(sheet)}
    for step in range(motion["steps"]):
        time = (step + 0.5) / motion["speed"]
        yield (
            step,
            {
                name
                for name, keys in changes.items()
                if not [seen for at, seen in keys if at <= 100 * time / lasts[name]][-1]
            },
        )


def broken(made):
    """What is wrong with the steps of a picture, in lines."""
    if made is None or "motion" not in made.scene["drawing"]:
        return
    drawing = made.scene["drawing"]
    paper = {"light": theme.LIGHT, "dark": theme.DARK}[made.theme]["paper"]
    root = ElementTree.fromstring(made.svg)
    for step, hidden in frames(root, drawing["motion"]):
        now = still(drawing, step)
        drawn, meant = read(root, hidden), read(svg(now, made.theme))
        found = itertools.chain(texts(drawn), contrasts(drawn, paper), cells({**made.scene, "drawing": now}))
        yield from (f"step {step}: {problem}" for problem in found)
        if sorted(shown(drawn)) != sorted(shown(meant)):
            yield f"step {step} is not the still picture"


def shown(drawn):
    """Texts and shapes with their places."""
    yield from ((str(text.area), text.text, text.fill) for text in drawn.texts)
    yield from ((str(shape.area), shape.fill, shape.stroke) for shape in drawn.shapes)


def wrong(made):
    """The first things that are wrong."""
    return list(itertools.islice(broken(made), 3))


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("numbers", [False, True], ids=["plain", "numbers"])
@pytest.mark.parametrize("text", LAYERS)
def test_layers(text, numbers, colors):
    made = picture(text, numbers, colors)
    assert numbers or made.scene["drawing"]["motion"]["steps"] > 1
    assert wrong(made) == []


@pytest.mark.parametrize("name", MODELS)
def test_catalogue(name):
    assert wrong(picture(striate.create(name), False, "light")) == []


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_graphs(name):
    assert wrong(picture(SHAPED[name](), False, "light")) == []


@given(networks(max_nodes=6) | renamed(), st.booleans(), st.sampled_from(["light", "dark"]), st.data())
@settings(max_examples=300 if EXHAUSTIVE else 20, deadline=None)
def test_generated_networks(net, numbers, colors, data):
    node = data.draw(st.sampled_from(["", *(node.name for node in net.nodes)]))
    assert wrong(picture(net, numbers, colors, node)) == []


def test_letters_of_images_make_no_text_wider():
    """GIF and WebP files replace letters that their font lacks."""
    drawing = striate.draw(SHAPED["named"](), "layer", animate=True).scene["drawing"]
    assert drawing["motion"]["steps"] > 1
    replaced = in_letters(drawing, lambda c: c if c.isascii() and c.isprintable() else ".", "a font")
    made = striate.draw("7x7x1 -> conv 3x3", "layer", animate=True, theme="light")
    made.scene["drawing"] = replaced
    assert wrong(made) == []


def test_the_laws_can_fail():
    made = striate.draw("5x5x1 -> conv 3x3", "layer", animate=True, theme="light")
    assert wrong(made) == []
    named = next(
        m for m in made.scene["drawing"]["marks"] if m["mark"] == "text" and m.get("steps") == [4, 4]
    )
    for change, said in (({"x": named["x"] + 900}, "step 4: "), ({"steps": [3, 4]}, "step 3: ")):
        before = named.copy()
        named |= change
        assert said in wrong(Picture(made.scene, "light"))[0]
        named |= before
    hidden = Picture(made.scene, "light")
    hidden.svg = made.svg.replace("{opacity:1}", "{opacity:0}", 1)
    assert wrong(hidden) == ["step 0 is not the still picture"]
