"""Borders against numpy.pad, and against the rule of the geometry where numpy.pad has another one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels.support import filled, step, targets, view
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import border
from striate.engine.kernels.argument_record import record
from striate.engine.layout import Layout
from striate.geometry.window import fold

NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}


def whole(layout, memory):
    """(images, blocks, lines, pixels, lanes), border included."""
    strides = (layout.image, layout.block, layout.row, layout.pixel, 4)
    lines, pixels = layout.height + layout.top + layout.bottom, layout.width + layout.left + layout.right
    shape = (layout.images, layout.blocks, lines, pixels, layout.lanes)
    return np.lib.stride_tricks.as_strided(memory.view(np.float32), shape, strides)


def arguments(layout, memory, mode, value):
    numbers = dict(
        zip(
            (border.OUT, border.OUT_IMAGE, border.OUT_BLOCK, border.OUT_ROW),
            (memory.ctypes.data, layout.image, layout.block, layout.row),
        )
    )
    sides = (layout.top, layout.height, layout.bottom, layout.left, layout.width, layout.right)
    numbers |= dict(zip(range(border.TOP, border.VALUE, 8), sides))
    tables = [np.array(border.source(*axis, mode), np.int32) for axis in (sides[:3], sides[3:])]
    numbers |= {border.LINES: tables[0].ctypes.data, border.PIXELS: tables[1].ctypes.data}
    return record(border.ARGUMENTS, numbers, {border.VALUE: value}), tables


@st.composite
def layouts(draw):
    pads = draw(st.tuples(*[st.integers(0, 4)] * 4))
    sizes = draw(st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5)))
    return Layout(*sizes, draw(st.sampled_from([1, 3, 8, 16]))).with_border(*pads)


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
@given(layout=layouts(), mode=st.sampled_from(["zeros", "constant", *NUMPY]), cut=st.integers(0, 30))
def test_borders_are_those_of_the_geometry(target, layout, mode, cut):
    rng = np.random.default_rng(0)
    value = {"constant": -np.inf}.get(mode, 0.0)
    x = rng.standard_normal((layout.images, layout.channels, layout.height, layout.width)).astype(np.float32)
    memory = filled(layout, x, rng, border=np.nan)
    inside = view(layout, memory).copy()
    kernel = Kernel("border", ("fold" if mode in NUMPY else "constant", layout.lanes))
    record, _tables = arguments(layout, memory, mode, value)
    lines = layout.images * (layout.top + layout.height + layout.bottom)
    for lot in ((0, min(cut, lines)), (min(cut, lines), lines)):
        for share in ((0, cut % (layout.blocks + 1)), (cut % (layout.blocks + 1), layout.blocks)):
            step(target, kernel, record, lot, share)
    np.testing.assert_array_equal(view(layout, memory), inside)
    found = whole(layout, memory)
    for line in range(found.shape[2]):
        for pixel in range(found.shape[3]):
            y = fold(line - layout.top, layout.height, mode)
            x = fold(pixel - layout.left, layout.width, mode)
            wanted = value if y is None or x is None else inside[:, :, y, x]
            np.testing.assert_array_equal(
                found[:, :, line, pixel], np.broadcast_to(wanted, inside[:, :, 0, 0].shape)
            )
    narrow = max(layout.pads) < min(layout.height, layout.width)
    if narrow:
        pads = ((0, 0), (0, 0), (layout.top, layout.bottom), (layout.left, layout.right), (0, 0))
        if mode in NUMPY:
            np.testing.assert_array_equal(found, np.pad(inside, pads, mode=NUMPY[mode]))
        else:
            np.testing.assert_array_equal(found, np.pad(inside, pads, constant_values=value))


def test_tables_on_paper():
    assert border.source(2, 3, 1, "circular") == [1, 2, 0]
    assert border.source(2, 3, 1, "reflect") == [2, 1, 1]
    assert border.source(5, 2, 0, "replicate") == [0] * 5
    assert border.source(3, 2, 2, "zeros") == []
