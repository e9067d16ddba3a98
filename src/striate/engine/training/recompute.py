"""Recomputation: values that the backward pass computes again instead of keeping them, and the memory this saves.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. A unit is repeated right before the first
one that needs its value, with the same kernels and inputs: results are bit-identical. Sums over a batch are never
repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from striate.engine.plan.computation import Copies, Correlation, LocalResponseNorm, Norm, Pool, Softmax
from striate.engine.plan.execution_plan import ExecutionPlan
from striate.engine.plan.place import overwritable
from striate.engine.plan.units import Buffer, ChannelSums, FusedElementwise, Loops, Unit
from striate.engine.training.unit_builder import is_vector

Made = tuple[int, int]
"""A value by its producer: the unit's number, and the number of the output."""

REPEATABLE = (Correlation, FusedElementwise, Pool, Copies, Norm, LocalResponseNorm, Softmax, Loops)
FLOPS_PER_S, BYTES_PER_S = 1e11, 1e10
"""Rough rates per second, for choosing only."""


class Flow:
    """Producer and readers of each value, by number, without the caller's inputs and results.

    lasting: values that live to the end.
    """

    def __init__(self, units: Sequence[Unit], first_backward: int, lasting: Collection[Buffer] = ()) -> None:
        self.units, self.first_backward = list(units), first_backward
        self.numbers: dict[Buffer, int] = {}
        self.made: list[Made] = []
        self.maker: list[int] = []
        self.writes: list[list[int]] = []
        for at, unit in enumerate(units):
            for k, value in enumerate(unit.outputs):
                if (value in lasting or not value.root.outside) and value.root not in self.numbers:
                    self.numbers[value.root] = len(self.made)
                    self.made.append((at, k))
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
            if isinstance(unit.body, REPEATABLE) and not any(v.outside or v.home for v in unit.outputs)
            for value in unit.outputs
            if not is_vector(value)
        }
        self._lasting = {self.numbers[value] for value in lasting}
        self._over = [
            {self.numbers[value] for value in overwritable(unit) if value in self.numbers} for unit in units
        ]
        self.sizes = [0] * len(self.made)
        self.seconds = [0.0] * len(self.units)
        self._beside = [0] * len(self.units)

    def gone(self, dropped: Collection[int]) -> set[int]:
        """Values that are not kept: dropped ones, and those that the backward pass does not read."""
        return {*dropped, *(self.repeatable - self.waiting)}

    def repeated(self, gone: Collection[int]) -> dict[int, list[int]]:
        """Units to repeat before a unit of the backward pass, by that unit, in order."""
        before: dict[int, list[int]] = {}
        done: set[int] = set()
        for at in range(self.first_backward, len(self.units)):
            found, asked = [], list(self.reads[at])
            while asked:
                value = asked.pop()
                maker = self.maker[value]
                if value in gone and maker not in done:
                    done.add(maker)
                    found.append(maker)
                    asked += self.reads[maker]
            if found:
                before[at] = sorted(found)
        return before

    def measured(self, plan: ExecutionPlan) -> None:
        """Take sizes and times from the plan without repetition."""
        number = {unit: at for at, unit in enumerate(self.units)}
        for value, k in self.numbers.items():
            self.sizes[k] = value.layout.bytes
        for step in plan.steps:
            at = number.get(step.unit)
            if at is not None:
                self.seconds[at] += step.flops / FLOPS_PER_S + step.bytes / BYTES_PER_S
                self._beside[at] += sum(
                    v.layout.bytes for v in step.writes if not v.outside and v.root not in self.numbers
                )
        few = sum(self.sizes) >> 14  # all vectors together are negligible
        touched = ({*reads, *writes} for reads, writes in zip(self.reads, self.writes, strict=True))
        self._large = [sorted(v for v in values if self.sizes[v] > few) for values in touched]

    def needs(self, dropped: Collection[int]) -> tuple[int, float]:
        """Estimated (peak bytes, seconds of repeated units)."""
        gone = self.gone(dropped)
        before = self.repeated(gone)
        count, first_backward, sizes = len(self.made), self.first_backward, [*self.sizes, *self.sizes]
        units: list[int] = []
        touched: list[Sequence[int]] = []
        for at in range(len(self.units)):
            for again in before.get(at, ()):
                units.append(again)
                made = {*self.writes[again], *gone}
                touched.append([v + count if v in made else v for v in self._large[again]])
            large = self._large[at]
            units.append(at)  # dropped values have been repeated before they are read
            touched.append([v + count if v in gone else v for v in large] if at >= first_backward else large)
        last = {v: k for k, values in enumerate(touched) for v in values}
        alive = most = 0
        living: set[int] = set()
        for k, (at, values) in enumerate(zip(units, touched, strict=True)):
            fresh = [v for v in values if v not in living]
            ended = [v for v in values if last[v] == k and v not in self._lasting]
            alive += sum(sizes[v] for v in fresh)
            living.update(fresh)
            over = 0
            if len(fresh) == 1 and ended:  # may overwrite an operand
                size = sizes[fresh[0]]
                over = size if any(v % count in self._over[at] and sizes[v] == size for v in ended) else 0
            following = self._beside[units[k + 1]] if k + 1 < len(units) else 0
            most = max(most, alive - over + self._beside[at] + following)
            alive -= sum(sizes[v] for v in ended)
            living.difference_update(ended)
        return most, sum(self.seconds[again] for found in before.values() for again in found)


def again(
    units: Sequence[Unit], first_backward: int, dropped: Collection[Made]
) -> tuple[list[Unit], int, dict[Buffer, Buffer]]:
    """The units, with those that recompute dropped values inserted; their number; old buffer -> new one."""
    if not dropped:
        return list(units), 0, {}
    flow = Flow(units, first_backward)
    number = {made: k for k, made in enumerate(flow.made)}
    gone = flow.gone([number[made] for made in dropped])
    before = flow.repeated(gone)
    lost = {value for value, k in flow.numbers.items() if k in gone}
    fresh: dict[Buffer, Buffer] = {}
    done: list[Unit] = []
    for at, unit in enumerate(units):
        for maker in before.get(at, ()):
            old = units[maker]
            copy = dataclasses.replace(
                old,
                nodes=[f"{name} again" for name in old.nodes],
                outputs=[Buffer(v.name, v.shape, v.roles, lanes=v.lanes) for v in old.outputs],
                weights=dict(old.weights),
            )
            made = dict(zip(old.outputs, copy.outputs, strict=True))
            _redirect(copy, fresh | made)
            fresh |= {v: new for v, new in made.items() if v in lost}
            done.append(copy)
        if at >= first_backward:
            _redirect(unit, fresh)
        done.append(unit)
    return done, sum(map(len, before.values())), fresh


def _redirect(unit: Unit, fresh: Mapping[Buffer, Buffer]) -> None:
    """Make a unit read other buffers."""

    def now(value: Buffer) -> Buffer:
        if value in fresh:
            return fresh[value]
        if value.home is None or value.root not in fresh:
            return value
        return dataclasses.replace(value, home=now(value.home))

    unit.inputs = [now(value) for value in unit.inputs]
    if unit.residual is not None:
        unit.residual = now(unit.residual)
    if isinstance(unit.body, FusedElementwise | ChannelSums | Loops):
        values = {name: now(value) for name, value in unit.body.values.items()}
        unit.body = dataclasses.replace(unit.body, values=values)
