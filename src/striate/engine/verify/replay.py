"""A plan's kernel calls replayed on a shadow of its memory.

For every number of the memory the shadow knows which value it was last written for. What a call reads has to have been
written for the value that it means to read, border and filled-up channels included; what two calls of one epoch touch
must not meet where one of them writes; a call must not read what it has written over itself. Values that share memory
are distinguished by regions (`verify.regions`), so that nothing here follows the decisions that are checked.

Read from the plan are its steps with their records and tasks, its epochs, and where the arena keeps each value. Which
values hold the same numbers (a concatenation and what it is put together from) is read off the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import EngineError
from striate.engine.plan import recognize
from striate.engine.plan.computation import Copies
from striate.engine.plan.execution_plan import ExecutionPlan
from striate.engine.plan.kernel_calls import KernelCall
from striate.engine.plan.units import Buffer
from striate.engine.training.training_plan import TrainingPlan
from striate.engine.verify.loops import nest
from striate.engine.verify.products import PRODUCTS
from striate.engine.verify.regions import FIRST, HALF, SPACE, Regions
from striate.engine.verify.touches import ELEMENTWISE, KernelTask, Model

Array = NDArray[Any]

MODELS: dict[str, Model] = {**ELEMENTWISE, **PRODUCTS, "nest": nest}
UNWRITTEN, BORDER = 0, 1
"""What a number holds that no value has been written to."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One kind of misstep of a step: what it touches, how often, and why that is wrong."""

    step: str
    value: str
    why: str
    count: int

    def __str__(self) -> str:
        return f"{self.step}: {self.count} numbers of {self.value}: {self.why}"


class Replay:
    """Shadow of a plan's memory. faults: what was found, in order, the first kind of each step only."""

    def __init__(self, plan: ExecutionPlan) -> None:
        self.plan = plan
        self.regions = Regions(getattr(plan, "packed", None))
        self.faults: list[Fault] = []
        self._places = {value: offset // 4 for value, offset in plan.arena.offsets.items()}
        self._end = self._room()
        self.holds = np.zeros(self._end, np.int32)
        self.turn = np.zeros(self._end, np.int32)
        self.seen = np.zeros(self._end, bool)
        self.reader = np.zeros(self._end, np.int32)
        self.writer = np.zeros(self._end, np.int32)
        self._first = 1
        """Number of the epoch's first task."""
        self._values: list[Buffer] = []
        self._numbers: dict[Buffer, int] = {}
        self._same: dict[Buffer, Array] = {}
        self._members = _members(plan)
        self._written = {value for step in plan.steps for value in (*step.writes, *step.unit.outputs)}
        self._named: dict[str, list[Buffer]] = {}
        for value in dict.fromkeys(v for s in plan.steps for v in (*s.reads, *s.writes, *s.unit.outputs)):
            self._named.setdefault(value.name, []).append(value)

    def _room(self) -> int:
        """Numbers of the arena, and of the results after it."""
        end = -(-self.plan.arena.bytes // 4)
        for step in self.plan.steps:
            for value in step.writes:
                if value.is_result and value not in self._places:
                    self._places[value] = end
                    end += -(-value.layout.bytes // 4)
        return end

    # what values hold

    def _number(self, value: Buffer) -> int:
        if value not in self._numbers:
            self._values.append(value)
            self._numbers[value] = 1 + len(self._values)
        return self._numbers[value]

    def _parts(self, value: Buffer) -> set[Buffer]:
        """Values of the same memory whose numbers are this one's, too."""
        found = {value}
        members = self._members.get(value.name)
        if members is None and value.home is not None and value not in self._written:
            return found | self._parts(value.home)  # another name for it
        if members is None:  # written through a name of its own for other axes
            found |= {other for other in self._named.get(value.name, ()) if other.home is value}
        names, seen = list(members or ()), set[str]()
        while names:
            name = names.pop()
            if name in seen:
                continue
            seen.add(name)
            names += self._members.get(name, ())  # also of those that no step touches
            for part in self._named.get(name, ()):
                if part.root is value.root and part is not value:
                    found |= self._parts(part)
        return found

    def _allowed(self, value: Buffer) -> Array:
        if value not in self._same:
            self._same[value] = np.array(sorted(self._number(one) for one in self._parts(value)), np.int32)
        return self._same[value]

    # the replay

    def run(self) -> list[Fault]:
        epoch, task = -1, 0
        turns: dict[Any, int] = {}
        records: dict[Any, Array] = {}
        for step, when in zip(self.plan.steps, self.plan.epochs, strict=True):
            if when != epoch:
                epoch, self._first = when, task + 1
            turn = turns[step.record] = turns.get(step.record, 0) + 1
            if step.record not in records:
                self.regions.asked.clear()
                records[step.record] = step.record(self.regions)
                self._moved(step)
            record = records[step.record]
            for one in step.tasks:
                task += 1
                self._task(
                    step,
                    KernelTask(self.plan.context.target, step.kernel.parameters, record, one, step.rows),
                    task,
                    turn,
                )
        for value in self._places:
            if value.is_result:
                at = self._places[value] + np.arange(_numbers(value))
                missing = int((~np.isin(self.holds[at], self._allowed(value))).sum())
                if missing:
                    self.faults.append(Fault("the end", value.name, "never written", missing))
        return self.faults

    def _moved(self, step: KernelCall) -> None:
        """In training, constants are brought to their places before a run, number by number from parameters: these have
        to be parameters, and as long as the unit takes them to be."""
        if not isinstance(self.plan, TrainingPlan):
            return
        for key in self.regions.asked:
            for name, parameter in self.plan.weights.get(step.unit, {}).items():
                if key[-1] == "bias" and name != "bias":
                    continue
                found = self.plan.tape.parameters.get(parameter)
                wanted = step.unit.weights[name].size
                if found is None or (step.unit.derived and name == "weight"):
                    self._fault(step, parameter, "moved before the run that computes it", wanted)
                elif _numbers(found) != wanted:
                    self._fault(
                        step, parameter, "read beyond its memory before the run", wanted - _numbers(found)
                    )

    def _task(self, step: KernelCall, call: KernelTask, task: int, turn: int) -> None:
        touched = MODELS[step.kernel.template](call)
        for addresses in touched.reads:
            self._read(step, addresses, task, turn, alone=False)
        for addresses, _ in touched.local:
            self._read(step, addresses, task, turn, alone=True)
        for read, written in touched.local:
            self._paired(step, read, written)
        for addresses in touched.writes:
            self._write(step, addresses, task, turn)

    def _place(self, step: KernelCall, addresses: Array) -> tuple[Buffer | None, Array, Array]:
        """The value that addresses mean (None: a constant, or given), their places, and offsets in its memory."""
        region = int(addresses[0] - FIRST) // SPACE
        offsets = addresses - (FIRST + region * SPACE + HALF)
        owner, size = self.regions.owners[region], self.regions.sizes[region]
        beyond = (offsets < 0) | (offsets + 4 > size)
        if beyond.any():
            name = owner.name if isinstance(owner, Buffer) else str(owner)
            self._fault(step, name, "beyond its memory", int(beyond.sum()))
            offsets = offsets[~beyond]
        if not isinstance(owner, Buffer) or owner.root.is_input:
            return None, offsets, offsets
        return owner, self._places[owner.root] + offsets // 4, offsets

    def _fault(self, step: KernelCall, value: str, why: str, count: int) -> None:
        name = f"{step.unit.name} ({step.algorithm})"
        if not any((fault.step, fault.value, fault.why) == (name, value, why) for fault in self.faults):
            self.faults.append(Fault(name, value, why, count))

    def _read(self, step: KernelCall, addresses: Array, task: int, turn: int, alone: bool) -> None:
        if not addresses.size:
            return
        value, places, offsets = self._place(step, addresses)
        if value is None:
            return
        held = self.holds[places]
        right = (
            np.isin(held, self._allowed(value))
            if len(self._allowed(value)) > 1
            else held == self._allowed(value)[0]
        )
        edge = _edges(value, offsets)
        if edge is not None:
            right = np.where(edge, held == BORDER, right)
        if value.root.shares_image_slot:
            late = right & (self.turn[places] != turn)
            if late.any():
                self._fault(step, value.name, "read, and of another image", int(late.sum()))
        if not right.all():
            wrong = held[~right]
            first = int(wrong[0])
            what = {UNWRITTEN: "what was never written", BORDER: "a border"}.get(first)
            what = what or f"what {self._values[first - 2].name} was written over"
            self._fault(step, value.name, f"read, and is {what}", int((~right).sum()))
        raced = self._others(self.writer[places], task)
        if raced.any():
            self._fault(step, value.name, "read while another task writes it", int(raced.sum()))
        before = self.reader[places]
        many = -self._first
        free = alone & ~self._others(before, task)
        self.reader[places] = np.where(free, task, many)
        if value not in step.unit.outputs:
            self.seen[places] = True

    def _others(self, stamps: Array, task: int) -> Array:
        """Whether another task of this epoch, or several, left these stamps: its number, or the epoch's, negated."""
        found: Array = (stamps >= self._first) & (stamps != task) | (stamps == -self._first)
        return found

    def _paired(self, step: KernelCall, read: Array, written: Array) -> None:
        """Where what is read number by number shares memory with what is written, each has to be its own."""
        value, places, _ = self._place(step, read)
        other, to, _ = self._place(step, written)
        if value is None or other is None or places.size != to.size or not places.size:
            return
        if (places == to).all():
            return
        low, high = max(places.min(), to.min()), min(places.max(), to.max())
        if low <= high and np.intersect1d(places, to).size:
            self._fault(step, value.name, f"read where {other.name} is written at another place", places.size)

    def _write(self, step: KernelCall, addresses: Array, task: int, turn: int) -> None:
        if not addresses.size:
            return
        value, places, offsets = self._place(step, addresses)
        if value is None:
            self._fault(step, "what is given", "written", addresses.size)
            return
        for stamps, what in ((self.writer, "writes"), (self.reader, "reads")):
            raced = self._others(stamps[places], task)
            if raced.any():
                self._fault(step, value.name, f"written while another task {what} it", int(raced.sum()))
        border = step.kernel.template == "border"
        number = BORDER if border else self._number(value)
        edge = _edges(value, offsets)
        if edge is not None and (edge != border).any():
            self._fault(
                step, value.name, "written in its border" if not border else "cleared inside", edge.size
            )
        again = self.seen[places] & (self.holds[places] == number) & (self.turn[places] == turn)
        if again.any() and not border:
            self._fault(step, value.name, "written once more after it was read", int(again.sum()))
        self.holds[places] = number
        self.turn[places] = turn
        self.seen[places] = False
        self.writer[places] = task


def _numbers(value: Buffer) -> int:
    """Of a result, in plain order."""
    return int(np.prod(value.shape, dtype=np.int64))


def _edges(value: Buffer, offsets: Array) -> Array | None:
    """Which numbers of a value's memory lie in its border; None where it has none."""
    layout = value.root.layout
    if not any(layout.pads):
        return None
    plane = offsets % layout.block if layout.block else offsets
    row, column = plane // layout.row, plane % layout.row // layout.pixel
    inside = (row >= layout.top) & (row < layout.top + layout.height)
    inside &= (column >= layout.left) & (column < layout.left + layout.width)
    return ~inside


def _members(plan: ExecutionPlan) -> Mapping[str, list[str]]:
    """What each concatenation is put together from, by name, as the network declares it."""
    found: dict[str, list[str]] = {}
    for node in plan.net.nodes:
        declaration = plan.net.declarations[node.name]
        pattern = recognize.recognize(declaration)
        if isinstance(pattern, Copies) and len(node.outputs) == 1:
            found[node.outputs[0]] = [node.inputs[piece.port] for piece in pattern.pieces]
    return found


def faults(plan: ExecutionPlan) -> list[Fault]:
    """Wrong reads and writes of a plan; none where it is sound."""
    return Replay(plan).run()


def verify(plan: ExecutionPlan) -> None:
    """Raises EngineError for a plan that is not sound."""
    found = faults(plan)
    if found:
        raise EngineError(
            f"the plan of {plan.net.name} is wrong",
            why="; ".join(map(str, found[:5])),
            fix="report it with the network: this is a bug in Striate",
        )
