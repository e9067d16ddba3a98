"""Copies between layouts, parts of inputs that become parts of outputs, and the zeros around a buffer."""

import pytest

from engine.plan.support import CONTEXT, buffer, unit
from striate.engine.layout import Layout
from striate.engine.plan.choose import kernel_calls
from striate.engine.plan.computation import Copies, Copy
from striate.engine.plan.copies import _piece, plain, zero_border, zeros
from striate.engine.plan.units import Enter, Leave
from striate.geometry import Shift


def copies(x, y, *pieces, **more):
    return kernel_calls(unit([x], [y], Copies(pieces, **more)), CONTEXT)


def said(calls):
    return [(call.algorithm, call.rows, call.parts) for call in calls]


def test_what_comes_in_and_goes_out_is_in_plain_order():
    given, x, result = (
        buffer("given", lanes=1, is_input=True),
        buffer(),
        buffer("result", lanes=1, is_result=True),
    )
    (call,) = kernel_calls(unit([given], [x], Enter()), CONTEXT)
    assert (call.algorithm, call.tile, call.rows, call.reads, call.writes) == (
        "copy in",
        "1->16",
        4,
        [given],
        [x],
    )
    (call,) = kernel_calls(unit([x], [result], Leave()), CONTEXT)
    assert (call.algorithm, call.tile, call.reads, call.writes) == ("copy out", "16->1", [x], [result])
    (call,) = kernel_calls(unit([x], [buffer("flat", lanes=1)], Leave()), CONTEXT)
    assert call.algorithm == "copy"
    assert plain(buffer(shape=(2, 20, 3, 5), pads=(1, 1, 1, 1))) == Layout(2, 20, 3, 5, 1)


def test_a_flattened_map_leaves_from_the_map():
    image = buffer()
    flat = buffer("flat", (1, 256), lanes=0, home=image, flat=True)
    (call,) = kernel_calls(unit([flat], [buffer("plain", (1, 256), lanes=1)], Leave()), CONTEXT)
    assert call.reads == [image] and call.rows == 4


def test_pieces_that_fill_the_output_need_no_zeros():
    x, y = buffer(), buffer("y", (1, 32, 4, 4))
    assert said(copies(x, y, Copy(0, 0, 0, 16, 16), Copy(0, 0, 0, 0, 16))) == [("copy", 4, 1), ("copy", 4, 1)]


def test_what_no_piece_fills_is_zero():
    x, y = buffer(), buffer("y", (1, 48, 4, 4))
    assert said(copies(x, y, Copy(0, 0, 0, 0, 16))) == [("zeros", 4, 3), ("copy", 4, 1)]
    assert said(copies(x, y, Copy(0, 0, 0, 0, 16), partly=True)) == [("copy", 4, 1)]  # others fill the rest
    assert said(copies(x, y)) == [("zeros", 4, 3)]
    assert said([zeros(unit([x], [y]), y)]) == [("zeros", 4, 3)]


def test_empty_pieces_are_no_calls():
    x, y = buffer(), buffer("y")
    assert said(copies(x, y, Copy(0, 0, 0, 0, 16), Copy(0, 0, 0, 16, 0))) == [("copy", 4, 1)]


@pytest.mark.parametrize(
    ("shift", "size", "rows"),
    [
        (Shift(4), 4, 4),
        (Shift(4, 1, 1), 6, 4),  # padding: the inner ones
        (Shift(4, -1, -1), 2, 2),  # a crop
        (Shift(4, 3, -3), 4, 1),
        (Shift(4, -5, 5), 4, 0),  # all of it lies beyond the map
        (Shift(8, 0, 0, 2), 4, 4),  # every other
        (Shift(8, 1, 1, 3), 4, 2),  # -1, 2, 5, 8: the first and the last read nothing
    ],
)
def test_rows_that_a_shift_copies(shift, size, rows):
    x, y = buffer(shape=(1, 16, shift.input, 1)), buffer("y", (1, 16, size, 1))
    found, columns, _ = _piece(unit([x], [y]), Copy(0, 0, 0, 0, 16, (shift, Shift(1))), x, y)
    assert (found, columns) == (rows, 1)
    assert rows == sum(shift.position(i, 0) is not None for i in range(size))


def test_the_adjoint_of_a_copy_writes_where_that_read():
    """Two of four rows were cut out: their gradient goes back to them, and the others are zero."""
    x, y = buffer("dy", (1, 16, 2, 4)), buffer("dx", (1, 16, 4, 4))
    found = copies(x, y, Copy(0, 0, 0, 0, 16, (Shift(4, -1, -1), Shift(4)), back=True))
    assert said(found) == [("zeros", 4, 1), ("copy", 2, 1)]


def test_a_border_is_zeroed_by_a_call_that_nobody_waits_for():
    """Of all lines, those above and below included, block by block."""
    value = buffer(shape=(2, 32, 4, 4), pads=(1, 2, 1, 0))
    call = zero_border(unit([], [value]), value)
    assert (call.algorithm, call.rows, call.parts) == ("border", 2 * 7, 2)
    assert call.only_writes and call.writes == [value] and call.reads == []
