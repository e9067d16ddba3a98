"""Gradients of convolution weights in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, hot_spills, plain, step, targets, windows
from striate.engine.codegen import llvm
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import weight_gradient
from striate.engine.layout import Layout
from striate.engine.target import TARGETS
from striate.geometry import Window


def weights(windows, x, dy, groups, padding):
    """(k, c // groups, kh, kw) in float64. x: (n, c, h, w), dy: (n, k, oh, ow).

    padding: multiply what lies on padding too, which matters where dy is not finite.
    """
    (down, across), (n, c, h, w), k = windows, x.shape, dy.shape[1]
    reach = [(win.output - 1) * win.stride + win.extent for win in windows]
    padded = np.zeros((n, c, max(reach[0], down.before + h), max(reach[1], across.before + w)))
    padded[:, :, down.before : down.before + h, across.before : across.before + w] = x
    spread = padded.reshape(n, groups, c // groups, *padded.shape[2:])
    slopes = dy.astype(np.float64).reshape(n, groups, k // groups, *dy.shape[2:])
    total = np.zeros((groups, k // groups, c // groups, down.kernel, across.kernel))
    for u, v in np.ndindex(down.kernel, across.kernel):
        rows = slice(u * down.dilation, u * down.dilation + (down.output - 1) * down.stride + 1, down.stride)
        columns = slice(
            v * across.dilation, v * across.dilation + (across.output - 1) * across.stride + 1, across.stride
        )
        hit = np.ix_(
            *(
                [padding or w.position(i, tap) is not None for i in range(w.output)]
                for w, tap in zip(windows, (u, v))
            )
        )
        total[..., u, v] = np.einsum(
            "ngchw,ngkhw->gkc", spread[:, :, :, rows, columns][..., *hit], slopes[..., *hit]
        )
    return total.reshape(k, c // groups, down.kernel, across.kernel)


def run(target, windows, x, dy, groups, lanes, tight, splits, rng):
    """(k, c // groups, kh, kw); lanes: of x; tight: dy without a border; checks that nothing else is written."""
    n, c, h, w = x.shape
    source = Layout(n, c, h, w, lanes).with_border(*weight_gradient.padding(windows))
    gradient = Layout(*dy.shape, target.lanes, *((0,) * 4 if tight else (1, 0, 2, 1)))
    made = weight_gradient.product(target, source, gradient, windows, groups)
    inputs, slopes = filled(source, x, rng), filled(gradient, dy, rng, border=np.nan)
    outputs = guarded(made.result.bytes)
    outputs.view(np.float32)[:] = 7.0
    before = border(made.result, outputs)

    def code(*numbers):
        kernel = Kernel("weight_gradient", numbers)
        return addresses(target, [kernel])[kernel]

    assert set(made.numbers) >= {(size, made.line, v) for _, _, size, _ in made.tiles for _, v in made.panels}
    memory = inputs.ctypes.data, slopes.ctypes.data, outputs.ctypes.data
    arguments = weight_gradient.arguments(made, memory, code)
    row_cuts = sorted({0, made.rows, *(cut % made.rows for cut in splits[0])})
    part_cuts = sorted({0, made.parts, *(cut % made.parts for cut in splits[1])})
    for part in pairwise(part_cuts):
        for row in reversed(list(pairwise(row_cuts))):
            step(target, Kernel("weight_gradient"), arguments, row, part)
    assert (border(made.result, outputs) == before).all()
    return plain(made.result, outputs).reshape(-1, c // groups, windows[0].kernel, windows[1].kernel)


cuts = st.tuples(st.lists(st.integers(1, 9), max_size=2), st.lists(st.integers(1, 99), max_size=3))


def compare(target, windows, x, dy, groups, lanes, tight, splits, rng):
    found = run(target, windows, x, dy, groups, lanes, tight, splits, rng)
    with np.errstate(invalid="ignore"):
        with_padding, expected = (weights(windows, x, dy, groups, padding) for padding in (True, False))
        expected = np.where(np.isnan(found), with_padding, expected)  # of tiles with several taps
        scale = np.sqrt(dy.size / dy.shape[1])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=4e-6 * scale)
    whole = run(target, windows, x, dy, groups, lanes, tight, ([], []), rng)
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=60, deadline=None)
@given(
    windows(), st.integers(1, 40), st.integers(1, 70), st.integers(1, 5), st.booleans(), st.booleans(), cuts,
    st.integers(0, 99), st.sampled_from([None, None, np.nan, np.inf]),
)  # fmt: skip
def test_equals_numpy(target, windows, channels, outputs, images, narrow, tight, splits, seed, odd):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, channels, windows[0].input, windows[1].input)).astype(np.float32)
    dy = rng.normal(size=(images, outputs, windows[0].output, windows[1].output)).astype(np.float32)
    if odd is not None:
        dy.flat[rng.integers(dy.size)] = odd
    lanes = channels if narrow and channels < target.lanes else target.lanes
    compare(target, windows, x, dy, 1, lanes, tight, splits, rng)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=30, deadline=None)
@given(windows(), st.integers(1, 2), st.integers(1, 12), cuts, st.integers(0, 99))
def test_few_channels(target, windows, channels, outputs, splits, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, channels, windows[0].input, windows[1].input)).astype(np.float32)
    dy = rng.normal(size=(3, outputs, windows[0].output, windows[1].output)).astype(np.float32)
    compare(target, windows, x, dy, 1, channels, False, splits, rng)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=15, deadline=None)
@given(windows(9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), cuts, st.integers(0, 99))
def test_groups_of_whole_blocks(target, windows, groups, depth, each, splits, seed):
    rng = np.random.default_rng(seed)
    sizes = groups * depth * target.lanes, groups * each * target.lanes
    x = rng.normal(size=(2, sizes[0], windows[0].input, windows[1].input)).astype(np.float32)
    dy = rng.normal(size=(2, sizes[1], windows[0].output, windows[1].output)).astype(np.float32)
    compare(target, windows, x, dy, groups, target.lanes, False, splits, rng)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("size", "kernel", "padding", "images", "channels"),
    [(1, 1, 0, 130, 70), (4, 4, 0, 33, 20), (30, 1, 0, 2, 20), (40, 3, 1, 1, 3), (4, 3, 1, 33, 130)],
    ids=["one pixel an image", "window is the map", "one piece", "bands of rows", "groups of tiles"],
)
def test_bands_and_groups(target, monkeypatch, size, kernel, padding, images, channels):
    monkeypatch.setattr(weight_gradient, "GROUP_SUM_BYTES", 1 << 14)
    rng = np.random.default_rng(1)
    pair = (Window(size, kernel, 1, 1, padding, padding),) * 2
    x = rng.normal(size=(images, channels, size, size)).astype(np.float32)
    dy = rng.normal(size=(images, 40, pair[0].output, pair[1].output)).astype(np.float32)
    for tight in (False, True):
        compare(target, pair, x, dy, 1, target.lanes, tight, ([1], [5]), rng)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    for panel in range(1, target.panel + 1):
        most = weight_gradient.most(target, panel)
        for places in {1, 2, most // 2, most - 1, most} - {0}:
            text = weight_gradient.emit(target, places, 0, panel)
            assert not hot_spills(llvm.assembly(target, text)), (places, panel)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
def test_lines_of_few_places_share_a_tile(target, kernel):
    """One plane: each row of taps is a line. Their sums hide an addition's latency, and stay in registers."""
    axis = Window(28, kernel, 1, 1, kernel // 2, kernel // 2)
    source = Layout(1, 1, 28, 28, 1).with_border(*weight_gradient.padding((axis, axis)))
    gradient = Layout(1, 6, axis.output, axis.output, target.lanes)
    made = weight_gradient.product(target, source, gradient, (axis, axis))
    sizes = [size for _, _, size, _ in made.tiles]
    assert sum(sizes) == kernel**2
    if kernel in (3, 5) and target.name != "sse":
        assert made.line == kernel and max(sizes) >= 8
    for numbers in made.numbers:
        assert not hot_spills(llvm.assembly(target, weight_gradient.emit(target, *numbers))), numbers
