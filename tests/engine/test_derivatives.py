"""Derivatives of the scalar functions: differences, and PyTorch's choice at kinks."""

import numpy as np
import pytest

from striate.engine.derivatives import DERIVATIVES, FUNCTIONS, ZERO, derivatives, evaluate
from striate.engine.training.symbolic import gradients
from striate.statement import FUNCTIONS as NAMES
from striate.statement import Call, Const, Inside, Load, Tap, call

POSITIVE = ("pow", "sqrt", "log", "log1p")
ARGUMENTS = {"where": 3} | dict.fromkeys(("add", "sub", "mul", "div", "max", "min", "pow"), 2)


def partials(word, arguments, arriving):
    """Gradient of each argument, as numpy computes it."""
    names = {f"x{k}": x for k, x in enumerate(arguments)}
    values = names | {"g": arriving, "y": FUNCTIONS[word](*arguments)}
    return [evaluate(expr, values) for expr in derivatives(word, len(arguments))]


def test_every_function_has_a_derivative():
    assert set(DERIVATIVES) == set(FUNCTIONS) == set(NAMES)


@pytest.mark.parametrize("word", NAMES)
def test_derivatives_are_those_of_differences(word):
    rng = np.random.default_rng(0)
    arguments = [rng.uniform(0.2, 2, 50) for _ in range(ARGUMENTS.get(word, 1))]
    if word not in POSITIVE:
        arguments = [x * rng.choice([-1, 1], 50) for x in arguments]
    arriving, step = rng.standard_normal(50), 1e-6
    for k, partial in enumerate(partials(word, arguments, arriving)):
        up, down = ([x + side * step * (j == k) for j, x in enumerate(arguments)] for side in (1, -1))
        slope = (FUNCTIONS[word](*up) - FUNCTIONS[word](*down)) / (2 * step)
        np.testing.assert_allclose(np.broadcast_to(partial, 50), arriving * slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("word", NAMES)
def test_a_gradient_in_symbols_is_the_one_in_numbers(word):
    """The compiled engine pushes a gradient through an expression of loads, and leaves zeros out."""
    rng = np.random.default_rng(0)
    arguments = [rng.uniform(0.2, 2, 50) for _ in range(ARGUMENTS.get(word, 1))]
    arriving, names = rng.standard_normal(50), [f"x{k}" for k in range(len(arguments))]
    pushed = gradients(Call(word, tuple(Load(name, ()) for name in names)), Load("g", ()), set(names))
    values = dict(zip(names, arguments, strict=True)) | {"g": arriving}
    for name, partial in zip(names, partials(word, arguments, arriving), strict=True):
        np.testing.assert_array_equal(evaluate(pushed.get(name, ZERO), values), partial)


@pytest.mark.torch
@pytest.mark.parametrize("word", ["relu", "abs"])
def test_kinks_are_those_of_torch(word):
    import torch

    x = np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf])
    theirs = torch.tensor(x, requires_grad=True)
    (torch.relu(theirs) if word == "relu" else theirs.abs()).sum().backward()
    arguments = [x, np.zeros(6)] if word == "relu" else [x]
    found = partials("max" if word == "relu" else word, arguments, np.ones(6))[0]
    np.testing.assert_array_equal(found, theirs.grad.numpy())


def test_constants_have_no_type_of_their_own():
    x = np.ones(3, np.float32)
    assert evaluate(call("mul", Load("x", ()), Const(0.1)), {"x": x}).dtype == np.float32


def test_windows_have_no_value_outside_a_statement():
    with pytest.raises(TypeError, match="within a statement"):
        evaluate(Inside(Tap(None, "i")), {})
