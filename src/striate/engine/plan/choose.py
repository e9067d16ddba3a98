"""Which algorithm a unit runs, by what its kernels cover and what a roofline predicts."""

from __future__ import annotations

from striate.engine.plan import dense, moves
from striate.engine.plan.patterns import Correlation, Moves
from striate.engine.plan.place import Enter, Leave
from striate.engine.plan.steps import Context, Step
from striate.engine.plan.units import Unit, Value


def border(unit: Unit, context: Context) -> tuple[int, int, int, int]:
    """What a unit reads around its first input."""
    body = unit.body
    if isinstance(body, Correlation) and body.windows is not None:
        x = unit.inputs[0]
        return dense.border(body, (x.height, x.width))
    return 0, 0, 0, 0


def steps(unit: Unit, context: Context) -> list[Step]:
    """The steps of one unit."""
    body = unit.body
    if isinstance(body, Enter):
        return moves.enter(unit, context)
    if isinstance(body, Leave):
        return moves.leave(unit, context)
    if isinstance(body, Moves):
        return moves.steps(unit, context)
    if isinstance(body, Correlation) and dense.covers(body, context.target.lanes):
        return dense.steps(unit, context)
    raise NotImplementedError(unit.name)


def bordered(unit: Unit, value: Value, context: Context) -> Step:
    """Zeros around a value."""
    raise NotImplementedError
