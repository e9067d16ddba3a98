"""What Winograd's algorithm computes, when it is chosen, and its calls."""

import dataclasses

import pytest

from engine.plan.support import CONTEXT, correlation, only
from striate.engine.plan.choose import border, kernel_calls
from striate.engine.plan.winograd import choose, fits
from striate.geometry import Window

SAME = Window(8, 3, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("window", "more", "yes"),
    [
        (SAME, {}, True),
        (Window(8, 3), {}, True),
        (Window(8, 5, 1, 1, 2, 2), {}, False),
        (Window(8, 3, 2, 1, 1, 1), {}, False),
        (Window(8, 3, 1, 2, 2, 2), {}, False),
        (Window(8, 3, 1, 1, 1, 1, mode="reflect"), {}, False),
        (Window(8, 3, 1, 1, -1, 1), {}, False),
        (SAME, {"groups": 2}, False),
        (SAME, {"adjoint": True}, True),
        (Window(8, 3, 1, 1, 2, 2), {"adjoint": True}, True),
        (Window(8, 3, 1, 1, 3, 3), {"adjoint": True}, False),  # its input would be cut, not padded
    ],
)
def test_what_fits(window, more, yes):
    assert fits(correlation(windows=(window, window), **more)) is yes
    assert not fits(correlation())


WIDE = "56x56x64 -> conv 3x3 64 pad 1"


def test_it_is_chosen_where_products_are_many_and_rounding_may_be_more():
    assert choose(only(WIDE), CONTEXT).m == 4
    assert choose(only(WIDE), dataclasses.replace(CONTEXT, strict=True)) is None
    assert choose(only("56x56x64 -> conv 1x1 64"), CONTEXT) is None
    assert choose(only("8x8x2 -> conv 3x3 16 pad 1"), CONTEXT) is None  # transforms cost more than they save
    slow = dataclasses.replace(CONTEXT, memory=1e6)
    assert choose(only("7x7x512 -> conv 3x3 512 pad 1"), slow) is None  # 16/9 or 36/9 times the weights


def test_tiles_reach_beyond_the_map():
    """7 rows are four tiles of 2 outputs, which read 10 rows: 1 before and 2 after."""
    unit = only("7x7x512 -> conv 3x3 512 pad 1")
    shape = choose(unit, CONTEXT)
    assert shape.m == 2 and border(unit, CONTEXT) == (1, 2, 1, 2)


def test_one_thread_transforms_as_it_goes():
    unit = only(WIDE, batch=2)
    (call,) = kernel_calls(unit, CONTEXT)
    assert (call.algorithm, call.rows) == ("F(4x4)", 2 * 14)  # rows of tiles
    assert call.flops == 2 * 2 * 56 * 56 * 9 * 64 * 64  # as if it were the plain sum
    assert 1 <= call.weights / (4 * 36 * 64 * 64) < 1.01  # 36 numbers for 9, and a line between frequencies
    assert not call.by_parts and call.reads == [unit.inputs[0]]


def test_threads_share_the_transformed_input_where_weights_are_heavy():
    two = dataclasses.replace(CONTEXT, threads=2)
    unit = only("7x7x512 -> conv 3x3 512 pad 1", context=two)
    before, call = kernel_calls(unit, two)
    assert (before.algorithm, call.algorithm) == ("F(2x2) input", "F(2x2)")
    assert before.writes == call.reads[:1] and before.reads == unit.inputs
    assert call.by_parts and call.all_rows
    (alone,) = kernel_calls(unit, CONTEXT)
    assert not alone.all_rows
