"""Sums of squares, chunk by chunk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.kernels.support import guarded, hot_spills, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import sum_of_squares
from striate.engine.target import TARGETS


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=20)
@given(some.integers(1, 3 * sum_of_squares.CHUNK_NUMBERS), some.integers(0, 99))
def test_every_chunk_is_summed_in_float64(target, count, seed):
    numbers = guarded(4 * count, 4).view(np.float32)
    numbers[:] = np.random.default_rng(seed).normal(size=count)
    rows = sum_of_squares.rows(count)
    out = guarded(8 * rows, 8).view(np.float64)
    record = sum_of_squares.arguments(numbers.ctypes.data, out.ctypes.data, count)
    for first, end in ((seed % rows, rows), (0, seed % rows)):
        step(target, Kernel("sum_of_squares"), record, (first, end), (0, 1))
    chunks = np.split(
        numbers.astype(float), range(sum_of_squares.CHUNK_NUMBERS, count, sum_of_squares.CHUNK_NUMBERS)
    )
    np.testing.assert_allclose(out, [np.square(chunk).sum() for chunk in chunks], rtol=1e-6)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_it_compiles_everywhere_and_sums_stay_in_registers(target):
    assert not hot_spills(llvm.assembly(target, sum_of_squares.emit(target)))
