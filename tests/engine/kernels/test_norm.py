"""Normalization in machine code against numpy in float64, and against what the ops declare."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, hot_spills, plain, step, targets, view
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import norm
from striate.engine.layout import Layout
from striate.engine.target import TARGETS

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)


def run(target, x, weight, bias, eps, group=0, splits=((), ()), inplace=False):
    """Output (images, channels, height, width); group 0: over the channels of each pixel. Borders must stay."""
    rng = np.random.default_rng(0)
    n, c, h, w = x.shape
    lanes, over = target.lanes, "group" if group else "pixel"
    result = Layout(n, c, h, w, lanes, 1, 0, 2, 1)
    source = result if inplace else Layout(n, c, h, w, lanes, 0, 1, 1, 0)
    inputs = filled(source, x, rng, border=7.0)
    outputs = inputs if inplace else filled(result, None, rng, border=7.0)
    packed = [norm.pack(lanes, c, weight, 1.0), norm.pack(lanes, c, bias)]
    places = (inputs.ctypes.data, outputs.ctypes.data, packed[0].ctypes.data, packed[1].ctypes.data)
    arguments = norm.arguments(source, result, over, places, eps, group)
    before = border(result, outputs)
    kernel = Kernel("norm", (over,))
    scratch = guarded(norm.scratch_bytes(lanes, c, over, group))
    rows, parts = norm.rows(result, over), norm.parts(lanes, c, over, group)
    for part in pairwise(sorted({0, parts, *(cut % parts for cut in splits[1])})):
        for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in splits[0])})))):
            scratch.view(np.float32)[:] = rng.normal() * 1e30
            step(target, kernel, arguments, row, part, scratch)
    assert (border(result, outputs) == before).all()
    spread = np.moveaxis(view(result, outputs), 4, 2).reshape(n, -1, h, w)
    assert (spread[:, c:] == 0).all()
    return plain(result, outputs)


def expected(x, weight, bias, eps, group):
    wide = x.astype(np.float64)
    shaped = wide.reshape(len(x), -1, group, *x.shape[2:]) if group else wide
    axes = (2, 3, 4) if group else (1,)
    centered = shaped - shaped.mean(axes, keepdims=True)
    normal = centered / np.sqrt((centered * centered).mean(axes, keepdims=True) + eps)
    scale = 1 if weight is None else weight[:, None, None].astype(np.float64)
    shift = 0 if bias is None else bias[:, None, None]
    return normal.reshape(x.shape) * scale + shift


cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))


@each_target
@settings(max_examples=100)
@given(
    st.integers(1, 4), st.integers(1, 70), st.integers(1, 14), st.integers(1, 20), st.booleans(), st.data(), cuts,
    st.booleans(), st.integers(0, 99), st.sampled_from([0.0, 3.0, 100.0]),
)  # fmt: skip
def test_equals_numpy(target, n, c, h, w, affine, data, splits, inplace, seed, offset):
    group = data.draw(st.sampled_from([0, *(size for size in range(1, c + 1) if c % size == 0)]), "group")
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, c, h, w)) * 2 + offset).astype(np.float32)
    weight, bias = rng.normal(size=(2, c)).astype(np.float32) if affine else (None, None)
    found = run(target, x, weight, bias, 1e-5, group, splits, inplace)
    # What rounding the mean costs grows with how many deviations it is away from 0.
    np.testing.assert_allclose(
        found, expected(x, weight, bias, 1e-5, group), rtol=3e-5, atol=2e-5 * (1 + offset)
    )
    np.testing.assert_array_equal(found, run(target, x, weight, bias, 1e-5, group))


@each_target
@pytest.mark.parametrize("group", [0, 1, 4, 20])
def test_undefined_numbers_spoil_their_own_statistics_only(target, group):
    x = np.random.default_rng(1).normal(size=(2, 20, 3, 5)).astype(np.float32)
    x[1, 7, 2, 3] = np.nan
    x[0, 7, 1, 1] = np.inf
    found = run(target, x, None, None, 1e-5, group)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found, expected(x, None, None, 1e-5, group), rtol=1e-4, atol=1e-5)


@each_target
def test_a_large_map_keeps_its_digits(target):
    """Sums over 10^4 numbers far from 0."""
    x = (np.random.default_rng(2).normal(size=(1, 8, 112, 112)) + 30).astype(np.float32)
    for group in (1, 8):
        found = run(target, x, None, None, 1e-5, group)
        np.testing.assert_allclose(found, expected(x, None, None, 1e-5, group), atol=3e-5)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("over", ["pixel", "group"])
def test_the_inner_loop_keeps_vectors_in_registers(target, over):
    assert not hot_spills(llvm.assembly(target, norm.emit(target, over)))
