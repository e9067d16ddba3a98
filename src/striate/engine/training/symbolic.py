"""Derivatives of scalar expressions as expressions, and the algebra of sums and products of them.

Reverse mode: the gradient of the result is pushed down to the loads. At kinks the derivative is PyTorch's, as in
`derivatives.PARTIALS`; the tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator

import numpy as np

from striate.engine.derivatives import FUNCTIONS
from striate.statement import Call, Const, Expr, Load, call, walk

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
    # On a tie with a constant the constant wins; a NaN has no gradient.
    return where(a - b, g, ZERO), where(a - b, ZERO, g)


def _min(g: Expr, a: Expr, b: Expr, y: Expr) -> tuple[Expr, ...]:
    return where(b - a, g, ZERO), where(b - a, ZERO, g)


def _abs(g: Expr, a: Expr, y: Expr) -> tuple[Expr, ...]:
    return (where(a, g, where(-a, -g, ZERO)),)


def _pow(g: Expr, a: Expr, b: Expr, y: Expr) -> tuple[Expr, ...]:
    down = mul(g, mul(b, call("pow", a, b - ONE if not isinstance(b, Const) else Const(b.value - 1))))
    return down, mul(g, mul(y, call("log", a)))


PUSH: dict[str, Callable[..., tuple[Expr, ...]]] = {
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
    "erf": lambda g, a, y: (mul(g, mul(Const(2 / math.sqrt(math.pi)), call("exp", -call("mul", a, a)))),),
    "where": lambda g, t, a, b, y: (ZERO, where(t, g, ZERO), where(t, ZERO, g)),
}
"""function -> gradient of each argument, from (gradient of the result, arguments, result)."""


def partials(expr: Expr, arriving: Expr, tensors: Collection[str]) -> dict[Load, Expr]:
    """Gradient with respect to every load of the tensors."""
    totals: dict[Load, Expr] = {}

    def push(at: Expr, g: Expr) -> None:
        if g == ZERO:
            return
        if isinstance(at, Load):
            if at.tensor in tensors:
                totals[at] = add(totals.get(at, ZERO), g)
        elif isinstance(at, Call) and any(load.tensor in tensors for load in walk(at)):
            for arg, part in zip(at.args, PUSH[at.function](g, *at.args, at), strict=True):
                push(arg, part)

    push(expr, arriving)
    return totals


def gradients(expr: Expr, arriving: Expr, tensors: Collection[str]) -> dict[str, Expr]:
    """Gradient with respect to each of the tensors that the expression loads."""
    totals: dict[str, Expr] = {}
    for load, g in partials(expr, arriving, tensors).items():
        totals[load.tensor] = add(totals.get(load.tensor, ZERO), g)
    return totals


def number(expr: Expr) -> float:
    """The value of an expression without loads."""
    if isinstance(expr, Call):
        return float(FUNCTIONS[expr.function](*(np.float64(number(arg)) for arg in expr.args)))
    assert isinstance(expr, Const)
    return expr.value


def terms(expr: Expr) -> Iterator[Expr]:
    """The terms of a sum."""
    match expr:
        case Call("add", (a, b)):
            yield from terms(a)
            yield from terms(b)
        case Call("sub", (a, b)):
            yield from terms(a)
            yield from (mul(Const(-1.0), term) for term in terms(b))
        case _:
            yield expr


def factors(expr: Expr) -> Iterator[Expr]:
    """The factors of a product; a quotient's divisor counts as its inverse."""
    match expr:
        case Call("mul", (a, b)):
            yield from factors(a)
            yield from factors(b)
        case Call("div", (a, b)):
            yield from factors(a)
            yield call("div", ONE, b)
        case Call("neg", (a,)):
            yield Const(-1.0)
            yield from factors(a)
        case _:
            yield expr


def product(parts: Iterator[Expr] | list[Expr]) -> Expr:
    """The product of some factors, with constants folded."""
    total = 1.0
    rest: Expr = ONE
    for part in parts:
        if isinstance(part, Const):
            total *= part.value
        else:
            rest = mul(rest, part)
    return mul(rest, Const(total))


def uses(expr: Expr, test: Callable[[str], bool]) -> bool:
    """Whether the expression loads a tensor that passes the test."""
    return any(test(load.tensor) for load in walk(expr))


def split(expr: Expr, wide: Callable[[str], bool]) -> tuple[Expr, Expr]:
    """(wide, narrow) factors: the narrow one has no wide loads."""
    parts = list(factors(expr))
    return (
        product([part for part in parts if uses(part, wide)]),
        product([part for part in parts if not uses(part, wide)]),
    )


def hoist(expr: Expr, wide: Callable[[str], bool], keep: Callable[[Expr], Expr]) -> Expr:
    """Replace every largest part without wide loads by the result of `keep`.

    Products are reordered first, so that all narrow factors are one part.
    """
    if not uses(expr, wide):
        if not isinstance(expr, Call):
            return expr
        return keep(expr) if any(walk(expr)) else Const(number(expr))
    if not isinstance(expr, Call):
        return expr
    if expr.function in ("mul", "div", "neg"):
        broad, narrow = split(expr, wide)
        if narrow != ONE:
            return mul(hoist(broad, wide, keep), hoist(narrow, wide, keep))
        if not isinstance(broad, Call):
            return broad
        expr = broad
    return Call(expr.function, tuple(hoist(arg, wide, keep) for arg in expr.args))
