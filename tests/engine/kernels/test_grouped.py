"""Grouped convolution in machine code against plain numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, correlation, filled, hot_spills, plain, step, targets, windows
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import grouped
from striate.engine.layout import Layout
from striate.engine.target import AVX2, AVX512, TARGETS
from striate.geometry import Window


def run(target, windows, groups, x, weight, bias, low, high, added, splits, rng):
    """Output (images, channels, height, width); checks that the border stays as it was."""
    n, c, h, w = x.shape
    source = Layout(n, c, h, w, target.lanes).with_border(*grouped.padding(windows))
    result = Layout(n, len(weight), windows[0].output, windows[1].output, target.lanes, 1, 0, 2, 1)
    inputs, outputs = filled(source, x, rng), filled(result, None, rng, border=7.0)
    residual = None
    if added is not None:
        memory = filled(result, added, rng)
        residual = memory.ctypes.data - outputs.ctypes.data
    packed = grouped.pack(target, windows, groups, weight, bias)
    numbers = grouped.parameters(target, windows, weight.shape[1], len(weight) // groups)
    table = None if numbers[0] else grouped.places(source, result, groups)
    addresses = (inputs.ctypes.data, outputs.ctypes.data, packed.ctypes.data)
    arguments = grouped.arguments(
        source, result, windows, packed[0].nbytes, addresses, table, low, high, residual
    )
    before = border(result, outputs)
    rows, parts = result.images * result.height, result.blocks
    for part in pairwise(sorted({0, parts, *(cut % parts for cut in splits[1])})):
        for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in splits[0])})))):
            step(target, Kernel("grouped", numbers), arguments, row, part)
    assert (border(result, outputs) == before).all()
    return plain(result, outputs)


shapes = st.one_of(
    st.sampled_from([2, 4, 8]).flatmap(lambda g: st.tuples(st.integers(1, 40 // g), st.just(g), st.just(g))),
    st.tuples(st.integers(2, 9), st.integers(1, 18), st.integers(1, 18)),
    st.tuples(st.integers(2, 40), st.just(1), st.integers(1, 4)),
)
"""groups, input and output channels of a group"""
cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))
limits = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (-1.0, 1.5)])


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=150, deadline=None)
@given(
    windows(), shapes, st.integers(1, 3), limits, st.booleans(), st.booleans(), cuts, st.integers(0, 99),
    st.sampled_from([None, np.nan, np.inf]),
)  # fmt: skip
def test_equals_numpy(target, windows, shape, images, limit, bias, residual, splits, seed, odd):
    rng = np.random.default_rng(seed)
    (down, across), (groups, depth, each) = windows, shape
    x = rng.normal(size=(images, groups * depth, down.input, across.input)).astype(np.float32)
    if odd is not None:
        x.flat[rng.integers(x.size)] = odd
    weight = rng.normal(size=(groups * each, depth, down.kernel, across.kernel)).astype(np.float32)
    offset = rng.normal(size=len(weight)).astype(np.float32) if bias else None
    result = images, len(weight), down.output, across.output
    added = rng.normal(size=result).astype(np.float32) if residual else None
    found = run(target, windows, groups, x, weight, offset, *limit, added, splits, rng)
    with np.errstate(invalid="ignore"):
        wanted = np.clip(correlation(windows, x, weight, offset, groups, added), *limit)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def pair(kernel, stride, dilation=1):
    return (Window(29, kernel, stride, dilation, 4, 4),) * 2


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("group", [2, 4, 8, 3])
def test_the_inner_loop_keeps_vectors_in_registers(target, group):
    kernels = {grouped.parameters(target, pair(k, s), group, group) for k in (1, 3, 5, 7) for s in (1, 2, 3)}
    for numbers in kernels:
        assert not hot_spills(llvm.assembly(target, grouped.emit(target, *numbers))), numbers


def test_groups_that_divide_a_block_have_code_of_their_own():
    assert grouped.parameters(AVX512, pair(3, 1), 4, 4) == (4, 3, 1)
    assert grouped.parameters(AVX512, pair(3, 1), 8, 8) == (8, 3, 1)
    assert grouped.parameters(AVX512, pair(5, 1), 4, 4) == (4, 5, 1)
    assert grouped.parameters(AVX2, pair(3, 2), 2, 2) == (2, 0, 2)
    assert grouped.parameters(AVX2, pair(7, 1), 2, 2) == (2, 0, 1)
    assert grouped.parameters(AVX2, pair(3, 1), 8, 8) == (0, 0, 0)
    assert grouped.parameters(AVX512, pair(3, 1), 1, 2) == (0, 0, 0)
