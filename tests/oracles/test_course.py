"""The course on convolutional networks, slide by slide: each example gives exactly what the slide says."""

from fractions import Fraction

import numpy as np
import pytest

import striate as st
from striate.diagnostics import OpError, ShapeError, render
from striate.engine.numpy_ import reference


def layer(text: str):
    """Facts of the last node of a notation."""
    return st.analyze(st.parse(text)).nodes[-1]


def size(text: str) -> tuple[int, ...]:
    """Height x width after a notation."""
    return layer(text).output.spatial


def codes(text: str) -> list[str]:
    return [finding.code for finding in st.check(st.parse(text)).findings]


# ---------------------------------------------------------------- the convolutional layer
def test_filters_extend_the_full_depth_and_stack_to_an_output_volume():
    net = st.parse("32x32x3 -> conv 5x5 6")
    conv = st.analyze(net).nodes[0]
    assert str(conv.output) == "28x28x6"
    assert net.parameters["conv1.weight"].shape == (6, 3, 5, 5), "six filters, each 5x5x3"
    assert conv.params == 456 == 6 * (5 * 5 * 3 + 1)
    assert conv.macs == 28 * 28 * 6 * 5 * 5 * 3
    assert "P002" in codes("32x32x3 -> conv 5x5 6"), "the output shrinks"


def test_filters_made_for_another_depth_are_refused():
    net = st.parse("32x32x3 -> conv 5x5 6").replace("conv1", st.ops.Conv(6, 5, in_channels=4))
    with pytest.raises(ShapeError, match="expected 4 input channels, got 3"):
        _ = net.specs


def test_groups_and_depthwise_are_the_named_exceptions():
    assert st.parse("32x32x8 -> conv 3x3 8 groups 2").parameters["conv1.weight"].shape == (8, 4, 3, 3)
    assert st.parse("32x32x8 -> d: dwconv 3x3").parameters["d.weight"].shape == (8, 1, 3, 3)
    with pytest.raises(OpError, match="groups 3 do not divide 8"):
        _ = st.parse("32x32x8 -> conv 3x3 9 groups 3").specs


def test_one_by_one_convolutions_mix_channels_only():
    net = st.parse("4x4x3 -> conv 1x1 2")
    assert net.parameters["conv1.weight"].shape == (2, 3, 1, 1)
    image = np.arange(48.0).reshape(1, 3, 4, 4)
    weight, bias = np.arange(6.0).reshape(2, 3, 1, 1), np.array([1.0, -1.0])
    out = reference.predict(net, image, {"conv1.weight": weight, "conv1.bias": bias})["conv1"]
    assert np.allclose(out, np.einsum("kc,nchw->nkhw", weight[:, :, 0, 0], image) + bias[:, None, None])


def test_a_filter_slides_over_the_image():
    """One number per position: the dot product of the filter with the patch below it."""
    net = st.parse("4x4x1 -> conv 2x2 bias off")
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    weight = np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
    out = reference.predict(net, image, {"conv1.weight": weight})["conv1"][0, 0]
    assert out.tolist() == [[-5.0] * 3] * 3


# ---------------------------------------------------------------- fully connected, side by side
def test_what_a_fully_connected_layer_costs_on_the_same_input():
    conv = layer("32x32x3 -> conv 5x5 6")
    fc = layer("32x32x3 -> flatten -> fc 4704")  # as many outputs as the convolution has
    assert conv.output.elements == fc.output.elements == 28 * 28 * 6
    assert (conv.params, fc.params) == (456, 3072 * 4704 + 4704)
    assert (conv.macs, fc.macs) == (352_800, 3072 * 4704)
    small = layer("32x32x3 -> flatten -> fc 10")
    assert (small.params, small.macs) == (30_730, 30_720)


# ---------------------------------------------------------------- stride and output size
@pytest.mark.parametrize(("stride", "out"), [(1, 5), (2, 3)])
def test_strides_that_fit(stride, out):
    text = f"7x7x1 -> conv 3x3 /{stride}"
    assert size(text) == (out, out)
    window = layer(text).windows["h"]
    assert window.remainder == 0
    assert window.exact == out == Fraction(7 - 3, stride) + 1
    assert not st.check(st.parse(text)).failed


def test_a_stride_that_does_not_fit():
    net = st.parse("7x7x1 -> conv 3x3 /3")
    report = st.check(net)
    assert report.failed
    (finding,) = [finding for finding in report.findings if finding.code == "G002"]
    assert render(finding).splitlines() == [
        "G002 conv1: stride 3 does not fit",
        "  where   conv1 = conv 3x3 /3 after input 7x7x1",
        "  why     (7 + 0 - 3)/3 + 1 = 2.33; PyTorch would floor to 2 and never read row 6 and column 6 "
        "(13 of 49 pixels)",
        "  fix     stride 1 (-> 5x5) or 2 (-> 3x3) · pad 1 (-> 3x3) · input 6x6 or 9x9",
    ]
    # The floored result is still shown, flagged by its remainder.
    facts = st.analyze(net).nodes[0]
    assert facts.output.spatial == (2, 2)
    assert (facts.windows["h"].remainder, facts.windows["h"].lost) == (1, 1)
    assert st.pixels(net).unread == 13


def test_every_proposed_fix_fits():
    net = st.parse("7x7x1 -> conv 3x3 /3")
    (finding,) = [finding for finding in st.check(net).findings if finding.code == "G002"]
    found = []
    for fix in finding.fixes:
        changed = net.with_input(fix.input) if fix.input else net
        if fix.change:
            fields = {**net.node("conv1").op.to_dict(), **fix.change}
            changed = changed.replace("conv1", st.ops.Conv.from_dict(fields))
        assert not st.check(changed).failed, fix.text
        assert list(changed.specs["conv1"].without_batch) == fix.consequences["output"]
        found.append((changed.input.spatial[0], changed.specs["conv1"].spatial[0]))
    assert found == [(7, 5), (7, 3), (7, 3), (6, 2), (9, 3)]


def test_stride_is_almost_always_equal_in_height_and_width():
    assert (
        layer("7x7x1 -> conv 3x3 /2").windows["h"].stride == layer("7x7x1 -> conv 3x3 /2").windows["w"].stride
    )
    assert size("7x7x1 -> conv 3x3 /1x2") == (5, 3)


# ---------------------------------------------------------------- borders
@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("3x3x1 -> conv 2x2", "1 2 1 / 2 4 2 / 1 2 1"),
        ("5x5x1 -> conv 3x3", "1 2 3 2 1 / 2 4 6 4 2 / 3 6 9 6 3 / 2 4 6 4 2 / 1 2 3 2 1"),
    ],
)
def test_borders_get_too_little_attention(text, grid):
    use = st.pixels(st.parse(text))
    assert use.counts == [[int(n) for n in row.split()] for row in grid.split(" / ")]
    assert not use.uniform


# ---------------------------------------------------------------- outputs shrink
def test_outputs_shrink():
    assert size("32x32x3 -> conv 5x5 6") == (28, 28)
    facts = st.analyze(st.parse("32x32x3 -> [conv 5x5 6 -> relu]*3")).nodes
    assert [f.output.spatial[0] for f in facts if f.op == "conv"] == [28, 24, 20]


# ---------------------------------------------------------------- padding
@pytest.mark.parametrize(("kernel", "pad"), [(3, 1), (5, 2), (7, 3)])
def test_half_the_filter_keeps_the_size(kernel, pad):
    window = layer(f"32x32x3 -> conv {kernel}x{kernel} 6 pad same").windows["h"]
    assert (window.before, window.after) == (pad, pad) == ((kernel - 1) // 2,) * 2
    assert size(f"32x32x3 -> conv {kernel}x{kernel} 6 pad {pad}") == (32, 32)


def test_how_far_padding_makes_all_pixels_used_equally_often():
    same = st.pixels(st.parse("7x7x1 -> conv 3x3 pad 1"))
    assert (same.corner, same.center, same.corner_to_center) == (4, 9, Fraction(4, 9))
    assert not same.uniform
    for text in ("7x7x1 -> conv 3x3 pad full", "7x7x1 -> conv 3x3 pad 1 mode circular"):
        use = st.pixels(st.parse(text))
        assert use.uniform
        assert use.counts == [[9] * 7] * 7
    assert size("7x7x1 -> conv 3x3 pad full") == (9, 9), "full padding P = F - 1 grows the output"


# ---------------------------------------------------------------- the sizes that fit
@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ("resnet18", "N = 1 mod 32, N >= 33"),
        ("resnet50", "N = 1 mod 32, N >= 33"),
        ("vgg16", "N = 0 mod 32, N >= 32"),
        ("alexnet", "N = 31 mod 32, N >= 63"),
    ],
)
def test_sizes_that_fit(model, rule):
    found = st.sizes(st.create(model))
    assert {axis: known.rule for axis, known in found.axes.items()} == {"h": rule, "w": rule}


def test_the_course_network():
    """LeNet-5's shape, as the notation of the contract spells it."""
    text = (
        "32x32x3 -> conv 5x5 6 -> relu -> maxpool 2x2 /2 -> conv 5x5 16 -> relu -> maxpool 2 "
        "-> flatten -> fc 120 -> relu -> fc 84 -> relu -> fc 10"
    )
    facts = st.analyze(st.parse(text))
    shapes = [str(f.output) for f in facts.nodes if f.op not in ("relu",)]
    assert shapes == ["28x28x6", "14x14x6", "10x10x16", "5x5x16", "400", "120", "84", "10"]
    fields = [f.receptive_field["h"].size for f in facts.nodes if f.op in ("conv", "maxpool")]
    assert fields == [5, 6, 14, 16]
    assert facts.totals.params == 456 + 2416 + 48_120 + 10_164 + 850
