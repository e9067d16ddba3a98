"""Updates in machine code: the optimizers' own in any division of the work, over one batch or several."""

import math

import numpy as np
import pytest

import striate as st
from engine.compiled import drawn
from engine.kernels.support import targets
from striate.engine.learner import OptimizerState, UpdateRule
from striate.engine.numpy_.numpy_engine import NumpyTraining
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.training.compiled_learner import CompiledLearner
from striate.engine.training.sweeps import Sweep, flat
from striate.train.clipping import clip_norm, clip_value, global_norm
from striate.train.ema import MovingAverage
from striate.train.optimizers import SGD, Adam, AdamW

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

NET = "9x9x3 -> conv 3x3 20 bias off -> bn -> relu -> dropout 0.2 -> dwconv 3 pad 1 -> flatten -> fc 99 -> relu -> fc 4"
RULES = {
    "sgd": UpdateRule("sgd", 0.9, False, weight_decay=0.01),
    "nesterov": UpdateRule("sgd", 0.9, True, weight_decay=0.01, ema=0.9),
    "adam": UpdateRule("adam", weight_decay=0.01, clip_norm=0.05, ema=0.5),
    "adamw": UpdateRule("adamw", weight_decay=0.01, clip_value=1e-3),
}


def made(rule):
    """What a run keeps."""
    net = st.parse(NET)
    weights = drawn(net)
    moments = {"sgd": ["velocity"]}.get(rule.word, ["first", "second"])
    average = {name: array.copy() for name, array in weights.items()} if rule.ema else None
    return net, OptimizerState(weights, {kind: {} for kind in moments}, average)


def batches(net, update):
    """Two batches of an update, of different sizes, with the gradients of their outputs."""
    for size in (5, 3):
        rng = np.random.default_rng([update, size])
        shape = (size, *net.input.without_batch)
        yield rng.standard_normal(shape, np.float32), rng.standard_normal((size, 4), np.float32), size


def learned(rule, threads, updates=3):
    net, store = made(rule)
    learner = CompiledLearner(net, rule, store, PlanContext(targets()[0], threads))
    norms = []
    for update in range(updates):
        for x, gradient, size in batches(net, update):
            learner.forward(x, np.random.default_rng([update, size]), size == 3)
            learner.backward([gradient])
        norms.append(learner.clip_gradients(1 / 8))
        assert learner.broken() == []
        learner.step(0.05 / (1 + update), None)
    learner.collect()
    return store, norms


def expected(rule, updates=3):
    """The same by numpy, in float64."""
    net, store = made(rule)
    weights = {name: array.astype(float) for name, array in store.weights.items()}
    common = {"weight_decay": rule.weight_decay, "decayed": rule.decayed}
    optimizer = {
        "sgd": lambda: SGD(rule.momentum, rule.nesterov, **common), "adam": lambda: Adam(**common),
        "adamw": lambda: AdamW(**common),
    }[rule.word]()  # fmt: skip
    average, program, norms = MovingAverage(weights, rule.ema), NumpyTraining(net, weights), []
    for update in range(updates):
        sums = {}
        for x, gradient, size in batches(net, update):
            program.forward(x.astype(float), np.random.default_rng([update, size]))
            for name, statistic in program.updates.items():
                weights[name][...] = statistic
            for name, found in program.backward([gradient.astype(float)]).items():
                sums[name] = sums.get(name, 0) + found / 8
        norms.append(global_norm(sums))
        if rule.clip_norm:
            clip_norm(sums, rule.clip_norm)
        if rule.clip_value:
            clip_value(sums, rule.clip_value)
        optimizer.step(weights, sums, 0.05 / (1 + update))
        average.update(weights, optimizer.steps)
    return weights, average.weights, norms


@pytest.mark.parametrize("word", RULES)
def test_updates_are_those_of_numpy(word):
    rule = RULES[word]
    net = st.parse(NET)
    decayed = frozenset(name for name, p in net.parameters.items() if p.kind == "weight")
    rule = UpdateRule(**{**vars(rule), "decayed": decayed})
    (store, norms), (weights, average, lengths) = learned(rule, 2), expected(rule)
    np.testing.assert_allclose(norms, lengths, rtol=1e-4)
    # Adam's first steps are signs of gradients: one that is nearly 0 may go the other way.
    allowed = {"adam": 2e-3, "adamw": 2e-3}.get(rule.word, 1e-4)
    for name, array in weights.items():
        assert np.abs(store.weights[name] - array).mean() <= allowed * np.abs(array).mean() + 1e-7, name
    for name, array in (store.average or {}).items():
        assert np.abs(array - average[name]).mean() <= allowed * np.abs(average[name]).mean() + 1e-7, name


@pytest.mark.parametrize("word", ["nesterov", "adam"])
def test_threads_and_repeats_change_no_bit(word):
    (first, norms), *others = (learned(RULES[word], threads) for threads in (1, 1, 2, 3))
    for store, again in others:
        assert again == norms
        for kept, found in ((first.weights, store.weights), (first.average, store.average)):
            assert all((kept[name] == found[name]).all() for name in kept)


def test_what_is_not_finite_is_named():
    net, store = made(RULES["sgd"])
    learner = CompiledLearner(net, RULES["sgd"], store, PlanContext(targets()[0], 2))
    learner.forward(np.ones((2, *net.input.without_batch), np.float32), np.random.default_rng(0), True)
    learner.backward([np.full((2, 4), np.inf, np.float32)])
    assert not math.isfinite(learner.clip_gradients(1.0))
    assert any(name.startswith("fc2") for name in learner.broken())


def test_a_length_is_the_same_in_any_division():
    arrays = list(flat({"a": (3, 20000), "b": (), "c": (5, 77), "d": (2, 4096)}).values())
    for array in arrays:
        array[...] = np.random.default_rng(0).standard_normal(array.shape)
    found = set()
    for threads in (1, 2, 3):
        sweep = Sweep(targets()[0], threads)
        sums = sweep.squares(arrays)
        sweep.run()
        found.add(float(sums.sum()))
    assert len(found) == 1
    np.testing.assert_allclose(
        found.pop(), sum(np.square(array, dtype=float).sum() for array in arrays), rtol=1e-6
    )


def test_gradients_beyond_the_range_of_squares_have_a_length():
    net, store = made(RULES["sgd"])
    learner = CompiledLearner(net, RULES["sgd"], store, PlanContext(targets()[0], 2))
    learner.forward(np.ones((2, *net.input.without_batch), np.float32), np.random.default_rng(0), True)
    learner.backward([np.full((2, 4), 1e25, np.float32)])
    assert 1e24 < learner.clip_gradients(1.0) < np.inf
