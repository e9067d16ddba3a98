"""Training runs of a network in machine code."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.bound import Bound, Constants, listed
from striate.engine.interface import TrainingProgram, batch
from striate.engine.kernels import driver
from striate.engine.numpy_engine import NumpyTraining, batched
from striate.engine.plan.packing import Packing
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.steps import Context, Task, cut
from striate.engine.plan.units import Unit, Value
from striate.engine.training.ledger import Unsupported
from striate.engine.training.plan import TrainingPlan, plan
from striate.network import Network

Array = NDArray[Any]

SMALL = 1 << 14
"""Numbers up to which one thread packs them."""


class BoundTraining(Bound):
    """A training plan's steps as two programs: forward, and the way back. One run at a time."""

    plan: TrainingPlan

    def packed(self, key: tuple[Any, ...], packing: Callable[[], Packing]) -> int:
        if key not in self._jobs:
            self._jobs[key] = packing()
        size = self._jobs[key].size
        return super().constant(key, lambda: self._allocate(size, np.float32))

    def constant(self, key: tuple[Any, ...], make: Callable[[], Array]) -> int:
        body = self._unit.body
        if isinstance(body, Correlation) and (key[-1] != "bias" or body.bias):
            self._made[key] = self._unit, make
        return super().constant(key, make)

    def _recorded(self) -> list[Array]:
        self._jobs: dict[tuple[Any, ...], Packing] = {}
        self._made: dict[tuple[Any, ...], tuple[Unit, Callable[[], Array]]] = {}
        records = []
        for step in self.plan.steps:
            self._unit = step.unit
            records.append(aligned.copied(step.record(self), self._allocate))
        return records

    def _bind(self) -> list[Any]:
        """Every address that is known only when a run comes: value -> (record, slot) pairs."""
        self._slots: dict[int, list[tuple[Array, int]]] = {}
        done: set[int] = set()
        for step, record in zip(self.plan.steps, self._records, strict=True):
            if id(record) in done:
                continue
            done.add(id(record))
            self._unit = step.unit
            for value in (*step.reads, *step.writes):
                if id(value) in self._given:
                    self._given[id(value)] = 1 << 40
                    moved = step.record(self)
                    self._given[id(value)] = 0
                    (slots,) = np.nonzero(moved != record)
                    self._slots.setdefault(id(value), []).extend((record, int(slot)) for slot in slots)
        self._at_value: dict[int, Array] = {}
        return []

    def _staged(self) -> dict[str | None, Array]:
        return {}

    def _assemble(self) -> Array:
        program = super()._assemble()
        turn, count = self.plan.turn, len(self.plan.steps)
        jobs = [self._job(key) for key, job in self._jobs.items() if job.size]
        self._pack = self.kept(listed(jobs, self._rooms, self.table))
        program[driver.COUNT // 8] = turn
        back = self._allocate(driver.PROGRAM // 8, np.int64)
        back[:] = program
        back[driver.STEPS // 8] += turn * driver.STEP
        back[driver.COUNT // 8] = count - turn
        back[driver.COUNTERS // 8] += turn * int(program[driver.STRIDE // 8])
        self._back = back
        return program

    def _scratch(self) -> int:
        most = max((job.scratch for job in self._jobs.values()), default=0)
        room = self._allocate(-(-max(self.plan.scratch, most) // 4), np.float32)
        self._tables.append(room)
        return aligned.address(room)

    def _useful(self) -> int:
        return self.plan.context.threads

    def _job(self, key: tuple[Any, ...]) -> tuple[int, Array, list[Task], bool]:
        """A step that packs a parameter."""
        job = self._jobs[key]
        packed = aligned.address(self._constants.get(key, lambda: self._allocate(job.size, np.float32)))
        record, moved = (job.record(plain, packed, self.table) for plain in (0, 1 << 40))
        record = self.kept(record)
        (slots,) = np.nonzero((moved - record) == 1 << 40)
        value = self.plan.packed[job.unit]
        self._slots.setdefault(id(value), []).extend((record, int(slot)) for slot in slots)
        tasks = cut(job.rows, job.parts, self.plan.context.threads if job.size > SMALL else 1)
        return self._code[job.kernel], record, tasks, False

    def put(self, value: Value, array: Array) -> None:
        """Say where a given value or a result lies from now on."""
        if self._at_value.get(id(value)) is array:
            return
        self._at_value[id(value)] = array
        address = aligned.address(array)
        for record, slot in self._slots.get(id(value), ()):
            record[slot] = address

    def repack(self, weights: Mapping[str, Array]) -> None:
        """Pack the weights as they are now."""
        for key, (unit, make) in self._made.items():
            unit.weights = {name: weights[full] for name, full in self.plan.weights[unit].items()}
            kept = self._constants.get(key, make)
            kept[...] = make().reshape(kept.shape)
        self._pool.run(aligned.address(self._pack), self._threads)

    def forward(self) -> None:
        self._pool.run(self._at, self._threads)

    def backward(self) -> None:
        self._pool.run(aligned.address(self._back), self._threads)


class CompiledTraining(TrainingProgram):
    """Forward and backward runs of kernels; what has no kernels for its gradient is trained by the numpy engine."""

    def __init__(
        self,
        net: Network,
        weights: Mapping[str, Array],
        context: Context,
        allocate: aligned.Allocate = aligned.zeros,
    ) -> None:
        self.net, self._weights, self._context = net, weights, context
        self.updates: dict[str, Array] = {}
        self._ready: dict[int, BoundTraining] = {}
        self._constants, self._allocate = Constants(allocate), allocate
        self._plain: NumpyTraining | None = None
        self._now: BoundTraining | None = None

    def _numpy(self) -> NumpyTraining:
        if self._plain is None:
            self._plain = NumpyTraining(self.net, self._weights)
        return self._plain

    @property
    def compiled(self) -> bool:
        """Whether the last forward run was one of kernels."""
        return self._now is not None

    def bound(self, size: int) -> BoundTraining:
        """The plan for a batch size, ready to run. Raises Unsupported."""
        if size not in self._ready:
            self._ready[size] = BoundTraining(
                plan(batched(self.net, size), self._context), self._constants, self._allocate
            )
        return self._ready[size]

    def forward(self, x: Array, rng: np.random.Generator) -> tuple[Array, ...]:
        array = batch(self.net, x)
        self._now = None
        if array.dtype == np.float32 and len(array):
            with contextlib.suppress(Unsupported):
                self._now = self.bound(len(array))
        if self._now is None:
            made = self._numpy().forward(x, rng)
            self.updates = self._numpy().updates
            return made
        bound, tape = self._now, self._now.plan.tape
        bound.put(tape.input, np.ascontiguousarray(array))
        for name, value in tape.parameters.items():
            bound.put(value, self._weights[name])
        for value, noise in tape.noise:
            kept = rng.random(noise.shape, np.float32) >= noise.rate
            bound.put(value, kept.astype(np.float32) * np.float32(1 / max(1 - noise.rate, 1e-9)))
        outputs = {name: self._room(value) for name, value in tape.outputs.items()}
        self.updates = {}
        for name, value in tape.updates.items():
            statistic: Array = self._room(value)
            self.updates[name] = statistic.reshape(self.net.parameters[name].shape)
            bound.put(value, statistic)
        for name, array in outputs.items():
            bound.put(tape.outputs[name], array)
        bound.repack(self._weights)
        bound.forward()
        return tuple(outputs[name] for name in self.net.outputs)

    def _room(self, value: Value) -> Array:
        """For a result, which is the caller's from then on."""
        if self._allocate is aligned.zeros:
            return np.empty(value.shape, np.float32)
        return self._allocate(math.prod(value.shape), np.float32).reshape(value.shape)

    def backward(self, gradients: Sequence[Array]) -> dict[str, Array]:
        if self._now is None:
            return self._numpy().backward(gradients)
        bound, tape = self._now, self._now.plan.tape
        arriving: dict[str, Array] = {}
        for name, gradient in zip(self.net.outputs, gradients, strict=True):
            arriving[name] = arriving[name] + gradient if name in arriving else gradient
        for name, gradient in arriving.items():
            bound.put(tape.seeds[name], np.ascontiguousarray(gradient, np.float32))
        found = {}
        for name, value in tape.gradients.items():
            made = self._room(value)
            bound.put(value, made)
            found[name] = made.reshape(self.net.parameters[name].shape)
        bound.backward()
        return {name: found[name] for name in sorted(found)}
