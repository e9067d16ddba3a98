"""The plan of a training step for one batch size."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.plan import arena
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.place import NARROW, settled
from striate.engine.plan.plan import Plan, stepped
from striate.engine.plan.steps import Context, divided
from striate.engine.plan.units import Unit, Value
from striate.engine.training import steps as own
from striate.engine.training.tape import Tape
from striate.network import Network

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class TrainingPlan(Plan):
    """Steps of the forward run, then from `turn` on of the way back.

    parameters, noise, seeds (the outputs' gradients): given values by full name; updates, gradients: results.
    """

    turn: int
    tape: Tape
    weights: dict[Unit, dict[str, str]]
    """Units that read packed weights, and which parameters these are."""
    packed: dict[Unit, Value]
    """The weight of each, as given."""


def plan(net: Network, context: Context) -> TrainingPlan:
    """Plan a network whose input spec has the whole batch. Raises Unsupported, and OpError as declarations do."""
    declarations = {
        node.name: node.op.declare_training(*(net.specs[name] for name in node.inputs)) for node in net.nodes
    }
    tape = Tape(net, declarations, NARROW)
    parameters = sum(4 * value.size("nchw") for value in tape.parameters.values())
    context = context.reading(parameters)
    weights: dict[Unit, dict[str, str]] = {}
    packed: dict[Unit, Value] = {}
    for unit in tape.units:
        if isinstance(unit.body, Correlation):
            given: dict[str, Any] = unit.weights  # values until now: what lies there changes from run to run
            weights[unit] = {name: value.name for name, value in given.items()}
            packed[unit] = given["weight"]
            unit.weights = {name: np.zeros(value.shape, np.float32) for name, value in given.items()}
    turn = tape.units[tape.turn]
    units = settled(tape.units, context.target, lambda unit: own.border(unit, context))
    at = units.index(turn)
    forward = stepped(units[:at], context, own.steps)
    backward = stepped(units[at:], context, own.steps)
    if backward:
        backward[0].after_all = True
    made = forward + backward
    for step in made:
        step.tasks = divided(step, context.threads)
    when = arena.epochs(made)
    outside = dict.fromkeys(v for step in made for v in step.reads if v.given)
    results = dict.fromkeys(v for step in made for v in step.writes if v.result)
    return TrainingPlan(
        net, context, made, when, arena.allot(made, when),
        {str(k): v for k, v in enumerate(outside)}, {str(k): v for k, v in enumerate(results)},
        len(forward), tape, weights, packed,
    )  # fmt: skip


__all__ = ("TrainingPlan", "Unit", "Value", "plan")
