"""Convolution of one plane to few channels in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, correlation, filled, hot_spills, plain, step, targets, view
from striate.engine import codegen
from striate.engine.code import Kernel
from striate.engine.kernels import depthwise, planar
from striate.engine.plan.layout import Layout
from striate.engine.target import AVX512, TARGETS
from striate.geometry import Window


@st.composite
def windows(draw: st.DrawFn, lanes: int) -> tuple[Window, Window]:
    """A window for the height, and one of stride 1 for a width of at least `lanes` outputs."""

    def one(least: int, stride: int) -> Window:
        kernel, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 3))
        extent = dilation * (kernel - 1) + 1
        size, before = draw(st.integers(least, least + 40)), draw(st.integers(0, extent))
        after = draw(st.integers(0, extent)) + extent - 1
        return Window(size, kernel, stride, dilation, before, after)

    return one(1, draw(st.integers(1, 3))), one(lanes, 1)


cuts = st.lists(st.integers(1, 200), max_size=3)
limits = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (-1.0, 1.5)])


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=80, deadline=None)
@given(
    st.data(), st.integers(1, 4), limits, cuts, st.integers(0, 99), st.sampled_from([None, np.nan, np.inf])
)
def test_equals_numpy(target, data, images, limit, splits, seed, odd):
    down, across = both = data.draw(windows(target.lanes))
    channels = data.draw(st.integers(1, target.lanes // 2))
    assert planar.covers(target.lanes, both, 1, channels)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, 1, down.input, across.input)).astype(np.float32)
    if odd is not None:
        x.flat[rng.integers(x.size)] = odd
    weight = rng.normal(size=(channels, 1, down.kernel, across.kernel)).astype(np.float32)
    bias = rng.normal(size=channels).astype(np.float32)
    source = Layout(images, 1, down.input, across.input, 1).bordered(*depthwise.padding(both))
    result = Layout(images, channels, down.output, across.output, target.lanes, 1, 0, 2, 1)
    inputs, outputs = filled(source, x, rng), filled(result, None, rng, border=7.0)
    packed, before = planar.pack(weight, bias), border(result, outputs)
    addresses = inputs.ctypes.data, outputs.ctypes.data, packed.ctypes.data
    arguments = planar.arguments(source, result, both, addresses, *limit)
    rows = images * down.output
    for row in pairwise(sorted({0, rows, *(cut % rows for cut in splits)})):
        step(target, Kernel("planar", (channels,)), arguments, row, (0, 1))
    assert (border(result, outputs) == before).all()
    with np.errstate(invalid="ignore"):
        expected = np.clip(correlation(both, x, weight, bias, 1), *limit)
    np.testing.assert_allclose(plain(result, outputs), expected, rtol=1e-5, atol=2e-5)
    if limit[0] <= 0:
        assert not view(result, outputs)[..., channels:].any()


def window(size: int = 32, stride: int = 1, kernel: int = 5) -> Window:
    return Window(size, kernel, stride)


def test_covers():
    assert planar.covers(16, (window(stride=2), window()), 1, 8)
    assert not planar.covers(16, (window(), window()), 1, 9)
    assert not planar.covers(16, (window(), window()), 2, 6)
    assert not planar.covers(16, (window(), window(stride=2)), 1, 6)
    assert not planar.covers(16, (window(), window(size=19)), 1, 6)


def test_sums_share_weights_where_registers_are_many():
    assert planar.vectors(AVX512, 8) == planar.VECTORS


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    for channels in range(1, target.lanes // 2 + 1):
        assert not hot_spills(codegen.assembly(target, planar.emit(target, channels))), channels
