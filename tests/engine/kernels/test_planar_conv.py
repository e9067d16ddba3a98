"""Convolution of planes to few channels in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import (
    border,
    correlation,
    filled,
    guarded,
    hot_spills,
    plain,
    step,
    targets,
    view,
)
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import planar_conv
from striate.engine.layout import Layout
from striate.engine.target import AVX512, TARGETS
from striate.geometry import Window


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, Window]:
    """A window for the height, and one of stride 1 for the width."""

    def one(stride: int) -> Window:
        kernel, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 3))
        extent = dilation * (kernel - 1) + 1
        size, before = draw(st.integers(1, 40)), draw(st.integers(0, extent))
        after = draw(st.integers(max(extent - size - before, 0), 2 * extent))
        return Window(size, kernel, stride, dilation, before, after)

    return one(draw(st.integers(1, 3))), one(1)


cuts = st.lists(st.integers(1, 200), max_size=3)
limits = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (-1.0, 1.5)])


def run(target, both, x, weight, bias, limit=(-np.inf, np.inf), splits=(), rng=None, every=False):
    """The kernel's outputs (images, channels, height, width); nothing else may be touched."""
    rng = rng or np.random.default_rng(0)
    (down, across), channels = both, len(weight)
    shape = planar_conv.group(target, channels, down.output, across.output)
    source = Layout(*x.shape, 1).with_border(*planar_conv.padding(target, both, shape[0], every))
    result = Layout(len(x), channels, down.output, across.output, target.lanes, 1, 0, 2, 1)
    inputs, outputs = filled(source, x, rng), filled(result, None, rng, border=7.0)
    packed, table, before = (
        planar_conv.pack(weight, bias),
        planar_conv.taps(down, shape[0], every),
        border(result, outputs),
    )
    addresses = inputs.ctypes.data, outputs.ctypes.data, packed.ctypes.data, table.ctypes.data
    arguments = planar_conv.arguments(source, result, both, addresses, *limit)
    groups = len(x) * len(table)
    scratch = guarded(planar_conv.scratch_bytes(target, channels, *shape))
    for cut in pairwise(sorted({0, groups, *(cut % groups for cut in splits)})):
        step(target, Kernel("planar_conv", (channels, *shape)), arguments, cut, (0, 1), scratch)
    assert (border(result, outputs) == before).all()
    if limit[0] <= 0:
        assert not view(result, outputs)[..., channels:].any()
    return plain(result, outputs)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=80, deadline=None)
@given(
    st.data(), windows(), st.integers(1, 3), st.integers(1, 5), limits, cuts, st.integers(0, 99),
    st.sampled_from([None, np.nan, np.inf]), st.booleans(),
)  # fmt: skip
def test_equals_numpy(target, data, both, images, planes, limit, splits, seed, odd, every):
    down, across = both
    channels = data.draw(st.integers(1, planar_conv.most_channels(target)))
    assert planar_conv.covers(target, both, channels)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, planes, down.input, across.input)).astype(np.float32)
    if odd is not None:
        x.flat[rng.integers(x.size)] = odd
    weight = rng.normal(size=(channels, planes, down.kernel, across.kernel)).astype(np.float32)
    bias = rng.normal(size=channels).astype(np.float32)
    made = run(target, both, x, weight, bias, limit, splits, rng, every)
    with np.errstate(invalid="ignore"):
        expected = np.clip(correlation(both, x, weight, bias, 1), *limit)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=5e-5)
    np.testing.assert_array_equal(made, run(target, both, x, weight, bias, limit, every=every))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_the_way_back_is_the_adjoint(target, data, images, planes, seed):
    def one() -> Window:
        kernel, dilation = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 2))
        extent = dilation * (kernel - 1) + 1
        before, after = data.draw(st.integers(0, extent - 1)), data.draw(st.integers(0, extent - 1))
        return Window(data.draw(st.integers(extent, 24)), kernel, 1, dilation, before, after)

    way = one(), one()
    sizes = way[0].output, way[1].output
    back = planar_conv.adjoint_windows(way, sizes)
    assert back is not None and [w.output for w in back] == [w.input for w in way]
    channels, rng = data.draw(st.integers(1, target.lanes // 2)), np.random.default_rng(seed)
    x = rng.normal(size=(images, channels, way[0].input, way[1].input)).astype(np.float32)
    dy = rng.normal(size=(images, planes, *sizes)).astype(np.float32)
    weight = rng.normal(size=(planes, channels, way[0].kernel, way[1].kernel)).astype(np.float32)
    dx = run(target, back, dy, planar_conv.flip_weight(weight), np.zeros(channels, np.float32))
    there = (correlation(way, x, weight, None, 1) * dy).sum()
    np.testing.assert_allclose((x.astype(np.float64) * dx).sum(), there, rtol=1e-4, atol=2e-3)


def window(size: int = 32, stride: int = 1, kernel: int = 5) -> Window:
    return Window(size, kernel, stride)


def test_covers():
    assert planar_conv.covers(AVX512, (window(stride=2), window()), 12)
    assert not planar_conv.covers(AVX512, (window(), window()), 13)
    assert not planar_conv.covers(AVX512, (window(), window(stride=2)), 6)
    assert planar_conv.adjoint_windows((window(stride=2), window()), (14, 28)) is None


def test_rows_of_taps_in_the_border_are_left_out():
    full = Window(10, 5, 1, 1, 4, 4)
    assert planar_conv.taps(full, 2).tolist() == [[3, 2], [1, 4], [0, 5], [0, 5], [0, 5], [0, 4], [0, 2]]
    top, bottom, left, right = planar_conv.padding(AVX512, (full, full), 2)
    assert (top, left, right) == (1, 4, 0) and bottom <= 3


def test_sums_share_weights_where_registers_are_many():
    for channels in range(1, 9):
        rows, vectors = planar_conv.group(AVX512, channels, 32, 32)
        assert rows * vectors > 1
    assert planar_conv.group(AVX512, 6, 1, 32) == (1, 2)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    for channels in range(1, planar_conv.most_channels(target) + 1):
        for shape in {planar_conv.group(target, channels, height, 99) for height in (1, 12)}:
            text = llvm.assembly(target, planar_conv.emit(target, channels, *shape))
            assert not hot_spills(text), (channels, shape)
