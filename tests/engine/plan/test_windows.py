"""Depthwise and grouped convolutions, and pooling: what is covered, and the calls."""

import pytest

from engine.plan.support import CONTEXT, correlation, only
from striate.engine.plan.choose import kernel_calls
from striate.engine.plan.computation import Pool
from striate.engine.plan.windows import groups, has_pool_kernel, packed_bytes, padding, pool_windows, slides
from striate.geometry import Adaptive, Whole, Window

SAME = Window(8, 3, 1, 1, 1, 1)


def conv(depth, each, count, window=SAME, **more):
    return correlation(depth, each, (window, window), groups=count, **more)


@pytest.mark.parametrize(
    ("body", "depthwise", "grouped"),
    [
        (conv(1, 1, 20), True, False),
        (conv(4, 4, 4), False, True),
        (conv(16, 16, 1), False, False),  # dense
        (conv(1, 1, 20, adjoint=True), False, False),
        (conv(4, 4, 4, adjoint=True), False, False),
        (conv(1, 1, 20, Window(8, 3, 1, 1, 1, 1, mode="circular")), False, False),
        (conv(4, 4, 4, Window(8, 3, 1, 1, -1, 0)), False, False),
        (correlation(20, 20), False, False),
    ],
)
def test_what_slides_over_each_channel_and_what_stays_in_a_block(body, depthwise, grouped):
    assert slides(body) is depthwise
    assert (groups(body) and not slides(body)) is grouped


def test_the_border_is_what_the_last_window_reaches():
    assert padding(conv(1, 1, 20)) == (1, 1, 1, 1)
    assert padding(conv(1, 1, 20, Window(8, 3, 2, 1, 1, 1))) == (1, 0, 1, 0)


def test_a_depthwise_convolution():
    """2 images of 8 rows, 2 blocks of channels, 9 products and sums of 20 channels in whole blocks."""
    (call,) = kernel_calls(only("8x8x20 -> dwconv 3x3 pad 1", batch=2), CONTEXT)
    assert (call.algorithm, call.tile, call.rows, call.parts) == ("depthwise", "3x3", 16, 2)
    assert (call.flops, call.weights, call.by_parts) == (2 * 9 * 128 * 32, 4 * 9 * 20, True)


def test_a_grouped_convolution():
    (call,) = kernel_calls(only("8x8x16 -> conv 3x3 16 groups 4 pad 1", batch=2), CONTEXT)
    assert (call.algorithm, call.tile, call.rows, call.parts) == ("grouped", "4->4", 16, 1)
    assert (call.flops, call.weights) == (2 * 9 * 4 * 128 * 16, 4 * 9 * 4 * 16)


def test_packed_weights_of_a_block_have_the_bias_and_where_groups_begin():
    """A bias, 9 taps of 4 inputs; 3 to 3 lies across blocks and needs a table of places as well."""
    assert packed_bytes(conv(4, 4, 4), CONTEXT) == 64 * (1 + 36)
    assert packed_bytes(conv(3, 3, 4), CONTEXT) == 64 * (2 + 27)


@pytest.mark.parametrize(
    ("maps", "windows"),
    [
        ((Whole(8), Whole(5)), (Window(8, 8), Window(5, 5))),
        ((SAME, Whole(5)), (SAME, Window(5, 5))),
        ((Adaptive(8, 3), SAME), (Adaptive(8, 3), SAME)),
    ],
)
def test_a_window_over_all_is_a_window_with_one_output(maps, windows):
    assert pool_windows(Pool("mean", maps)) == windows
    assert has_pool_kernel(Pool("mean", maps))


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("8x8x20 -> maxpool 2", ("max pool", "2x2", 8, 2)),
        ("8x8x20 -> avgpool 3 pad 1", ("mean pool", "3x3", 6, 2)),
        ("8x6x20 -> gap", ("mean pool", "8x6", 2, 2)),
        ("8x8x20 -> adaptiveavgpool 3", ("mean pool", "4x4", 6, 2)),  # bins of 3 and of 4
    ],
)
def test_pooling(text, call):
    """Of two images: rows are those of the output, parts the blocks of channels."""
    (made,) = kernel_calls(only(text, batch=2), CONTEXT)
    assert (made.algorithm, made.tile, made.rows, made.parts) == call
