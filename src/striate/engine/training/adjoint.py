"""Backward statements of a declaration. Ops without a hand-written backward kernel run these as generic loop nests.

A statement passes the gradient of its target on to every number that it loads. From the loaded tensor's side this is a
statement, too: its index becomes the target's index, and the other loop variables are summed over.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

from striate.engine.derivatives import ZERO, where
from striate.engine.plan.nest import Rank
from striate.engine.training.symbolic import partials
from striate.op import Declaration
from striate.statement import Affine, Const, Domain, Expr, Load, Statement, Tap, call


def gradient_name(tensor: str) -> str:
    """Name of the gradient with respect to a tensor."""
    return f"d {tensor}"


def adjoints(declaration: Declaration, tensors: Collection[str], outputs: Collection[str]) -> list[Statement]:
    """Statements that compute the gradients of some tensors (inputs and parameters) from those of some outputs, in
    order.

    They also load inputs, parameters and temporaries. A target that occurs again is accumulated into.
    """
    live = set(tensors)
    for statement in declaration.statements:
        if any(load.tensor in live for load in statement.loads):
            live.add(statement.target)
    differentiated, statements = set(outputs), list[Statement]()
    for statement in reversed(declaration.statements):
        if statement.target in differentiated & live:
            for gradient in _gradient_statements(statement, live):
                differentiated.add(gradient.target.removeprefix("d "))
                statements.append(gradient)
    return statements


def _gradient_statements(statement: Statement, live: Collection[str]) -> Iterator[Statement]:
    """Gradient statements of one statement."""
    free, reduced = statement.domain.free, statement.domain.reduced
    g: Expr = Load(gradient_name(statement.target), statement.index)
    if statement.start is not None:
        for load, expr in partials(statement.start, g, live).items():
            yield _load_gradient(load, expr, free)
    if statement.reduce == "max" and math.prod(reduced.values()) > 1:
        # The first maximum gets the whole gradient: its negated rank is the largest of the winners' negated ranks.
        won, rank = f"w {statement.target}", Rank(tuple(reduced))
        gap = Load(statement.target, statement.index) - statement.value
        number = where(gap, Const(-math.inf), call("neg", rank))
        yield Statement(won, statement.index, number, statement.domain, "max")
        g = where(call("abs", call("add", rank, Load(won, statement.index))), ZERO, g)
    for load, expr in partials(statement.value, g, live).items():
        yield _load_gradient(load, expr, {**free, **reduced})


def _load_gradient(load: Load, expr: Expr, ranges: Mapping[str, int]) -> Statement:
    variables = [v for item in load.index for v in _variables(item) if v in ranges]
    free = {v: ranges[v] for v in variables}
    reduced = {v: n for v, n in ranges.items() if v not in free}
    return Statement(gradient_name(load.tensor), load.index, expr, Domain(free, reduced), "sum")


def _variables(item: Affine | Tap) -> list[str]:
    if isinstance(item, Affine):
        return [name for name, _ in item.terms]
    return [name for name in (item.out, item.tap) if name]
