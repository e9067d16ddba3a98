"""Gradients with respect to inputs and values of nodes: differences in float64, on every engine that runs here."""

import numpy as np
import pytest
from hypothesis import assume, given

import striate as st
from engine.kernels.support import targets
from network_strategies import networks
from striate.diagnostics import StriateError
from striate.engine.numpy_.numpy_engine import NumpyEngine
from striate.engine.registry import get_engine
from striate.network import Builder
from striate.ops import Conv, Relu
from striate.weights import initialize

STEP = 1e-6
MAX_NUMBERS = 20_000
BODIES = [
    "8x8x3 -> conv 3x3 8 pad 1 -> bn -> relu -> maxpool 2 -> conv 3x3 16 -> gap -> flatten -> dropout -> fc 4",
    "9x9x1 -> conv 3x3 4 /2 -> leakyrelu -> avgpool 2 -> flatten -> fc 6 -> relu -> fc 3",
    "8x8x8 -> relu -> bn -> dwconv 3x3 pad 1 -> relu6 -> conv 1x1 5 -> softmax",
    "6x6x4 -> bn -> conv 3x3 4 pad 1 mode reflect -> silu -> tconv 2x2 3 /2",
]


def seeded(net, batch, seed=0):
    rng = np.random.default_rng(seed)
    weights = {
        name: (array + 0.2 * rng.random(array.shape)).astype(
            np.float32
        )  # statistics unlike those of fresh weights
        for name, array in initialize(net, 0).items()
    }
    x = rng.standard_normal((batch, *net.input.without_batch))
    seeds = [rng.standard_normal((batch, *net.specs[name].shape[1:])) for name in net.outputs]
    return weights, x, seeds


def backward(engine, net, weights, x, seeds, values):
    program = engine.differentiate(net, weights, values)
    program.forward(x, np.random.default_rng(0))
    return program.backward([seed.astype(x.dtype) for seed in seeds])


@given(networks())
def test_the_gradient_of_an_input_is_the_limit_of_differences(net):
    assume(len(net.inputs) == 1 and sum(spec.elements for spec in net.specs.values()) < MAX_NUMBERS)
    weights, x, seeds = seeded(net, 1)
    (name,) = net.inputs
    try:
        program = NumpyEngine().compile(net, weights)
    except StriateError:
        assume(False)
    outputs = list(dict.fromkeys(net.outputs))
    seeds = seeds[: len(outputs)] if len(outputs) == len(net.outputs) else []
    assume(seeds)
    found = backward(NumpyEngine(), net, weights, x, seeds, [name])[name]
    direction = np.random.default_rng(1).standard_normal(x.shape)

    def total(step):
        values = program.values(x + step * direction, outputs)
        return sum(float((values[y] * seed).sum()) for y, seed in zip(outputs, seeds, strict=True))

    slopes = [(total(h) - total(-h)) / (2 * h) for h in (STEP, STEP / 2)]
    scale = max(1.0, *map(abs, slopes))
    one_sided = [(total(h) - total(0.0)) / h for h in (STEP, -STEP)]
    assume(abs(slopes[0] - slopes[1]) < 1e-5 * scale)  # no kink within the step
    assume(abs(one_sided[0] - one_sided[1]) < 1e-3 * scale)
    assert float((found * direction).sum()) == pytest.approx(slopes[1], rel=1e-4, abs=1e-4 * scale)


@pytest.mark.parametrize("text", BODIES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.skipif(not targets(), reason="no kernels run on this processor")
def test_machine_code_computes_the_gradients_of_all_values(text, batch):
    net = st.parse(text)
    weights, x, seeds = seeded(net, batch)
    values = [*net.inputs, *(node.outputs[0] for node in net.nodes)]
    exact = backward(NumpyEngine(), net, weights, x, seeds, values)
    assert set(exact) == set(values)
    for value in values:  # one at a time, as a fused step may hide one of two neighbors
        program = get_engine("compiled", "").differentiate(net, weights, [value])
        program.forward(x.astype(np.float32), np.random.default_rng(0))
        (found,) = program.backward([seed.astype(np.float32) for seed in seeds]).values()
        assert found.shape == exact[value].shape
        largest = np.abs(exact[value]).max() + 1e-6
        np.testing.assert_allclose(found / largest, exact[value] / largest, atol=2e-5, err_msg=value)


@pytest.mark.skipif(not targets(), reason="no kernels run on this processor")
def test_the_gradient_of_an_input_runs_in_machine_code():
    net = st.create("mobilenet_v2", input=(3, 32, 32))
    weights, x, _ = seeded(net, 1)
    program = get_engine("compiled", "").differentiate(net, weights, list(net.inputs))
    program.forward(x.astype(np.float32), np.random.default_rng(0))
    assert program.compiled


@pytest.mark.parametrize("engine", ["numpy", "compiled"] if targets() else ["numpy"])
def test_a_value_on_which_no_output_depends_has_gradient_zero(engine):
    builder = Builder("net", input=(2, 4, 4))
    builder(Conv(3, 3), builder.input, name="aside")
    net = builder.build(builder(Relu(), builder.input, name="y"))
    weights, x, seeds = seeded(net, 2)
    found = backward(get_engine(engine, ""), net, weights, x.astype(np.float32), seeds, ["aside", "input"])
    assert found["aside"].shape == (2, 3, 2, 2) and not found["aside"].any()
    np.testing.assert_allclose(found["input"], seeds[0] * (x > 0), rtol=1e-6)


def test_a_batch_norm_uses_its_running_statistics():
    net = st.parse("4x4x2 -> bn")
    weights, x, seeds = seeded(net, 3)
    found = backward(NumpyEngine(), net, weights, x, seeds, ["input"])["input"]
    scale = weights["bn1.weight"] / np.sqrt(weights["bn1.running_var"] + 1e-5)
    np.testing.assert_allclose(found, seeds[0] * scale[:, None, None], rtol=1e-5)
