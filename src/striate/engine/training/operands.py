"""Buffers as operands of elementwise expressions: which ones an expression reads, and how each is broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from striate.engine.plan.units import Buffer
from striate.engine.training.taped_node import Unsupported
from striate.statement import Call, Expr, walk

MAX_OPERANDS = 8
"""Maximum number of buffers that one elementwise pass reads."""


def names(expr: Expr) -> dict[str, None]:
    """Names of the buffers that an expression reads."""
    return dict.fromkeys(load.tensor for load in walk(expr))


def calls(expr: Expr) -> Iterator[Expr]:
    """Every part of an expression that computes something, the whole first."""
    if isinstance(expr, Call):
        yield expr
        for arg in expr.args:
            yield from calls(arg)


def replaced(expr: Expr, part: Expr, by: Expr) -> Expr:
    """The expression with another one in place of a part."""
    if expr == part:
        return by
    if isinstance(expr, Call):
        return Call(expr.function, tuple(replaced(arg, part, by) for arg in expr.args))
    return expr


def operand_groups(exprs: Iterable[Expr]) -> Iterator[list[Expr]]:
    """Group expressions so that one pass can read all operands of a group."""
    some: list[Expr] = []
    for expr in exprs:
        if some and len({name for one in (*some, expr) for name in names(one)}) > MAX_OPERANDS:
            yield some
            some = []
        some.append(expr)
    if some:
        yield some


def is_vector(value: Buffer) -> bool:
    """Whether a buffer has one number per channel."""
    return value.roles == "nc" and value.shape[0] == 1


def broadcast_kind(value: Buffer, like: Buffer) -> str:
    """How a buffer is broadcast over the positions of another (`kernels.elementwise`). Raises Unsupported."""
    if value.root.lanes == 1:  # row-major
        if value.images == like.images and value.channels == 1:
            if value.height * value.width == 1:
                return "k"
            if (value.height, value.width) == (like.height, like.width):
                return "p"
    elif value.shape == like.shape and value.roles == like.roles:
        return "s"
    elif is_vector(value):
        return "c" if value.channels == like.channels else "u"
    elif value.shape[:2] == like.shape[:2] and value.height * value.width == 1:
        return "i"
    raise Unsupported("operands of unlike shapes")
