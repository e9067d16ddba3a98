"""What an elementwise expression is, seen by its loads, its limits, and its factor and shift."""

import math

import numpy as np
import pytest

from striate.engine.plan.algebra import affine, clamp, is_affine, substitute
from striate.statement import call, load

X, Y, W, B = (load(name) for name in ("x", "y", "w", "b"))
OPEN = (-math.inf, math.inf)


def test_loads_are_replaced_by_name_and_nothing_else():
    expr = call("max", X * W, Y + 1.0)
    assert substitute(expr, {"x": Y, "w": X + X}) == call("max", Y * (X + X), Y + 1.0)
    assert substitute(expr, {}) == expr


@pytest.mark.parametrize(
    ("expr", "limits"),
    [
        (X, OPEN),
        (call("max", X, 0.0), (0, math.inf)),
        (call("max", 0.0, X), (0, math.inf)),
        (call("min", X, 6.0), (-math.inf, 6)),
        (call("min", call("max", X, 0.0), 6.0), (0, 6)),
        (call("max", call("min", X, 6.0), 0.0), (0, 6)),
        (call("max", call("max", X, 1.0), 2.0), (2, math.inf)),
        (call("min", call("min", X, 1.0), 2.0), (-math.inf, 1)),
        (call("max", call("min", X, -1.0), 0.0), (0, 0)),  # everything becomes 0
        (call("min", call("max", X, 3.0), 1.0), (1, 1)),
        (Y, None),
        (call("max", Y, 0.0), None),
        (call("max", X, Y), None),
        (X + 1.0, None),
        (call("max", X + 1.0, 0.0), None),
    ],
)
def test_the_limits_of_a_clamp(expr, limits):
    assert clamp(expr, "x") == limits


@pytest.mark.parametrize(
    ("expr", "yes"),
    [
        (X, True),
        (W, True),
        (-X + B, True),
        (W - X * W, True),
        (X / W, True),
        (W / X, False),
        (X * X, False),
        (X + call("exp", X), False),
        (X * (W + X), False),
        (call("exp", W) * X, True),
        (call("exp", X), False),
        (call("max", X, 0.0), False),
        (call("neg", call("exp", X)), False),
    ],
)
def test_what_is_affine_in_x(expr, yes):
    assert is_affine(expr, "x") is yes


def test_factor_and_shift_by_channel():
    """A batch norm: (x - mean)/sqrt(variance + 1)·gain + bias."""
    weights = {"mean": [2.0, 4.0], "variance": [3.0, 8.0], "gain": [6.0, 9.0], "bias": [1.0, 5.0]}
    mean, variance, gain, bias = map(load, weights)
    expr = (X - mean) / call("sqrt", variance + 1.0) * gain + bias
    scale, shift = affine(expr, "x", {name: np.array([[v] for v in w]) for name, w in weights.items()})
    assert scale.tolist() == [3, 3] and shift.tolist() == [-5, -7]
    assert scale.dtype == shift.dtype == np.float64
