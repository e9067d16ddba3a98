"""The scalar functions of statements in numpy, and all their derivatives as expressions: one line each.

Numpy evaluates the derivatives, the compiled engine builds its backward pass of them. At a kink the derivative is
PyTorch's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.statement import Call, Const, Expr, Load, call

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


def evaluate(
    expr: Expr, values: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = FUNCTIONS
) -> Any:
    """Value of an expression over named tensors. Constants are Python floats, which have no type of their own."""
    memo: dict[Expr, Any] = {}

    def value(at: Expr) -> Any:
        if isinstance(at, Load):
            return values[at.tensor]
        if isinstance(at, Const):
            return at.value
        if not isinstance(at, Call):
            raise TypeError(f"{type(at).__name__} has a value only within a statement")
        if at not in memo:
            memo[at] = functions[at.function](*map(value, at.args))
        return memo[at]

    return value(expr)


ZERO, ONE = Const(0.0), Const(1.0)


def add(a: Expr, b: Expr) -> Expr:
    """a + b, without zeros."""
    return b if a == ZERO else a if b == ZERO else call("add", a, b)


def mul(a: Expr, b: Expr) -> Expr:
    """a·b, without ones."""
    if ZERO in (a, b):
        return ZERO
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value * b.value)
    return b if a == ONE else a if b == ONE else call("mul", a, b)


def where(test: Expr, yes: Expr, no: Expr) -> Expr:
    """yes where the test is above 0, else no."""
    return yes if yes == no else call("where", test, yes, no)


def _max(g: Expr, a: Expr, b: Expr, y: Expr) -> tuple[Expr, ...]:
    # relu'(0) = 0: on a tie with a constant the constant wins; a NaN has no gradient.
    return where(a - b, g, ZERO), where(a - b, ZERO, g)


def _min(g: Expr, a: Expr, b: Expr, y: Expr) -> tuple[Expr, ...]:
    return where(b - a, g, ZERO), where(b - a, ZERO, g)


def _abs(g: Expr, a: Expr, y: Expr) -> tuple[Expr, ...]:
    return (where(a, g, where(-a, -g, ZERO)),)


def _pow(g: Expr, a: Expr, b: Expr, y: Expr) -> tuple[Expr, ...]:
    down = mul(g, mul(b, call("pow", a, b - ONE if not isinstance(b, Const) else Const(b.value - 1))))
    return down, mul(g, mul(y, call("log", a)))


DERIVATIVES: Mapping[str, Callable[..., tuple[Expr, ...]]] = {
    "add": lambda g, a, b, y: (g, g),
    "sub": lambda g, a, b, y: (g, mul(g, Const(-1.0))),
    "mul": lambda g, a, b, y: (mul(g, b), mul(g, a)),
    "div": lambda g, a, b, y: (call("div", g, b), mul(mul(g, Const(-1.0)), call("div", y, b))),
    "neg": lambda g, a, y: (mul(g, Const(-1.0)),),
    "max": _max,
    "min": _min,
    "abs": _abs,
    "exp": lambda g, a, y: (mul(g, y),),
    "expm1": lambda g, a, y: (mul(g, y + ONE),),
    "log": lambda g, a, y: (call("div", g, a),),
    "log1p": lambda g, a, y: (call("div", g, a + ONE),),
    "sqrt": lambda g, a, y: (call("div", mul(g, Const(0.5)), y),),
    "pow": _pow,
    "tanh": lambda g, a, y: (mul(g, ONE - call("mul", y, y)),),
    "erf": lambda g, a, y: (mul(g, mul(Const(_ROOT), call("exp", -call("mul", a, a)))),),
    "where": lambda g, t, a, b, y: (ZERO, where(t, g, ZERO), where(t, ZERO, g)),
}
"""function -> gradient of each argument, from (gradient of the result, arguments, result)."""


@functools.cache
def derivatives(function: str, arguments: int) -> tuple[Expr, ...]:
    """Gradient of each argument, from that of the result `g`, the arguments `x0`, `x1` … and the result `y`."""
    g, y = Load("g", ()), Load("y", ())
    return DERIVATIVES[function](g, *(Load(f"x{k}", ()) for k in range(arguments)), y)
