"""Copies between layouts against numpy indexing: any lanes, channel ranges, crops, steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, plain, step, targets, view
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import copy
from striate.engine.layout import Layout

LANES = [1, 1, 2, 3, 4, 5, 8, 8, 16, 16]


def kernel(source: Layout, to: Layout, shift: int) -> Kernel:
    return Kernel("copy", (source.lanes, to.lanes, copy.rotation(shift, source.lanes, to.lanes)))


def record(source, data, to, out, first, last, shift, start=(0, 0), by=(1, 1), at=(0, 0), size=(0, 0)):
    """Arguments: pixels start + by · i of the source land on at + i of the destination, i < size."""
    a = np.zeros(copy.ARGUMENTS // 8, np.int64)
    offset = source.origin + start[0] * source.row + start[1] * source.pixel
    a[0:5] = data.ctypes.data + offset, source.image, source.block, by[0] * source.row, by[1] * source.pixel
    offset = to.origin + at[0] * to.row + at[1] * to.pixel
    a[5:10] = out.ctypes.data + offset, to.image, to.block, to.row, to.pixel
    a[10:16] = *size, first, last, shift, source.channels
    return a


@st.composite
def cases(draw):
    small = st.integers(1, 4)
    by, size = (
        (draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from([1, 1, 2]))),
        (draw(small), draw(st.integers(1, 37))),
    )
    start, at = (
        (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
    )
    lanes = draw(st.sampled_from(LANES)), draw(st.sampled_from(LANES))
    if draw(st.booleans()):
        lanes = lanes[0], lanes[0]
    pads = st.tuples(*[st.integers(0, 2)] * 4)
    images = draw(st.integers(1, 2))
    height, width = (s + (n - 1) * b + 1 + draw(st.integers(0, 2)) for s, n, b in zip(start, size, by))
    source = Layout(images, draw(st.integers(1, 40)), height, width, lanes[0]).with_border(*draw(pads))
    high, wide = (a + n + draw(st.integers(0, 1)) for a, n in zip(at, size))
    to = Layout(images, draw(st.integers(1, 40)), high, wide, lanes[1]).with_border(*draw(pads))
    first = draw(st.integers(0, to.channels - 1))
    last = draw(st.integers(first + 1, to.channels))
    if last == to.channels and draw(st.booleans()):
        last = to.blocks * to.lanes
    shift = draw(st.integers(-source.channels, to.channels) | st.sampled_from([0, first]))
    return source, to, first, last, shift, start, by, at, size


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
@given(case=cases(), seed=st.integers(0, 99), cut=st.integers(0, 8))
def test_copies_are_those_of_numpy(target, case, seed, cut):
    source, to, first, last, shift, start, by, at, size = case
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((source.images, source.channels, source.height, source.width)).astype(
        np.float32
    )
    data, out = filled(source, values, rng, border=np.nan), filled(to, None, rng, border=7.0)
    before = view(to, out).copy()
    arguments = record(*(source, data, to, out, first, last, shift, start, by, at, size))
    edges = border(to, out)
    rows, parts = source.images * size[0], copy.parts(first, last, to.lanes)
    for lot in ((0, min(cut, rows)), (min(cut, rows), rows)):
        for share in ((0, cut % (parts + 1)), (cut % (parts + 1), parts)):
            step(target, kernel(source, to, shift), arguments, lot, share)
    wanted = np.moveaxis(before, 4, 2).reshape(to.images, -1, to.height, to.width)
    (y, x), (h, w) = at, size
    for d in range(first, last):
        place = wanted[:, d, y : y + h, x : x + w]
        there = 0 <= d - shift < source.channels
        crop = values[:, :, start[0] :: by[0], start[1] :: by[1]][:, :, :h, :w]
        place[:] = crop[:, d - shift] if there else 0
    found = np.moveaxis(view(to, out), 4, 2).reshape(wanted.shape)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(border(to, out), edges)


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
def test_import_and_export_are_each_others_inverse(target):
    rng = np.random.default_rng(0)
    for channels in (1, 3, 16, 24, 33):
        x = rng.standard_normal((2, channels, 9, 21)).astype(np.float32)
        flat = Layout(2, channels, 9, 21, 1)
        blocked = Layout(2, channels, 9, 21, target.lanes if channels > 3 else channels, 1, 1, 2, 0)
        data, middle, back = filled(flat, x, rng), filled(blocked, None, rng), guarded(flat.bytes, 4)
        wide = blocked.blocks * blocked.lanes
        to = record(flat, data, blocked, middle, 0, wide, 0, size=(9, 21))
        step(target, kernel(flat, blocked, 0), to, (0, 18), (0, blocked.blocks))
        np.testing.assert_array_equal(plain(blocked, middle), x)
        home = record(blocked, middle, flat, back, 0, channels, 0, size=(9, 21))
        step(target, kernel(blocked, flat, 0), home, (0, 18), (0, channels))
        np.testing.assert_array_equal(plain(flat, back), x)


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
def test_parts_of_a_concatenation_fill_a_block_together(target):
    rng = np.random.default_rng(1)
    lanes = target.lanes
    pieces = [5, lanes, 2, lanes + 3]
    to = Layout(1, sum(pieces), 3, 5, lanes)
    out, whole, at = filled(to, None, rng), [], 0
    for piece in pieces:
        source = Layout(1, piece, 3, 5, lanes)
        whole.append(rng.standard_normal((1, piece, 3, 5)).astype(np.float32))
        last = at + piece if at + piece < to.channels else to.blocks * lanes
        data = filled(source, whole[-1], rng)
        arguments = record(source, data, to, out, at, last, at, size=(3, 5))
        step(target, kernel(source, to, at), arguments, (0, 3), (0, copy.parts(at, last, lanes)))
        at += piece
    np.testing.assert_array_equal(plain(to, out), np.concatenate(whole, 1))
    assert np.isfinite(view(to, out)).all()
