"""The picture of a receptive field: what is drawn as read is what the unit reads, at one scale."""

import itertools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import striate
from laws.networks import networks
from striate.analysis.fields import exact_field, reads, receptive_fields
from striate.diagnostics import OpError, ShapeError
from striate.network import Builder
from striate.ops.conv import Conv
from striate.ops.merge import Add
from views.drawing.kinds.test_pixels import readable

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def bars(picture, about, fill):
    return [
        mark for mark in picture.scene["drawing"]["marks"]
        if mark["mark"] == "rect" and mark["fill"] == fill and mark.get("about") == about
    ]  # fmt: skip


def units(runs):
    return [k for first, last in runs for k in range(first, last + 1)]


def test_a_field_that_can_be_checked_on_paper(golden):
    """3x3 after 3x3: one unit, three, five pixels; in the corner, a row of padding at each layer."""
    picture = striate.draw("7x7x1 -> conv 3x3 pad 1 -> conv 3x3 pad 1", "field", unit=(0, 0))
    found = picture.scene["facts"]
    axis = found["nodes"]["conv1"]["h"]
    assert (axis["runs"], axis["span"], axis["size"], axis["jump"]) == ([[0, 1]], [-1, 1], 3, 1.0)
    image = found["inputs"]["input"]["w"]
    assert (image["runs"], image["touched"], image["span"]) == ([[0, 2]], [-1, 2], [-2, 2])
    golden("drawing/field-corner.svg", picture.svg)


@pytest.mark.parametrize("name", ["lenet5", "vgg16"])
def test_widths_are_proportional_to_sizes(name):
    """Bars to the field of a unit; the image's runs and the layers' units to pixels, at the same scale."""
    picture = striate.draw(name, "field")
    nodes = picture.scene["facts"]["nodes"]
    image = picture.scene["facts"]["inputs"]["input"]["w"]
    (pixels,) = bars(picture, "input", "window")
    scale = pixels["width"] / len(units(image["runs"]))
    lengths = []
    for key, seen in nodes.items():
        for mark in bars(picture, key, "window"):
            lengths.append((mark["width"], seen["w"]["size"]))
        for family in ("conv", "pool"):
            for mark in bars(picture, key, f"{family}-mark"):
                wide = sum(b - a + 1 for a, b in seen["w"]["runs"]) * seen["w"]["jump"]
                assert mark["width"] == pytest.approx(wide * scale, abs=0.1)
    longest = max(lengths)
    assert len(lengths) > 3
    for length, size in lengths:
        assert length == pytest.approx(longest[0] * size / longest[1], abs=0.1)


@QUIET
@given(st.data(), st.integers(1, 3), st.sampled_from(["counting", "local", "context"]))
def test_what_is_drawn_as_read_is_what_the_unit_reads(data, rank, kind):
    net = data.draw(networks(rank=rank, kind=kind))
    maps = [node.name for node in net.nodes if len(node.outputs) == 1 and net.specs[node.name].spatial]
    assume(maps)
    node = data.draw(st.sampled_from(maps))
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in net.specs[node].spatial)
    local = reads(net, node, unit, context=False)
    if "input" not in local:
        with pytest.raises(OpError, match="reads no pixel"):
            striate.draw(net, "field", node=node, unit=unit)
        return
    picture = striate.draw(net, "field", node=node, unit=unit)
    found = picture.scene["facts"]
    exact = exact_field(net, node, unit)
    for axis, rows in exact.items():
        image = found["inputs"]["input"][axis.lower()]
        assert set(units(image["runs"])) <= set(rows)
        assert image["context"] or tuple(units(image["runs"])) == rows
        known = receptive_fields(net)[node].get(axis)
        if known and known.axis and known.field.step:
            place = net.specs[node].spatial_axes.index(known.axis)
            assert tuple(image["span"]) == known.field.span(unit[place])
    readable(picture.scene["drawing"])


def test_padding_is_dashed_and_counted():
    inside = striate.draw("32x32x1 -> conv 3x3 pad 1", "field")
    corner = striate.draw("32x32x1 -> conv 3x3 pad 1", "field", unit=(0, 0))
    assert not [m for m in inside.scene["drawing"]["marks"] if m.get("fill") == "padding"]
    assert [m for m in corner.scene["drawing"]["marks"] if m.get("fill") == "padding" and m.get("dash")]
    assert "field of 3 pixels, 1 of them padding" in corner.svg


def test_holes_of_dilation_stay_open():
    picture = striate.draw("1d 20x1 -> conv 3 dil 3", "field", unit=(2,))
    assert picture.scene["facts"]["inputs"]["input"]["l"]["runs"] == [[2, 2], [5, 5], [8, 8]]
    assert len(bars(picture, "input", "window")) == 3


def test_branches_that_look_at_different_places():
    build = Builder("apart", input=(1, 16, 16))
    even = build(Conv(1, 2, 2), build.input, name="even")
    odd = build(Conv(1, 3, 2, 1), build.input, name="odd")
    picture = striate.draw(build.build(build(Add(), even, odd, name="sum")), "field", unit=(3, 3))
    faults = picture.scene["facts"]["misaligned"]
    assert [(f["axis"], f["apart"], [b["center"] for b in f["branches"]]) for f in faults] == [
        (axis, 0.5, [6.5, 6.0]) for axis in "hw"
    ]
    assert "sum, unit 3 along h and w: its branches look at different places" in picture.svg
    readable(picture.scene["drawing"])


def test_axes_that_differ_have_a_fan_each():
    assert striate.draw("9x9x1 -> conv 3x3", "field").svg.count("one unit sees<") == 1
    assert striate.draw("9x9x1 -> conv 3x5", "field").svg.count("one unit sees<") == 2


def test_global_context_is_left_out_and_said():
    picture = striate.draw("efficientnet_b0", "field", node="features.1.0.block.2.0")
    image = picture.scene["facts"]["inputs"]["input"]["h"]
    assert image["context"] and len(units(image["runs"])) < 224
    assert "read the whole image" in picture.svg


def test_units_and_nodes_that_are_not_there():
    with pytest.raises(ShapeError, match="no unit"):
        striate.draw("lenet5", "field", unit=(5, 0))
    with pytest.raises(OpError, match="one index per axis"):
        striate.draw("lenet5", "field", unit=(1,))
    with pytest.raises(OpError, match="fc1 has no height and width"):
        striate.draw("lenet5", "field", node="fc1")
    with pytest.raises(ShapeError):
        striate.draw("7x7x1 -> conv 3x3 -> conv 9x9", "field", node="conv2")


def test_a_network_that_fails_is_followed_up_to_there():
    picture = striate.draw("7x7x1 -> conv 3x3 -> conv 9x9", "field")
    assert picture.scene["facts"]["to"] == "conv1" and "G001 conv2" in picture.svg


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "unet", "densenet121"])
def test_pictures_of_deep_networks_are_readable(name):
    picture = striate.draw(name, "field")
    readable(picture.scene["drawing"])
    assert len(picture.svg) < 300_000
    ys = [m["y"] for m in picture.scene["drawing"]["marks"] if m["mark"] == "rect" and m["fill"] == "faint"]
    assert all(b - a >= 14 for a, b in itertools.pairwise(sorted(set(ys))))
