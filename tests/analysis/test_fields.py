"""Receptive fields through branches: merges, misalignment, cures, context, and what single units read."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from laws.networks import networks, poked_reads
from striate.analysis import analyze, exact_field, misalignments, receptive_fields
from striate.analysis.fields import cure
from striate.diagnostics import ShapeError
from striate.formats import parse
from striate.models.catalogue import create
from striate.network import Builder, Network
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.linear import Linear
from striate.ops.merge import Add, Concat, Crop, Multiply
from striate.ops.norm import BatchNorm, InstanceNorm, LayerNorm
from striate.ops.pool import AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten, Permute, PixelShuffle, Split
from striate.ops.upsample import Upsample


def field(net: Network, value: str, axis: str = "H"):
    return receptive_fields(net)[value][axis].field


# ---------------------------------------------------------------- merges and context
def test_a_residual_block_sees_what_its_longest_branch_sees():
    build = Builder("block", input=(8, 32, 32))
    x = build(Conv(8, 3, padding=1), build(Conv(8, 3, padding=1), build.input))
    net = build.build(build(Add(), x, build.input, name="sum"))
    assert (field(net, "sum").size, field(net, "sum").start) == (5, -2)
    assert analyze(net).node("sum").aligned


@pytest.mark.parametrize("gate", [GlobalAvgPool(), AdaptiveAvgPool(1)], ids=str)
def test_a_global_gate_is_context_and_widens_no_field(gate):
    build = Builder("se", input=(8, 32, 32))
    x = build(Conv(8, 3, 2, 1), build.input)
    net = build.build(build(Multiply(), x, build(gate, x), name="gated"))
    assert field(net, "gated") == field(net, "conv1")
    assert not misalignments(net)
    # Yet every row can change the unit, and the exact field says so.
    assert exact_field(net, "gated", (3, 3))["H"] == tuple(range(32))


@pytest.mark.parametrize(
    ("norm", "whole"), [(InstanceNorm(), True), (LayerNorm(axes="all"), True), (BatchNorm(), False)], ids=str
)
def test_statistics_over_space_are_context(norm, whole):
    build = Builder("norm", input=(2, 9, 9))
    net = build.build(build(norm, build(Conv(2, 3, padding=1), build.input), name="norm"))
    assert field(net, "norm").size == 3
    assert exact_field(net, "norm", (4, 4))["H"] == (tuple(range(9)) if whole else (3, 4, 5))


def test_behind_a_flattened_map_the_field_is_the_whole_input():
    net = parse("32x32x1 -> conv 5x5 6 -> maxpool 2 -> flatten -> fc 10")
    flat = field(net, "fc1")
    assert (flat.span(0), flat.step) == ((0, 31), 0)
    assert exact_field(net, "fc1", ())["W"] == tuple(range(32))


def test_fields_follow_an_axis_through_a_permutation():
    build = Builder("turn", input=(1, 20, 30))
    x = build(Conv(1, (3, 5)), build.input)
    net = build.build(build(Permute("WHC"), x, name="turned"))
    assert [field(net, "turned", axis).size for axis in "HW"] == [3, 5]


def test_height_and_width_have_fields_of_their_own():
    net = parse("30x40x1 -> conv 3x7 /1x2 -> conv 3x1")
    assert [(field(net, "conv2", axis).size, field(net, "conv2", axis).jump) for axis in "HW"] == [
        (5, 1),
        (7, 2),
    ]


def test_resampling_has_fractional_jumps():
    build = Builder("up", input=(4, 16, 16))
    up = build(Upsample(2), build.input, name="up")
    shuffled = build(PixelShuffle(2), build.input, name="shuffled")
    half = build(ConvTranspose(1, 4, 2, 1), build.input, name="half")
    net = build.build(up, shuffled, half)
    assert {value: field(net, value).jump for value in net.outputs} == dict.fromkeys(
        net.outputs, Fraction(1, 2)
    )
    assert [field(net, "up").span(i) for i in range(4)] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    assert field(net, "half").size == 2


def test_each_output_of_a_split_has_its_field():
    build = Builder("split", input=(4, 16, 16))
    left, right = build(Split(2), build(Conv(4, 3), build.input))
    net = build.build(left, right)
    assert {field(net, value).size for value in net.outputs} == {3}


def test_a_crops_measure_is_not_read():
    build = Builder("crop", input=(1, 16, 16))
    small = build(Conv(1, 5), build.input)
    net = build.build(build(Crop(), build.input, small, name="cut"))
    assert exact_field(net, "cut", (0, 0)) == {"H": (2,), "W": (2,)}
    assert field(net, "cut").start == 2


def test_exact_fields_near_borders():
    net = parse("9x9x1 -> conv 3x3 pad 1 -> conv 3x3 pad 1 mode reflect -> maxpool 2")
    assert exact_field(net, "maxpool1", (0, 3)) == {"H": (0, 1, 2, 3), "W": (4, 5, 6, 7, 8)}
    assert exact_field(net, "conv1", (0, 8)) == {"H": (0, 1), "W": (7, 8)}
    assert exact_field(net, "input", (2, 5)) == {"H": (2,), "W": (5,)}
    with pytest.raises(ShapeError, match="no unit at"):
        exact_field(net, "maxpool1", (4, 0))
    with pytest.raises(ShapeError, match="no unit at"):
        exact_field(net, "maxpool1", (0,))


# ---------------------------------------------------------------- misalignment
def test_branches_that_look_at_different_places():
    """A 3x3 without padding on top, a strided 2x2 beside it: half a pixel apart."""
    build = Builder("apart", input=(1, 8, 8))
    even = build(Conv(1, 2, 2), build.input, name="even")
    odd = build(Conv(1, 3, 2, 1), build.input, name="odd")
    net = build.build(build(Add(), even, odd, name="sum"))
    faults = misalignments(net)
    assert [(f.node, f.axis, f.branches, f.offsets, f.pixels) for f in faults] == [
        ("sum", axis, ("even", "odd"), (Fraction(1, 2), Fraction(0)), Fraction(1, 2)) for axis in "HW"
    ]
    assert not analyze(net).node("sum").aligned
    assert cure(net, faults[0]) is None, "half a pixel cannot be padded away"


def test_the_smallest_cure_moves_one_row():
    build = Builder("tf", input=(1, 8, 8))
    one = build(Conv(1, 1, 2), build.input, name="one")
    same = build(Conv(1, 3, 2, ((0, 1), (0, 1))), build.input, name="same")
    net = build.build(build(Concat(), one, same, name="join"))
    fault = misalignments(net)[0]
    assert fault.pixels == 1
    found = cure(net, fault)
    assert (found.node, found.before, found.after, found.rows) == ("same", (0, 1), (1, 0), 1)
    changed = net.replace(found.node, found.op)
    assert [f.axis for f in misalignments(changed)] == ["W"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_branch_that_sits_off_center_is_the_one_that_moves(order):
    build = Builder("off center", input=(1, 8, 8))
    even = build(Conv(1, 3, padding=1), build.input, name="even")
    off = build(Conv(1, 3, padding=((2, 0), (2, 0))), build.input, name="off")
    net = build.build(build(Add(), *((even, off)[k] for k in order)))
    found = cure(net, misalignments(net)[0])
    assert (found.node, found.after) == ("off", (1, 1))


def test_a_cure_that_an_op_refuses_is_none():
    """The pooling window of one pixel takes no padding; the convolution moves."""
    build = Builder("refused", input=(1, 8, 8))
    pool = build(AvgPool(1, 2), build.input, name="pool")
    conv = build(Conv(1, 3, 2, ((2, 0), (2, 0))), build.input, name="conv")
    net = build.build(build(Add(), pool, conv))
    found = cure(net, misalignments(net)[0])
    assert (found.node, found.before, found.after) == ("conv", (2, 0), (1, 1))


def test_a_cure_uses_rows_that_the_stride_leaves_over():
    build = Builder("left over", input=(1, 8, 8))
    x = build(Conv(1, 5, 2, ((1, 2), (1, 2))), build.input, name="a")
    long = build(Conv(1, 3, padding=((0, 2), (0, 2))), x)
    net = build.build(build(Add(), long, build(Conv(1, 1, 2), build.input)))
    fault = misalignments(net)[0]
    assert fault.pixels == 3
    found = cure(net, fault)
    assert (found.node, found.before, found.after, found.rows) == ("a", (1, 2), (4, 0), 3)
    assert net.replace(found.node, found.op).specs["a"] == net.specs["a"]


def test_branches_of_different_jump_drift_apart():
    build = Builder("drift", input=(1, 8, 8))
    slow = build(Upsample(size=4), build(Conv(1, 2), build.input))
    net = build.build(build(Add(), build(MaxPool(2), build.input), slow, name="sum"))
    fault = misalignments(net)[0]
    assert fault.jumps == (2, Fraction(7, 4))
    assert fault.pixels is None
    assert cure(net, fault) is None


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "googlenet", "inception_v3", "densenet121", "unet"])
def test_published_networks_are_aligned(name):
    assert not misalignments(create(name))


@pytest.mark.parametrize(("size", "aligned"), [(224, False), (225, True)])
def test_same_padding_misaligns_a_shortcut_at_even_sizes(size, aligned):
    """TensorFlow's SAME pads an even map at the end only; the 1x1 shortcut beside it has no padding to move."""
    build = Builder("unit", input=(8, size, size))
    long = build(Conv(8, 3, 2, "same"), build(Conv(8, 1), build.input))
    net = build.build(build(Add(), long, build(Conv(8, 1, 2), build.input), name="sum"))
    assert (not misalignments(net)) is aligned
    if not aligned:
        assert {f.pixels for f in misalignments(net)} == {1}


# ---------------------------------------------------------------- cures, by trying every other
@st.composite
def two_branches(draw) -> Network:
    """Two chains of one length, padded so that every map has one size, with rows to spare or not."""
    n = draw(st.integers(8, 24))
    build = Builder("two", input=(1, n))
    strides = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    ends = []
    for name in "ab":
        x = build.input
        for at, stride in enumerate(strides):
            size = x.spec.spatial[0]
            kernel = draw(st.integers(1, 5))
            out = -(-size // stride)
            total = max((out - 1) * stride + kernel - size + draw(st.integers(0, stride - 1)), 0)
            before = draw(st.integers(0, total))
            x = build(Conv(1, kernel, stride, ((before, total - before),)), x, name=f"{name}{at}")
        ends.append(x)
    assume(ends[0].spec.shape == ends[1].spec.shape)
    return build.build(build(Add(), *ends, name="sum"))


def aligned_by(net: Network, name: str, before: int, after: int) -> bool:
    """Whether this padding of one node aligns the sum and keeps every size."""
    op = net.node(name).op
    changed = net.replace(name, Conv(1, op.kernel, op.stride, ((before, after),)))
    if changed.inference.problems or any(changed.specs[v].shape != s.shape for v, s in net.specs.items()):
        return False
    return not misalignments(changed)


@given(two_branches())
def test_a_cure_aligns_and_no_smaller_shift_does(net):
    faults = misalignments(net)
    assume(faults)
    found = cure(net, faults[0])
    if found is not None:
        assert aligned_by(net, found.node, *found.after)
        assert found.before == _padding(net, found.node)
    for node in net.nodes[:-1]:
        before, after = _padding(net, node.name)
        for shift in range(1, found.rows if found else 6):
            for moved in {before - shift, before + shift}:
                smaller = moved >= 0 and any(
                    aligned_by(net, node.name, moved, k) for k in range(after + shift + 1)
                )
                assert not smaller, (node.name, moved)


def _padding(net: Network, name: str) -> tuple[int, int]:
    window = net.declarations[name].windows["L"]
    return window.before, window.after


# ---------------------------------------------------------------- bounds that hold for every unit
@given(networks(2, "local"), st.data())
def test_what_a_unit_reads_lies_in_its_unclipped_span(net, data):
    """Borders clip and fold; they never reach beyond the span, save where a border mode folds far."""
    value = data.draw(st.sampled_from(net.outputs))
    modes = {getattr(node.op, "mode", "zeros") for node in net.nodes}
    assume(modes <= {"zeros", "replicate"})
    assume(not any(node.op.word == "concat" and node.op.axis != "C" for node in net.nodes))
    assume(not any(f.pixels is None for f in misalignments(net)))
    reads = poked_reads(net, value)
    position = tuple(data.draw(st.integers(0, n - 1)) for n in net.specs[value].spatial)
    for at, axis in enumerate("HW"):
        rows = np.flatnonzero(reads[(..., *position)].any(axis=1 - at))
        known = receptive_fields(net)[value][axis]
        if len(rows) and known.axis is not None:
            lo, hi = known.field.span(position["HW".index(known.axis)])
            folded = "replicate" in modes or any(node.op.word == "upsample" for node in net.nodes)
            size = net.input.size(axis)
            lo, hi = (min(lo, size - 1), max(hi, 0)) if folded else (lo, hi)
            assert lo <= rows[0]
            assert rows[-1] <= hi


def test_average_pools_and_linear_layers_have_fields_like_convolutions():
    build = Builder("like", input=(1, 12, 12))
    pooled = build(AvgPool(3, 2, 1), build.input, name="pooled")
    conv = build(Conv(1, 3, 2, 1), build.input, name="conv")
    net = build.build(build(Add(), pooled, conv))
    assert field(net, "pooled") == field(net, "conv")
    flat = Builder("flat", input=(2, 4, 4))
    net = flat.build(flat(Linear(3), flat(Flatten(), flat.input)))
    assert exact_field(net, "fc1", ()) == {"H": (0, 1, 2, 3), "W": (0, 1, 2, 3)}
