"""The vectorized engine against the reference interpreter, and its gradients against differences and adjoints."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from network_strategies import chains, networks
from striate import functional
from striate.diagnostics import OpError
from striate.engine.derivatives import erf
from striate.engine.numpy_ import reference
from striate.engine.numpy_.vectorized import backward, forward
from striate.engine.registry import get_engine
from striate.network import Builder, Network
from striate.ops import BatchNorm, Conv, Dropout, Linear, StochasticDepth
from striate.tensor import TensorSpec

LARGEST = 20_000
"""Numbers per statement that the interpreter may walk through in a test."""


def drawn(net: Network, seed: int = 0):
    """Weights and a batch in float64; variances and slopes positive."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, parameter in net.parameters.items():
        array = rng.standard_normal(parameter.shape)
        weights[name] = np.abs(array) + 0.5 if parameter.kind in ("variance", "scale") else array
    return weights, rng.standard_normal((2, *net.input.without_batch)), rng


def small(net: Network) -> bool:
    volumes = [s.domain.volume for d in net.declarations.values() for s in d.statements]
    return (
        all(d.statements for d in net.declarations.values())
        and max(volumes, default=0) <= LARGEST
        and all(spec.elements for spec in net.specs.values())
    )


@given(networks() | chains(), st.integers(0, 3))
def test_a_network_runs_as_the_interpreter_says(net, seed):
    assume(small(net))
    weights, x, _ = drawn(net, seed)
    with np.errstate(all="ignore"):
        wanted = reference.predict(net, x, weights)
        found = get_engine("numpy").compile(net, weights).values(x, tuple(net.specs))
    for name, array in found.items():
        assert array.shape == wanted[name].shape == (2, *net.specs[name].without_batch)
        np.testing.assert_allclose(array, wanted[name], rtol=1e-9, atol=1e-9, err_msg=name)


@given(networks() | chains(), st.integers(0, 3))
def test_gradients_are_those_of_differences(net, seed):
    assume(small(net))
    quiet = {n.name: n.op for n in net.nodes if n.op.word in ("dropout", "stochasticdepth")}
    for name, op in quiet.items():
        net = net.replace(name, dataclasses.replace(op, rate=0.0))
    weights, x, rng = drawn(net, seed)
    with np.errstate(all="ignore"):
        try:
            program = get_engine("numpy").training(net, weights)
            outputs = program.forward(x, rng)
        except OpError:
            assume(False)
        assume(all(np.isfinite(y).all() and np.abs(y).max(initial=0) < 1e4 for y in outputs))
        directions = [rng.standard_normal(y.shape) for y in outputs]
        gradients = program.backward(directions)
        assert set(gradients) == {name for name, p in net.parameters.items() if p.trainable}
        assume(all(np.isfinite(g).all() for g in gradients.values()))
        for name, gradient in gradients.items():
            way = rng.standard_normal(gradient.shape)
            sides = [[], []]
            for scale in (1e-5, 1e-6):
                for side, sign in zip(sides, (1, -1), strict=True):
                    program = get_engine("numpy").training(
                        net, {**weights, name: weights[name] + sign * scale * way}
                    )
                    made = program.forward(x, rng)
                    side.append(sum(float((y * d).sum()) for y, d in zip(made, directions, strict=True)))
            coarse, fine = ((up - down) / (2 * s) for up, down, s in zip(*sides, (1e-5, 1e-6), strict=True))
            # At a kink two step sizes disagree, and there is no derivative to compare with.
            if np.isfinite(coarse) and abs(coarse - fine) <= 1e-3 * (1 + abs(fine)):
                assert float((gradient * way).sum()) == pytest.approx(coarse, rel=2e-2, abs=2e-2), name


sizes = st.integers(1, 3)


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * draw(sizes), groups * draw(sizes)
    op = Conv(
        filters,
        kernel=(draw(sizes), draw(sizes)),
        stride=(draw(sizes), draw(sizes)),
        padding=tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2)),
        dilation=(draw(sizes), draw(sizes)),
        groups=groups,
        bias=False,
        mode=draw(st.sampled_from(["zeros", "reflect", "replicate", "circular", "symmetric"])),
    )
    return op, TensorSpec(
        (2, channels, draw(st.integers(7, 11)), draw(st.integers(7, 11))), ("N", "C", "H", "W")
    )


@given(convolutions(), st.sampled_from([np.float32, np.float64]))
def test_backward_is_the_adjoint_of_forward(case, dtype):
    """<conv(x, w), dy> = <x, dx> = <w, dw>: a convolution is linear in each."""
    op, spec = case
    declaration = op.declare(spec)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(spec.shape).astype(dtype)
    w = rng.standard_normal(declaration.parameters[0].shape).astype(dtype)
    tape = forward(declaration, [x], {"weight": w})
    y = tape.tensors["y0"]
    dy = rng.standard_normal(y.shape).astype(dtype)
    made = backward(tape, [dy])
    assert y.dtype == made["x0"].dtype == made["weight"].dtype == dtype
    product = float((y * dy).sum(dtype=np.float64))
    scale = float(np.abs(y).sum() * np.abs(dy).max()) + 1
    tolerance = (1e-5 if dtype == np.float32 else 1e-12) * scale
    assert float((x * made["x0"]).sum(dtype=np.float64)) == pytest.approx(product, abs=tolerance)
    assert float((w * made["weight"]).sum(dtype=np.float64)) == pytest.approx(product, abs=tolerance)


def test_a_gradient_on_paper():
    """3x3 ones, 2x2 filter of ones: each pixel collects as many ones as windows use it; each tap sees four ones."""
    dx, dw, db = functional.conv2d_grads(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))
    assert dx[0, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert dw[0, 0].tolist() == [[4, 4], [4, 4]]
    assert db.tolist() == [4]


def test_max_pool_hands_its_gradient_to_the_first_largest():
    from striate.ops import MaxPool

    declaration = MaxPool(2).declare(TensorSpec((1, 1, 2, 2), ("N", "C", "H", "W")))
    tape = forward(declaration, [np.array([[[[1.0, 3.0], [3.0, 2.0]]]])], {})
    assert backward(tape, [np.array([[[[5.0]]]])])["x0"].tolist() == [[[[0, 5], [0, 0]]]]


def test_batch_norm_in_training_uses_the_batch_and_moves_its_statistics():
    """Batch 1, 3: mean 2, variance 1, unbiased 2; momentum 0.5."""
    b = Builder("bn", input=(1, 1, 1))
    net = b.build(b(BatchNorm(eps=0.0, momentum=0.5), b.input))
    weights = {f"bn1.{name}": np.ones(1) for name in ("weight", "running_var")}
    weights |= {f"bn1.{name}": np.zeros(1) for name in ("bias", "running_mean")}
    program = get_engine().training(net, weights)
    (y,) = program.forward(np.array([1.0, 3.0]).reshape(2, 1, 1, 1), np.random.default_rng(0))
    assert y.ravel().tolist() == [-1, 1]
    assert program.updates == {"bn1.running_mean": 1.0, "bn1.running_var": 1.5}
    assert set(program.backward([np.ones_like(y)])) == {"bn1.weight", "bn1.bias"}
    with pytest.raises(OpError, match="one value per channel"):
        program.forward(np.ones((1, 1, 1, 1)), np.random.default_rng(0))


@pytest.mark.parametrize("op", [Dropout(0.25), StochasticDepth(0.25)])
def test_noise_keeps_the_mean_and_repeats_with_its_seed(op):
    b = Builder("noise", input=(8, 4, 4))
    net = b.build(b(op, b.input))
    x = np.ones((500, 8, 4, 4), np.float32)
    program = get_engine().training(net, {})
    (y,) = program.forward(x, np.random.default_rng(1))
    assert set(np.unique(y)) == {0, np.float32(4 / 3)}
    assert y.mean() == pytest.approx(1, abs=0.1)
    per_image = {len(np.unique(image)) for image in y}
    assert per_image == ({1} if isinstance(op, StochasticDepth) else {2})
    assert (y == program.forward(x, np.random.default_rng(1))[0]).all()
    assert (get_engine().compile(net, {})(x) == x).all(), "at inference nothing is dropped"


@pytest.mark.parametrize("count", [0, 1, 7])
def test_any_batch_size_and_layout(count):
    b = Builder("net", input=(3, 5, 6))
    net = b.build(b(Conv(2, 3), b.input))
    weights, _, rng = drawn(net)
    program = get_engine().compile(net, weights)
    x = rng.standard_normal((count, 3, 5, 6))
    y = program(x)
    assert y.shape == (count, 2, 3, 4)
    np.testing.assert_allclose(program(np.asfortranarray(x)), y)
    np.testing.assert_allclose(program(np.flip(np.flip(x, 2).copy(), 2)), y)
    assert program(x.astype(np.float32)).dtype == np.float32
    assert program((x * 0).astype(np.uint8)).dtype == np.float32


@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (np.zeros((3, 5, 6)), r"x\[None\]"),
        (np.zeros((2, 5, 6, 3)), r"transpose\(0, 3, 1, 2\)"),
        (np.zeros((5, 6, 3)), r"transpose\(2, 0, 1\)\[None\]"),
        (np.zeros((2, 3, 9, 9)), "resize"),
    ],
)
def test_a_batch_of_the_wrong_shape_is_told_what_to_do(x, hint):
    b = Builder("net", input=(3, 5, 6))
    net = b.build(b(Conv(2, 3), b.input))
    with pytest.raises(OpError, match=hint):
        get_engine().compile(net, drawn(net)[0])(x)


def test_the_first_node_that_is_not_finite_is_named():
    b = Builder("net", input=(2,))
    x = b(Linear(2, bias=False), b.input, name="good")
    net = b.build(b(Linear(2, bias=False), x, name="bad"))
    weights = {"good.weight": np.eye(2), "bad.weight": np.full((2, 2), np.inf)}
    program = get_engine().compile(net, weights)
    assert program.first_non_finite(np.ones((1, 2))) == "bad"
    assert program.first_non_finite(np.full((1, 2), np.nan)) == "good"


def test_erf_is_that_of_the_c_library():
    x = np.concatenate([np.linspace(-7, 7, 20_001), [0.0, -0.0, 1e-300, 1e300, np.inf, -np.inf]])
    wanted = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), wanted, rtol=4e-16, atol=2e-16)
    assert np.isnan(erf(np.array([np.nan]))).all()
    assert erf(x.astype(np.float32)).dtype == np.float32
