"""The way back through statements, as statements: what no kernel of its own computes runs as these in loop nests.

A statement hands what arrives at its target to every number that it loads. Seen from the loaded tensor that is a
statement itself: its index becomes the target's, and loop variables that it has not are summed over.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

from striate.engine.plan.nest import Rank
from striate.engine.training.symbolic import ZERO, partials, where
from striate.op import Declaration
from striate.statement import Affine, Const, Domain, Expr, Load, Statement, Tap, call


def arriving(tensor: str) -> str:
    """The name of what arrives at a tensor."""
    return f"d {tensor}"


def adjoints(declaration: Declaration, wanted: Collection[str], given: Collection[str]) -> list[Statement]:
    """Statements in order that make `arriving` of the wanted inputs and parameters from that of the given outputs.

    They load inputs, parameters and temporaries, too. A target that comes up again is to be added to.
    """
    live = set(wanted)
    for statement in declaration.statements:
        if any(load.tensor in live for load in statement.loads):
            live.add(statement.target)
    known, found = set(given), list[Statement]()
    for statement in reversed(declaration.statements):
        if statement.target in known & live:
            for made in _pulled(statement, live):
                known.add(made.target.removeprefix("d "))
                found.append(made)
    return found


def _pulled(statement: Statement, live: Collection[str]) -> Iterator[Statement]:
    """What one statement hands back."""
    free, reduced = statement.domain.free, statement.domain.reduced
    g: Expr = Load(arriving(statement.target), statement.index)
    if statement.start is not None:
        for load, expr in partials(statement.start, g, live).items():
            yield _handed(load, expr, free)
    if statement.reduce == "max" and math.prod(reduced.values()) > 1:
        # The first largest gets it all: its number, negated, is the largest among the winners' negated numbers.
        won, rank = f"w {statement.target}", Rank(tuple(reduced))
        behind = Load(statement.target, statement.index) - statement.value
        number = where(behind, Const(-math.inf), call("neg", rank))
        yield Statement(won, statement.index, number, statement.domain, "max")
        g = where(call("abs", call("add", rank, Load(won, statement.index))), ZERO, g)
    for load, expr in partials(statement.value, g, live).items():
        yield _handed(load, expr, {**free, **reduced})


def _handed(load: Load, expr: Expr, ranges: Mapping[str, int]) -> Statement:
    own = [v for item in load.index for v in _variables(item) if v in ranges]
    free = {v: ranges[v] for v in own}
    reduced = {v: n for v, n in ranges.items() if v not in free}
    return Statement(arriving(load.tensor), load.index, expr, Domain(free, reduced), "sum")


def _variables(item: Affine | Tap) -> list[str]:
    if isinstance(item, Affine):
        return [name for name, _ in item.terms]
    return [name for name in (item.out, item.tap) if name]
