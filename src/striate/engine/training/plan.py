"""The plan of a training step for one batch size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels import chance
from striate.engine.plan import arena
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.place import NARROW, settled
from striate.engine.plan.plan import Plan, stepped
from striate.engine.plan.steps import Context, divided
from striate.engine.plan.units import Leave, Unit, Value, WeightGradient
from striate.engine.training import steps as own
from striate.engine.training.packs import packed
from striate.engine.training.recompute import Made, again
from striate.engine.training.tape import Tape, taped
from striate.network import Network
from striate.op import Declaration

Array = NDArray[Any]

NEAR = 6
"""Units between the gradient of a weight and the way back through it, at most."""
STEP = 5 << 10
"""Bytes that a process grows by for a step itself, with its record and tables: between 4 and 7 KiB."""
ORDERS = 5
"""Ways to lay values into the arena, of which the best counts."""


@dataclasses.dataclass(frozen=True)
class TrainingPlan(Plan):
    """Steps of the forward run, then from `turn` on of the way back.

    Gradients lie in the arena, where nothing else is put behind them.
    """

    turn: int
    tape: Tape
    weights: dict[Unit, dict[str, str]]
    """Units that read packed weights, and which parameters these are."""
    packed: dict[tuple[Any, ...], Value]
    """Where they lie while they are needed."""
    constants: int
    """Bytes of what is packed otherwise, and stays."""
    again: int
    """Units of the forward run that are computed once more on the way back."""

    @property
    def bytes(self) -> int:
        """All memory that a run of this plan needs, gradients, noise and the plan included and parameters not."""
        drawn = sum(4 * chance.GROUP * chance.rows(math.prod(noise.shape)) for _, noise in self.tape.noise)
        own = len(self.steps) * STEP
        return self.arena.bytes + self.constants + drawn + own + self.context.threads * self.scratch

    @property
    def kept(self) -> int:
        """Bytes that wait for the way back when the forward run is done."""
        at = self.epochs[self.turn] if self.turn < len(self.steps) else 1 << 62
        life = arena.lives(self.steps, self.epochs)
        return sum(value.layout.bytes for value, (first, last) in life.items() if first < at <= last)


def declared(net: Network) -> dict[str, Declaration]:
    """Every node's declaration in training. Raises OpError as declarations do."""
    return dict(net.training)


def plan(net: Network, context: Context) -> TrainingPlan:
    """Plan a network whose input spec has the whole batch. Raises Unsupported, and OpError as declarations do."""
    return planned(net, recorded(net, declared(net), context), context)


def recorded(net: Network, declarations: Mapping[str, Declaration], context: Context) -> Tape:
    """The tape of a network. Where weights are larger than maps, the way back through them comes before their gradient:
    packed weights and gradient do not need memory at the same time then. Raises Unsupported.
    """
    tape = taped(net, declarations, NARROW, context.target.lanes)
    units = tape.units
    for at in range(len(units) - 1, tape.turn - 1, -1):
        unit = units[at]
        if not isinstance(unit.body, WeightGradient) or not isinstance(units[at + 1].body, Leave):
            continue
        for k in range(at + 2, min(at + 2 + NEAR, len(units))):
            other = units[k]
            if units[at + 1].outputs[0] in other.inputs:  # added to what arrives from elsewhere
                break
            if isinstance(other.body, Correlation) and other.inputs[0] in unit.inputs:
                if math.prod(other.outputs[0].shape) < math.prod(unit.outputs[0].shape):
                    units[at : k + 1] = [*units[at + 2 : k + 1], *units[at : at + 2]]
                break
    return tape


def planned(net: Network, tape: Tape, context: Context, dropped: Collection[Made] = ()) -> TrainingPlan:
    """The plan of a tape, which is used up. dropped: values of the forward run that are computed again on the way back.

    Raises Unsupported.
    """
    parameters = sum(4 * value.size("nchw") for _, value in tape.entered)
    context = context.reading(parameters)
    units, more, alike = again(tape.units, tape.turn, dropped)
    weights: dict[Unit, dict[str, str]] = {}
    plain: dict[Unit, Value] = {}
    for unit in units:
        if isinstance(unit.body, Correlation):
            given: dict[str, Any] = unit.weights  # values until now: what lies there changes from run to run
            weights[unit] = {name: value.name for name, value in given.items()}
            plain[unit] = given["weight"]
            unit.derived = not given["weight"].given
            unit.weights = {name: np.broadcast_to(np.float32(0), v.shape) for name, v in given.items()}
    for value in (*tape.gradients.values(), *tape.parts):
        value.result = False
    turn = units[tape.turn] if tape.turn < len(units) else None
    units = settled(units, context.target, lambda unit: own.border(unit, context), alike)
    at = len(units) if turn is None else units.index(turn)
    halves = []
    places: dict[tuple[Any, ...], Value] = {}
    constants: dict[tuple[Any, ...], int] = {}
    for part in (units[:at], units[at:]):
        steps = stepped(part, context, own.steps)
        for step in steps:
            step.tasks = divided(step, context.threads)
        steps, found, kept = packed(steps, plain, context.threads)
        halves.append(steps)
        places |= found
        constants |= kept
    forward, backward = halves
    if backward:
        backward[0].after_all = True
    made = forward + backward
    when = arena.epochs(made)
    lasting = [value for value in tape.gradients.values() if value.home is None]
    outside = dict.fromkeys(v for step in made for v in step.reads if v.given)
    results = dict.fromkeys(v for step in made for v in step.writes if v.result)
    return TrainingPlan(
        net, context, made, when, arena.placed(arena.lives(made, when, (), lasting), ORDERS),
        {str(k): v for k, v in enumerate(outside)}, {str(k): v for k, v in enumerate(results)},
        len(forward), tape, weights, places, sum(constants.values()), more,
    )  # fmt: skip


__all__ = ("TrainingPlan", "Unit", "Value", "declared", "plan", "planned")
