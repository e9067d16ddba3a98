"""Packed weights of a training step: repacked in every run, just before use, in scratch space of the arena."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping, Sequence

from striate.engine.kernels.argument_record import Constant, Key
from striate.engine.plan import arena
from striate.engine.plan.computation import Correlation
from striate.engine.plan.kernel_calls import KernelCall, Packed, cut
from striate.engine.plan.packing import Packing
from striate.engine.plan.units import Buffer, Unit

SINGLE_THREAD_MAX_NUMBERS = 1 << 14
"""Up to this many numbers are packed by one thread."""
SERIAL_MIN_BYTES = 1 << 21
"""From this size on, saving memory matters more than a few microseconds in which threads wait for each other."""


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
            for constant in step.record.places(Constant):
                if constant.key not in constants:
                    constants[constant.key] = constant.make().nbytes
            for packed in step.record.places(Packed):
                packing = packed.packing()
                if packing.size:
                    readers[packed.key] = at, packing
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
    record = packing.record(plain.start_address, value.start_address)
    tasks = cut(packing.rows, packing.parts, threads if packing.size > SINGLE_THREAD_MAX_NUMBERS else 1)
    return KernelCall(
        reader.unit, "pack", "", packing.kernel, record, packing.rows, packing.parts, [plain], [value],
        scratch=packing.scratch, tasks=tasks,
    )  # fmt: skip
