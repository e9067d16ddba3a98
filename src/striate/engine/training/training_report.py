"""A training plan as data: rows of the forward and the backward pass, and the memory of a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError, setting
from striate.engine.plan.stages import Stage
from striate.engine.runtime.plan_report import Machine, PlanRow, bound, plan_rows
from striate.engine.training.compiled_training import CompiledTraining, LoadedTrainingPlan
from striate.engine.training.taped_node import Unsupported

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """Rows in order, and sizes in bytes. arena: values, gradients and packed weights; kept: the part of it that is kept
    for the backward pass; scratch: scratch of the threads, and weights that stay packed; weights: all of the network;
    parameters: the trainable ones; gradients (in the arena) and each kind of moments take the same size. again: number
    of units that the backward pass recomputes.
    """

    forward: tuple[PlanRow, ...]
    backward: tuple[PlanRow, ...]
    machine: Machine
    target: str
    threads: int
    arena: int
    kept: int
    scratch: int
    weights: int
    parameters: int
    again: int

    @property
    def total(self) -> int:
        """Bytes of a step with one kind of moments."""
        return self.arena + self.scratch + self.weights + self.parameters


def plan_for_batch(program: CompiledTraining, batch: int) -> LoadedTrainingPlan:
    """The plan for a batch size. Raises UsageError if the network has none."""
    try:
        return program.plan_for(batch)
    except Unsupported as error:
        raise _without_plan(program, error) from None


def stages_for_batch(program: CompiledTraining, batch: int) -> Iterator[Stage]:
    """The stages of the plan for a batch size. Raises UsageError if the network has none, LimitError."""
    try:
        yield from program.stages_for(batch)
    except Unsupported as error:
        raise _without_plan(program, error) from None


def _without_plan(program: CompiledTraining, error: Unsupported) -> UsageError:
    return UsageError(
        f"{program.net.name} has no training plan",
        why=f"{error} has no gradient in machine code: it is trained by the numpy engine",
        fix=f"leave {setting('stage')} out",
    )


def step_bound(program: CompiledTraining, batch: int, machine: Machine) -> float:
    """Lower bound on the seconds of a step's two passes on a machine. Raises UsageError if the network has no plan."""
    plan = plan_for_batch(program, batch).plan
    weights = sum(4 * p.elements for p in program.net.parameters.values())
    return bound(plan.steps, weights, machine, plan.context.threads)


def table(program: CompiledTraining, x: Array, machine: Machine) -> TrainingReport:
    """The plan for a batch with measured times. Raises UsageError if the network has none."""
    loaded = plan_for_batch(program, len(x))
    outputs = program.forward(x, np.random.default_rng(0))
    program.backward_in_place([output / max(output.size, 1) for output in outputs])
    plan = loaded.plan
    threads, net = plan.context.threads, program.net
    weights = sum(4 * p.elements for p in net.parameters.values())
    parameters = sum(4 * p.elements for p in net.parameters.values() if p.trainable)
    seconds = loaded.measure_calls()
    forward, backward = (
        plan_rows(plan.steps[part], seconds[part], weights, machine, threads)
        for part in (slice(plan.first_backward), slice(plan.first_backward, None))
    )
    return TrainingReport(
        forward, backward, machine, plan.context.target.name, threads, plan.arena.bytes, plan.kept_bytes,
        plan.bytes - plan.arena.bytes, weights, parameters, plan.repeats,
    )  # fmt: skip
