"""Pooling in machine code against plain numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, hot_spills, plain, step, targets, windows
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import pool
from striate.engine.layout import Layout
from striate.engine.target import TARGETS
from striate.geometry import Adaptive, Whole, Window


def expected(maps, x, reduce, padded):
    """Pooling in float64, window by window."""
    down, across = maps
    result = np.empty((*x.shape[:2], down.output, across.output))

    def counted(axis, i):
        end = axis.input + getattr(axis, "after", 0)
        raw = [axis.raw(i, u) for u in range(axis.taps)]
        return sum(r is not None and r < end for r in raw) if padded else len(axis.reads(i))

    for i, j in np.ndindex(down.output, across.output):
        part = x.astype(np.float64)[:, :, down.reads(i)][:, :, :, across.reads(j)]
        if reduce == "max":
            result[:, :, i, j] = part.max((2, 3), initial=-np.inf)
        else:
            result[:, :, i, j] = part.sum((2, 3)) / np.float64(counted(down, i) * counted(across, j))
    return result


@given(
    st.integers(1, 30), st.integers(1, 6), st.integers(1, 7), st.integers(1, 5), st.integers(0, 9),
    st.integers(0, 9), st.booleans(), st.booleans(),
)  # fmt: skip
def test_tables_of_windows_are_what_the_windows_read(n, k, s, d, before, after, ceil, padded):
    axis = Window(n, k, s, d, before, after, ceil)
    table, step = pool.taps(axis, padded)
    assert table.shape == (axis.output, 3)
    for i, (start, count, counted) in enumerate(table.tolist()):
        reads = axis.reads(i)
        assert reads == tuple(range(start, start + count * d, d)) and len(reads) == count
        assert counted == (sum(axis.raw(i, u) < n + after for u in range(k)) if padded else count)
        assert len(reads) < 2 or step == d


def run(target, maps, x, reduce, padded, splits, rng, looped=False):
    """looped: by the kernel for windows of any kind."""
    n, c, h, w = x.shape
    source = Layout(n, c, h, w, target.lanes, 1, 2, 0, 1)
    result = Layout(n, c, maps[0].output, maps[1].output, target.lanes, 0, 1, 1, 0)
    inputs, outputs = filled(source, x, rng, border=np.nan), filled(result, None, rng, border=7.0)
    before = border(result, outputs)
    tables = tuple(pool.taps(axis, padded)[0] for axis in maps)
    arguments = pool.arguments(source, result, maps, tables, (inputs.ctypes.data, outputs.ctypes.data))
    kernel = Kernel("pool", (reduce, 0) if looped else pool.parameters(reduce, maps, padded))
    rows, parts = result.images * result.height, result.blocks
    for part in pairwise(sorted({0, parts, *(cut % parts for cut in splits[1])})):
        for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in splits[0])})))):
            step(target, kernel, arguments, row, part)
    assert (border(result, outputs) == before).all()
    return plain(result, outputs)


def axes():
    size = st.integers(1, 40)
    adaptive = st.builds(Adaptive, size, st.integers(1, 12))
    ceil = st.builds(
        Window, st.integers(7, 40), st.integers(1, 5), st.integers(1, 4), st.just(1), st.integers(0, 2),
        st.integers(0, 2), st.just(True),
    )  # fmt: skip
    other = st.one_of(adaptive, st.builds(Whole, size), ceil)
    return st.one_of(windows(40), st.tuples(other, other), small())


@st.composite
def small(draw):
    """Small windows, the outermost of which overhang the map."""
    axes = []
    for k in draw(st.sampled_from([(3, 3), (3, 3), (2, 2), (3, 2), (2, 4), (1, 5), (5, 1)])):
        before, after = draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))
        size, stride = draw(st.integers(max(k - before - after, 1), 20)), draw(st.integers(1, 4))
        axes.append(Window(size, k, stride, 1, before, after, draw(st.booleans())))
    return tuple(axes)


cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=150, deadline=None)
@given(
    axes(), st.integers(1, 70), st.integers(1, 3), st.sampled_from(["max", "mean"]), st.booleans(), cuts,
    st.integers(0, 99), st.sampled_from([None, np.nan, np.inf, -np.inf]), st.booleans(),
)  # fmt: skip
def test_equals_numpy(target, maps, channels, images, reduce, padded, splits, seed, odd, ties):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, channels, maps[0].input, maps[1].input)).astype(np.float32)
    x = np.round(x) if ties else x  # -0 and 0 too
    if odd is not None:
        x.flat[rng.integers(x.size, size=3)] = odd
    found = run(target, maps, x, reduce, padded, splits, rng)
    with np.errstate(invalid="ignore"):
        wanted = expected(maps, x, reduce, padded)
    if reduce == "max":
        np.testing.assert_array_equal(found, wanted.astype(np.float32))
    else:
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)
    looped = run(target, maps, x, reduce, padded, splits, rng, looped=True)
    np.testing.assert_array_equal(found.view(np.uint32), looped.view(np.uint32))


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize(
    "numbers",
    [
        (reduce, *own)
        for reduce in ("max", "mean")
        for own in ((0,), (1,), (2,), (2, 3, 3, 1, 1), (1, 3, 3, 1, 1), (2, 2, 2, 0, 0), (1, 2, 4, 3, 3))
    ]
    + [("whole", 0)],
)
def test_the_inner_loop_keeps_vectors_in_registers(target, numbers):
    assert not hot_spills(llvm.assembly(target, pool.emit(target, *numbers)))


def test_regular_windows():
    assert pool.regular(Window(112, 3, 2, 1, 1, 1)) == (3, 2, 1, 0)
    assert pool.regular(Window(7, 3, 1, 1, 1, 1)) == (3, 1, 1, 1)
    assert pool.regular(Adaptive(12, 4)) == (3, 3, 0, 0)
    assert pool.regular(Window(3, 3)) == (3, 3, 0, 0)
    assert pool.regular(Window(8, 3, 1, 2, 2, 2)) is None  # taps two apart
    assert pool.regular(Window(2, 3, 2, 1, 1, 1)) is None  # no window lies on the map
    assert pool.regular(Adaptive(7, 5)) is None
    assert pool.small((Window(112, 3, 2, 1, 1, 1),) * 2)
    assert not pool.small((Window(112, 4, 2, 1, 1, 1),) * 2)  # 16 taps
    assert not pool.small((Window(1, 1), Window(112, 9, 1, 1, 4, 4)))  # 8 of 9 taps wait for the next window


def test_even_stretch():
    def found(axis):
        return pool.even(pool.taps(axis)[0])

    assert found(Window(112, 3, 2, 1, 1, 1)) == (1, 55, 2)
    assert found(Window(8, 3, 1, 1, 1, 1)) == (1, 6, 1)
    assert found(Adaptive(12, 4)) == (0, 4, 3)
    assert found(Adaptive(7, 5)) == (0, 2, 1)
    assert found(Whole(9)) == (0, 1, 1)
