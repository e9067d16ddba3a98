"""Memory that begins at a cache line."""

import os

import numpy as np
import pytest

from striate.engine import aligned


@pytest.mark.parametrize("count", [1, 100, aligned.MAP_MIN_BYTES // 4, aligned.HUGE_PAGE_MIN_BYTES // 4 + 3])
def test_zeros_begin_at_a_line(count):
    made = aligned.zeros(count)
    assert made.shape == (count,) and made.dtype == np.float32
    assert not made.any() and aligned.address(made) % aligned.LINE_BYTES == 0
    made[...] = 1


@pytest.mark.parametrize("count", [100, aligned.MAP_MIN_BYTES // 4, aligned.HUGE_PAGE_MIN_BYTES // 4])
def test_a_forked_child_has_memory_of_its_own(count):
    made = aligned.zeros(count)
    child = os.fork()
    if not child:
        made[...] = 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not made.any()


def test_copied_only_where_needed():
    made = aligned.zeros(40).reshape(5, 8)
    assert aligned.aligned_copy(made) is made
    for view in (made[:, 1:], made.T, made[1:, 3:4]):
        copy = aligned.aligned_copy(view)
        assert (copy == view).all() and aligned.address(copy) % aligned.LINE_BYTES == 0
        assert not np.shares_memory(copy, made)
