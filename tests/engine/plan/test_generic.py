"""Loop nests of declarations without a pattern: axes of buffers, and the calls with what they read and write."""

from engine.plan.support import CONTEXT, buffer, only
from striate.engine.plan.choose import kernel_calls
from striate.engine.plan.generic import axes
from striate.engine.plan.nest import Axes
from striate.engine.plan.units import Buffer


def test_axes_lie_as_the_layout_says():
    """Size, lanes, bytes to the next block, and to the next number; 32 channels are two blocks."""
    value = buffer(shape=(2, 32, 3, 5), pads=(1, 1, 1, 1))  # planes of 5 x 7 pixels
    assert axes(value) == Axes(((2, 0, 0, 4480), (32, 16, 2240, 4), (3, 0, 0, 448), (5, 0, 0, 64)))


def test_axes_are_in_the_values_own_order():
    value = Buffer("moved", (2, 3, 5, 32), "nhwc", lanes=16)
    assert [item[0] for item in axes(value).items] == [2, 3, 5, 32]
    assert axes(value).items[3] == (32, 16, 960, 4)


def test_plain_order_and_depth():
    value = buffer(shape=(1, 2, 3, 4, 5), lanes=1)
    assert axes(value).items == ((1, 0, 0, 480), (2, 0, 0, 240), (3, 0, 0, 80), (4, 0, 0, 20), (5, 0, 0, 4))


def test_a_declaration_is_a_call_for_each_statement():
    """A pool of fourth powers: their sum, which is a buffer of its own, then its root."""
    unit = only("8x8x20 -> lppool 2 p 4", batch=2)
    first, second = kernel_calls(unit, CONTEXT)
    (between,) = first.writes
    assert first.reads == unit.inputs and second.reads == [between] and second.writes == unit.outputs
    assert between.name == "lppool1 t0" and between.layout.bytes >= 4 * 2 * 20 * 16
    assert [call.kernel.template for call in (first, second)] == ["nest", "nest"]


def test_a_target_that_is_written_in_part_gets_zeros_first():
    """Zeros read what they write: they wait for whoever reads it still."""
    unit = only("8x8x20 -> tconv 3x3 20 groups 5 /4 bias off")
    found = kernel_calls(unit, CONTEXT)
    assert found[-1].writes == unit.outputs
    assert all(call.parts == 1 for call in found)
