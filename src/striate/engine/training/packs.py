"""Packed weights of a training step: repacked in every run, just before use, in scratch space of the arena."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from striate.engine.codegen.kernel import Kernel
from striate.engine.plan import arena
from striate.engine.plan.computation import Correlation
from striate.engine.plan.kernel_calls import KernelCall, Memory, cut
from striate.engine.plan.packing import Packing
from striate.engine.plan.units import Buffer, Unit

Array = NDArray[Any]
Key = tuple[Any, ...]

SINGLE_THREAD_MAX_NUMBERS = 1 << 14
"""Up to this many numbers are packed by one thread."""
SERIAL_MIN_BYTES = 1 << 21
"""From this size on, saving memory matters more than a few microseconds in which threads wait for each other."""


class _Requests(Memory):
    """Memory that collects the constants and packings that a kernel call requests, before anything has an address."""

    def __init__(self) -> None:
        self.packings: dict[Key, Packing] = {}
        self.constants: dict[Key, int] = {}

    def start(self, value: Buffer) -> int:
        return 0

    def constant(self, key: Key, make: Callable[[], Array]) -> int:
        if key not in self.constants:
            self.constants[key] = make().nbytes
        return 0

    def packed(self, key: Key, packing: Callable[[], Packing]) -> int:
        if key not in self.packings:
            self.packings[key] = packing()
        return 0

    def keep(self, array: Array) -> Array:
        return array

    def kernel(self, kernel: Kernel) -> int:
        return 0


def insert_packing(
    steps: Sequence[KernelCall], weights: Mapping[Unit, Buffer], threads: int
) -> tuple[list[KernelCall], dict[Key, Buffer], dict[Key, int]]:
    """Insert packing steps. Returns the steps, the buffers of packed weights, and the bytes of other constants.

    weights: each unit's unpacked weight. Small weights are packed during the steps before their reader, so that no
    thread waits; large ones between these steps, while little else needs memory.
    """
    steps = list(steps)
    values: dict[Key, Buffer] = {}
    constants: dict[Key, int] = {}
    readers: dict[Key, tuple[int, Packing]] = {}
    for at, step in enumerate(steps):
        if isinstance(step.unit.body, Correlation):
            requests = _Requests()
            step.record(requests)
            constants |= requests.constants
            readers |= {key: (at, packing) for key, packing in requests.packings.items() if packing.size}
    when = arena.epochs(steps)
    before: dict[int, list[KernelCall]] = {}
    for key, (at, packing) in readers.items():
        reader = steps[at]
        value = Buffer(f"{reader.unit.name} packed", (1, packing.size), "nc", lanes=1)
        values[key] = value
        steps[at] = dataclasses.replace(reader, reads=[*reader.reads, value], weights=0)
        pack_call = _step(reader, packing, weights[reader.unit], value, threads)
        if 4 * packing.size < SERIAL_MIN_BYTES:
            before.setdefault(bisect.bisect_left(when, when[at]), []).append(pack_call)
            continue
        before.setdefault(at, []).append(dataclasses.replace(pack_call, after_all=True))
        if at + 1 < len(steps):
            steps[at + 1] = dataclasses.replace(steps[at + 1], after_all=True)
    result = []
    for at, step in enumerate(steps):
        result += [*before.get(at, ()), step]
    return result, values, constants


def _step(reader: KernelCall, packing: Packing, plain: Buffer, value: Buffer, threads: int) -> KernelCall:
    def record(memory: Memory) -> Array:
        return packing.record(memory.start(plain), memory.start(value), memory.table)

    tasks = cut(packing.rows, packing.parts, threads if packing.size > SINGLE_THREAD_MAX_NUMBERS else 1)
    return KernelCall(
        reader.unit, "pack", "", packing.kernel, record, packing.rows, packing.parts, [plain], [value],
        scratch=packing.scratch, tasks=tasks,
    )  # fmt: skip
