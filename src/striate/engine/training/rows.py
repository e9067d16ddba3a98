"""A training plan as plain facts: its rows forward and back, and what memory a step takes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError, setting
from striate.engine.rows import Machine, Row, gathered
from striate.engine.training.ledger import Unsupported
from striate.engine.training.program import BoundTraining, CompiledTraining

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class TrainingTable:
    """Rows in order, and bytes. arena: values, gradients and packed weights; kept: of it, what waits for the way back
    when the forward run is done; beside: threads' own memory, and weights that stay packed; weights: all of the
    network's; parameters: those that are learnt, as many again are gradients (in the arena) and each kind of moments.
    again: units that are computed once more on the way back.
    """

    forward: tuple[Row, ...]
    backward: tuple[Row, ...]
    machine: Machine
    target: str
    threads: int
    arena: int
    kept: int
    beside: int
    weights: int
    parameters: int
    again: int

    @property
    def total(self) -> int:
        """What a step takes with one kind of moments."""
        return self.arena + self.beside + self.weights + self.parameters


def ready(program: CompiledTraining, batch: int) -> BoundTraining:
    """The plan for a batch size. Raises UsageError where the network has none."""
    try:
        return program.bound(batch)
    except Unsupported as error:
        raise UsageError(
            f"{program.net.name} has no training plan",
            why=f"{error} has no gradient in machine code: it is trained by the numpy engine",
            fix=f"leave {setting('stage')} out",
        ) from None


def table(program: CompiledTraining, x: Array, machine: Machine) -> TrainingTable:
    """The plan for a batch with its times. Raises UsageError where the network has none."""
    bound = ready(program, len(x))
    outputs = program.forward(x, np.random.default_rng(0))
    program.lent([output / max(output.size, 1) for output in outputs])
    plan = bound.plan
    threads, net = plan.context.threads, program.net
    weights = sum(4 * p.elements for p in net.parameters.values())
    parameters = sum(4 * p.elements for p in net.parameters.values() if p.trainable)
    seconds = bound.measured()
    forward, backward = (
        gathered(plan.steps[part], seconds[part], weights, machine, threads)
        for part in (slice(plan.turn), slice(plan.turn, None))
    )
    return TrainingTable(
        forward, backward, machine, plan.context.target.name, threads, plan.arena.bytes, plan.kept,
        plan.bytes - plan.arena.bytes, weights, parameters, plan.again,
    )  # fmt: skip
