"""Optimizers: one step on paper, many against torch, and what weight decay leaves alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import parse
from striate.train.clipping import clip_norm, clip_value, global_norm
from striate.train.ema import MovingAverage
from striate.train.optimizers import OPTIMIZERS, SGD, Adam, AdamW, decayed


def one(value):
    return {"w": np.array([value], np.float64)}


def test_first_steps_on_paper():
    weights = one(1.0)
    rule = SGD(momentum=0.5, nesterov=False)
    rule.step(weights, one(2.0), lr=0.1)  # v = 2
    assert math.isclose(weights["w"][0], 0.8)
    rule.step(weights, one(2.0), lr=0.1)  # v = 0.5·2 + 2 = 3
    assert math.isclose(weights["w"][0], 0.5)
    weights = one(1.0)
    Adam().step(weights, one(123.0), lr=0.1)  # the first step is the rate, whatever the gradient
    assert math.isclose(weights["w"][0], 0.9, rel_tol=1e-9)
    weights = one(1.0)
    AdamW(weight_decay=0.5, decayed=["w"]).step(weights, one(123.0), lr=0.1)  # 1·(1 - 0.05) - 0.1
    assert math.isclose(weights["w"][0], 0.85, rel_tol=1e-9)


def test_decay_leaves_biases_norms_and_slopes_alone():
    net = parse("8x8x1 -> conv 3x3 4 -> bn -> prelu -> flatten -> fc 3")
    assert decayed(net.parameters) == {"conv1.weight", "fc1.weight"}


@pytest.mark.parametrize("rule", OPTIMIZERS.values())
def test_float32_stays_float32_and_weights_stay_in_place(rule):
    weights = {"w": np.ones(3, np.float32)}
    array = weights["w"]
    made = rule(weight_decay=0.1, decayed=["w"])
    made.step(weights, {"w": np.ones(3, np.float32)}, lr=0.1)
    assert weights["w"] is array and array.dtype == np.float32 and (array < 1).all()
    assert all(moment["w"].dtype == np.float32 for moment in made.moments.values())


TORCH = {
    "sgd": lambda torch, groups, lr: torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True),
    "adam": lambda torch, groups, lr: torch.optim.Adam(groups, lr=lr),
    "adamw": lambda torch, groups, lr: torch.optim.AdamW(groups, lr=lr),
}


@pytest.mark.torch
@pytest.mark.parametrize("word", TORCH)
@given(
    seed=st.integers(0, 2**32), decay=st.sampled_from([0.0, 0.01, 0.3]), lr=st.sampled_from([1e-3, 0.1]),
    steps=st.integers(1, 12),
)  # fmt: skip
def test_equal_to_torch(word, seed, decay, lr, steps):
    import torch

    rng = np.random.default_rng(seed)
    weights = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=3)}
    theirs = {name: torch.tensor(array.copy(), requires_grad=True) for name, array in weights.items()}
    groups = [
        {"params": [theirs["w"]], "weight_decay": decay},
        {"params": [theirs["b"]], "weight_decay": 0.0},
    ]
    optimizer = TORCH[word](torch, groups, lr)
    rule = OPTIMIZERS[word](weight_decay=decay, decayed=["w"])
    for _ in range(steps):
        gradients = {name: rng.normal(size=array.shape) for name, array in weights.items()}
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(gradients[name])
        optimizer.step()
        rule.step(weights, gradients, lr)
    for name, array in weights.items():
        np.testing.assert_allclose(array, theirs[name].detach().numpy(), rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32), st.floats(1e-3, 10), st.floats(1e-4, 1e4))
def test_clipping_bounds_the_joint_length_and_keeps_the_direction(seed, limit, size):
    rng = np.random.default_rng(seed)
    gradients = {"a": rng.normal(size=(2, 3)) * size, "b": rng.normal(size=4) * size}
    before = {name: array.copy() for name, array in gradients.items()}
    norm = clip_norm(gradients, limit)
    assert math.isclose(norm, math.sqrt(sum((array**2).sum() for array in before.values())), rel_tol=1e-9)
    assert math.isclose(global_norm(gradients), min(norm, limit), rel_tol=1e-9)
    factor = min(1, limit / norm)
    for name, array in gradients.items():
        np.testing.assert_allclose(array, before[name] * factor, rtol=1e-9)


def test_the_length_of_large_float32_gradients_does_not_overflow():
    assert math.isclose(global_norm({"a": np.full(4, 1e30, np.float32)}), 2e30, rel_tol=1e-6)


def test_clipping_by_value():
    gradients = {"a": np.array([-3.0, 0.5, 2.0])}
    clip_value(gradients, 1.0)
    assert gradients["a"].tolist() == [-1.0, 0.5, 1.0]


def test_moving_average():
    weights = {"w": np.zeros(1)}
    average = MovingAverage(weights, 0.5)
    weights["w"][:] = 1.0
    average.update(weights, step=1)  # ramp: min(0.5, 2/11) = 2/11
    assert math.isclose(average.weights["w"][0], 9 / 11)
    average.update(weights, step=1000)
    assert math.isclose(average.weights["w"][0], 0.5 * 9 / 11 + 0.5)
    assert weights["w"][0] == 1.0
