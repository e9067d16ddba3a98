"""Softmax in machine code against numpy in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, hot_spills, plain, step, targets, view
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import softmax
from striate.engine.layout import Layout
from striate.engine.target import TARGETS

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)


def run(target, x, logarithm, splits=(), inplace=False):
    """Output (images, channels, height, width); borders must stay."""
    rng = np.random.default_rng(0)
    n, c, h, w = x.shape
    result = Layout(n, c, h, w, target.lanes, 1, 0, 2, 1)
    source = result if inplace else Layout(n, c, h, w, target.lanes, 0, 1, 1, 0)
    inputs = filled(source, x, rng, border=7.0)
    outputs = inputs if inplace else filled(result, None, rng, border=7.0)
    arguments = softmax.arguments(source, result, (inputs.ctypes.data, outputs.ctypes.data))
    before = border(result, outputs)
    for row in reversed(list(pairwise(sorted({0, n * h, *(cut % (n * h) for cut in splits)})))):
        step(target, Kernel("softmax", (int(logarithm),)), arguments, row, (0, 1))
    assert (border(result, outputs) == before).all()
    spread = np.moveaxis(view(result, outputs), 4, 2).reshape(n, -1, h, w)
    assert (spread[:, c:] == 0).all()
    return plain(result, outputs)


def expected(x, logarithm):
    with np.errstate(invalid="ignore", divide="ignore"):
        shifted = x.astype(np.float64) - x.max(1, keepdims=True)
        total = np.exp(shifted).sum(1, keepdims=True)
        return shifted - np.log(total) if logarithm else np.exp(shifted) / total


@each_target
@settings(max_examples=100)
@given(
    st.integers(1, 4), st.integers(1, 70), st.integers(1, 8), st.integers(1, 20), st.booleans(), st.booleans(),
    st.lists(st.integers(1, 50), max_size=3), st.integers(0, 99), st.sampled_from([0.1, 3.0, 80.0]),
)  # fmt: skip
def test_equals_numpy(target, n, c, h, w, logarithm, inplace, splits, seed, scale):
    x = (np.random.default_rng(seed).normal(size=(n, c, h, w)) * scale).astype(np.float32)
    found = run(target, x, logarithm, splits, inplace)
    np.testing.assert_allclose(
        found, expected(x, logarithm), rtol=1e-6 * (1 + scale), atol=1e-6 if logarithm else 1e-37
    )
    np.testing.assert_array_equal(found, run(target, x, logarithm))


@each_target
@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("channels", [1, 3, 16, 40])
def test_odd_numbers_go_as_in_numpy(target, logarithm, odd, channels):
    """On one pixel among others, in each block once; and where a pixel holds nothing else."""
    x = np.random.default_rng(3).normal(size=(1, channels, 2, 7)).astype(np.float32)
    for k, channel in enumerate({0, channels // 2, channels - 1}):
        x[0, channel, 0, 2 * k] = odd
    x[0, :, 1, 3] = odd
    np.testing.assert_allclose(run(target, x, logarithm), expected(x, logarithm), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("logarithm", [0, 1])
def test_the_inner_loop_keeps_sums_in_registers(target, logarithm):
    """Constants may come from the stack as from anywhere in memory. Nothing goes there; but for the logarithm, whose
    constants stay for the whole row, among 16 registers."""
    references = hot_spills(llvm.assembly(target, softmax.emit(target, logarithm)))
    stores = [line for line in references if line.startswith("st") or line.endswith("(%rsp)")]
    assert len(stores) <= (logarithm and target.registers == 16)
