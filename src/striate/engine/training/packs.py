"""Packed weights of a training step: made anew in each run, shortly before they are read, in memory that is lent."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from striate.engine.code import Kernel
from striate.engine.plan import arena
from striate.engine.plan.packing import Packing
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.steps import Memory, Step, cut
from striate.engine.plan.units import Unit, Value

Array = NDArray[Any]
Key = tuple[Any, ...]

SMALL = 1 << 14
"""Numbers up to which one thread packs them."""
BIG = 1 << 21
"""Bytes from which on memory counts more than the microseconds that threads wait for each other."""


class _Asked(Memory):
    """What a step's record asks for, before anything has an address."""

    def __init__(self) -> None:
        self.packings: dict[Key, Packing] = {}
        self.constants: dict[Key, int] = {}

    def start(self, value: Value) -> int:
        return 0

    def constant(self, key: Key, make: Callable[[], Array]) -> int:
        if key not in self.constants:
            self.constants[key] = make().nbytes
        return 0

    def packed(self, key: Key, packing: Callable[[], Packing]) -> int:
        if key not in self.packings:
            self.packings[key] = packing()
        return 0

    def kept(self, array: Array) -> Array:
        return array

    def kernel(self, kernel: Kernel) -> int:
        return 0


def packed(
    steps: Sequence[Step], weights: Mapping[Unit, Value], threads: int
) -> tuple[list[Step], dict[Key, Value], dict[Key, int]]:
    """The steps with those that pack weights among them; where packed weights lie; bytes of other constants.

    weights: each unit's weight as given. They are packed beside the steps before those that read them, so that nobody
    waits for it; many at once between those steps, so that little else needs memory meanwhile.
    """
    values: dict[Key, Value] = {}
    constants: dict[Key, int] = {}
    readers: dict[Key, tuple[int, Packing]] = {}
    for at, step in enumerate(steps):
        if isinstance(step.unit.body, Correlation):
            asked = _Asked()
            step.record(asked)
            constants |= asked.constants
            readers |= {key: (at, packing) for key, packing in asked.packings.items() if packing.size}
    when = arena.epochs(steps)
    before: dict[int, list[Step]] = {}
    for key, (at, packing) in readers.items():
        reader = steps[at]
        value = Value(f"{reader.unit.name} packed", (1, packing.size), "nc", lanes=1)
        values[key] = value
        reader.reads, reader.weights = [*reader.reads, value], 0
        made = _step(reader, packing, weights[reader.unit], value, threads)
        if 4 * packing.size < BIG:
            before.setdefault(bisect.bisect_left(when, when[at]), []).append(made)
            continue
        before.setdefault(at, []).append(made)
        made.after_all = True
        if at + 1 < len(steps):
            steps[at + 1].after_all = True
    done = []
    for at, step in enumerate(steps):
        done += [*before.get(at, ()), step]
    return done, values, constants


def _step(reader: Step, packing: Packing, plain: Value, value: Value, threads: int) -> Step:
    def record(memory: Memory) -> Array:
        return packing.record(memory.start(plain), memory.start(value), memory.table)

    made = Step(
        reader.unit, "pack", "", packing.kernel, record, packing.rows, packing.parts, [plain], [value],
        scratch=packing.scratch,
    )  # fmt: skip
    made.tasks = cut(packing.rows, packing.parts, threads if packing.size > SMALL else 1)
    return made
