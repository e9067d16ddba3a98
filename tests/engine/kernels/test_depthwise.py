"""Depthwise convolution in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, correlation, filled, hot_spills, plain, step, targets, windows
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import depthwise
from striate.engine.layout import Layout
from striate.engine.target import AVX512, TARGETS
from striate.geometry import Window


def run(target, windows, x, weight, bias, low, high, added, splits, rng):
    """Output (images, channels, height, width); checks that the border stays as it was."""
    n, c, h, w = x.shape
    source = Layout(n, c, h, w, target.lanes).with_border(*depthwise.padding(windows))
    result = Layout(n, c, windows[0].output, windows[1].output, target.lanes, 1, 0, 2, 1)
    inputs = filled(source, x, rng)
    outputs = filled(result, None, rng, border=7.0)
    residual = None
    if added is not None:
        memory = filled(result, added, rng)
        residual = memory.ctypes.data - outputs.ctypes.data
    packed = depthwise.pack(target.lanes, weight, bias)
    before = border(result, outputs)
    arguments = depthwise.arguments(
        source, result, windows, packed[0].nbytes,
        (inputs.ctypes.data, outputs.ctypes.data, packed.ctypes.data), low, high, residual,
    )  # fmt: skip
    kernel = Kernel("depthwise", depthwise.parameters(target, windows))
    rows, parts = result.images * result.height, result.blocks
    row_cuts = sorted({0, rows, *(cut % rows for cut in splits[0])})
    part_cuts = sorted({0, parts, *(cut % parts for cut in splits[1])})
    for part in pairwise(part_cuts):
        for row in reversed(list(pairwise(row_cuts))):
            step(target, kernel, arguments, row, part)
    assert (border(result, outputs) == before).all()
    return plain(result, outputs)


cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))
limits = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.5)])


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=120, deadline=None)
@given(
    windows(), st.integers(1, 70), st.integers(1, 5), limits, st.booleans(), st.booleans(), cuts,
    st.integers(0, 99), st.sampled_from([None, np.nan, np.inf]),
)  # fmt: skip
def test_equals_numpy(target, windows, channels, images, limit, bias, residual, splits, seed, odd):
    rng = np.random.default_rng(seed)
    down, across = windows
    x = rng.normal(size=(images, channels, down.input, across.input)).astype(np.float32)
    if odd is not None:
        x.flat[rng.integers(x.size)] = odd
    weight = rng.normal(size=(channels, 1, down.kernel, across.kernel)).astype(np.float32)
    offset = rng.normal(size=channels).astype(np.float32) if bias else None
    result = images, channels, down.output, across.output
    added = rng.normal(size=result).astype(np.float32) if residual else None
    found = run(target, windows, x, weight, offset, *limit, added, splits, rng)
    with np.errstate(invalid="ignore"):
        expected = correlation(windows, x, weight, offset, channels, added)
        np.testing.assert_allclose(found, np.clip(expected, *limit), rtol=1e-5, atol=2e-5)
    np.testing.assert_array_equal(
        found, run(target, windows, x, weight, offset, *limit, added, ([], []), rng)
    )


def pair(kernel, stride, dilation=1):
    return (Window(29, kernel, stride, dilation, 4, 4),) * 2


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    kernels = {depthwise.parameters(target, pair(k, s)) for k in range(1, 8) for s in range(1, 4)}
    assert len(kernels) >= 3
    for numbers in kernels:
        assert not hot_spills(llvm.assembly(target, depthwise.emit(target, *numbers))), numbers


def test_numbers():
    assert depthwise.parameters(AVX512, pair(3, 2)) == (3, 2)
    assert depthwise.parameters(AVX512, pair(3, 1, 2)) == (0, 1)
    assert depthwise.parameters(AVX512, pair(5, 3)) == (0, 0)
    assert depthwise.parameters(AVX512, pair(4, 1)) == (0, 1)
    assert depthwise.covers(pair(3, 1), 8, 1, 1)
    assert not depthwise.covers(pair(3, 1), 8, 1, 2)
