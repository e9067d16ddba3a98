"""Local response normalization in machine code against its declaration in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, hot_spills, plain, step, targets, view
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import expression, lrn
from striate.engine.layout import Layout
from striate.engine.target import TARGETS
from striate.ops.norm import LocalResponseNorm
from striate.tensor import TensorSpec

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
cuts = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))


def text(op):
    """The last statement of the declaration, of the number (a) and of the sum (b)."""
    statement = op.declare(TensorSpec.image((3, 2, 2), 1)).statements[-1]
    return expression.text(statement.value, {"x0": "a", "t0": "b"})


def run(target, op, x, splits=((), ()), numbers=None):
    rng = np.random.default_rng(0)
    n, c, h, w = x.shape
    source, result = (
        Layout(n, c, h, w, target.lanes, 0, 1, 1, 0),
        Layout(n, c, h, w, target.lanes, 1, 0, 2, 1),
    )
    inputs, outputs = filled(source, x, rng, border=7.0), filled(result, None, rng, border=7.0)
    arguments = lrn.arguments(source, result, (inputs.ctypes.data, outputs.ctypes.data))
    before = border(result, outputs)
    kernel, rows, parts = Kernel("lrn", numbers or (text(op), op.size)), n * h, result.blocks
    for part in pairwise(sorted({0, parts, *(cut % parts for cut in splits[1])})):
        for row in reversed(list(pairwise(sorted({0, rows, *(cut % rows for cut in splits[0])})))):
            step(target, kernel, arguments, row, part)
    assert (border(result, outputs) == before).all()
    assert (np.moveaxis(view(result, outputs), 4, 2).reshape(n, -1, h, w)[:, c:] == 0).all()
    return plain(result, outputs)


@each_target
@settings(max_examples=60)
@given(
    st.integers(1, 3), st.integers(1, 70), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from([0.5, 0.75, 0.6, 1.0]), st.sampled_from([1.0, 2.0]), cuts, st.integers(0, 99),
)  # fmt: skip
def test_equals_numpy(target, n, c, h, w, size, beta, k, splits, seed):
    op = LocalResponseNorm(size=size, alpha=0.3, beta=beta, k=k)
    x = np.random.default_rng(seed).normal(size=(n, c, h, w)).astype(np.float32) * 3
    found = run(target, op, x, splits)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (size // 2, (size - 1) // 2), (0, 0), (0, 0)))
    total = sum(squares[:, u : u + c] for u in range(size))
    np.testing.assert_allclose(found, x / (k + 0.3 / size * total) ** beta, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found, run(target, op, x))


@each_target
@settings(max_examples=20)
@given(st.integers(1, 70), st.integers(1, 9), st.integers(0, 99))
def test_sums_of_the_numbers_themselves(target, c, size, seed):
    x = np.random.default_rng(seed).normal(size=(2, c, 3, 5)).astype(np.float32)
    found = run(target, LocalResponseNorm(size=size), x, numbers=("b", size, 0))
    padded = np.pad(x.astype(np.float64), ((0, 0), (size // 2, (size - 1) // 2), (0, 0), (0, 0)))
    np.testing.assert_allclose(found, sum(padded[:, u : u + c] for u in range(size)), rtol=1e-6, atol=1e-5)


@each_target
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_undefined_numbers_reach_their_neighbors_only(target, odd):
    x = np.ones((1, 40, 2, 3), np.float32)
    x[0, 15, 1, 1] = odd
    found = run(target, LocalResponseNorm(size=5), x)
    spoilt = np.isin(np.arange(40), [13, 14, 15, 16, 17])
    clean = found[0, :, 1, 1]
    assert np.isnan(clean[15])
    assert (np.isnan(clean[spoilt]) if np.isnan(odd) else clean[[13, 14, 16, 17]] == 0).all()
    found[0, spoilt, 1, 1] = 1
    assert np.isfinite(found).all()


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    references = hot_spills(llvm.assembly(target, lrn.emit(target, text(LocalResponseNorm()), 5)))
    assert not [line for line in references if line.startswith("st") or line.endswith("(%rsp)")]


def test_a_window_that_is_too_wide_is_refused():
    with pytest.raises(ValueError, match="at most 33"):
        lrn.emit(TARGETS["avx512"], "div(a,b)", 40)
