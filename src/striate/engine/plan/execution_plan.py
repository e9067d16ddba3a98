"""The plan of a network for one batch size: kernel calls in order, their tasks, and the memory layout.

Made in stages: fused, placed, spanned, stepped, allotted (`plan.stages`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.plan import arena, choose, copies, per_image, soundness
from striate.engine.plan.fuse import fuse
from striate.engine.plan.kernel_calls import KernelCall, PlanContext, useful_threads
from striate.engine.plan.place import place
from striate.engine.plan.stages import Placed, Spanned, Stage, Stepped, verified
from striate.engine.plan.units import Buffer, Copied, Unit
from striate.network import Network

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class ExecutionPlan(Stage):
    """Steps, the epoch of each, and the memory they share. inputs, outputs: by name."""

    name: ClassVar[str] = "allotted"
    net: Network
    context: PlanContext
    steps: list[KernelCall]
    epochs: list[int]
    arena: arena.Arena
    inputs: dict[str, Buffer]
    outputs: dict[str, Buffer]

    @property
    def outside(self) -> frozenset[Buffer]:
        """Buffers whose memory belongs to the caller, and that may lie elsewhere in each run."""
        return frozenset((*self.inputs.values(), *self.outputs.values()))

    @property
    def kernels(self) -> list[Kernel]:
        """All kernels of the plan."""
        return list(dict.fromkeys(k for step in self.steps for k in (step.kernel, *step.uses)))

    @property
    def scratch(self) -> int:
        """Bytes of scratch per thread."""
        return max((step.scratch for step in self.steps), default=0)

    @property
    def lasting(self) -> list[Buffer]:
        """Buffers of the arena that are read after the run."""
        return []

    def faults(self) -> Iterator[str]:
        offsets = self.arena.offsets
        yield from soundness.in_arena(self.steps, offsets, self.arena.bytes)
        yield from soundness.read_before_overwritten(self.steps, self.epochs, offsets, self.lasting)


def plan(
    net: Network, weights: Mapping[str, Array], keep: Collection[str], context: PlanContext
) -> ExecutionPlan:
    """Plan a network whose input spec has the whole batch; `keep` names the results."""
    *_, last = verified(stages(net, weights, keep, context))
    assert isinstance(last, ExecutionPlan)
    return last


def stages(
    net: Network, weights: Mapping[str, Array], keep: Collection[str], context: PlanContext
) -> Iterator[Stage]:
    """The stages of a plan, in order; the last one is the plan."""
    context = context.reading(sum(array.nbytes for array in weights.values()))
    fused = fuse(net, weights, keep, lambda body: choose.has_kernel(body, context.target.lanes))
    yield fused
    placed = place(fused, context.target, lambda unit: choose.border(unit, context))
    yield placed
    spanned = span(placed, context)
    yield spanned
    stepped = step(spanned, context)
    yield stepped
    yield allot(stepped, context)


def span(placed: Placed, context: PlanContext) -> Spanned:
    """Choose the calls that run image by image. The buffers between them get one slot for all images, and the calls are
    made for these layouts."""
    calls = kernel_calls_of(placed.units, context)
    spans = per_image.find_spans(calls, _images(placed.net), context)
    if not spans:
        return Spanned(placed.net, placed.units, tuple(calls), ())
    inner = {value for span in spans for value in span.inner}
    units = tuple(Copied(lambda value: {"shares_image_slot": value in inner}).units(placed.units))
    calls = kernel_calls_of(units, context)
    return Spanned(
        placed.net, units, tuple(calls), tuple(per_image.with_slots(span, calls) for span in spans)
    )


def step(spanned: Spanned, context: PlanContext) -> Stepped:
    """Divide the calls into tasks and repeat those of spans for each image."""
    threads = useful_threads(spanned.calls, context.threads)
    calls, places = per_image.expand(spanned.calls, spanned.spans, _images(spanned.net), threads)
    return Stepped(spanned.net, tuple(calls), tuple(arena.epochs(calls)), tuple(places))


def allot(stepped: Stepped, context: PlanContext) -> ExecutionPlan:
    """Give every buffer its memory."""
    calls, epochs = list(stepped.calls), list(stepped.epochs)
    writes = [call.writes[0] for call in calls]
    return ExecutionPlan(
        stepped.net, context, calls, epochs, arena.allot(calls, epochs, stepped.spans),
        {v.name: v for call in calls for v in call.reads if v.is_input},
        {value.name: value for value in writes if value.is_result},
    )  # fmt: skip


def kernel_calls_of(units: Sequence[Unit], context: PlanContext) -> list[KernelCall]:
    """The calls of all units, and one that zeroes the border of each bordered buffer, next to its first writer."""
    steps: list[KernelCall] = []
    clean: set[Buffer] = set()
    for unit in units:
        for step in choose.kernel_calls(unit, context):
            steps.append(step)
            for value in dict.fromkeys(v.root for v in step.writes if not v.outside):
                if any(value.pads) and value not in clean:
                    steps.append(copies.zero_border(unit, value))
                clean.add(value)
    return steps


def _images(net: Network) -> int:
    return next(iter(net.inputs.values())).shape[0]
