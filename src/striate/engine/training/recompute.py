"""Values that are computed again on the way back rather than kept: which units that takes, and what memory it saves.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. A unit is repeated right before the first
one that needs a value of it, with the same kernels and inputs: no bit of a result changes. Sums over a batch are never
repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from striate.engine.plan.pattern import Correlation, Local, Moves, Norm, Pool, Softmax
from striate.engine.plan.place import overwritable
from striate.engine.plan.plan import Plan
from striate.engine.plan.units import Loops, Map, Sums, Unit, Value
from striate.engine.training.ledger import is_vector

Made = tuple[int, int]
"""A value by who makes it: the unit's number, and which of its outputs."""

REPEATABLE = (Correlation, Map, Pool, Moves, Norm, Local, Softmax, Loops)
FLOPS, BYTES = 1e11, 1e10
"""A second of work, roughly: for choosing."""


class Flow:
    """Who makes and who reads each value, in numbers. Values of the caller's are left out.

    lasting: values that live to the end.
    """

    def __init__(self, units: Sequence[Unit], turn: int, lasting: Collection[Value] = ()) -> None:
        self.units, self.turn = list(units), turn
        self.numbers: dict[Value, int] = {}
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
        self.waiting = {v for reads in self.reads[turn:] for v in reads if self.maker[v] < turn}
        self.repeatable = {
            self.numbers[value]
            for unit in units[:turn]
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
        """Values that nobody keeps: the dropped ones, and those that nobody would have waited for."""
        return {*dropped, *(self.repeatable - self.waiting)}

    def repeated(self, gone: Collection[int]) -> dict[int, list[int]]:
        """Units to repeat before a unit of the way back, by that unit, in order."""
        before: dict[int, list[int]] = {}
        done: set[int] = set()
        for at in range(self.turn, len(self.units)):
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

    def measured(self, plan: Plan) -> None:
        """Learn sizes and times from the plan in which nothing is repeated."""
        number = {unit: at for at, unit in enumerate(self.units)}
        for value, k in self.numbers.items():
            self.sizes[k] = value.layout.bytes
        for step in plan.steps:
            at = number.get(step.unit)
            if at is not None:
                self.seconds[at] += step.flops / FLOPS + step.bytes / BYTES
                self._beside[at] += sum(
                    v.layout.bytes for v in step.writes if not v.outside and v.root not in self.numbers
                )
        few = sum(self.sizes) >> 14  # what all vectors take together does not matter
        touched = ({*reads, *writes} for reads, writes in zip(self.reads, self.writes, strict=True))
        self._large = [sorted(v for v in values if self.sizes[v] > few) for values in touched]

    def needs(self, dropped: Collection[int]) -> tuple[int, float]:
        """(bytes that live at the same time at most, seconds of what is repeated), about."""
        gone = self.gone(dropped)
        before = self.repeated(gone)
        count, turn, sizes = len(self.made), self.turn, [*self.sizes, *self.sizes]
        units: list[int] = []
        touched: list[Sequence[int]] = []
        for at in range(len(self.units)):
            for again in before.get(at, ()):
                units.append(again)
                made = {*self.writes[again], *gone}
                touched.append([v + count if v in made else v for v in self._large[again]])
            large = self._large[at]
            units.append(at)  # what is gone has been repeated by the time that the way back reads it
            touched.append([v + count if v in gone else v for v in large] if at >= turn else large)
        last = {v: k for k, values in enumerate(touched) for v in values}
        alive = most = 0
        living: set[int] = set()
        for k, (at, values) in enumerate(zip(units, touched, strict=True)):
            fresh = [v for v in values if v not in living]
            ended = [v for v in values if last[v] == k and v not in self._lasting]
            alive += sum(sizes[v] for v in fresh)
            living.update(fresh)
            over = 0
            if len(fresh) == 1 and ended:  # perhaps written over an operand
                size = sizes[fresh[0]]
                over = size if any(v % count in self._over[at] and sizes[v] == size for v in ended) else 0
            following = self._beside[units[k + 1]] if k + 1 < len(units) else 0
            most = max(most, alive - over + self._beside[at] + following)
            alive -= sum(sizes[v] for v in ended)
            living.difference_update(ended)
        return most, sum(self.seconds[again] for found in before.values() for again in found)


def again(
    units: Sequence[Unit], turn: int, dropped: Collection[Made]
) -> tuple[list[Unit], int, dict[Value, Value]]:
    """The units with those among them that make dropped values again; how many these are; old value -> new one."""
    if not dropped:
        return list(units), 0, {}
    flow = Flow(units, turn)
    number = {made: k for k, made in enumerate(flow.made)}
    gone = flow.gone([number[made] for made in dropped])
    before = flow.repeated(gone)
    lost = {value for value, k in flow.numbers.items() if k in gone}
    fresh: dict[Value, Value] = {}
    done: list[Unit] = []
    for at, unit in enumerate(units):
        for maker in before.get(at, ()):
            old = units[maker]
            copy = dataclasses.replace(
                old,
                nodes=[f"{name} again" for name in old.nodes],
                outputs=[Value(v.name, v.shape, v.roles, lanes=v.lanes) for v in old.outputs],
                weights=dict(old.weights),
            )
            made = dict(zip(old.outputs, copy.outputs, strict=True))
            _redirect(copy, fresh | made)
            fresh |= {v: new for v, new in made.items() if v in lost}
            done.append(copy)
        if at >= turn:
            _redirect(unit, fresh)
        done.append(unit)
    return done, sum(map(len, before.values())), fresh


def _redirect(unit: Unit, fresh: Mapping[Value, Value]) -> None:
    """Let a unit read other values."""

    def now(value: Value) -> Value:
        if value in fresh:
            return fresh[value]
        if value.home is None or value.root not in fresh:
            return value
        return dataclasses.replace(value, home=now(value.home))

    unit.inputs = [now(value) for value in unit.inputs]
    if unit.residual is not None:
        unit.residual = now(unit.residual)
    if isinstance(unit.body, Map | Sums | Loops):
        values = {name: now(value) for name, value in unit.body.values.items()}
        unit.body = dataclasses.replace(unit.body, values=values)
