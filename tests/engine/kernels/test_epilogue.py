"""Epilogues over scattered vectors against numpy."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import guarded, hot_spills, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import epilogue
from striate.engine.target import TARGETS

EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
FUNCTIONS = {
    "max(a,0)": lambda x: np.maximum(x, 0),
    "div(mul(a,min(max(add(a,3),0),6)),6)": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mul(a,mul(add(tanh(mul(a,0.5)),1),0.5))": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=60)
@given(
    st.integers(1, 14), st.integers(1, 4), st.integers(0, 3), st.sampled_from(sorted(FUNCTIONS)), st.data()
)
def test_only_the_named_vectors_change(target, pixels, vectors, gap, text, data):
    """Pixels anywhere in a buffer, vectors `block` bytes apart: those become f of themselves, nothing else does."""
    lanes = target.lanes
    plane = pixels + gap
    memory = guarded(4 * lanes * plane * vectors)
    values = memory.view(np.float32).reshape(vectors, plane, lanes)
    values[:] = np.random.default_rng(pixels).normal(size=values.shape) * 3
    chosen = data.draw(st.permutations(range(plane)))[:pixels]
    expected = values.astype(np.float64)
    expected[:, chosen] = FUNCTIONS[text](expected[:, chosen])
    untouched = np.delete(values, chosen, axis=1).copy()
    table = np.array([memory.ctypes.data + 4 * lanes * p for p in chosen], np.int64)
    kernel = Kernel("epilogue", (text,))
    EPILOGUE(addresses(target, [kernel])[kernel])(table.ctypes.data, pixels, vectors, 4 * lanes * plane)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6)
    assert (np.delete(values, chosen, axis=1) == untouched).all()


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_inner_loop_keeps_vectors_in_registers(target):
    assert not hot_spills(llvm.assembly(target, epilogue.emit(target, "max(a,0)")))
