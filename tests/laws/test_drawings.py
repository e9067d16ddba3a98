"""What holds in every picture of a network: places of texts, boxes and lines, colors, nothing left out.

All of it is asked of the SVG file itself, read as a browser reads it, with the widths of the widest usual font.
"""

import dataclasses
import functools
import itertools
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import striate
from drawn import Area, dark_rules, meeting, read
from exhaustive import EXHAUSTIVE
from laws.geometry import contrasts, crossings, texts
from laws.pictured import FORMS, SHAPED, many
from network_strategies import networks, renamed
from striate.diagnostics import plural, printable
from striate.models import catalogue
from striate.views.drawing import theme
from striate.views.drawing.kinds import blocks, graph
from striate.views.drawing.parts import MAX_PARTS, failing, parts_of
from striate.views.drawing.request import Request
from striate.views.json_records import show_record

FEW = ("lenet5", "vgg16", "resnet50", "googlenet", "densenet121", "mobilenet_v2")
MODELS = [entry.name for entry in catalogue.entries()] if EXHAUSTIVE else FEW


@functools.cache
def of_catalogue(name):
    return striate.create(name)


def broken(net, form):
    """What is wrong with a picture, in lines."""
    picture = striate.draw(net, theme="light", **form)
    scene, drawn = picture.scene, read(picture.svg)
    dark = read(striate.draw(net, theme="dark", **form).svg)
    most = {"graph": graph.MAX_BOXES, "blocks": MAX_PARTS}[scene["drawing"]["kind"]]
    found = parts_of(scene, most=most, fold=form.get("fold", True))
    yield from texts(drawn)
    yield from contrasts(drawn, theme.LIGHT["paper"])
    yield from contrasts(dark, theme.DARK["paper"])
    yield from crossings(drawn)
    yield from complete(drawn, scene, found)
    if scene["drawing"]["kind"] == "graph":
        yield from wires(drawn)
        yield from connections(drawn, scene, found)
    else:
        yield from volumes(drawn, scene, found)
        yield from bars(drawn, found if form.get("cost") else [])


def wires(drawn):
    """Lines of a graph begin and end at boxes, and two share a stretch only where they share an end."""
    ends = ends_of(drawn)
    for number, line in enumerate(drawn.lines):
        if not {2 * number, 2 * number + 1} <= ends.keys():
            yield f"{line} does not end at boxes"
    pieces = [(number, piece) for number, line in enumerate(drawn.lines) for piece in line.stretches()]
    areas = [piece for _, piece in pieces]
    for k, j in meeting(areas, areas):
        (one, first), (other, second) = pieces[k], pieces[j]
        if one >= other or (first.left == first.right) != (second.left == second.right):
            continue
        shared = max(
            min(first.right, second.right) - max(first.left, second.left),
            min(first.bottom, second.bottom) - max(first.top, second.top),
        )
        alone = all(ends.get(2 * one + end) != ends.get(2 * other + end) for end in (0, 1))
        if shared > 1 and alone:
            yield f"{drawn.lines[one]} and {drawn.lines[other]} share a stretch"


def ends_of(drawn):
    """The box at each end of each line: end 2k is the first of line k."""
    boxes = drawn.boxes()
    ends = {}
    tips = [Area(x, y, x, y) for line in drawn.lines for x, y in (line.points[0], line.points[-1])]
    near = [Area(b.area.left - 1, b.area.top - 1, b.area.right + 1, b.area.bottom + 1) for b in boxes]
    for k, j in meeting(tips, near):
        if touches(tips[k].left, tips[k].top, boxes[j].area):
            ends[k] = boxes[j].node
    return ends


def connections(drawn, scene, found):
    """Each value that a part reads is a line between the two boxes; no other line is there, save between two boxes
    for one part, of which the second repeats the first in another piece.
    """
    ends = ends_of(drawn)
    lines = {(ends.get(2 * k), ends.get(2 * k + 1)) for k in range(len(drawn.lines))}
    found = [*found, *failing(scene["facts"], found)]
    meant = {(printable(source), printable(part.key)) for part in found for source in part.reads}
    if missing := meant - lines:
        yield f"no line for {sorted(missing)}"
    if more := {(one, other) for one, other in lines - meant if one != other}:
        yield f"lines for nothing: {more}"


def touches(x, y, area):
    """Whether a point lies on the edge of an area."""
    across = area.left - 1 <= x <= area.right + 1 and min(abs(y - area.top), abs(y - area.bottom)) <= 1
    down = area.top - 1 <= y <= area.bottom + 1 and min(abs(x - area.left), abs(x - area.right)) <= 1
    return across or down


def complete(drawn, scene, found):
    inside = [node["name"] for part in found for node in part.nodes]
    if sorted(inside) != sorted(node["name"] for node in scene["nodes"]):
        yield f"parts hold {inside}"
    found = [*found, *failing(scene["facts"], found)]
    wanted = {printable(key) for key in [*scene["inputs"], *(part.key for part in found)]}
    if missing := sorted(wanted - drawn.nodes):
        yield f"not drawn: {missing}"
    said = " ".join(text.text for text in drawn.texts)
    if scene["unreached"] and plural(len(scene["unreached"]), "more node") not in said:
        yield "nothing is said of what stands after the failing layer"


def volumes(drawn, scene, found):
    """Equal shapes are drawn equal, and one with more of an axis is not drawn smaller."""
    shapes = {**scene["inputs"], **{part.key: part.output for part in found}}
    sides = {}
    for key, chw in shapes.items():
        faces = [box.area for box in drawn.boxes() if box.node == printable(key)]
        if len(faces) != 3:  # a part on a way outside the row has no block
            continue
        _, right, front = faces
        sides.setdefault(tuple(chw), {})[key] = (
            round(front.right - front.left, 1),
            round(front.bottom - front.top, 1),
            round(right.right - right.left, 1),
        )
    for chw, drawn_as in sides.items():
        if any(
            abs(a - b) > 0.21
            for one, other in itertools.pairwise(drawn_as.values())
            for a, b in zip(one, other)
        ):
            yield f"{chw} is drawn as {drawn_as}"
    flat = [(chw, next(iter(drawn_as.values()))) for chw, drawn_as in sides.items() if len(chw) > 1]
    for (one, drawn_one), (other, drawn_other) in itertools.combinations(flat, 2):
        if (one[0] - other[0]) * (drawn_one[0] - drawn_other[0]) < -0.21 * abs(one[0] - other[0]):
            yield f"{one} is {drawn_one}, {other} is {drawn_other}"


def bars(drawn, found):
    """Bars are as long as their shares of the largest."""
    standing = {box.node for box in drawn.boxes()}
    for color, values in (
        (theme.LIGHT["params"], {part.key: part.params for part in found}),
        (theme.LIGHT["macs"], {part.key: part.macs for part in found}),
    ):
        told = {
            shape.node: shape.area.right - shape.area.left for shape in drawn.shapes if shape.fill == color
        }
        for key, value in values.items():
            long = told.pop(printable(key), 0.0)
            meant = blocks.BAR * value / max(max(values.values()), 1)
            if printable(key) in standing and abs(long - meant) > 0.2:
                yield f"{key} with {value} has a bar of {long}"
        if told:
            yield f"bars of {sorted(told)}"


def wrong(net, form):
    """The first things that are wrong."""
    return list(itertools.islice(broken(net, form), 3))


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_catalogue(name, form):
    assert wrong(of_catalogue(name), form) == []


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", SHAPED)
def test_shapes_of_graphs(name, form):
    assert wrong(SHAPED[name](), form) == []


forms = st.sampled_from(FORMS)


@given(networks(max_nodes=14), forms)
@settings(max_examples=1000 if EXHAUSTIVE else 60, deadline=None)
def test_generated_networks(net, form):
    assert wrong(net, form) == []


@given(renamed(), forms)
@settings(max_examples=300 if EXHAUSTIVE else 30, deadline=None)
def test_awkward_names(net, form):
    assert wrong(net, form) == []


@pytest.mark.parametrize("form", [form for form in FORMS if form.get("fold", True)], ids=str)
def test_a_thousand_nodes(form):
    assert wrong(many(), form) == []


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_file(form):
    """Well-formed, without script, links or events; hostile names are text; both themes in one file are those alone."""
    for net in (SHAPED["named"](), SHAPED["failing"](), SHAPED["unet"]()):
        auto = striate.draw(net, **form).svg
        root = ElementTree.fromstring(auto)
        for element in root.iter():
            assert element.tag.rpartition("}")[2] in ALLOWED
            assert not [key for key in element.attrib if key.startswith("on") or key.endswith("href")]
        assert auto == striate.draw(net, **form).svg
        light, dark = (striate.draw(net, theme=name, **form).svg for name in ("light", "dark"))
        assert re.sub(r' class="(?!striate)[^"]*"|<style>.*</style>\n', "", auto) == light
        assert recolored(auto) == [
            element.get(key) for element in ElementTree.fromstring(dark).iter() for key in ("fill", "stroke")
        ]


ALLOWED = {"svg", "title", "desc", "style", "defs", "pattern", "g", "rect", "path", "text", "image"}


def recolored(svg):
    """Fill and stroke of every element as the style sheet for dark screens sets them."""
    rules = dark_rules(svg)
    found = []
    for element in ElementTree.fromstring(svg).iter():
        if element.tag.endswith("style"):
            continue
        names = element.get("class", "").split()
        for key in ("fill", "stroke"):
            ours = [rules[name] for name in names if name[0] == key[0] and name in rules]
            found.append(ours[0] if ours else element.get(key))
    return found


def test_the_same_bytes_in_another_process():
    code = "import striate, sys; sys.stdout.write(striate.draw('googlenet').svg)"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert made == {striate.draw("googlenet").svg.encode()}


@pytest.mark.parametrize("kind", ["blocks", "graph"])
def test_a_picture_grows_with_its_network(kind):
    """Twice the nodes, about twice the marks and the bytes."""
    one, two = (striate.draw(many(count), kind, fold=False) for count in (300, 600))
    nodes = len(two.scene["nodes"]) / len(one.scene["nodes"])
    assert len(two.scene["drawing"]["marks"]) / len(one.scene["drawing"]["marks"]) < 1.2 * nodes
    assert len(two.svg) / len(one.svg) < 1.25 * nodes


def lines_run(work):
    """How many lines of Python a call runs."""
    count, before = 0, sys.gettrace()

    def trace(_frame, event, _value):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", [blocks, graph], ids=["blocks", "graph"])
def test_work_grows_with_the_network(kind):
    """Twice the nodes, about twice the lines of Python that lay them out."""
    request = Request(fold=False)
    ran = []
    for count in (200, 400):
        net = many(count)
        show = show_record(net)
        record = {**show, "facts": kind.facts(net, show, request)}
        ran.append((lines_run(functools.partial(kind.drawing, record, request)), len(net.nodes)))
    (one, few), (two, more) = ran
    assert two / one < 1.15 * more / few


def test_the_laws_can_fail():
    net = SHAPED["residual"]()
    svg = striate.draw(net, "graph", theme="light").svg
    drawn = read(svg)
    text = next(t for t in drawn.texts if t.node == "add1")
    assert not [*texts(drawn), *contrasts(drawn, "#ffffff"), *crossings(drawn), *wires(drawn)]
    box = next(b for b in drawn.boxes() if b.node == "add1")
    moved = dataclasses.replace(
        text, area=Area(box.area.left - 9, text.area.top, text.area.right, text.area.bottom)
    )
    drawn.texts.append(moved)
    said = " ".join(texts(drawn))
    assert "leaves" in said and "overlaps" in said
    drawn.texts[-1] = dataclasses.replace(text, fill="#888888")
    assert [*contrasts(drawn, "#ffffff")]
    x, y = box.area.middle
    drawn.lines.append(dataclasses.replace(drawn.lines[0], points=((x, y - 99), (x, y + 99))))
    assert [*crossings(drawn)] and [*wires(drawn)]
    scene = striate.draw(net, "graph").scene
    found = parts_of(scene)
    for change in (
        lambda lines: lines[1:],
        lambda lines: [*lines, lines[-1].__class__(lines[0].points[::-1], "")],
    ):
        drawn = read(svg)
        assert not [*connections(drawn, scene, found)]
        drawn.lines = change(drawn.lines)
        assert [*connections(drawn, scene, found)]
