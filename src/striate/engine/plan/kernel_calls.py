"""Kernel calls: what the compiled driver runs. Each is a kernel, its argument record, and its tasks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import Array, Key, Record
from striate.engine.plan.units import Buffer, Unit
from striate.engine.target import Target

if TYPE_CHECKING:
    from striate.engine.plan.packing import Packing

Task = tuple[int, int, int, int]
"""Rows from, to; parts from, to."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """Weights that a kernel packs, where `packing` says how; those of one key are the same."""

    key: Key
    packing: Callable[[], Packing] = dataclasses.field(compare=False, repr=False)

    def pack(self, code: Mapping[Kernel, int]) -> Array:
        """As `Constant.pack`."""
        return self.packing().pack(code)


@dataclasses.dataclass(frozen=True, eq=False)
class KernelCall:
    """One kernel over some rows and parts. record: its arguments; tasks: disjoint ranges that cover all of it.

    flops, bytes: for the roofline; `bytes` counts weights and values once. needed: flops of an algorithm that needs
    fewer than the direct sum, 0 if it does not. cycles: what the cost model predicts for one thread and values in the
    caches, 0 if it says nothing.
    """

    unit: Unit
    algorithm: str
    tile: str
    kernel: Kernel
    record: Record
    rows: int
    parts: int
    reads: list[Buffer]
    writes: list[Buffer]
    uses: tuple[Kernel, ...] = ()
    scratch: int = 0
    flops: float = 0.0
    needed: float = 0.0
    cycles: float = 0.0
    weights: int = 0
    all_rows: bool = False
    """Tasks take all rows."""
    by_parts: bool = False
    """Divide into parts rather than into rows: each core then reads its own share of the weights."""
    only_writes: bool = False
    """It writes only bytes that no other step touches (a border)."""
    after_all: bool = False
    """It must not run at the same time as the calls before it."""
    imagewise: bool = False
    """Its rows go through the images in order, and images share nothing: it may run image by image."""
    reads_per_part: bool = False
    """Every part reads all that the call reads."""
    share: float = 1.0
    """The part of its values that it touches: one image of a batch."""
    tasks: list[Task] = dataclasses.field(default_factory=list)

    @property
    def bytes(self) -> int:
        return self.weights + round(
            self.share * sum(value.layout.bytes for value in (*self.reads, *self.writes))
        )


@dataclasses.dataclass(frozen=True)
class PlanContext:
    """Properties of the machine and settings that planning depends on: the processor, the number of threads, and
    whether rounding must stay minimal."""

    target: Target
    threads: int
    strict: bool = False
    cache: int = 1 << 20
    last: int = 8 << 20
    """Bytes of the second-level cache, and of the last one."""
    memory: float = 2.2e10
    """Estimate, used only to choose algorithms: bytes per second at which weights are read."""

    def reading(self, weights: int) -> PlanContext:
        """The context for this many bytes of weights: few of them stay in the last-level cache between two runs."""
        near = WINOGRAD_WEIGHT_FACTOR * weights <= self.last
        return dataclasses.replace(self, memory=LLC_BYTES_PER_S if near else self.memory)


def useful_threads(steps: Sequence[KernelCall], threads: int) -> int:
    """The threads of a plan: one where all its work takes less time than to wake another."""
    return threads if sum(map(_work, steps)) >= MIN_PARALLEL_PLAN_FLOPS else 1


def divide_tasks(step: KernelCall, threads: int) -> list[Task]:
    """Tasks for a number of threads: of large steps a few per thread, so that a late thread does not keep the others
    waiting; of a small step one per thread, so that each finds in its own cache what it wrote before."""
    if not step.rows or not step.parts:
        return []
    work = _work(step)
    each = 4 if work > 8 * LONG_STEP_FLOPS else 2 if work >= LONG_STEP_FLOPS else 1
    count = min(threads * each, int(work // MIN_TASK_FLOPS)) if threads > 1 else 1
    return cut(step.rows, step.parts, max(count, 1), step.by_parts, step.all_rows)


def _work(step: KernelCall) -> float:
    """Operations, or as many as take the time of moving its bytes."""
    return max(step.flops, step.bytes / 4)


def divided(calls: Sequence[KernelCall], threads: int) -> list[KernelCall]:
    """The calls with their tasks for a number of threads."""
    return [dataclasses.replace(call, tasks=divide_tasks(call, threads)) for call in calls]


def cut(rows: int, parts: int, count: int, by_parts: bool = False, cut_once: bool = False) -> list[Task]:
    """Cut into about `count` tasks: rows first, then parts if there are too few (`by_parts`: parts first).

    cut_once: leave the second axis uncut.
    """
    first, second = (parts, rows) if by_parts else (rows, parts)
    outer = min(count, first)
    inner = min(-(-count // outer), second) if outer < count and not cut_once else 1
    a, b = _cuts(first, outer), _cuts(second, inner)
    pairs = [(x, y) for x in a for y in b]
    return [(*y, *x) if by_parts else (*x, *y) for x, y in pairs]


WINOGRAD_WEIGHT_FACTOR = 4
"""Winograd's transformed weights take up to four times the memory."""
LLC_BYTES_PER_S = 6e10
"""Read rate of the last-level cache."""
MIN_TASK_FLOPS = 1e4
"""Least work of a task: about a tenth of a microsecond, in which a cache line gets from one core to another."""
LONG_STEP_FLOPS = 1e6
"""A step of about ten microseconds: threads then differ by more than another task costs."""
MIN_PARALLEL_PLAN_FLOPS = 2e6
"""A plan of about twenty microseconds: a thread that sleeps is not awake before."""


def _cuts(size: int, count: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, size, count + 1).round().astype(int).tolist()
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]
