"""Numbers from anywhere to anywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.kernels.support import guarded, step, targets
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import permute_by_list
from striate.engine.target import TARGETS


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=20)
@given(some.integers(1, 3000), some.integers(0, 9), some.integers(0, 99))
def test_pairs_are_carried_out_in_any_division(target, count, cut, seed):
    rng = np.random.default_rng(seed)
    source, to = (guarded(4 * count, 4).view(np.float32) for _ in range(2))
    source[:] = rng.normal(size=count)
    pairs = np.stack([rng.integers(0, count, count), rng.permutation(count)], 1).astype(np.int32)[: count - 1]
    record = permute_by_list.arguments(source.ctypes.data, to.ctypes.data, pairs.ctypes.data, len(pairs))
    rows = permute_by_list.rows(len(pairs))
    middle = cut % (rows + 1)
    for rows_ in ((middle, rows), (0, middle)):
        step(target, Kernel("permute_by_list"), record, rows_, (0, 1))
    wanted = np.zeros(count, np.float32)
    wanted[pairs[:, 1]] = source[pairs[:, 0]]
    assert (to == wanted).all()


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_it_compiles_everywhere(target):
    assert llvm.assembly(target, permute_by_list.emit(target))
