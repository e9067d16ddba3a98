"""Gradients of scalar expressions as expressions, and the algebra of sums and products of them.

Reverse mode: the gradient of the result is pushed down to the loads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from striate.engine.derivatives import DERIVATIVES, ONE, ZERO, add, evaluate, mul
from striate.statement import Call, Const, Expr, Load, call, walk


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
            for arg, part in zip(at.args, DERIVATIVES[at.function](g, *at.args, at), strict=True):
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
    return float(evaluate(expr, {}))


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
