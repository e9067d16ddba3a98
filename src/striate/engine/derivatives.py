"""The scalar functions of statements in numpy, and all their derivatives: one line each."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


_STEP, _END = 1 / 512, 6.0
_ROOT = 2 / math.sqrt(math.pi)


@functools.cache
def _nodes() -> tuple[Array, Array]:
    """erf and its derivative at 0, 1/512, … 6."""
    x = np.arange(round(_END / _STEP) + 1) * _STEP
    return np.array([math.erf(v) for v in x]), _ROOT * np.exp(-x * x)


def erf(x: Array) -> Array:
    """Error function, to the precision of the input: a Taylor step of four terms from the nearest node of a table.

    A step is at most 1/1024, so that the remainder stays below 1e-16.
    """
    values, slopes = _nodes()
    size = np.minimum(np.abs(np.asarray(x, np.float64)), _END)
    at = np.rint(np.nan_to_num(size) / _STEP).astype(np.int64)
    node = at * _STEP
    d = size - node
    # Derivatives of erf are its first one times Hermite polynomials of the node.
    steps = 1 - d * (node - d * ((2 * node * node - 1) / 3 - d * node * (2 * node * node - 3) / 6))
    y = np.copysign(values[at] + slopes[at] * d * steps, x)
    return np.asarray(y, np.asarray(x).dtype)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "max": np.maximum, "min": np.minimum, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "sqrt": np.sqrt, "pow": np.power, "tanh": np.tanh, "erf": erf,
    "where": lambda test, yes, no: np.where(test > 0, yes, no),
}  # fmt: skip

# function -> per argument, d result / d argument from (arguments, result). At a kink the derivative of PyTorch:
# relu'(0) = 0, so max gives its left argument nothing on a tie with a constant 0.
PARTIALS: Mapping[str, tuple[Callable[..., Any], ...]] = {
    "add": (lambda a, b, y: 1, lambda a, b, y: 1),
    "sub": (lambda a, b, y: 1, lambda a, b, y: -1),
    "mul": (lambda a, b, y: b, lambda a, b, y: a),
    "div": (lambda a, b, y: 1 / b, lambda a, b, y: -y / b),
    "neg": (lambda a, y: -1,),
    "max": (lambda a, b, y: a > b, lambda a, b, y: a <= b),
    "min": (lambda a, b, y: a < b, lambda a, b, y: a >= b),
    "abs": (lambda a, y: np.sign(a),),
    "exp": (lambda a, y: y,),
    "expm1": (lambda a, y: y + 1,),
    "log": (lambda a, y: 1 / a,),
    "log1p": (lambda a, y: 1 / (1 + a),),
    "sqrt": (lambda a, y: 0.5 / y,),
    "pow": (lambda a, b, y: b * np.power(a, b - 1), lambda a, b, y: y * np.log(a)),
    "tanh": (lambda a, y: 1 - y * y,),
    "erf": (lambda a, y: _ROOT * np.exp(-a * a),),
    "where": (lambda t, a, b, y: 0, lambda t, a, b, y: t > 0, lambda t, a, b, y: t <= 0),
}
