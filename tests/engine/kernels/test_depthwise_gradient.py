"""Gradients of depthwise weights in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, hot_spills, plain, step, targets, windows
from engine.kernels.test_weight_gradient import weights
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import depthwise_gradient
from striate.engine.layout import Layout
from striate.engine.target import AVX2, AVX512, TARGETS
from striate.geometry import Window


def run(target, windows, x, dy, splits, rng):
    """(channels, 1, kh, kw); checks that nothing else is written."""
    n, c, h, w = x.shape
    source = Layout(n, c, h, w, target.lanes).with_border(*depthwise_gradient.padding(windows))
    gradient = Layout(*dy.shape, target.lanes, 1, 0, 2, 1)
    result = depthwise_gradient.result(gradient, windows)
    inputs, slopes = filled(source, x, rng), filled(gradient, dy, rng, border=np.nan)
    outputs = guarded(result.bytes)
    outputs.view(np.float32)[:] = 7.0
    before = border(result, outputs)
    memory = inputs.ctypes.data, slopes.ctypes.data, outputs.ctypes.data
    arguments = depthwise_gradient.arguments(target, source, gradient, windows, memory)
    kernel = Kernel("depthwise_gradient", depthwise_gradient.parameters(target, windows))
    rows, parts = depthwise_gradient.rows(target, windows), result.blocks
    row_cuts = sorted({0, rows, *(cut % rows for cut in splits[0])})
    part_cuts = sorted({0, parts, *(cut % parts for cut in splits[1])})
    for part in pairwise(part_cuts):
        for row in reversed(list(pairwise(row_cuts))):
            step(target, kernel, arguments, row, part)
    assert (border(result, outputs) == before).all()
    return plain(result, outputs).reshape(c, 1, windows[0].kernel, windows[1].kernel)


cuts = st.tuples(st.lists(st.integers(1, 9), max_size=2), st.lists(st.integers(1, 9), max_size=2))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=100, deadline=None)
@given(
    windows(), st.integers(1, 70), st.integers(1, 5), st.booleans(), cuts, st.integers(0, 99),
    st.sampled_from([None, None, np.nan, np.inf]),
)  # fmt: skip
def test_equals_numpy(target, windows, channels, images, one, splits, seed, odd):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, channels, windows[0].input, windows[1].input)).astype(np.float32)
    dy = rng.normal(size=(images, channels, windows[0].output, windows[1].output)).astype(np.float32)
    if odd is not None:
        dy.flat[rng.integers(dy.size)] = odd
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depthwise_gradient, "MIN_SUM_PIXELS", 1 if one else 1024)
        found = run(target, windows, x, dy, splits, rng)
        with np.errstate(invalid="ignore"):
            expected = weights(windows, x, dy, channels, padding=True)
            scale = np.sqrt(dy.size / channels)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=4e-6 * scale)
        np.testing.assert_array_equal(found, run(target, windows, x, dy, ([], []), rng))


def pair(kernel, stride, dilation=1):
    return (Window(29, kernel, stride, dilation, 4, 4),) * 2


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    kernels = {depthwise_gradient.parameters(target, pair(k, s)) for k in range(1, 8) for s in range(1, 4)}
    for numbers in kernels:
        assert not hot_spills(llvm.assembly(target, depthwise_gradient.emit(target, *numbers))), numbers


def test_numbers():
    assert depthwise_gradient.parameters(AVX512, pair(3, 2)) == (9, 3, 2)
    assert depthwise_gradient.parameters(AVX512, pair(7, 1)) == (7, 7, 1)
    assert depthwise_gradient.parameters(AVX2, pair(5, 1)) == (5, 5, 1)
    assert depthwise_gradient.parameters(AVX2, pair(3, 1, 2)) == (5, 0, 1)
    assert depthwise_gradient.rows(AVX2, pair(5, 1)) == 5
