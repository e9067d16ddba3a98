"""The plan of a training step for one batch size.

Made in stages: fused, repeated (`training.taped`), placed, stepped (`plan.stages`), allotted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from striate.engine.interface import frozen_declarations
from striate.engine.kernels import dropout_mask
from striate.engine.plan import arena, choose
from striate.engine.plan.computation import Correlation
from striate.engine.plan.execution_plan import ExecutionPlan, kernel_calls_of
from striate.engine.plan.kernel_calls import KernelCall, PlanContext, divided, useful_threads
from striate.engine.plan.place import assign_layouts
from striate.engine.plan.stages import Placed, Stage, Stepped, verified
from striate.engine.plan.units import Buffer, Copied, Leave, Unit, WeightGradient
from striate.engine.training.packs import insert_packing
from striate.engine.training.recompute import Producer, insert_repeats
from striate.engine.training.tape import build_tape
from striate.engine.training.taped import Repeated, StepBuffers, Taped
from striate.network import Network
from striate.op import Declaration

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
    buffers: StepBuffers
    weights: dict[Unit, dict[str, str]]
    """Parameters by the unit that reads them packed, and by name."""
    packed: dict[tuple[Any, ...], Buffer]
    """Their buffers while they are needed."""
    constants: int
    """Bytes of packed constants that stay between runs."""
    repeats: int
    """Number of units of the forward pass that the backward pass computes again."""
    dropped: tuple[Producer, ...]
    """The values of the forward pass that it computes again."""

    @property
    def outside(self) -> frozenset[Buffer]:
        parameters = (value for value in self.buffers.parameters.values() if value.outside)
        return super().outside.union(parameters)

    @property
    def bytes(self) -> int:
        """Memory that a run of this plan needs, with gradients, noise and the plan, without parameters."""
        noise_bytes = sum(
            4 * dropout_mask.GROUP_NUMBERS * dropout_mask.rows(math.prod(noise.shape))
            for _, noise in self.buffers.noise
        )
        calls = len(self.steps) * CALL_BYTES
        return self.arena.bytes + self.constants + noise_bytes + calls + self.context.threads * self.scratch

    @property
    def kept_bytes(self) -> int:
        """Bytes kept for the backward pass when the forward pass is done."""
        at = self.epochs[self.first_backward] if self.first_backward < len(self.steps) else 1 << 62
        life = self.arena.life.items()
        return sum(value.layout.bytes for value, (first, last) in life if first < at <= last)

    @property
    def lasting(self) -> list[Buffer]:
        return [value for value in self.buffers.gradients.values() if value.home is None]


def training_declarations(net: Network) -> dict[str, Declaration]:
    """Every node's declaration in training. Raises OpError as declarations do."""
    return dict(net.training)


def plan(net: Network, context: PlanContext, values: Sequence[str] | None = None) -> TrainingPlan:
    """Plan a network whose input spec has the whole batch. Raises Unsupported, and OpError as declarations do.

    values: names of values whose gradients are computed instead of the parameters', in the network's inference form.
    """
    declarations = training_declarations(net) if values is None else frozen_declarations(net)
    return plan_tape(record_tape(net, declarations, context, values or ()), context)


def record_tape(
    net: Network,
    declarations: Mapping[str, Declaration],
    context: PlanContext,
    values: Collection[str] = (),
) -> Taped:
    """Record the units of a training step. Where weights are larger than maps, the input's gradient comes before the
    weight's: packed weights and the weight's gradient then do not need memory at the same time. Raises Unsupported.
    """
    taped = build_tape(net, declarations, context.target.lanes, values)
    units = list(taped.units)
    for at in range(len(units) - 1, taped.first_backward - 1, -1):
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
    return dataclasses.replace(taped, units=tuple(units))


def plan_tape(
    taped: Taped, context: PlanContext, dropped: Collection[Producer] = (), copied: Copied | None = None
) -> TrainingPlan:
    """Plan a training step. dropped: values of the forward pass that the backward pass recomputes; copied: receives the
    copies of the taped units and buffers that the plan has.

    Raises Unsupported.
    """
    *_, last = verified(stages(taped, context, dropped, copied))
    assert isinstance(last, TrainingPlan)
    return last


def stages(
    taped: Taped, context: PlanContext, dropped: Collection[Producer] = (), copied: Copied | None = None
) -> Iterator[Stage]:
    """The stages of a plan, in order; the last one is the plan. Raises Unsupported."""
    context = context.reading(sum(4 * value.size("nchw") for _, value in taped.buffers.parameter_inputs))
    yield taped
    repeated = insert_repeats(taped, dropped)
    yield repeated
    copied = copied or Copied()
    placed = place(repeated, context, copied)
    yield placed
    stepped = step(placed, context)
    yield stepped
    yield dataclasses.replace(allot(stepped, repeated, copied, context), dropped=tuple(dropped))


def place(repeated: Repeated, context: PlanContext, copied: Copied) -> Placed:
    """Assign home, lanes and border to every buffer of a copy of the units."""
    before = copied.units(repeated.units)
    alike = {copied.buffer(a): copied.buffer(b) for a, b in repeated.alike.items()}
    units = assign_layouts(before, context.target, lambda unit: choose.border(unit, context), alike)
    at = repeated.first_backward
    return Placed(repeated.net, tuple(units), units.index(before[at]) if at < len(before) else len(units))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedSteps(Stepped):
    """The calls of a training step, also those that pack weights. packed: the buffers of packed weights; constants: the
    bytes of other constants."""

    packed: dict[tuple[Any, ...], Buffer]
    constants: dict[tuple[Any, ...], int]


def step(placed: Placed, context: PlanContext) -> PackedSteps:
    """The calls of both passes, divided into tasks. The backward pass waits for the end of the forward pass."""
    at = placed.first_backward
    products = [unit for unit in placed.units if unit.parameters]
    plain = {unit: unit.parameters["weight"] for unit in products}
    halves: list[list[KernelCall]] = []
    packed: dict[tuple[Any, ...], Buffer] = {}
    constants: dict[tuple[Any, ...], int] = {}
    for part in (placed.units[:at], placed.units[at:]):
        calls = kernel_calls_of(part, context)
        calls = divided(calls, useful_threads(calls, context.threads))
        calls, packed_here, constants_here = insert_packing(calls, plain, context.threads)
        halves.append(calls)
        packed |= packed_here
        constants |= constants_here
    forward, backward = halves
    backward[:1] = [dataclasses.replace(call, after_all=True) for call in backward[:1]]
    calls = forward + backward
    return PackedSteps(
        placed.net, tuple(calls), tuple(arena.epochs(calls)), first_backward=len(forward),
        packed=packed, constants=constants,
    )  # fmt: skip


def allot(stepped: PackedSteps, repeated: Repeated, copied: Copied, context: PlanContext) -> TrainingPlan:
    """Give every buffer its memory; gradients keep theirs to the end."""
    buffers = repeated.buffers.copied(copied)
    calls, epochs = list(stepped.calls), list(stepped.epochs)
    weights = {
        call.unit: {name: value.name for name, value in call.unit.parameters.items()}
        for call in calls
        if call.unit.parameters
    }
    lasting = [value for value in buffers.gradients.values() if value.home is None]
    life = arena.lives(calls, epochs, (), lasting)
    outside = dict.fromkeys(v for call in calls for v in call.reads if v.is_input)
    results = dict.fromkeys(v for call in calls for v in call.writes if v.is_result)
    return TrainingPlan(
        stepped.net, context, calls, epochs, arena.smallest_arena(life, ARENA_ORDERS),
        {str(k): v for k, v in enumerate(outside)}, {str(k): v for k, v in enumerate(results)},
        stepped.first_backward or 0, buffers, weights, stepped.packed, sum(stepped.constants.values()),
        repeated.again, (),
    )  # fmt: skip


__all__ = ("Buffer", "TrainingPlan", "Unit", "plan", "plan_tape", "training_declarations")
