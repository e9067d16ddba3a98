"""A plan as data: the kernel calls of each group of nodes, their times, and the machine's lower bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from striate.engine import cpu_caches
from striate.engine.plan.kernel_calls import KernelCall
from striate.engine.runtime import limits
from striate.engine.runtime.loaded_plan import LoadedPlan


@dataclasses.dataclass(frozen=True)
class Machine:
    """Peak of multiply-adds, in GFLOP/s (two operations each), and read rate of each level of memory: (capacity in
    bytes, GB/s), the smallest first; the last one is main memory.
    """

    peak: float
    levels: tuple[tuple[int, float], ...]

    @classmethod
    def measure(cls, threads: int) -> Machine:
        """Measure this machine with some threads."""
        sizes = [
            16 << 10,
            cpu_caches.size(2) // 2,
            max(cpu_caches.size(3) // 4, cpu_caches.size(2)),
            256 << 20,
        ]
        capacities = [32 << 10, cpu_caches.size(2), cpu_caches.size(3), 1 << 62]
        rates = [
            limits.read_bandwidth(size * (threads if k < 2 else 1), threads) for k, size in enumerate(sizes)
        ]
        return cls(limits.fma_peak(threads), tuple(zip(capacities, rates, strict=True)))

    def speed(self, size: int, threads: int) -> float:
        """GB/s from the nearest cache level that holds `size` bytes."""
        return next(
            (speed for capacity, speed in self.levels if size <= capacity * threads), self.levels[-1][1]
        )

    def seconds(self, flops: float, values: int, weights: int, packed: int, threads: int) -> float:
        """Lower bound on the time of this work: at full speed, or reading its values from the nearest level that holds
        them, and its weights from the one that holds all `packed` weights, because a run reads all of them.
        """
        reading = values / self.speed(values, threads) + weights / self.speed(packed, threads)
        return max(flops / self.peak, reading) / 1e9


@dataclasses.dataclass(frozen=True)
class PlanRow:
    """One algorithm for the nodes that are computed together. steps: how often it runs (once, or for every image);
    tasks: pieces that threads share; bytes: weights and values, once; limit and seconds: of all its steps.
    """

    nodes: tuple[str, ...]
    algorithm: str
    tile: str
    steps: int
    tasks: int
    flops: float
    bytes: int
    limit: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class PlanReport:
    """All rows in order, and the memory of the whole plan, in bytes."""

    rows: tuple[PlanRow, ...]
    machine: Machine
    target: str
    threads: int
    arena: int
    weights: int


def table(loaded: LoadedPlan, seconds: Sequence[float], weights: int, machine: Machine) -> PlanReport:
    """The report of a plan with measured seconds per step."""
    plan = loaded.plan
    threads = plan.context.threads
    rows = plan_rows(plan.steps, seconds, weights, machine, threads)
    return PlanReport(rows, machine, plan.context.target.name, threads, plan.arena.bytes, weights)


def bound(steps: Iterable[KernelCall], weights: int, machine: Machine, threads: int) -> float:
    """Lower bound on the seconds of these steps, one after the other. weights: bytes of all packed weights."""
    return sum(_least(step, weights, machine, threads) for step in steps)


def _least(step: KernelCall, weights: int, machine: Machine, threads: int) -> float:
    """A call for one image of a batch counts its share of the weights: they may stay near from image to image."""
    values, read = step.bytes - step.weights, round(step.share * step.weights)
    return machine.seconds(step.needed or step.flops, values, read, weights, threads)


def plan_rows(
    steps: Sequence[KernelCall], seconds: Sequence[float], weights: int, machine: Machine, threads: int
) -> tuple[PlanRow, ...]:
    """Rows of some steps. weights: bytes of all packed weights."""
    rows: dict[tuple[tuple[str, ...], str, str], PlanRow] = {}
    for step, took in zip(steps, seconds, strict=True):
        key = tuple(step.unit.nodes), step.algorithm, step.tile
        least = _least(step, weights, machine, threads)
        old = rows.get(key) or PlanRow(*key, 0, 0, 0.0, 0, 0.0, 0.0)
        rows[key] = dataclasses.replace(
            old,
            steps=old.steps + 1, tasks=old.tasks + len(step.tasks), flops=old.flops + step.flops,
            bytes=old.bytes + step.bytes, limit=old.limit + least, seconds=old.seconds + took,
        )  # fmt: skip
    return tuple(rows.values())
