"""The plan of a network for one batch size: kernel calls in order, their tasks, and the memory layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.plan import arena, choose, per_image
from striate.engine.plan.fuse import graph
from striate.engine.plan.kernel_calls import KernelCall, PlanContext, useful_threads
from striate.engine.plan.place import place
from striate.engine.plan.units import Buffer, Unit
from striate.network import Network

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class ExecutionPlan:
    """Steps, the epoch of each, and the memory they share. inputs, outputs: by name."""

    net: Network
    context: PlanContext
    steps: list[KernelCall]
    epochs: list[int]
    arena: arena.Arena
    inputs: dict[str, Buffer]
    outputs: dict[str, Buffer]

    @property
    def kernels(self) -> list[Kernel]:
        """All kernels of the plan."""
        return list(dict.fromkeys(k for step in self.steps for k in (step.kernel, *step.uses)))

    @property
    def scratch(self) -> int:
        """Bytes of scratch per thread."""
        return max((step.scratch for step in self.steps), default=0)


def plan(
    net: Network, weights: Mapping[str, Array], keep: Collection[str], context: PlanContext
) -> ExecutionPlan:
    """Plan a network whose input spec has the whole batch; `keep` names the results."""
    context = context.reading(sum(array.nbytes for array in weights.values()))
    graph_ = graph(net, weights, keep, lambda body: choose.has_kernel(body, context.target.lanes))
    units = place(graph_, context.target, lambda unit: choose.border(unit, context))
    images = next(iter(net.inputs.values())).shape[0]
    steps = kernel_calls_of(units, context)
    spans = per_image.find_spans(steps, images, context)
    if spans:
        for value in (value for span in spans for value in span.inner):
            value.shares_image_slot = True
        steps = kernel_calls_of(units, context)  # records know the layouts from the start
    steps, places = per_image.expand(steps, spans, images, useful_threads(steps, context.threads))
    when = arena.epochs(steps)
    outputs = {step.writes[0].name: step.writes[0] for step in steps if step.writes[0].is_result}
    inputs = {v.name: v for step in steps for v in step.reads if v.is_input}
    return ExecutionPlan(net, context, steps, when, arena.allot(steps, when, places), inputs, outputs)


def kernel_calls_of(
    units: Sequence[Unit],
    context: PlanContext,
    steps_of: Callable[[Unit, PlanContext], list[KernelCall]] = choose.steps,
) -> list[KernelCall]:
    """The calls of all units, and one that zeroes the border of each bordered buffer, next to its first writer."""
    steps: list[KernelCall] = []
    clean: set[Buffer] = set()
    for unit in units:
        for step in steps_of(unit, context):
            steps.append(step)
            for value in dict.fromkeys(v.root for v in step.writes if not v.outside):
                if any(value.pads) and value not in clean:
                    steps.append(choose.zero_border(unit, value, context))
                clean.add(value)
    return steps
