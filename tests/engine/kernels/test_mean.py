"""Global mean and maximum in machine code against plain numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import filled, hot_spills, plain, step, targets
from striate.engine import codegen
from striate.engine.code import Kernel
from striate.engine.kernels import mean
from striate.engine.plan.layout import Layout
from striate.engine.target import TARGETS


def run(target, x, reduce, cut, rng):
    n, c, h, w = x.shape
    source, result = Layout(n, c, h, w, target.lanes, 1, 0, 2, 1), Layout(n, c, 1, 1, target.lanes)
    inputs, outputs = filled(source, x, rng, border=np.nan), filled(result, None, rng)
    arguments = mean.arguments(source, result, (inputs.ctypes.data, outputs.ctypes.data))
    images, blocks = sorted({0, cut % n, n}), sorted({0, cut % result.blocks, result.blocks})
    for rows in pairwise(images):
        for parts in pairwise(blocks):
            step(target, Kernel("mean", (reduce,)), arguments, rows, parts)
    return plain(result, outputs)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("reduce", ["max", "mean"])
@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 70), st.integers(1, 60), st.integers(1, 60), st.integers(0, 9),
    st.sampled_from([None, np.nan, np.inf, -np.inf]),
)  # fmt: skip
def test_equals_numpy(target, reduce, images, channels, height, width, cut, odd):
    rng = np.random.default_rng(height * width)
    x = rng.normal(size=(images, channels, height, width)).astype(np.float32) + 1
    if odd is not None:
        x.flat[rng.integers(x.size)] = odd
    found = run(target, x, reduce, cut, rng)
    wanted = getattr(x.astype(np.float64), reduce)((2, 3), keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=2e-6 if reduce == "mean" else 0, atol=1e-6)


def test_a_large_map_is_summed_accurately():
    rng = np.random.default_rng(0)
    x = (rng.random((1, 16, 512, 512)) + 1).astype(np.float32)
    found = run(targets()[0], x, "mean", 0, rng)
    np.testing.assert_allclose(found, x.astype(np.float64).mean((2, 3), keepdims=True), rtol=5e-7)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_the_inner_loop_keeps_vectors_in_registers(target, reduce):
    assert not hot_spills(codegen.assembly(target, mean.emit(target, reduce)))
