"""Clamps in training: done in the store of what feeds them, and in the backward pass by pooling. Small whole numbers:
every sum is exact, windows have ties, and gradients are the numpy engine's to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.compiled import drawn
from engine.kernels.support import targets
from engine.test_training_gradients import compiled, stepped
from striate.engine.numpy_.numpy_engine import NumpyTraining
from striate.engine.plan.units import PoolGradient
from striate.network import Builder
from striate.ops import Add, Clip, Conv, Flatten, Linear, MaxPool, Relu, Relu6

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

POOLS = {
    "apart": MaxPool(2), "with gaps": MaxPool(2, stride=3), "left over": MaxPool(3), "of a row": MaxPool((1, 2)),
    "meeting": MaxPool(3, stride=2, padding=1), "dilated": MaxPool(2, stride=1, dilation=2),
}  # fmt: skip


def network(first, clamp, pool, other=None):
    """other: who else reads, "before" or "after" the clamp; or what is pooled is a "sum"."""
    build = Builder("clamped", input=(2, 12, 10))
    made = build(first, build.input, name="first")
    clamped = build(clamp, made, name="clamp")
    x = build(Add(), clamped, build(first, build.input)) if other == "sum" else clamped
    x = build(pool, x, name="pool") if pool else x
    x = build(Conv(5, (2, 1)), x, name="second")
    y = build(Linear(3), build(Flatten(), x), name="last")
    if other in ("before", "after"):
        other_reader = build(Conv(4, 5), made if other == "before" else clamped, name="other_reader")
        y = build(Add(), y, build(Linear(3), build(Flatten(), other_reader), name="end"))
    return build.build(y)


def integers(rng, shape):
    return rng.integers(-2, 3, shape).astype(np.float32)


def exact(net, batch=3, threads=2, target=None, odd=None, seed=0):
    """The program after a step whose results and gradients were the numpy engine's."""
    rng = np.random.default_rng(seed)
    weights = {name: integers(rng, value.shape) for name, value in drawn(net).items()}
    x, seeds = integers(rng, (batch, 2, 12, 10)), [integers(rng, (batch, 3))]
    if odd is not None:
        x[0, 0, rng.integers(12), rng.integers(10)] = odd
    program = compiled(net, weights, threads, target)
    with np.errstate(all="ignore"):
        wanted = stepped(NumpyTraining(net, weights), x, seeds)
    found = stepped(program, x, seeds)
    assert program.compiled
    np.testing.assert_array_equal(found[0][0], wanted[0][0])
    assert found[1].keys() == wanted[1].keys()
    for name, gradient in wanted[1].items():
        np.testing.assert_array_equal(found[1][name], gradient, name)
    return program


@settings(max_examples=40)
@given(
    some.sampled_from([Conv(17, 1), Conv(6, (5, 2), stride=(1, 2)), Conv(None, 2, groups="depthwise")]),
    some.sampled_from([Relu(), Relu6(), Clip(-1, 3), Clip(high=2), Clip(low=1)]),
    some.sampled_from([None, *POOLS.values()]),
    some.sampled_from([None, None, "before", "after", "sum"]), some.sampled_from([None, np.nan, np.inf]),
    some.sampled_from([1, 3]), some.integers(0, 99),
)  # fmt: skip
def test_equals_numpy(first, clamp, pool, other, odd, threads, seed):
    exact(network(first, clamp, pool, other), 3, threads, None, odd, seed)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_every_vector_width(pool, target):
    exact(network(Conv(20, 1), Relu6(), pool), target=target)


def passes(program):
    """Algorithms of the steps for a clamp alone, forward and backward; limits that pooling's gradient keeps to."""
    plan = program.plan_for(3).plan
    maps = [step for step in plan.steps if step.algorithm == "elementwise"]
    pools = [step.unit.body for step in plan.steps if isinstance(step.unit.body, PoolGradient)]
    there = [step for step in maps if "clamp" in step.unit.nodes]
    back = [step for step in maps if step.unit.nodes == ["gradient of first"]]
    return len(there), len(back), [(body.low, body.high) for body in pools]


def test_what_is_done_beside_what():
    one, pool, free = Conv(6, 1), MaxPool(2), [(-np.inf, np.inf)]
    assert passes(exact(network(one, Relu(), pool))) == (0, 0, [(0, np.inf)])
    assert passes(exact(network(one, Relu6(), pool))) == (0, 0, [(0, 6)])
    assert passes(exact(network(one, Relu(), None))) == (0, 1, [])
    assert passes(exact(network(one, Relu(), pool, "before"))) == (1, 1, [(0, np.inf)])
    assert passes(exact(network(one, Relu(), pool, "after"))) == (0, 1, free)
    assert passes(exact(network(one, Relu(), pool, "sum"))) == (0, 1, free)


def test_the_gradient_of_a_maximum_lies_where_its_input_did():
    def places(pool, other=None):
        plan = exact(network(Conv(6, 1), Relu(), pool, other)).plan_for(3).plan
        (unit,) = [step.unit for step in plan.steps if isinstance(step.unit.body, PoolGradient)]
        return unit.outputs[0].root is unit.inputs[1].root

    assert places(MaxPool(2))
    assert not places(MaxPool(3, stride=2, padding=1))
    assert not places(MaxPool(2, stride=3))  # what no window reads becomes 0 first
    assert not places(MaxPool(2), "after")
