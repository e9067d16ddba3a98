"""Recomputation: values that the backward pass computes again instead of keeping them, and the memory this saves.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. A unit is repeated right before the first
one that needs its value, with the same kernels and inputs: results are bit-identical. Sums over a batch are never
repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from striate.engine.plan.execution_plan import ExecutionPlan
from striate.engine.plan.place import overwritable
from striate.engine.plan.units import Buffer, ChannelSums, Copied, Enter, Leave, Unit
from striate.engine.training.operands import is_vector
from striate.engine.training.taped import Repeated, Taped

Producer = tuple[int, int]
"""A value by its producer: the unit's number, and the number of the output."""

ONCE = (Enter, Leave, ChannelSums)
"""What is never repeated: copies from and to the caller's memory, and sums over a batch."""
FLOPS_PER_S, BYTES_PER_S = 1e11, 1e10
"""Rough rates per second, for choosing only."""


class Flow:
    """Producer and readers of each value, by number, without the caller's inputs and results.

    lasting: values that live to the end.
    """

    def __init__(self, units: Sequence[Unit], first_backward: int, lasting: Collection[Buffer] = ()) -> None:
        self.units, self.first_backward = list(units), first_backward
        self.numbers: dict[Buffer, int] = {}
        self.producers: list[Producer] = []
        self.maker: list[int] = []
        self.writes: list[list[int]] = []
        for at, unit in enumerate(units):
            for k, value in enumerate(unit.outputs):
                if (value in lasting or not value.root.outside) and value.root not in self.numbers:
                    self.numbers[value.root] = len(self.producers)
                    self.producers.append((at, k))
                    self.maker.append(at)
            self.writes.append([self.numbers[v.root] for v in unit.outputs if v.root in self.numbers])
        self.reads = [
            [self.numbers[root] for root in dict.fromkeys(v.root for v in unit.reads) if root in self.numbers]
            for unit in units
        ]
        self.waiting = {
            v for reads in self.reads[first_backward:] for v in reads if self.maker[v] < first_backward
        }
        self.repeatable = {
            self.numbers[value]
            for unit in units[:first_backward]
            if not isinstance(unit.body, ONCE) and not any(v.outside or v.home for v in unit.outputs)
            for value in unit.outputs
            if not is_vector(value)
        }
        self._lasting = {self.numbers[value] for value in lasting}
        self._over = [
            {self.numbers[value] for value in overwritable(unit) if value in self.numbers} for unit in units
        ]
        self.sizes = [0] * len(self.producers)
        self.seconds = [0.0] * len(self.units)
        self._other_bytes = [0] * len(self.units)

    def not_kept(self, dropped: Collection[int]) -> set[int]:
        """Values that are not kept: the dropped ones, and those that the backward pass does not read."""
        return {*dropped, *(self.repeatable - self.waiting)}

    def repeats(self, missing: Collection[int]) -> dict[int, list[int]]:
        """Units to repeat before a unit of the backward pass, by that unit, in order."""
        before: dict[int, list[int]] = {}
        makers: set[int] = set()
        for at in range(self.first_backward, len(self.units)):
            repeats, queue = [], list(self.reads[at])
            while queue:
                value = queue.pop()
                maker = self.maker[value]
                if value in missing and maker not in makers:
                    makers.add(maker)
                    repeats.append(maker)
                    queue += self.reads[maker]
            if repeats:
                before[at] = sorted(repeats)
        return before

    def measure(self, plan: ExecutionPlan, copied: Copied) -> None:
        """Take sizes and times from the plan without recomputation. copied: the copies of units and buffers in it."""
        number = {copied.unit(unit): at for at, unit in enumerate(self.units)}
        numbers = {copied.buffer(value): k for value, k in self.numbers.items()}
        for value, k in numbers.items():
            self.sizes[k] = value.layout.bytes
        for step in plan.steps:
            at = number.get(step.unit)
            if at is not None:
                self.seconds[at] += step.flops / FLOPS_PER_S + step.bytes / BYTES_PER_S
                self._other_bytes[at] += sum(
                    v.layout.bytes for v in step.writes if not v.outside and v.root not in numbers
                )
        few = sum(self.sizes) >> 14  # all vectors together are negligible
        unit_values = ({*reads, *writes} for reads, writes in zip(self.reads, self.writes, strict=True))
        self._large = [sorted(v for v in values if self.sizes[v] > few) for values in unit_values]

    def needs(self, dropped: Collection[int]) -> tuple[int, float]:
        """Estimated (peak bytes, seconds of repeated units)."""
        missing = self.not_kept(dropped)
        before = self.repeats(missing)
        count, first_backward, sizes = len(self.producers), self.first_backward, [*self.sizes, *self.sizes]
        units: list[int] = []
        unit_values: list[Sequence[int]] = []
        for at in range(len(self.units)):
            for repeat in before.get(at, ()):
                units.append(repeat)
                renewed = {*self.writes[repeat], *missing}
                unit_values.append([v + count if v in renewed else v for v in self._large[repeat]])
            large = self._large[at]
            units.append(at)  # dropped values have been repeated before they are read
            unit_values.append(
                [v + count if v in missing else v for v in large] if at >= first_backward else large
            )
        last = {v: k for k, values in enumerate(unit_values) for v in values}
        alive = most = 0
        living: set[int] = set()
        for k, (at, values) in enumerate(zip(units, unit_values, strict=True)):
            fresh = [v for v in values if v not in living]
            ended = [v for v in values if last[v] == k and v not in self._lasting]
            alive += sum(sizes[v] for v in fresh)
            living.update(fresh)
            over = 0
            if len(fresh) == 1 and ended:  # may overwrite an operand
                size = sizes[fresh[0]]
                over = size if any(v % count in self._over[at] and sizes[v] == size for v in ended) else 0
            following = self._other_bytes[units[k + 1]] if k + 1 < len(units) else 0
            most = max(most, alive - over + self._other_bytes[at] + following)
            alive -= sum(sizes[v] for v in ended)
            living.difference_update(ended)
        return most, sum(self.seconds[unit] for repeats in before.values() for unit in repeats)


def insert_repeats(taped: Taped, dropped: Collection[Producer]) -> Repeated:
    """Insert units that recompute dropped values before the units of the backward pass that read them."""
    units, first_backward = taped.units, taped.first_backward
    if not dropped:
        return Repeated(taped.net, units, first_backward, taped.buffers, 0, {})
    flow = Flow(units, first_backward)
    number = {producer: k for k, producer in enumerate(flow.producers)}
    missing = flow.not_kept([number[producer] for producer in dropped])
    before = flow.repeats(missing)
    lost = {value for value, k in flow.numbers.items() if k in missing}
    fresh: dict[Buffer, Buffer] = {}
    result: list[Unit] = []
    for at, unit in enumerate(units):
        for maker in before.get(at, ()):
            old = units[maker]
            outputs = {v: Buffer(v.name, v.shape, v.roles, lanes=v.lanes) for v in old.outputs}
            copy = _redirected(old, fresh | outputs)
            result.append(dataclasses.replace(copy, nodes=[f"{name} again" for name in old.nodes]))
            fresh |= {v: new for v, new in outputs.items() if v in lost}
        result.append(_redirected(unit, fresh) if at >= first_backward else unit)
    again = sum(map(len, before.values()))
    return Repeated(taped.net, tuple(result), first_backward, taped.buffers, again, fresh)


def _redirected(unit: Unit, fresh: Mapping[Buffer, Buffer]) -> Unit:
    """The unit over other buffers."""

    def now(value: Buffer) -> Buffer:
        if value in fresh:
            return fresh[value]
        if value.home is None or value.root not in fresh:
            return value
        return dataclasses.replace(value, home=now(value.home))

    return unit.over(now)
