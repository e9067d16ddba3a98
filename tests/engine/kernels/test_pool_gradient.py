"""Gradients of pooling in machine code against plain numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, hot_spills, plain, step, targets, view
from engine.kernels.test_pool import axes, cuts, expected
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import pool, pool_gradient
from striate.engine.layout import Layout
from striate.engine.target import TARGETS
from striate.geometry import Adaptive, Whole, Window


@st.composite
def small(draw):
    """Windows that do not meet, of few taps, often without anything between them."""
    kernels = draw(st.sampled_from([(2, 2), (3, 3), (2, 1), (1, 3)]))
    apart = draw(st.sampled_from([0, 0, 1]))
    return tuple(
        Window(draw(st.integers(1, 4)) * k + draw(st.sampled_from([0, 0, 1])), k, k + apart) for k in kernels
    )


def gradient(maps, x, dy, reduce, padded):
    """The gradient in float64, window by window; of equal largest ones the first gets all, and NaN is the largest."""
    down, across = maps
    dx = np.zeros(x.shape)
    images, channels = np.indices(x.shape[:2])
    tables = [pool.taps(axis, padded)[0] for axis in maps]
    for i, j in np.ndindex(down.output, across.output):
        rows, columns = np.array(down.reads(i), int), np.array(across.reads(j), int)
        if not len(rows) or not len(columns):
            continue
        if reduce == "mean":
            counted = int(tables[0][i, 2]) * int(tables[1][j, 2])
            dx[:, :, rows[:, None], columns] += (dy[:, :, i, j] / np.float64(counted))[:, :, None, None]
        else:
            part = x[:, :, rows][:, :, :, columns].reshape(*x.shape[:2], -1)
            u, v = np.divmod(part.argmax(-1), len(columns))
            dx[images, channels, rows[u], columns[v]] += dy[:, :, i, j]
    return dx


def run(target, maps, x, dy, reduce, padded, splits, rng, limits=(-np.inf, np.inf), over=False, known=None):
    """limits: of a clamp; over: the gradient lies where x did; known: parameters that the kernel gets, 3 for loops."""
    n, c, h, w = x.shape
    source = Layout(n, c, h, w, target.lanes, 1, 2, 0, 1)
    result = Layout(n, c, maps[0].output, maps[1].output, target.lanes, 0, 1, 1, 0)
    arriving = Layout(n, c, maps[0].output, maps[1].output, target.lanes, 1, 0, 0, 2)
    leaving = source if over else Layout(n, c, h, w, target.lanes, 2, 1, 1, 0)
    with np.errstate(invalid="ignore"):
        y = expected(maps, x, reduce, padded).astype(np.float32)
    memory = [
        filled(source, x, rng, border=np.nan),
        filled(result, y, rng, border=np.nan),
        filled(arriving, dy, rng, border=np.nan),
        filled(leaving, None, rng, border=7.0),
    ]
    memory[3] = memory[0] if over else memory[3]
    before = border(leaving, memory[3])
    tables = tuple(pool.taps(axis, padded)[0] for axis in maps)
    arguments = pool_gradient.arguments(
        source, result, (arriving, leaving), maps, tables, tuple(each.ctypes.data for each in memory), *limits
    )
    kernel = Kernel("pool_gradient", pool_gradient.parameters(reduce, maps, *limits)[:known])
    for part in pairwise(sorted({0, source.blocks, *(cut % source.blocks for cut in splits[1])})):
        for row in reversed(list(pairwise(sorted({0, n, *(cut % n for cut in splits[0])})))):
            step(target, kernel, arguments, row, part)
    assert (border(leaving, memory[3]) == before).all()
    assert (
        np.isfinite(view(leaving, memory[3])[..., c % target.lanes :][:, -1:]).all() or not c % target.lanes
    )
    return plain(leaving, memory[3])


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=120, deadline=None)
@given(
    axes() | small(), st.integers(1, 40), st.integers(1, 3), st.sampled_from(["max", "mean"]), st.booleans(), cuts,
    st.integers(0, 99), st.sampled_from([None, np.nan, np.inf, -np.inf]), st.booleans(),
)  # fmt: skip
def test_equals_numpy(target, maps, channels, images, reduce, padded, splits, seed, odd, ties):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, channels, maps[0].input, maps[1].input)).astype(np.float32)
    x = np.round(x) if ties else x  # -0 and 0 too
    if odd is not None:
        x.flat[rng.integers(x.size, size=3)] = odd
    dy = rng.normal(size=(images, channels, maps[0].output, maps[1].output)).astype(np.float32)
    found = run(target, maps, x, dy, reduce, padded, splits, rng)
    wanted = gradient(maps, x, dy, reduce, padded)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found, run(target, maps, x, dy, reduce, padded, ((), ()), rng))
    looped = run(target, maps, x, dy, reduce, padded, splits, rng, known=3)
    np.testing.assert_array_equal(found.view(np.uint32), looped.view(np.uint32))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("limits", [(0, np.inf), (-np.inf, 1), (-1, 2)])
@settings(max_examples=20, deadline=None)
@given(
    axes() | small(), st.integers(1, 20), cuts, st.integers(0, 99), st.sampled_from([None, np.nan, np.inf])
)
def test_a_clamp_of_what_is_pooled(target, limits, maps, channels, splits, seed, odd):
    """Nothing arrives where it holds its limits, or at a NaN; also written over the clamp's result."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.integers(-3, 4, (2, channels, maps[0].input, maps[1].input)), *limits).astype(np.float32)
    if odd is not None:
        x.flat[rng.integers(x.size, size=3)] = np.clip(odd, *limits)
    dy = rng.normal(size=(2, channels, maps[0].output, maps[1].output)).astype(np.float32)
    low, high = limits
    inside = (np.isinf(low) | (x > low)) & (np.isinf(high) | (x < high))
    wanted = np.where(inside, gradient(maps, x, dy, "max", False), 0)
    found = run(target, maps, x, dy, "max", False, splits, rng, limits)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    if pool_gradient.disjoint(maps):
        over = run(target, maps, x, dy, "max", False, splits, rng, limits, over=True)
        np.testing.assert_array_equal(over, found)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize(
    "numbers",
    [
        (reduce, apart, limits, *own)
        for reduce in ("max", "mean")
        for limits in ((0, 1, 3) if reduce == "max" else (0,))
        for apart, *own in (
            (0,), (1,), (1, 2, 2, 2, 2, 0, 0), (1, 3, 3, 3, 3, 0, 0), (0, 3, 2, 3, 2, 1, 1), (0, 3, 1, 3, 1, 1, 1),
            (0, 2, 1, 4, 1, 3, 3),
        )
    ],
)  # fmt: skip
def test_the_inner_loop_keeps_vectors_in_registers(target, numbers):
    assert not hot_spills(llvm.assembly(target, pool_gradient.emit(target, *numbers)))


def test_windows_that_meet():
    def found(axis):
        return pool_gradient.parameters("max", (axis, axis))[1]

    assert found(Window(8, 2, 2, 1)) == found(Whole(7)) == found(Adaptive(12, 4)) == 1
    assert found(Window(8, 3, 2, 1, 1, 1)) == found(Adaptive(7, 5)) == 0
