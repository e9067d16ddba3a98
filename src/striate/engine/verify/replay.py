"""A plan's kernel calls replayed on a shadow of its memory.

The shadow records for every number of the memory which value it was last written for. Every number that a call reads
must have been written for the value that it reads, border and padding lanes included; accesses of two calls in one
epoch must not overlap if one of them writes; a call must not read numbers that it has overwritten. Regions
(`verify.regions`) distinguish values that share memory, so that nothing here depends on the decisions that are checked.

The replay uses the plan's steps with their records and tasks, its epochs, and the offsets of the arena. Which values
hold the same numbers (a concatenation and its inputs) comes from the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import EngineError
from striate.engine.kernels.argument_record import Constant
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
"""State of a number that no value has been written to."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One kind of wrong access of a step: the value, the number of accesses, and the reason."""

    step: str
    value: str
    why: str
    count: int

    def __str__(self) -> str:
        return f"{self.step}: {self.count} numbers of {self.value}: {self.why}"


class Replay:
    """Shadow of a plan's memory. faults: wrong accesses in order, each kind once per step."""

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
        self._allowed_numbers: dict[Buffer, Array] = {}
        self._members = _members(plan)
        self._written = {value for step in plan.steps for value in (*step.writes, *step.unit.outputs)}
        self._by_name: dict[str, list[Buffer]] = {}
        for value in dict.fromkeys(v for s in plan.steps for v in (*s.reads, *s.writes, *s.unit.outputs)):
            self._by_name.setdefault(value.name, []).append(value)

    def _room(self) -> int:
        """Numbers of the arena, and of the results after it."""
        end = -(-self.plan.arena.bytes // 4)
        for step in self.plan.steps:
            for value in step.writes:
                if value.is_result and value not in self._places:
                    self._places[value] = end
                    end += -(-value.layout.bytes // 4)
        return end

    # contents of values

    def _number(self, value: Buffer) -> int:
        if value not in self._numbers:
            self._values.append(value)
            self._numbers[value] = 1 + len(self._values)
        return self._numbers[value]

    def _parts(self, value: Buffer) -> set[Buffer]:
        """Values in the same memory that hold numbers of this one."""
        parts = {value}
        members = self._members.get(value.name)
        if members is None and value.home is not None and value not in self._written:
            return parts | self._parts(value.home)  # another name for it
        if members is None:  # an alias with other axes may have written it
            parts |= {other for other in self._by_name.get(value.name, ()) if other.home is value}
        names, visited = list(members or ()), set[str]()
        while names:
            name = names.pop()
            if name in visited:
                continue
            visited.add(name)
            names += self._members.get(name, ())  # also of those that no step touches
            for part in self._by_name.get(name, ()):
                if part.root is value.root and part is not value:
                    parts |= self._parts(part)
        return parts

    def _allowed(self, value: Buffer) -> Array:
        if value not in self._allowed_numbers:
            self._allowed_numbers[value] = np.array(
                sorted(self._number(one) for one in self._parts(value)), np.int32
            )
        return self._allowed_numbers[value]

    # the replay

    def run(self) -> list[Fault]:
        epoch, task = -1, 0
        turns: dict[int, int] = {}
        for step, when in zip(self.plan.steps, self.plan.epochs, strict=True):
            if when != epoch:
                epoch, self._first = when, task + 1
            turn = turns[id(step.record)] = turns.get(id(step.record), 0) + 1
            if turn == 1:
                self._check_permuted(step)
            record = self.regions.array(step.record)
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

    def _check_permuted(self, step: KernelCall) -> None:
        """In training, constants are filled before a run, number by number from parameters: check that these are
        parameters, of the size that the unit expects."""
        if not isinstance(self.plan, TrainingPlan):
            return
        for key in (constant.key for constant in step.record.places(Constant)):
            for name, parameter in self.plan.weights.get(step.unit, {}).items():
                if key[-1] == "bias" and name != "bias":
                    continue
                buffer = self.plan.buffers.parameters.get(parameter)
                count = step.unit.weights[name].size
                if buffer is None or (step.unit.derived and name == "weight"):
                    self._fault(step, parameter, "moved before the run that computes it", count)
                elif _numbers(buffer) != count:
                    self._fault(
                        step, parameter, "read beyond its memory before the run", count - _numbers(buffer)
                    )

    def _task(self, step: KernelCall, call: KernelTask, task: int, turn: int) -> None:
        accesses = MODELS[step.kernel.template](call)
        for addresses in accesses.reads:
            self._read(step, addresses, task, turn, alone=False)
        for addresses, _ in accesses.local:
            self._read(step, addresses, task, turn, alone=True)
        for read, write in accesses.local:
            self._check_local(step, read, write)
        for addresses in accesses.writes:
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
        values = self.holds[places]
        right = (
            np.isin(values, self._allowed(value))
            if len(self._allowed(value)) > 1
            else values == self._allowed(value)[0]
        )
        edge = _edges(value, offsets)
        if edge is not None:
            right = np.where(edge, values == BORDER, right)
        if value.root.shares_image_slot:
            late = right & (self.turn[places] != turn)
            if late.any():
                self._fault(step, value.name, "read, and of another image", int(late.sum()))
        if not right.all():
            wrong = values[~right]
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
        """Whether these stamps come from another task of this epoch (its number), or from several (the epoch's first
        number, negated)."""
        others: Array = (stamps >= self._first) & (stamps != task) | (stamps == -self._first)
        return others

    def _check_local(self, step: KernelCall, read: Array, write: Array) -> None:
        """Check reads and writes of the same positions: where they share memory, their addresses must be equal."""
        value, places, _ = self._place(step, read)
        other, to, _ = self._place(step, write)
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
    """Numbers of a result, in plain order."""
    return int(np.prod(value.shape, dtype=np.int64))


def _edges(value: Buffer, offsets: Array) -> Array | None:
    """Which numbers of a value's memory lie in its border; None without a border."""
    layout = value.root.layout
    if not any(layout.pads):
        return None
    plane = offsets % layout.block if layout.block else offsets
    row, column = plane // layout.row, plane % layout.row // layout.pixel
    inside = (row >= layout.top) & (row < layout.top + layout.height)
    inside &= (column >= layout.left) & (column < layout.left + layout.width)
    return ~inside


def _members(plan: ExecutionPlan) -> Mapping[str, list[str]]:
    """Inputs of each concatenation, by name, from the network's declarations."""
    members: dict[str, list[str]] = {}
    for node in plan.net.nodes:
        declaration = plan.net.declarations[node.name]
        pattern = recognize.recognize(declaration)
        if isinstance(pattern, Copies) and len(node.outputs) == 1:
            members[node.outputs[0]] = [node.inputs[piece.port] for piece in pattern.pieces]
    return members


def faults(plan: ExecutionPlan) -> list[Fault]:
    """Wrong reads and writes of a plan; empty if it is sound."""
    return Replay(plan).run()


def verify(plan: ExecutionPlan) -> None:
    """Raises EngineError for a plan that is not sound."""
    errors = faults(plan)
    if errors:
        raise EngineError(
            f"the plan of {plan.net.name} is wrong",
            why="; ".join(map(str, errors[:5])),
            fix="report it with the network: this is a bug in Striate",
        )
