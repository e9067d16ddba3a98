"""When pixels lie in the lanes, and what such a convolution reads."""

import dataclasses

import pytest

from engine.plan.support import CONTEXT, only
from striate.engine.plan.choose import kernel_calls
from striate.engine.plan.planar import PlanarLowering
from striate.engine.target import AVX2, AVX512, SSE

PLANAR = PlanarLowering()


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("32x32x1 -> conv 5x5 6", True),
        ("32x32x1 -> conv 5x5 16", False),  # as many outputs as lanes
        ("32x32x3 -> conv 5x5 6", False),  # three channels lie side by side
        ("7x7x1 -> conv 3x3 6", False),  # rows of 5 leave most lanes empty
        ("32x32x64 -> conv 7x7 3 pad 3", True),
        ("32x32x64 -> conv 3x3 2 pad 1", True),
        ("32x32x64 -> conv 3x3 8 pad 1", False),
        ("32x32x64 -> conv 7x7 3 stride 2", False),
        ("32x32x2 -> conv 5x5 2 groups 2", False),
    ],
)
def test_few_outputs_of_wide_images(text, yes):
    assert (PLANAR.choose(only(text), CONTEXT) is not None) is yes


@pytest.mark.parametrize(("target", "most"), [(AVX2, 6), (SSE, 5), (AVX512, 12)])
def test_only_where_lanes_would_be_empty(target, most):
    context = dataclasses.replace(CONTEXT, target=target)
    for outputs, yes in ((most, True), (most + 1, False)):
        unit = only(f"32x32x1 -> conv 5x5 {outputs}", context=context)
        assert (PLANAR.choose(unit, context) is not None) is yes


def test_sums_that_fill_the_registers_wait_in_scratch():
    narrow = dataclasses.replace(CONTEXT, target=AVX2)
    for context, outputs, room in ((narrow, 6, 4 * 8 * 12), (narrow, 4, 0), (CONTEXT, 6, 0)):
        unit = only(f"32x32x1 -> conv 5x5 {outputs}", context=context)
        (call,) = kernel_calls(unit, context)
        assert call.scratch == room


def test_weights_that_change_and_residuals_are_left_to_others():
    text = "32x32x1 -> conv 5x5 6"
    computed = {"weight": only(text).outputs[0]}
    for changes in ({"parameters": computed}, {"residual": only(text).outputs[0]}):
        assert PLANAR.choose(dataclasses.replace(only(text), **changes), CONTEXT) is None


def test_planes_are_read_in_place_and_blocks_are_turned_into_planes():
    plane, blocks = only("32x32x1 -> conv 5x5 6 pad 2"), only("32x32x64 -> conv 3x3 2 pad 1")
    (call,) = kernel_calls(plane, CONTEXT)
    assert call.algorithm == "planar" and call.reads == plane.inputs
    assert call.flops == 2 * 25 * 32 * 32 * 6
    assert call.weights == 4 * 6 * (1 + 25)
    turned, call = kernel_calls(blocks, CONTEXT)
    assert (turned.parts, call.algorithm) == (4, "planar") and call.reads == turned.writes
    (image,) = turned.writes
    assert image.name == "input in planes" and image.layout.bytes == 4 * 64 * (32 + 3) * (32 + 1)


def test_a_map_follows_an_epilogue_other_than_a_clamp():
    unit = only("32x32x1 -> conv 5x5 6 -> silu")
    calls = kernel_calls(unit, CONTEXT)
    assert len(calls) == 2 and calls[1].reads == calls[1].writes == unit.outputs


def test_planes_have_a_border_of_their_own_and_blocks_need_none():
    unit = only("32x32x1 -> conv 5x5 6 pad 2")
    windows = PLANAR.choose(unit, CONTEXT)
    # A row's right border is the left one of the next.
    assert PLANAR.border(unit, windows, CONTEXT) == unit.inputs[0].root.pads == (2, 3, 2, 0)
    blocks = only("32x32x64 -> conv 3x3 2 pad 1")
    windows = PLANAR.choose(blocks, CONTEXT)
    assert PLANAR.border(blocks, windows, CONTEXT) == blocks.inputs[0].root.pads == (0, 0, 0, 0)
