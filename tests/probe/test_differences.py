"""The difference between a network and its controls, and how often its interval calls one of them different."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import striate as st
from striate.probe.differences import Difference, differences


def drawn(seed, mean, count=30):
    return np.random.default_rng(seed).normal(mean, 1, count)


def test_a_difference_is_found_and_its_interval_holds_it():
    overall, (node,) = differences([(drawn(0, 2.0), [drawn(k, 0.0) for k in (1, 2, 3)])])
    assert node == overall and overall.sign == 1
    assert overall.low < 2.0 < overall.high


def test_units_of_one_kind_seldom_differ():
    """An interval of 95 % leaves out 0 in about one of twenty draws, and not in one of four."""
    signs = [
        differences([(drawn([k, 9], 0.0), [drawn([k, n], 0.0) for n in range(3)])])[0].sign for k in range(60)
    ]
    assert np.count_nonzero(signs) <= 9


def test_control_networks_that_differ_widen_the_interval():
    """Units of one network are no independent draws: three networks are three."""
    own = drawn(0, 0.5, 400)
    alike = differences([(own, [drawn(k, 0.0, 400) for k in (1, 2, 3)])])[0]
    apart = differences([(own, [drawn(k, shift, 400) for k, shift in ((1, -1.5), (2, 0.0), (3, 1.5))])])[0]
    assert apart.high - apart.low > 3 * (alike.high - alike.low)
    assert (alike.sign, apart.sign) == (1, 0)


def test_a_single_control_shows_no_difference():
    """Nothing tells how much one control network differs from the next one."""
    alone = differences([(np.full(9, 0.9), [np.full(9, 0.2)])], 0, 0, 1)[0]
    assert (alone.value, alone.low, alone.high) == pytest.approx((0.7, -0.1, 0.9)) and alone.sign == 0


@given(seed=some.integers(0, 999), controls=some.integers(1, 4), nodes=some.integers(1, 3))
def test_no_interval_is_wider_than_the_measure_allows(seed, controls, nodes):
    """Of numbers from 0 to 1 a network and a further control differ by what is left on either side of its own."""
    rng = np.random.default_rng(seed)
    rows = [(rng.random(5), [rng.random(5) for _ in range(controls)]) for _ in range(nodes)]
    cut, each = differences(rows, seed, 0, 1)
    free, all_free = differences(rows, seed)
    for one, other, medians in zip(
        (cut, *each),
        (free, *all_free),
        ([np.median(own) for own, _ in rows], *([np.median(own)] for own, _ in rows)),
    ):
        own = np.mean(medians)
        assert own - 1 - 1e-9 <= one.low <= one.value <= one.high <= own + 1e-9
        assert one.low >= other.low and one.high <= other.high
        assert one.sign == other.sign  # what is cut off never holds the only zero


@pytest.mark.parametrize("controls", [2, 3, 5])
@pytest.mark.parametrize("between", [0.0, 0.05, 0.15])
def test_one_of_the_controls_is_called_different_in_one_of_twenty_draws(controls, between):
    """The rate of false positives, over networks that differ as a whole, by node, and by unit."""
    rng, nodes, units, trials = np.random.default_rng(controls), 3, 9, 300
    overall, by_node = 0, 0
    for k in range(trials):
        shift = rng.normal(0, between, (controls + 1, 1, 1)) + rng.normal(
            0, between, (controls + 1, nodes, 1)
        )
        numbers = np.clip(0.4 + shift + rng.normal(0, 0.1, (controls + 1, nodes, units)), 0, 1)
        found, each = differences([(numbers[0, n], [*numbers[1:, n]]) for n in range(nodes)], k, 0, 1)
        overall += found.sign != 0
        by_node += sum(one.sign != 0 for one in each)
    assert 0.015 < overall / trials < 0.09  # three standard errors around 5 %
    assert 0.02 < by_node / trials / nodes < 0.085


def test_an_untrained_network_is_called_different_in_one_of_twenty_draws():
    """The same of real networks without training: each in turn is the network, others are its controls."""
    found = st.population("9x9x1 -> conv 5x5 6 -> relu", seeds=40)
    units = [1 - sample.defined("cv") for sample in found.nodes[0].group("untrained")]
    rng, hits = np.random.default_rng(0), []
    for k in range(300):
        own, *controls = rng.permutation(len(units))[:4]
        hits.append(differences([(units[own], [units[c] for c in controls])], k, 0, 1)[0].sign != 0)
    assert 0.01 < np.mean(hits) < 0.12  # 40 networks are all there are to draw from


def test_silent_controls_do_not_narrow_the_interval():
    own, none = drawn(0, 0.3), np.array([])
    for count in (1, 2, 3):
        few = [drawn(k, 0.0) for k in range(1, count + 1)]
        alone = differences([(own, few)])[0]
        beside = differences([(own, [none, *few, none, none])])[0]
        assert beside.value == pytest.approx(alone.value)
        width = alone.high - alone.low
        assert width > 0 and beside.high - beside.low == pytest.approx(width, rel=0.3)


def test_groups_without_units_have_no_difference():
    none = np.array([])
    overall, nodes = differences([(none, [drawn(0, 1.0)]), (drawn(1, 1.0), [none, none])])
    assert overall is None and nodes == [None, None]
    overall, (first, second) = differences([(none, [none]), (drawn(1, 1.0), [drawn(2, 0.0)])])
    assert first is None and isinstance(second, Difference) and overall == second
