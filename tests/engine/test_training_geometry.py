"""Gradients of layers of every geometry in machine code: odd channels, odd maps, windows that skip, reach far out, or
see every other pixel; in front of them and after them a layer that learns, so that each gradient is asked for."""

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as some

from engine.compiled import described
from engine.kernels.support import targets
from engine.test_compiled_engine_networks import small
from engine.test_training_gradients import agree
from exhaustive import EXHAUSTIVE
from striate.diagnostics import StriateError
from striate.network import Builder
from striate.ops import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Flatten,
    Linear,
    MaxPool,
    Relu,
    Silu,
)  # fmt: skip

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

CHANNELS = some.sampled_from([1, 3, 8, 17, 32, 100])


def sides(low, high):
    one = some.integers(low, high)
    return one | some.tuples(one, one)


@some.composite
def layers(draw, channels: int):
    """A layer with windows."""
    kernel = draw(sides(1, 5))
    stride, dilation = draw(sides(1, 3) | some.just(7)), draw(some.sampled_from([1, 1, 2, 3]))
    pads = some.integers(0, 2) | some.sampled_from([5, 9])
    padding = draw(pads | some.tuples(some.tuples(pads, pads), some.tuples(pads, pads)))
    bias, kind = (
        draw(some.booleans()),
        draw(some.sampled_from(["conv", "conv", "groups", "each", "back", "max", "mean"])),
    )
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    if kind == "conv":
        return Conv(draw(CHANNELS), **window, bias=bias)
    if kind == "groups":
        groups = draw(some.sampled_from([g for g in (1, 2, 4, 5, channels) if channels % g == 0]))
        return Conv(groups * draw(some.sampled_from([1, 2, 8, 16])), **window, bias=bias, groups=groups)
    if kind == "each":
        return Conv(None, **window, bias=bias, groups="depthwise")
    if kind == "back":
        return ConvTranspose(draw(CHANNELS), **window, bias=bias)
    window["padding"] = draw(some.integers(0, min(kernel if isinstance(kernel, tuple) else [kernel]) // 2))
    return (MaxPool if kind == "max" else AvgPool)(**window)


@some.composite
def networks(draw):
    """A layer between two that learn; perhaps with a sum or a concatenation with what it read."""
    channels, last = draw(CHANNELS), draw(some.sampled_from([1, 3, 17]))
    build = Builder(
        "one",
        input=(draw(some.sampled_from([1, 3, 16])), draw(some.integers(1, 13)), draw(some.integers(1, 13))),
    )
    try:
        x = build(Silu(), build(Conv(channels, draw(some.sampled_from([1, 3])), padding=1), build.input))
        y = build(draw(layers(channels)), x)
        if y.spec.shape == x.spec.shape and draw(some.booleans()):
            y = build(Add(), y, x)
        elif y.spec.shape[2:] == x.spec.shape[2:] and draw(some.booleans()):
            y = build(Concat(), y, x)
        y = build(draw(some.sampled_from([Silu(), Relu()])), y)
        if draw(some.booleans()):
            y = build(Linear(last), build(Flatten(), y))
        else:
            y = build(Conv(last, 1), y)
        net = build.build(y)
        _ = net.specs
    except StriateError:
        reject()
    return net


@settings(max_examples=400 if EXHAUSTIVE else 40)
@given(networks(), some.sampled_from([1, 2, 7]), some.sampled_from([1, 2]), some.integers(0, 2))
def test_every_geometry(net, batch, threads, narrower):
    assume(small(net))
    target = targets()[min(narrower, len(targets()) - 1)]
    try:
        program = agree(net, batch, threads, target, anywhere=True)
    except StriateError as error:
        assert "batch norm cannot train" in str(error)
        reject()
    grouped = any(node.op.word == "conv" and node.op.groups not in (1, "depthwise") for node in net.nodes)
    assert program.compiled or grouped, described(net)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("batch", [1, 17])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_few_groups_to_few_channels(depth, batch, target):
    """Groups taken together have weights that a step computes: a kernel whose weights are moved to their places before
    the run cannot read those."""
    build = Builder("few", input=(2 * depth, 1, 17))
    x = build(Affine(weight=build.input.spec.without_batch), build.input)
    net = build.build(build(Conv(2, (1, 3), padding=((7, 0), (1, 1)), groups=2), x))
    agree(net, batch, 1, target)
