"""Chance by key: the draws of a sample depend on its key alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import UsageError
from striate.train.data import splitmix

words = st.integers(-(2**63), 2**64 - 1)


@given(words, st.integers(0, 500))
def test_an_order_is_a_permutation(key, count):
    order = splitmix.order(splitmix.key_of(key), count)
    assert sorted(order.tolist()) == list(range(count))


@given(words, st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(0, 30), st.integers(1, 6))
def test_draws_do_not_depend_on_the_batch(key, ids, place, count):
    ids = np.array(ids)
    together = splitmix.uniform(splitmix.keys(splitmix.key_of(key), ids), place, count)
    for row, number in enumerate(ids):
        alone = splitmix.uniform(splitmix.keys(splitmix.key_of(key), np.array([number])), place, count)
        assert np.array_equal(alone[0], together[row])
    assert ((together >= 0) & (together < 1)).all()


def test_draws_are_uniform_and_unrelated():
    u = splitmix.uniform(splitmix.keys(1, np.arange(20_000)), 0, 2)
    assert np.histogram(u, 20, (0, 1))[0] == pytest.approx(np.full(20, 2000), rel=0.1)
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.02
    assert abs(np.corrcoef(u[1:, 0], u[:-1, 0])[0, 1]) < 0.02  # neighboring samples
    other = splitmix.uniform(splitmix.keys(2, np.arange(20_000)), 0, 1)
    assert abs(np.corrcoef(u[:, 0], other[:, 0])[0, 1]) < 0.02  # neighboring seeds


def test_the_numbers_stay_what_they_are():
    """A run of another year draws the same: recorded once, compared for ever."""
    assert splitmix.order(splitmix.key_of((0, 1)), 8).tolist() == ORDER
    assert splitmix.keys(0, np.arange(2)).tolist() == KEYS


ORDER = [5, 3, 1, 0, 6, 7, 4, 2]
KEYS = [12035550249420947055, 627405149472732430]


def test_seeds():
    assert splitmix.key_of(None) == 0
    assert splitmix.key_of(3) == splitmix.key_of((3,)) == splitmix.key_of(np.int64(3))
    assert len({splitmix.key_of(seed) for seed in (0, 1, (0, 0), (0, 1), (1, 0))}) == 5
    assert splitmix.key_of(np.random.default_rng(1)) == splitmix.key_of(np.random.default_rng(1))
    with pytest.raises(UsageError):
        splitmix.key_of(("a", 1))
