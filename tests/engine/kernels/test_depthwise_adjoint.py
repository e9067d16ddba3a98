"""The adjoint of depthwise convolution in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, hot_spills, plain, step, targets, windows
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import depthwise_adjoint
from striate.engine.layout import Layout
from striate.engine.target import TARGETS


def adjoint(windows, dy, weight):
    """(n, c, h, w) in float64: every output's gradient back to what it read. weight: (c, 1, kh, kw)"""
    (down, across), (n, c, _, _) = windows, dy.shape
    rows, columns = (max((w.output - 1) * w.stride + w.extent, w.before + w.input) for w in windows)
    total = np.zeros((n, c, rows, columns))
    for u, v in np.ndindex(down.kernel, across.kernel):
        top, left = u * down.dilation, v * across.dilation
        part = total[:, :, top:, left:][:, :, :: down.stride, :: across.stride]
        part[:, :, : down.output, : across.output] += weight[:, :, u, v, None].astype(np.float64) * dy
    top, left = down.before, across.before
    return total[:, :, top : top + down.input, left : left + across.input]


def run(target, windows, dy, weight, splits, rng):
    """(n, c, h, w); checks that the border stays as it was."""
    n, c, h, w = dy.shape
    gradient = Layout(n, c, h, w, target.lanes).with_border(*depthwise_adjoint.padding(windows))
    result = Layout(n, c, windows[0].input, windows[1].input, target.lanes, 1, 0, 2, 1)
    slopes, outputs = filled(gradient, dy, rng), filled(result, None, rng, border=7.0)
    packed = depthwise_adjoint.pack(target.lanes, weight, rng.normal(size=c).astype(np.float32))
    before = border(result, outputs)
    memory = slopes.ctypes.data, outputs.ctypes.data, packed.ctypes.data
    arguments = depthwise_adjoint.arguments(gradient, result, windows, packed[0].nbytes, memory)
    rows, parts = result.images * result.height, result.blocks
    row_cuts = sorted({0, rows, *(cut % rows for cut in splits[0])})
    part_cuts = sorted({0, parts, *(cut % parts for cut in splits[1])})
    for part in pairwise(part_cuts):
        for row in reversed(list(pairwise(row_cuts))):
            step(target, Kernel("depthwise_adjoint"), arguments, row, part)
    assert (border(result, outputs) == before).all()
    return plain(result, outputs)


cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=100, deadline=None)
@given(
    windows(), st.integers(1, 70), st.integers(1, 4), cuts, st.integers(0, 99),
    st.sampled_from([None, np.nan, np.inf]),
)  # fmt: skip
def test_equals_numpy(target, windows, channels, images, splits, seed, odd):
    rng = np.random.default_rng(seed)
    down, across = windows
    dy = rng.normal(size=(images, channels, down.output, across.output)).astype(np.float32)
    weight = rng.normal(size=(channels, 1, down.kernel, across.kernel)).astype(np.float32)
    if odd is not None:
        dy.flat[rng.integers(dy.size)] = odd
    found = run(target, windows, dy, weight, splits, rng)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found, adjoint(windows, dy, weight), rtol=1e-5, atol=2e-5)
    np.testing.assert_array_equal(found, run(target, windows, dy, weight, ([], []), rng))


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    assert not hot_spills(llvm.assembly(target, depthwise_adjoint.emit(target)))
