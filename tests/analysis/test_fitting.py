"""Fitting sizes of whole networks: the congruences against trying every size, and what the answers say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.run import run
from laws.networks import networks
from striate.analysis import sizes
from striate.formats import parse
from striate.geometry import Adaptive, Linear, Nearest, Window
from striate.models.catalogue import create
from striate.network import Builder, Network
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.linear import Linear as Fc
from striate.ops.merge import Add, Concat, Crop, Multiply
from striate.ops.pool import GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten, Slice
from striate.ops.upsample import Upsample

EVERY = range(1, 130)


def fits(net: Network, n: int) -> bool:
    """The definition, node by node, on the network as it is at size n."""
    here = net.with_input((net.input.channels, *(n for _ in net.input.spatial)))
    if here.inference.problems:
        return False
    return all(_node_fits(node, here.declarations[node.name]) for node in here.nodes)


def _node_fits(node, declaration) -> bool:
    if isinstance(node.op, Add | Multiply) and len({x.spatial for x in declaration.inputs}) > 1:
        return False
    if isinstance(node.op, Slice):
        (n,), cut = declaration.inputs[0].spatial, node.op
        if cut.start < 0:
            return n >= -cut.start
        ends = slice(cut.start, cut.stop)
        if cut.stop is not None and cut.stop > 0:
            return range(n)[ends][:: cut.step] == range(10**6)[ends][:: cut.step]
        return (len(range(n)[ends]) - 1) % cut.step == 0
    return all(
        reading.map is None or _map_fits(reading.map)
        for x, readings in zip(declaration.inputs, declaration.readings, strict=True)
        for reading in map(readings.get, x.spatial_axes)
    )


def _map_fits(axis) -> bool:
    match axis:
        case Window():
            uneven = axis.policy in ("same", "same_lower") and axis.stride > 1 and axis.before != axis.after
            shrinks = axis.stride == 1 or axis.output < axis.input
            return axis.remainder == axis.overhang == 0 and shrinks and not uneven
        case Nearest() | Linear() if axis.scale is not None:
            return (axis.input * axis.scale).denominator == 1
    return True


# ---------------------------------------------------------------- by two roads
@given(networks(1, "local"))
def test_congruences_admit_exactly_the_sizes_that_fit(net):
    solved = sizes(net).axes["l"]
    for n in EVERY:
        assert solved.fits(n) == fits(net, n), n


@pytest.mark.parametrize("size", ["8x8x1", "32x30x3", "500x500x3"])
def test_without_a_wish_answers_are_near_the_input(size):
    net = parse(f"{size} -> conv 3x3 4 -> relu -> gap")
    solved = sizes(net)
    assert solved == sizes(net, solved.near) and solved.near == max(net.input.spatial)
    assert json.loads(run("sizes", f"{size} -> conv 3x3 4", "--json").out)["near"] == solved.near


@given(networks(1, "local"), st.integers(1, 300))
def test_nearest_and_rule_agree_with_fits(net, wish):
    solved = sizes(net).axes["l"]
    every = sorted((n for n in range(1, 2000) if solved.fits(n)), key=lambda n: (abs(n - wish), n))
    if solved.modulus and len(every) >= 4:
        assert solved.nearest(wish) == tuple(sorted(every[:4]))
    if not solved.residues:
        assert not every
    elif not solved.modulus:
        assert sorted(every) == [n for n in solved.residues if n < 2000]
    else:
        assert min(every) == solved.minimum
        assert {n % solved.modulus for n in every if n > 900} == set(solved.residues)


@pytest.mark.parametrize(
    "text",
    [
        "30x30x1 -> conv 3x3 /2 -> conv 3x3 /3 -> maxpool 2",
        "30x30x1 -> conv 3x3 /2 pad same -> conv 5x5 /2 pad same",
        "30x30x1 -> maxpool 3x3 /2 ceil on -> conv 2x2 /2 pad 1",
        "30x30x1 -> conv 7x5 /2x3 pad 3x1 -> avgpool 2",
    ],
)
def test_height_and_width_are_solved_separately(text):
    net = parse(text)
    solved = sizes(net).axes
    for axis, at in (("h", 1), ("w", 2)):
        for n in range(20, 120):
            shape = [1, 97, 97]
            shape[at] = n
            windows = [
                w for d in net.with_input(shape).declarations.values() for w in [d.windows[axis.upper()]]
            ]
            assert solved[axis].fits(n) == all(map(_map_fits, windows)), (axis, n)


# ---------------------------------------------------------------- what the answers say
def test_square_sizes_that_fit_both_axes():
    found = sizes(parse("30x30x1 -> conv 1x1 /2x3"), near=30)
    assert found.axes["h"].rule == "N = 1 mod 2, N >= 3"
    assert found.axes["w"].rule == "N = 1 mod 3, N >= 4"
    assert found.nearest == (19, 25, 31, 37)


def test_skip_connections_ask_for_equal_sizes():
    """A U-Net level: pooled and brought back, then laid beside what was not pooled."""
    build = Builder("u", input=(1, 32, 32))
    down = build(MaxPool(2), build(MaxPool(2), build.input))
    up = build(ConvTranspose(1, 4, stride=4), down)
    net = build.build(build(Concat(), up, build.input))
    assert sizes(net).axes["h"].rule == "N = 0 mod 4, N >= 4"
    assert {axis.rule for axis in sizes(create("unet_padded")).axes.values()} == {"N = 0 mod 16, N >= 16"}


def test_branches_that_are_equally_long_at_one_size_only():
    build = Builder("two", input=(1, 9, 9))
    half = build(Conv(1, 1, 2), build.input)
    less = build(Conv(1, 5), build.input)
    net = build.build(build(Add(), half, less))
    solved = sizes(net).axes["h"]
    assert (solved.modulus, solved.residues, solved.rule) == (0, (9,), "N = 9")
    assert solved.nearest(224) == (9,)


def test_a_conflict_names_the_node():
    build = Builder("never", input=(1, 9, 9))
    less = build(Conv(1, 3), build.input)
    net = build.build(build(Add(), less, build(Conv(1, 5), build.input), name="sum"))
    assert net.inference.problems
    with pytest.raises(type(net.inference.problems[0])):
        sizes(net)

    crop = Builder("even", input=(1, 9, 9))
    odd = crop(Conv(1, 1, 2), crop.input)
    even = crop(MaxPool(2), crop.input)
    both = crop.build(crop(Concat(), crop(GlobalAvgPool(), odd), crop(GlobalAvgPool(), even), name="sum"))
    solved = sizes(both).axes["h"]
    assert solved.rule == "no size fits"
    assert "maxpool1" in solved.conflict
    assert not any(map(solved.fits, EVERY))


def test_gates_do_not_bind_the_size():
    """Squeeze and excitation multiplies by one number per channel, whatever the size."""
    build = Builder("gate", input=(4, 32, 32))
    x = build(Conv(4, 3, 2, 1), build.input)
    net = build.build(build(Multiply(), x, build(GlobalAvgPool(), x)))
    assert sizes(net).axes["h"].rule == "N = 1 mod 2, N >= 3"


def test_weights_made_for_one_size_pin_the_input():
    build = Builder("lenet", input=(1, 32, 32))
    x = build(Flatten(), build(MaxPool(2), build(Conv(6, 5), build.input)))
    free = sizes(build.build(x)).axes["h"]
    assert free.rule == "N = 0 mod 2, N >= 6"
    net = build.build(build(Fc(10, in_features=6 * 14 * 14), x))
    assert {axis.rule for axis in sizes(net).axes.values()} == {"N = 32"}


@pytest.mark.parametrize(
    ("op", "rule"),
    [
        (Slice("H", -3), "any N >= 3"),
        (Slice("H", 0, 5), "any N >= 5"),
        (Slice("H", 1, 7, 2), "any N >= 6"),
        (Slice("H", 2), "any N >= 3"),
        (Slice("H", 0, None, 2), "N = 1 mod 2, N >= 1"),
        (Upsample(0.5), "N = 0 mod 2, N >= 2"),
        (Upsample(1.5), "N = 0 mod 2, N >= 2"),
        (Upsample(size=7), "any N >= 1"),
    ],
)
def test_other_maps(op, rule):
    build = Builder("one", input=(1, 32, 32))
    assert sizes(build.build(build(op, build.input))).axes["h"].rule == rule


def test_crops_follow_what_they_are_cut_to():
    build = Builder("crop", input=(1, 32, 32))
    small = build(Conv(1, 5), build.input)
    net = build.build(build(Add(), build(Crop(), build.input, small), small))
    assert sizes(net).axes["h"].rule == "any N >= 5"


def test_adaptive_pools_take_any_size():
    assert Adaptive(5, 7).output == 7
    assert sizes(parse("32x32x1 -> adaptiveavgpool 7")).axes["h"].rule == "any N >= 1"
