"""Gradients of norms over channels in machine code against numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, hot_spills, plain, step, targets, view
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import norm, norm_gradient
from striate.engine.layout import Layout
from striate.engine.target import TARGETS

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)


def run(target, dy, x, weight, eps, cuts=()):
    """(dx, mean, 1/deviation); checks that nothing else is written."""
    rng = np.random.default_rng(0)
    n, c, h, w = x.shape
    layouts = (
        Layout(n, c, h, w, target.lanes, 1, 1, 0, 1),
        Layout(n, c, h, w, target.lanes, 0, 1, 1, 0),
        Layout(n, c, h, w, target.lanes, 1, 0, 2, 1),
    )
    memory = [filled(layout, values, rng, border=7.0) for layout, values in zip(layouts, (dy, x, None))]
    means, scales = guarded(4 * n * h * w, 4), guarded(4 * n * h * w, 4)
    packed = norm.pack(target.lanes, c, weight, 1.0)
    addresses = (*(m.ctypes.data for m in (*memory, means, scales)), packed.ctypes.data)
    arguments = norm_gradient.arguments(layouts, addresses, eps)
    before = border(layouts[2], memory[2])
    rows = n * h
    for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in cuts)})))):
        step(target, Kernel("norm_gradient"), arguments, row, (0, 1))
    assert (border(layouts[2], memory[2]) == before).all()
    assert (np.moveaxis(view(layouts[2], memory[2]), 4, 2).reshape(n, -1, h, w)[:, c:] == 0).all()
    return plain(layouts[2], memory[2]), *(m.view(np.float32).reshape(n, 1, h, w) for m in (means, scales))


def expected(dy, x, weight, eps):
    wide = x.astype(np.float64)
    mean = wide.mean(1, keepdims=True)
    scale = 1 / np.sqrt(((wide - mean) ** 2).mean(1, keepdims=True) + eps)
    normal = (wide - mean) * scale
    slope = dy * (1.0 if weight is None else weight[:, None, None].astype(np.float64))
    tilt = (slope * normal).mean(1, keepdims=True)
    return scale * (slope - slope.mean(1, keepdims=True) - normal * tilt), mean, scale


@each_target
@settings(max_examples=60)
@given(
    st.integers(1, 3), st.integers(2, 70), st.integers(1, 5), st.integers(1, 11), st.booleans(),
    st.lists(st.integers(1, 50), max_size=3), st.integers(0, 99), st.sampled_from([0.0, 3.0, 30.0]),
    st.sampled_from([None, None, np.nan, np.inf]),
)  # fmt: skip
def test_equals_numpy(target, n, c, h, w, affine, cuts, seed, offset, odd):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, c, h, w)) * 2 + offset).astype(np.float32)
    dy = rng.normal(size=(n, c, h, w)).astype(np.float32)
    weight = rng.normal(size=c).astype(np.float32) if affine else None
    if odd is not None:
        dy.flat[rng.integers(dy.size)] = odd
    found = run(target, dy, x, weight, 1e-3, cuts)
    with np.errstate(invalid="ignore"):
        # A deviation near 0 makes much of what rounding the mean costs.
        loose = expected(dy, x, weight, 1e-3)[2].max() ** 2
        for made, exact in zip(found, expected(dy, x, weight, 1e-3), strict=True):
            largest = np.abs(exact[np.isfinite(exact)]).max(initial=1.0)
            np.testing.assert_allclose(
                made, exact, rtol=1e-5, atol=3e-6 * largest * (1 + offset) * (1 + loose)
            )
    for made, again in zip(found, run(target, dy, x, weight, 1e-3), strict=True):
        np.testing.assert_array_equal(made, again)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    assert not hot_spills(llvm.assembly(target, norm_gradient.emit(target)))
