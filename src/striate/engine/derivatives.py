"""The scalar functions of statements in numpy, and all their derivatives: one line each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def erf(x: Array) -> Array:
    """Error function, to the precision of the input."""
    return np.asarray(_ERF(x)).astype(np.asarray(x).dtype, copy=False)


# The C library's function, number by number: numpy has none, and it is exact.
_ERF = np.frompyfunc(math.erf, 1, 1)

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "max": np.maximum, "min": np.minimum, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log1p": np.log1p,
    "sqrt": np.sqrt, "pow": np.power, "tanh": np.tanh, "erf": erf,
    "where": lambda test, yes, no: np.where(test > 0, yes, no),
}  # fmt: skip

_ROOT = 2 / math.sqrt(math.pi)

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
    "log1p": (lambda a, y: 1 / (1 + a),),
    "sqrt": (lambda a, y: 0.5 / y,),
    "pow": (lambda a, b, y: b * np.power(a, b - 1), lambda a, b, y: y * np.log(a)),
    "tanh": (lambda a, y: 1 - y * y,),
    "erf": (lambda a, y: _ROOT * np.exp(-a * a),),
    "where": (lambda t, a, b, y: 0, lambda t, a, b, y: t > 0, lambda t, a, b, y: t <= 0),
}
