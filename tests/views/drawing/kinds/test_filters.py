"""Kind `filters`: cells are the weights, on one scale or on one each; what is left out is said."""

from pathlib import Path

import numpy as np
import pytest

import striate as st
from cli.test_json import differences
from drawn import read
from laws.pictured import SHAPED
from laws.test_drawings import contrasts, texts
from striate.diagnostics import OpError, ShapeError, SourceError
from striate.formats.loaded import Loaded
from striate.views.drawing import theme
from striate.views.schemas.facts import FilterFacts

NETS = {
    "color": "16x16x3 -> conv 5x5 6",
    "gray": "7x7x1 -> conv 3x3 4",
    "deep": "16x16x8 -> conv 3x3 5",
    "depthwise": "16x16x8 -> dwconv 3x3",
    "groups": "16x16x8 -> conv 3x3 8 groups 4",
    "transposed": "16x16x8 -> tconv 3x3 6 /2",
    "row": "1d 64x4 -> conv 9 16",
    "volume": "8x16x16x2 -> conv 3 4",
    "many": "16x16x200 -> conv 3x3 300",
    "large": "160x160x1 -> conv 150x150 2",
    "signal": "1d 4000x2 -> conv 900 4",
    "many rows": "1d 64x64 -> conv 9 256",
    "many groups": "16x16x128 -> conv 3x3 128 groups 32",
    "few channels": "16x16x8 -> conv 5x5 200",
    "alexnet": "224x224x3 -> conv 11x11 64",
    "pointwise": "8x8x256 -> conv 1x1 512",
    "many slices": "8x16x16x16 -> conv 3 40",
}


def words(picture):
    return " ".join(mark["text"] for mark in picture.scene["drawing"]["marks"] if mark["mark"] == "text")


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_levels_are_the_weights(name, own):
    model = st.Model(NETS[name], seed=3)
    facts = st.draw(model, "filters", own_scale=own).scene["facts"]
    assert not list(differences(facts, FilterFacts))
    weights = model.weights[f"{facts['node']}.weight"]
    shown = [one["filter"] for one in facts["filters"]]
    assert facts["most"] == pytest.approx(np.abs(weights[shown]).max())
    if facts["block"] > 1:
        return
    group = weights.shape[0] // facts["groups"]
    for one in facts["filters"]:
        most = one["most"] if own else facts["most"]
        assert one["most"] == pytest.approx(np.abs(weights[one["filter"]]).max())
        first = one["filter"] // group * weights.shape[1] if facts["groups"] > 1 else 0
        for plane in one["planes"]:
            own_channels = [c - first for c in plane["channels"]]
            real = weights[one["filter"], own_channels]
            real = real if weights.ndim == 3 else real[0][plane["slice"]] if weights.ndim == 5 else real[0]
            assert (np.array(plane["levels"]) - 128) / 127 * most == pytest.approx(real, abs=most / 250)


def test_a_cell_has_the_color_of_its_weights():
    """On paper: red where only the first channel counts, blue where only the last one takes away."""
    model = st.Model("4x4x3 -> conv 1x2 1")
    model.weights["conv1.weight"] = np.array([[[[2, 0]], [[0, 0]], [[0, -2]]]], np.float32)
    (cells, *_) = [m for m in st.draw(model, "filters").scene["drawing"]["marks"] if m["mark"] == "cells"]
    assert cells["palette"] == "rgb"
    assert cells["levels"] == [[0xFF8080, 0x808001]]


@pytest.mark.parametrize(
    ("text", "colored"),
    [
        ("16x16x3 -> conv 3x3 4", True),
        ("16x16x3 -> bn -> relu -> conv 3x3 4", True),
        ("16x16x3 -> conv 3x3 3 -> conv 3x3 3", False),
        ("16x16x3 -> dwconv 3x3", False),
        ("16x16x3 -> tconv 3x3 3", False),
    ],
)
def test_only_filters_that_read_the_colors_of_an_image_are_in_color(text, colored):
    node = st.parse(text).nodes[-1].name
    assert st.draw(text, "filters", node=node).scene["facts"]["colored"] == colored


def test_what_is_left_out_is_said():
    said = words(st.draw(NETS["many"], "filters"))
    assert "16 of 300 filters" in said and "24 of the 200 channels" in said
    assert "mean of 3 x 3 weights" in words(st.draw(NETS["large"], "filters"))
    assert "mean of 15 weights" in words(st.draw(NETS["signal"], "filters"))
    assert "untrained: fresh weights, seed 0" in words(st.draw(NETS["gray"], "filters"))
    assert "untrained" not in words(st.draw(st.Model(NETS["gray"]), "filters"))


def test_numbers_stand_in_cells_where_they_are_few_or_asked_for():
    model = st.Model("5x5x1 -> conv 2x2 1")
    model.weights["conv1.weight"] = np.array([[[[1, -2], [0.25, 0]]]], np.float32)
    said = words(st.draw(model, "filters"))
    assert " 1 -2 0.25 0 " in said
    assert " 0.25 " not in words(st.draw(model, "filters", numbers=False))
    many = st.draw(NETS["deep"], "filters", numbers=True).scene["facts"]
    assert all("values" in plane for one in many["filters"] for plane in one["planes"])


@pytest.mark.parametrize("numbers", [None, True])
@pytest.mark.parametrize("name", NETS)
def test_pictures_have_a_size_that_can_be_seen(name, numbers):
    drawing = st.draw(NETS[name], "filters", numbers=numbers).scene["drawing"]
    assert drawing["height"] < 3200 and drawing["width"] < 2400


def test_numbers_of_filters_in_color_stand_in_planes():
    picture = st.draw(NETS["alexnet"], "filters", numbers=True)
    facts = picture.scene["facts"]
    assert not facts["colored"] and all("values" in p for one in facts["filters"] for p in one["planes"])
    assert f"{len(facts['filters'])} of 64 filters" in words(picture)
    assert st.draw(NETS["alexnet"], "filters").scene["facts"]["colored"]


def test_a_depthwise_filter_is_said_once_to_read_its_channel():
    said = words(st.draw(NETS["depthwise"], "filters"))
    assert "depthwise: a filter reads only the channel of its own number" in said and "reads 3" not in said
    twice = words(st.draw("16x16x4 -> conv 3x3 8 groups 4", "filters"))
    assert "depthwise" not in twice and "reads 3" in twice


def test_weights_that_are_no_numbers_are_hatched():
    model = st.Model(NETS["gray"])
    model.weights["conv1.weight"][1, 0, 0, 0] = np.nan
    picture = st.draw(model, "filters")
    assert picture.scene["facts"]["filters"][1]["planes"][0]["levels"][0][0] is None
    assert "hatched" in words(picture)
    model.weights["conv1.weight"][:] = 0
    assert "0" in words(st.draw(model, "filters"))


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("name", NETS)
def test_texts_are_readable(name, colors):
    for own in (False, True):
        drawn = read(st.draw(NETS[name], "filters", own_scale=own, theme=colors).svg)
        paper = {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"]
        assert [*texts(drawn), *contrasts(drawn, paper)][:3] == []


def test_a_node_without_filters_is_refused_with_those_that_have_some():
    with pytest.raises(OpError) as error:
        st.draw("8x8x1 -> conv 3x3 -> relu", "filters", node="relu1")
    assert "conv1" in error.value.fix
    with pytest.raises(OpError):
        st.draw("8 -> fc 3", "filters")
    with pytest.raises(ShapeError):
        st.draw("8x8x1 -> conv 3x3 -> conv 9x9", "filters", node="conv2")
    assert st.draw("8x8x1 -> conv 3x3 -> conv 9x9", "filters").scene["facts"]["node"] == "conv1"
    with pytest.raises(OpError) as error:
        st.draw("8x8x1 -> conv 3x3 -> conv 3x3", "filters", node=["conv1", "conv2"])
    assert error.value.fix == "--kind maps"


def test_the_weights_of_a_failing_model_are_its_own(tmp_path):
    model = st.Model("8x8x1 -> conv 3x3 2 -> relu")
    model.weights["conv1.weight"][:] = 5
    model.export(tmp_path / "a.safetensors")
    facts = st.draw(st.load(tmp_path / "a.safetensors"), "filters").scene["facts"]
    assert facts["trained"] and facts["most"] == 5
    loaded = st.load(tmp_path / "a.safetensors")
    failing = Loaded.of(st.parse("8x8x1 -> conv 3x3 2 -> relu -> conv 9x9 bias off"), loaded.weights)
    assert failing.inference.problems
    assert st.draw(failing, "filters").scene["facts"]["most"] == 5


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("name", ["failing", "failing merge"])
def test_why_a_network_fails_is_said(name, colors):
    picture = st.draw(SHAPED[name](), "filters", theme=colors)
    drawn = read(picture.svg)
    (problem, *_) = picture.scene["problems"]
    assert f"{problem['code']} {problem['node']}: {problem['message']}" in words(picture)
    assert problem["why"][:30] in words(picture)
    paper = {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"]
    assert not [*texts(drawn), *contrasts(drawn, paper)]


def test_weights_that_are_missing_are_not_replaced():
    loaded = st.load("8x8x1 -> conv 3x3 2").with_parts(trained=True)
    with pytest.raises(SourceError):
        st.draw(loaded, "filters")


def test_hostile_names():
    net = SHAPED["named"]()
    for node in net.nodes:
        if "conv" in str(node.op):
            picture = st.draw(net, "filters", node=node.name, theme="light")
            assert [*texts(read(picture.svg))][:3] == []
            assert picture.scene["drawing"]["width"] < 1300


@pytest.mark.draw
@pytest.mark.parametrize("name", ["color", "deep", "many"])
def test_every_form_holds_it(name, tmp_path):
    picture = st.draw(NETS[name], "filters")
    for suffix in ("svg", "png", "pdf", "tex", "json"):
        assert picture.content(f".{suffix}") == st.draw(NETS[name], "filters").content(f".{suffix}")


def test_the_filters_of_the_gallery_are_bars():
    """4 on a line through the middle, -1 elsewhere: sums of 0."""
    loaded = st.load(str(Path(__file__).parents[4] / "examples" / "bars.safetensors"))
    line = np.eye(5, dtype=bool)
    upright = np.arange(5)[None] == 2
    lines = (np.broadcast_to(upright, (5, 5)), line[:, ::-1], np.broadcast_to(upright.T, (5, 5)), line)
    for found, places in zip(loaded.weights["conv1.weight"], lines, strict=True):
        assert np.array_equal(found[0], np.where(places, 4, -1))
