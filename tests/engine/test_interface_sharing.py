"""Shared parameters and constants while a network learns, on every engine."""

from __future__ import annotations

import numpy as np
import pytest

import striate as st
from striate.engine.registry import get_engine
from striate.network import Builder, Network
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.norm import BatchNorm, GroupNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.reshape import Flatten

ENGINES = ["numpy", "compiled", pytest.param("torch", marks=pytest.mark.torch)]


def _engine(name: str):
    return get_engine(name, "cpu" if name == "torch" else "")


@pytest.mark.parametrize("name", ENGINES)
def test_gradients_add_up(name):
    """y = w·(w·x), so that dy/dw = 2·w·x, and w·x is read from the first use and from the second."""
    build = Builder("square", input=(1, 1, 1))
    x = build(Conv(1, kernel=1, bias=False), build.input, name="a")
    net = build.build(build(Conv(1, kernel=1, bias=False), x, name="b", shares="a"))
    weights = {"a.weight": np.full((1, 1, 1, 1), 3.0, np.float32)}
    training = _engine(name).training(net, weights)
    image = np.full((1, 1, 1, 1), 5.0, np.float32)
    (y,) = training.forward(image, np.random.default_rng(0))
    found = training.backward([np.ones_like(y)])
    assert float(y.item()) == 45.0 and float(found["a.weight"].item()) == 2 * 3 * 5


@pytest.mark.parametrize("name", ENGINES)
def test_running_statistics_pass_from_one_call_to_the_next(name):
    """r = 0.5·r + 0.5·mean, twice: of x with mean 4, and of what the norm makes of it, with mean 7 (its shift)."""
    build = Builder("norms", input=(1, 2, 2))
    x = build(BatchNorm(momentum=0.5), build.input, name="a")
    net = build.build(build(BatchNorm(momentum=0.5), x, name="b", shares="a"))
    weights = {n: np.full(p.shape, p.initial, np.float32) for n, p in net.parameters.items()}
    weights["a.bias"][:] = 7
    training = _engine(name).training(net, weights)
    training.forward(np.array([[[[2, 6], [2, 6]]]], np.float32), np.random.default_rng(0))
    assert np.allclose(training.updates["a.running_mean"], 0.5 * (0.5 * 0 + 0.5 * 4) + 0.5 * 7, atol=1e-5)


def _marked() -> Network:
    """Every op with kernels of its own for gradients of weights, some of which are constants or frozen."""
    build = Builder("marked", input=(3, 12, 12))
    x = build(Conv(16, kernel=3, padding=1), build.input, name="stem", fixed=["weight"])
    x = build(BatchNorm(), x, name="bn", fixed=["weight"])
    x = build(Relu(), x)
    x = build(Conv(16, kernel=3, groups=16), x, name="blur", fixed=["weight"], frozen=["bias"])
    x = build(Conv(16, kernel=1), x, name="point", frozen=["weight"])
    x = build(GroupNorm(4), x, name="gn", fixed=["bias"])
    x = build(Relu(), x)
    x = build(Conv(16, kernel=1), x, name="again", shares="point")
    x = build(Flatten(), build(GlobalAvgPool(), x))
    return build.build(build(Linear(3), x, name="fc"))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_constants_stay_what_they_are(name, optimizer):
    """To the last bit, with weight decay and a moving average; what is trainable moves."""
    net = _marked()
    model = st.Model(net, seed=1, engine=_engine(name))
    before = {key: array.copy() for key, array in model.weights.items()}
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 3, 12, 12)).astype(np.float32), np.arange(32) % 3
    model.fit(
        (x, y), epochs=2, batch_size=8, lr=0.05, optimizer=optimizer, weight_decay=0.1, ema=0.9, keep="last"
    )
    for key, parameter in net.parameters.items():
        same = np.array_equal(before[key], model.weights[key])
        assert same == parameter.constant, key
    assert {key for key, p in net.parameters.items() if p.constant} == {
        "stem.weight", "bn.weight", "blur.weight", "blur.bias", "point.weight", "gn.bias",
    }  # fmt: skip


@pytest.mark.parametrize("name", ENGINES)
def test_gradients_are_those_of_the_numpy_engine(name):
    net = _marked()
    weights = {key: array.copy() for key, array in st.Model(net, seed=2).weights.items()}
    x = np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype(np.float32)
    found = {}
    for engine in ("numpy", name):
        training = _engine(engine).training(net, weights)
        (y,) = training.forward(x, np.random.default_rng(0))
        found[engine] = training.backward([np.linspace(-1, 1, y.size, dtype=np.float32).reshape(y.shape)])
    assert found[name].keys() == found["numpy"].keys()
    assert found[name].keys() == {key for key, p in net.parameters.items() if p.trainable}
    largest = max(abs(array).max() for array in found["numpy"].values())
    for key, array in found["numpy"].items():
        assert abs(found[name][key] - array).max() <= 1e-4 * largest, key
