"""The plan of a training step for one batch size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels import dropout_mask
from striate.engine.plan import arena
from striate.engine.plan.computation import Correlation
from striate.engine.plan.execution_plan import ExecutionPlan, kernel_calls_of
from striate.engine.plan.kernel_calls import PlanContext, divide_tasks, useful_threads
from striate.engine.plan.place import PIXEL_MAJOR_MAX_CHANNELS, assign_layouts
from striate.engine.plan.units import Buffer, Leave, Unit, WeightGradient
from striate.engine.training import backward_calls
from striate.engine.training.packs import insert_packing
from striate.engine.training.recompute import Producer, insert_repeats
from striate.engine.training.tape import Tape, build_tape
from striate.network import Network
from striate.op import Declaration

Array = NDArray[Any]

MAX_UNIT_DISTANCE = 6
"""Maximum distance, in units, between the gradient of a weight and the gradient of the same layer's input."""
CALL_BYTES = 5 << 10
"""Bytes that a process grows per kernel call, with its record and tables: between 4 and 7 KiB."""
ARENA_ORDERS = 5
"""Number of orders in which buffers are placed into the arena; the best one is used."""


@dataclasses.dataclass(frozen=True)
class TrainingPlan(ExecutionPlan):
    """Steps of the forward pass, then, from `first_backward` on, of the backward pass.

    Gradients live in the arena; no later buffer reuses their memory.
    """

    first_backward: int
    tape: Tape
    weights: dict[Unit, dict[str, str]]
    """Parameters by the unit that reads them packed, and by name."""
    packed: dict[tuple[Any, ...], Buffer]
    """Their buffers while they are needed."""
    constants: int
    """Bytes of packed constants that stay between runs."""
    repeats: int
    """Number of units of the forward pass that the backward pass computes again."""

    @property
    def bytes(self) -> int:
        """Memory that a run of this plan needs, with gradients, noise and the plan, without parameters."""
        noise_bytes = sum(
            4 * dropout_mask.GROUP_NUMBERS * dropout_mask.rows(math.prod(noise.shape))
            for _, noise in self.tape.noise
        )
        calls = len(self.steps) * CALL_BYTES
        return self.arena.bytes + self.constants + noise_bytes + calls + self.context.threads * self.scratch

    @property
    def kept_bytes(self) -> int:
        """Bytes kept for the backward pass when the forward pass is done."""
        at = self.epochs[self.first_backward] if self.first_backward < len(self.steps) else 1 << 62
        life = arena.lives(self.steps, self.epochs)
        return sum(value.layout.bytes for value, (first, last) in life.items() if first < at <= last)


def training_declarations(net: Network) -> dict[str, Declaration]:
    """Every node's declaration in training. Raises OpError as declarations do."""
    return dict(net.training)


def plan(net: Network, context: PlanContext) -> TrainingPlan:
    """Plan a network whose input spec has the whole batch. Raises Unsupported, and OpError as declarations do."""
    return plan_tape(net, record_tape(net, training_declarations(net), context), context)


def record_tape(net: Network, declarations: Mapping[str, Declaration], context: PlanContext) -> Tape:
    """Record the tape of a network. Where weights are larger than maps, the input's gradient comes before the weight's:
    packed weights and the weight's gradient then do not need memory at the same time. Raises Unsupported.
    """
    tape = build_tape(net, declarations, PIXEL_MAJOR_MAX_CHANNELS, context.target.lanes)
    units = tape.units
    for at in range(len(units) - 1, tape.first_backward - 1, -1):
        unit = units[at]
        if not isinstance(unit.body, WeightGradient) or not isinstance(units[at + 1].body, Leave):
            continue
        for k in range(at + 2, min(at + 2 + MAX_UNIT_DISTANCE, len(units))):
            other = units[k]
            if units[at + 1].outputs[0] in other.inputs:  # added to gradients from elsewhere
                break
            if isinstance(other.body, Correlation) and other.inputs[0] in unit.inputs:
                if math.prod(other.outputs[0].shape) < math.prod(unit.outputs[0].shape):
                    units[at : k + 1] = [*units[at + 2 : k + 1], *units[at : at + 2]]
                break
    return tape


def plan_tape(
    net: Network, tape: Tape, context: PlanContext, dropped: Collection[Producer] = ()
) -> TrainingPlan:
    """Plan a tape, which is consumed. dropped: values of the forward pass that the backward pass recomputes.

    Raises Unsupported.
    """
    parameters = sum(4 * value.size("nchw") for _, value in tape.parameter_inputs)
    context = context.reading(parameters)
    units, more, alike = insert_repeats(tape.units, tape.first_backward, dropped)
    weights: dict[Unit, dict[str, str]] = {}
    plain: dict[Unit, Buffer] = {}
    for unit in units:
        if isinstance(unit.body, Correlation):
            buffers: dict[str, Any] = unit.weights  # buffers until now: their contents change from run to run
            weights[unit] = {name: value.name for name, value in buffers.items()}
            plain[unit] = buffers["weight"]
            unit.derived = not buffers["weight"].is_input
            unit.weights = {name: np.broadcast_to(np.float32(0), v.shape) for name, v in buffers.items()}
    for value in (*tape.gradients.values(), *tape.parts):
        value.is_result = False
    turn = units[tape.first_backward] if tape.first_backward < len(units) else None
    units = assign_layouts(units, context.target, lambda unit: backward_calls.border(unit, context), alike)
    at = len(units) if turn is None else units.index(turn)
    halves = []
    places: dict[tuple[Any, ...], Buffer] = {}
    constants: dict[tuple[Any, ...], int] = {}
    for part in (units[:at], units[at:]):
        steps = kernel_calls_of(part, context, backward_calls.steps)
        threads = useful_threads(steps, context.threads)
        for step in steps:
            step.tasks = divide_tasks(step, threads)
        steps, weight_buffers, constant_bytes = insert_packing(steps, plain, context.threads)
        halves.append(steps)
        places |= weight_buffers
        constants |= constant_bytes
    forward, backward = halves
    if backward:
        backward[0].after_all = True
    all_steps = forward + backward
    when = arena.epochs(all_steps)
    lasting = [value for value in tape.gradients.values() if value.home is None]
    outside = dict.fromkeys(v for step in all_steps for v in step.reads if v.is_input)
    results = dict.fromkeys(v for step in all_steps for v in step.writes if v.is_result)
    return TrainingPlan(
        net, context, all_steps, when, arena.smallest_arena(arena.lives(all_steps, when, (), lasting), ARENA_ORDERS),
        {str(k): v for k, v in enumerate(outside)}, {str(k): v for k, v in enumerate(results)},
        len(forward), tape, weights, places, sum(constants.values()), more,
    )  # fmt: skip


__all__ = ("Buffer", "TrainingPlan", "Unit", "plan", "plan_tape", "training_declarations")
