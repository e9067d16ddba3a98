"""Weights to the order of use and back, against numpy indexing: every order of steps, in guarded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernels.support import held, hot_spills, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import argument_record, pack_weights
from striate.engine.target import TARGETS

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
PACK, UNPACK = Kernel("pack_weights", ("pack",)), Kernel("pack_weights", ("unpack",))


def run(target, kernel, table, panels, plain, packed, scale=None, cuts=(0, 0)):
    scales = 0 if scale is None else argument_record.table(scale)
    record = pack_weights.arguments(table, panels, plain.ctypes.data, packed.ctypes.data, scales)
    row, part = cuts[0] % (len(table.rows) + 1), cuts[1] % (len(panels) + 1)
    for rows in ((row, len(table.rows)), (0, row)):
        for parts in ((0, part), (part, len(panels))):
            step(target, kernel, record, rows, parts)


@st.composite
def orders(draw):
    """(outputs, numbers from one to the next, numbers of a group, steps' numbers): some taps of a convolution's weights
    or of its adjoint's."""
    outputs, channels = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    taps = draw(st.sampled_from([1, 2, 9, 9, 25]))
    adjoint = draw(st.booleans())
    stride, channel = (taps, outputs * taps) if adjoint else (channels * taps, taps)
    used = draw(st.lists(st.integers(0, taps - 1), min_size=1, max_size=taps, unique=True))
    block = draw(st.sampled_from([8, 16]))
    steps = [
        c * channel + tap
        for first in range(0, channels, block)
        for tap in used
        for c in range(first, min(first + block, channels))
    ]
    return outputs, stride, outputs * channels * taps, np.array(steps, np.int64)


@each_target
@given(
    case=orders(),
    groups=st.integers(1, 3),
    scaled=st.booleans(),
    most=st.integers(1, 4),
    cuts=st.tuples(*[st.integers(0, 99)] * 2),
)
def test_packed_numbers_are_those_that_indexing_finds(target, case, groups, scaled, most, cuts):
    outputs, stride, numbers, steps = case
    rng, lanes = np.random.default_rng(numbers), target.lanes
    plain = held(rng.standard_normal((groups, numbers)).astype(np.float32))
    plain[rng.random(plain.shape) < 0.01] = np.nan
    vectors = -(-outputs // lanes)
    split = [most] * (vectors // most) + [vectors % most] * (vectors % most > 0)
    scale = rng.standard_normal(groups * outputs) if scaled else None
    packed = held(np.full(groups * vectors * lanes * len(steps), 7, np.float32))
    table = pack_weights.table(4 * steps, 4 * stride, outputs, 4 * numbers, lanes)
    panels = pack_weights.panels(split, outputs, len(steps), 4 * stride, lanes, groups, 4 * numbers)
    run(
        target,
        PACK,
        table,
        panels,
        plain,
        packed,
        None if scale is None else pack_weights.factors(scale, groups, lanes),
        cuts,
    )
    index = np.arange(outputs)[:, None] * stride + steps
    wanted = np.zeros((groups, vectors * lanes, len(steps)), np.float32)
    wanted[:, :outputs] = plain[:, index]
    if scale is not None:
        wanted[:, :outputs] = plain[:, index].astype(float) * scale.reshape(groups, outputs, 1)
    at = 0
    for group in range(groups):
        first = 0
        for size in split:
            found = packed[at : at + size * lanes * len(steps)].reshape(len(steps), size * lanes)
            np.testing.assert_array_equal(found, wanted[group, first : first + size * lanes].T)
            at, first = at + found.size, first + size * lanes


@each_target
@given(case=orders(), cuts=st.tuples(*[st.integers(0, 99)] * 2))
def test_gradients_find_their_way_back(target, case, cuts):
    outputs, stride, numbers, steps = case
    rng, lanes = np.random.default_rng(numbers), target.lanes
    vectors = -(-outputs // lanes)
    packed = held(rng.standard_normal((len(steps), vectors * lanes)).astype(np.float32))
    plain = held(np.full(numbers, 7, np.float32))
    table = pack_weights.table(4 * steps, 4 * stride, outputs, 4 * numbers, lanes)
    panels = pack_weights.columns(outputs, 4 * stride, lanes)
    run(target, UNPACK, table, panels, plain, packed, cuts=cuts)
    wanted = np.full(numbers, 7, np.float32)
    wanted[np.arange(outputs)[:, None] * stride + steps] = packed[:, :outputs].T
    np.testing.assert_array_equal(plain, wanted)


@each_target
@pytest.mark.parametrize("shape", [(64, 64, 3), (32, 48, 1), (40, 24, 3)])
def test_most_weights_go_in_squares(target, shape):
    """Forward weights in squares without a gap; those of the data gradient in squares of one tap row each."""
    o, i, k = shape
    steps = 4 * np.arange(i * k * k)
    table = pack_weights.table(steps, 4 * i * k * k, o, 4 * o * i * k * k, target.lanes)
    assert table.squares
    assert table.full >= i * k * k // target.lanes
    assert len(table.rows) == -(-i * k * k // target.lanes)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("kernel", [PACK, UNPACK], ids=lambda kernel: kernel.parameters[0])
def test_squares_keep_to_registers(target, kernel):
    """A turned square of 8 x 8 numbers fills all of SSE's registers; masks may come from the stack, once a square."""
    found = hot_spills(llvm.assembly(target, kernel.text(target)))
    if target.name != "sse":
        assert not [line for line in found if line.startswith("st") or line.endswith("(%rsp)")]
