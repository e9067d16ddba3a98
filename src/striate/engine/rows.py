"""A plan as plain facts: what runs for which nodes, how long it takes, and how long the machine would need at least."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from striate.engine import caches, limits
from striate.engine.bound import Bound
from striate.engine.plan.steps import Step


@dataclasses.dataclass(frozen=True)
class Machine:
    """Most multiply-adds, in GFLOP/s (two operations each), and GB/s read from each level: (bytes that it holds, GB/s),
    the smallest first; beyond the last one is memory.
    """

    peak: float
    levels: tuple[tuple[int, float], ...]

    @classmethod
    def measured(cls, threads: int) -> Machine:
        """Of this machine, now, with that many threads."""
        sizes = [16 << 10, caches.size(2) // 2, max(caches.size(3) // 4, caches.size(2)), 256 << 20]
        held = [32 << 10, caches.size(2), caches.size(3), 1 << 62]
        found = [
            limits.read_bandwidth(size * (threads if k < 2 else 1), threads) for k, size in enumerate(sizes)
        ]
        return cls(limits.fma_peak(threads), tuple(zip(held, found, strict=True)))

    def speed(self, size: int, threads: int) -> float:
        """GB/s from the nearest level that holds so many bytes."""
        return next((speed for held, speed in self.levels if size <= held * threads), self.levels[-1][1])

    def seconds(self, flops: float, values: int, weights: int, packed: int, threads: int) -> float:
        """What so much work takes at least: at full speed; or reading its values from the nearest level that holds
        them, and its weights from the one that holds all `packed` weights, for all of them pass between two runs.
        """
        reading = values / self.speed(values, threads) + weights / self.speed(packed, threads)
        return max(flops / self.peak, reading) / 1e9


@dataclasses.dataclass(frozen=True)
class Row:
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
class Table:
    """All rows in order, and what the plan takes as a whole; seconds: of a run, the median of some."""

    rows: tuple[Row, ...]
    machine: Machine
    target: str
    threads: int
    arena: int
    weights: int


def table(bound: Bound, seconds: Sequence[float], weights: int, machine: Machine) -> Table:
    """The facts of a plan whose steps took so long."""
    plan = bound.plan
    threads = plan.context.threads
    rows = gathered(plan.steps, seconds, weights, machine, threads)
    return Table(rows, machine, plan.context.target.name, threads, plan.arena.bytes, weights)


def gathered(
    steps: Sequence[Step], seconds: Sequence[float], weights: int, machine: Machine, threads: int
) -> tuple[Row, ...]:
    """Rows of some steps. weights: bytes of all packed weights."""
    found: dict[tuple[tuple[str, ...], str, str], Row] = {}
    for step, took in zip(steps, seconds, strict=True):
        key = tuple(step.unit.nodes), step.algorithm, step.tile
        least = machine.seconds(step.flops, step.bytes - step.weights, step.weights, weights, threads)
        old = found.get(key) or Row(*key, 0, 0, 0.0, 0, 0.0, 0.0)
        found[key] = dataclasses.replace(
            old,
            steps=old.steps + 1, tasks=old.tasks + len(step.tasks), flops=old.flops + step.flops,
            bytes=old.bytes + step.bytes, limit=old.limit + least, seconds=old.seconds + took,
        )  # fmt: skip
    return tuple(found.values())
