"""Every optimizer's update rule, found by itself: numpy, machine code and torch take the same steps with it."""

import itertools

import numpy as np
import pytest

import striate as st
from engine.kernels.support import targets
from striate.engine.derivatives import FUNCTIONS
from striate.engine.learner import OptimizerState, UpdateRule
from striate.engine.numpy_.numpy_engine import NumpyEngine
from striate.engine.process_group import SINGLE_PROCESS
from striate.engine.registry import get_engine
from striate.engine.update_rules import MOVING_AVERAGE, average_decay, formula
from striate.train.ema import MovingAverage
from striate.train.optimizers import OPTIMIZERS, SGD, decayed

NET = st.parse("5x5x2 -> conv 3x3 20 -> flatten -> fc 7")
STEPS, EMA = 6, 0.6
VARIANTS = [
    (word, nesterov, decay)
    for word, cls in OPTIMIZERS.items()
    for nesterov in ((False, True) if cls is SGD else (False,))
    for decay in (0.0, 0.02)
]


def rule_of(word, nesterov, decay):
    more = {"momentum": 0.9} if word == "sgd" else {}
    names = decayed(NET.parameters)
    return UpdateRule(word, nesterov=nesterov, weight_decay=decay, decayed=names, ema=EMA, **more)


def optimizer_of(rule):
    settings = {"momentum": rule.momentum, "nesterov": rule.nesterov} if rule.word == "sgd" else {}
    return OPTIMIZERS[rule.word](**settings, weight_decay=rule.weight_decay, decayed=rule.decayed)


def steps():
    """(batch, gradient of the outputs, learning rate, momentum or None) of each update."""
    rng = np.random.default_rng(0)
    for k in range(STEPS):
        x, g = rng.standard_normal((4, 2, 5, 5)), rng.standard_normal((4, 7))
        yield x.astype(np.float32), g.astype(np.float32), 0.05 / (1 + k), [None, 0.7][k % 2]


def start():
    return {name: np.array(array) for name, array in st.Model(NET, seed=1).weights.items()}


def by_numpy(rule):
    """In float64."""
    weights = {name: array.astype(float) for name, array in start().items()}
    program, optimizer = NumpyEngine().training(NET, weights), optimizer_of(rule)
    average = MovingAverage(weights, rule.ema)
    for x, g, lr, momentum in steps():
        program.forward(x.astype(float), np.random.default_rng(0))
        optimizer.step(weights, program.backward([g.astype(float)]), lr, momentum)
        average.update(weights, optimizer.steps)
    return weights, average.weights, optimizer.moments


def by_learner(rule, engine):
    weights, moments = start(), {kind: {} for kind in optimizer_of(rule).moments}
    store = OptimizerState(weights, moments, {name: array.copy() for name, array in weights.items()})
    learner = get_engine(engine).learner(NET, rule, store, SINGLE_PROCESS)
    for x, g, lr, momentum in steps():
        learner.forward(x, np.random.default_rng(0), True)
        learner.backward([g])
        learner.clip_gradients(1.0)
        learner.step(lr, momentum)
    learner.collect()
    return store.weights, store.average, store.moments


def agree(found, wanted):
    for kind, (one, other) in enumerate(zip(found[:2], wanted[:2], strict=True)):
        for name, array in other.items():
            np.testing.assert_allclose(one[name], array, rtol=0, atol=2e-5, err_msg=f"{kind} {name}")
    assert found[2].keys() == wanted[2].keys()
    for kind, name in itertools.product(wanted[2], start()):
        scale = np.abs(wanted[2][kind][name]).max()
        np.testing.assert_allclose(
            found[2][kind][name], wanted[2][kind][name], rtol=0, atol=2e-5 * scale, err_msg=f"{kind} {name}"
        )


@pytest.mark.skipif(not targets(), reason="no kernels run on this processor")
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_machine_code_takes_the_steps_of_numpy(variant):
    rule = rule_of(*variant)
    agree(by_learner(rule, "compiled"), by_numpy(rule))


@pytest.mark.torch
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_torch_takes_the_steps_of_numpy(variant):
    rule = rule_of(*variant)
    agree(by_learner(rule, "torch"), by_numpy(rule))


@pytest.mark.torch
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_rule_is_an_expression_of_any_array_library(variant):
    import torch

    word, nesterov, decay = variant
    rule, rng = formula(word, nesterov), np.random.default_rng(0)
    arrays = {name: rng.uniform(0.1, 1, (3, 4)) for name in rule.arrays}
    settings = rule.settings(rule_of(*variant), lr=0.1, decay=decay, step=3)
    functions = {name: getattr(torch, name) for name in FUNCTIONS if hasattr(torch, name)}
    theirs = rule.evaluate({k: torch.tensor(a) for k, a in arrays.items()}, settings, functions)
    for name, array in rule.evaluate(arrays, settings).items():
        np.testing.assert_allclose(theirs[name].numpy(), array, rtol=1e-14, atol=0)


@pytest.mark.parametrize("word", OPTIMIZERS)
def test_a_rule_names_its_settings(word):
    """Each number that a rule asks for is one of the update's own or a setting of the optimizer and of the engines."""
    optimizer = OPTIMIZERS[word]()
    settings = optimizer.formula.settings(optimizer, lr=0.1, decay=0.0, step=1)
    named = settings.keys() - {"lr", "decay", "step"}
    assert named and optimizer.formula.momentum in named
    assert all(hasattr(UpdateRule(word), name) for name in named)
    assert optimizer.formula == formula(word, getattr(optimizer, "nesterov", False))
    assert list(optimizer.moments) == list(optimizer.formula.moments)


def test_the_decay_of_the_average_is_that_of_its_rule():
    for step in (1, 2, 100):
        settings = MOVING_AVERAGE.settings(None, ema=0.9, step=step)
        kept = MOVING_AVERAGE.evaluate({"average": 1.0, "weight": 0.0}, settings)["average"]
        assert kept == average_decay(0.9, step) == min(0.9, (1 + step) / (10 + step))
