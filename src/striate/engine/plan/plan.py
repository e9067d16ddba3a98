"""The plan of a network for one batch size: steps in order, their tasks, and where everything lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from striate.engine.code import Kernel
from striate.engine.plan import arena, choose, turns
from striate.engine.plan.fuse import graph
from striate.engine.plan.place import place
from striate.engine.plan.steps import Context, Step
from striate.engine.plan.units import Unit, Value
from striate.network import Network

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps, the epoch of each, and the memory they share. inputs, outputs: by name."""

    net: Network
    context: Context
    steps: list[Step]
    epochs: list[int]
    arena: arena.Arena
    inputs: dict[str, Value]
    outputs: dict[str, Value]

    @property
    def kernels(self) -> list[Kernel]:
        """All code that the plan runs."""
        return list(dict.fromkeys(k for step in self.steps for k in (step.kernel, *step.uses)))

    @property
    def scratch(self) -> int:
        """Bytes that each thread needs for itself."""
        return max((step.scratch for step in self.steps), default=0)


def plan(net: Network, weights: Mapping[str, Array], keep: Collection[str], context: Context) -> Plan:
    """Plan a network whose input spec has the whole batch; `keep` names the results."""
    context = context.reading(sum(array.nbytes for array in weights.values()))
    made = graph(net, weights, keep, lambda body: choose.covered(body, context.target.lanes))
    units = place(made, context.target, lambda unit: choose.border(unit, context))
    images = next(iter(net.inputs.values())).shape[0]
    steps = stepped(units, context)
    found = turns.stretches(steps, images, context)
    if found:
        for value in (value for stretch in found for value in stretch.inner):
            value.turns = True
        steps = stepped(units, context)  # records know the layouts from the start
    steps, places = turns.expanded(steps, found, images, context.threads)
    when = arena.epochs(steps)
    outputs = {step.writes[0].name: step.writes[0] for step in steps if step.writes[0].result}
    inputs = {v.name: v for step in steps for v in step.reads if v.given}
    return Plan(net, context, steps, when, arena.allot(steps, when, places), inputs, outputs)


def stepped(
    units: Sequence[Unit],
    context: Context,
    chosen: Callable[[Unit, Context], list[Step]] = choose.steps,
) -> list[Step]:
    """The steps of all units, and zeros around what has a border, beside the step that writes it first."""
    steps: list[Step] = []
    clean: set[Value] = set()
    for unit in units:
        for step in chosen(unit, context):
            steps.append(step)
            for value in dict.fromkeys(v.root for v in step.writes if not v.outside):
                if any(value.pads) and value not in clean:
                    steps.append(choose.bordered(unit, value, context))
                clean.add(value)
    return steps
