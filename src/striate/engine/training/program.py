"""Training runs of a network in machine code."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import LimitError
from striate.engine import aligned
from striate.engine.bound import Bound, Constants
from striate.engine.interface import TrainingProgram, batch
from striate.engine.kernels import driver
from striate.engine.numpy_engine import NumpyTraining, batched
from striate.engine.plan.packing import Packing
from striate.engine.plan.pattern import Correlation
from striate.engine.plan.steps import Context
from striate.engine.plan.units import Unit, Value
from striate.engine.training.budget import within
from striate.engine.training.ledger import Unsupported
from striate.engine.training.plan import TrainingPlan, plan
from striate.network import Network

Array = NDArray[Any]

SIZES = 8
"""Batch sizes that stay ready."""
FAR = 1 << 40
"""An address that is none."""


class BoundTraining(Bound):
    """A training plan's steps as two programs: forward, and the way back. One run at a time.

    room: memory for its values, unless each has some of its own.
    """

    plan: TrainingPlan

    def __init__(
        self, plan: TrainingPlan, constants: Constants, allocate: aligned.Allocate, room: Array | None
    ) -> None:
        self._room = room
        super().__init__(plan, constants, allocate)

    def _memory(self) -> dict[Value, int]:
        offsets = self.plan.arena.offsets
        if self._apart or self._room is None:
            self._own = {value: self._allocate(value.layout.bytes // 4, np.float32) for value in offsets}
        else:
            lines = {value: (start // 4, value.layout.bytes // 4) for value, start in offsets.items()}
            self._own = {value: self._room[at : at + count] for value, (at, count) in lines.items()}
        return {value: aligned.address(array) for value, array in self._own.items()}

    def array(self, value: Value) -> Array:
        """What lies in memory in plain order; the next run writes over it."""
        return self._own[value].reshape(value.shape)

    def packed(self, key: tuple[Any, ...], packing: Callable[[], Packing]) -> int:
        return self.start(self.plan.packed[key]) if key in self.plan.packed else 0

    def constant(self, key: tuple[Any, ...], make: Callable[[], Array]) -> int:
        body = self._unit.body
        if isinstance(body, Correlation) and (key[-1] != "bias" or body.bias):
            self._made[key] = self._unit, make
        return super().constant(key, make)

    def _recorded(self) -> list[Array]:
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
                    self._given[id(value)] = FAR
                    moved = step.record(self)
                    self._given[id(value)] = 0
                    (slots,) = np.nonzero(moved - record == FAR)  # tables lie elsewhere each time
                    self._slots.setdefault(id(value), []).extend((record, int(slot)) for slot in slots)
        self._at_value: dict[int, Array] = {}
        return []

    def _staged(self) -> dict[str | None, Array]:
        return {}

    def _assemble(self) -> Array:
        program = super()._assemble()
        turn, count = self.plan.turn, len(self.plan.steps)
        program[driver.COUNT // 8] = turn
        back = self._allocate(driver.PROGRAM // 8, np.int64)
        back[:] = program
        back[driver.STEPS // 8] += turn * driver.STEP
        back[driver.COUNT // 8] = count - turn
        back[driver.COUNTERS // 8] += turn * int(program[driver.STRIDE // 8])
        self._back = back
        return program

    def _useful(self) -> int:
        return self.plan.context.threads

    def put(self, value: Value, array: Array) -> None:
        """Say where a given value or a result lies from now on."""
        if self._at_value.get(id(value)) is array:
            return
        self._at_value[id(value)] = array
        address = aligned.address(array)
        for record, slot in self._slots.get(id(value), ()):
            record[slot] = address

    def repack(self, weights: Mapping[str, Array]) -> None:
        """Pack the weights as they are now, where no step does."""
        for key, (unit, make) in self._made.items():
            unit.weights = {name: weights[full] for name, full in self.plan.weights[unit].items()}
            kept = self._constants.get(key, make)
            kept[...] = make().reshape(kept.shape)

    def measured(self, rounds: int = 5) -> list[float]:
        """Seconds of each step on what is there: the median of some rounds, by the processor's clock."""
        every = []
        for _ in range(rounds):
            took: list[float] = []
            for program, run in ((self._program, self.forward), (self._back, self.backward)):
                program[driver.TIMES // 8] = aligned.address(self._times)
                start = time.perf_counter()
                run()
                seconds = time.perf_counter() - start
                program[driver.TIMES // 8] = 0
                ticks = np.diff(self._times[: int(program[driver.COUNT // 8]) + 1]).astype(float)
                took += (ticks / max(ticks.sum(), 1.0) * seconds).tolist()
            every.append(took)
        return [float(seconds) for seconds in np.median(every, axis=0)]

    def forward(self) -> None:
        self._pool.run(self._at, self._threads)

    def backward(self) -> None:
        self._pool.run(aligned.address(self._back), self._threads)


class CompiledTraining(TrainingProgram):
    """Forward and backward runs of kernels; what has no kernels for its gradient is trained by the numpy engine.

    memory: bytes that training may take, 0 for any; beside: those of them that are no run's: parameters, moments. All
    batch sizes share the memory of the largest.
    """

    def __init__(
        self,
        net: Network,
        weights: Mapping[str, Array],
        context: Context,
        allocate: aligned.Allocate = aligned.zeros,
        memory: int = 0,
        beside: int = 0,
    ) -> None:
        self.net, self._weights, self._context = net, weights, context
        self._limits = memory, beside
        self.updates: dict[str, Array] = {}
        self._ready: dict[int, BoundTraining] = {}
        self._beyond: set[int] = set()
        self._constants, self._allocate = Constants(allocate), allocate
        self._plain: NumpyTraining | None = None
        self._now: BoundTraining | None = None
        self._shared = np.zeros(0, np.float32)

    def _numpy(self) -> NumpyTraining:
        if self._plain is None:
            self._plain = NumpyTraining(self.net, self._weights)
        return self._plain

    @property
    def compiled(self) -> bool:
        """Whether the last forward run was one of kernels."""
        return self._now is not None

    def bound(self, size: int) -> BoundTraining:
        """The plan for a batch size, ready to run.

        Raises Unsupported; with an amount of memory LimitError where it does not suffice, else UsageError.
        """
        if size in self._beyond:
            raise Unsupported(self.net.name)
        if size not in self._ready:
            try:
                self._ready[size] = self._made(size)
            except Unsupported:
                self._beyond.add(size)
                raise
            except MemoryError as error:
                raise LimitError(
                    f"learning from {size} images at a time needs more memory than there is",
                    why="all values that wait for the way back have to fit",
                    fix="a smaller batch_size, and accumulate in proportion; or memory, less than there is",
                ) from error
            while len(self._ready) > SIZES:
                del self._ready[next(iter(self._ready))]
        return self._ready[size]

    def _made(self, size: int) -> BoundTraining:
        net = batched(self.net, size)
        made = within(net, self._context, *self._limits) if self._limits[0] else plan(net, self._context)
        apart = self._allocate is not aligned.zeros
        if not apart and made.arena.bytes > self._shared.nbytes:
            self._ready.clear()
            self._now, self._shared = None, np.zeros(0, np.float32)
            self._shared = self._allocate(-(-made.arena.bytes // 4) + 16, np.float32)
        return BoundTraining(made, self._constants, self._allocate, None if apart else self._shared)

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
            bound.put(value, np.ascontiguousarray(self._weights[name], np.float32))
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
        return {name: gradient.copy() for name, gradient in self.lent(gradients).items()}

    def lent(self, gradients: Sequence[Array]) -> dict[str, Array]:
        """As `backward`, in memory that the next forward run writes over."""
        if self._now is None:
            return self._numpy().backward(gradients)
        bound, tape = self._now, self._now.plan.tape
        arriving: dict[str, Array] = {}
        for name, gradient in zip(self.net.outputs, gradients, strict=True):
            arriving[name] = arriving[name] + gradient if name in arriving else gradient
        for name, gradient in arriving.items():
            bound.put(tape.seeds[name], np.ascontiguousarray(gradient, np.float32))
        bound.backward()
        return {
            name: bound.array(tape.gradients[name]).reshape(self.net.parameters[name].shape)
            for name in sorted(tape.gradients)
        }
