"""Execution plan with memory and machine code, ready to run."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.code import addresses
from striate.engine.kernels import driver
from striate.engine.kernels.argument_record import Constant, Key, Record, Resolver
from striate.engine.plan.execution_plan import ExecutionPlan
from striate.engine.plan.kernel_calls import Packed, Task
from striate.engine.plan.stages import VERIFY
from striate.engine.plan.units import Buffer
from striate.engine.runtime.thread_pool import pool, sched_yield_address
from striate.locks import fork_safe_lock

Array = NDArray[Any]

PARALLEL_PACK_MIN_BYTES = 8 << 20
"""From this size of packed weights on, threads share the packing."""
COPY_MAX_BYTES = 1 << 15
"""Batches and results up to this size are copied."""
SPOIL = "STRIATE_SPOIL"
"""Environment variable to debug the engine: fill all working memory with NaN before each run."""
SMALL_PLAN_MAX_BYTES = 1 << 17
"""Memory of a plan that counts as small."""


class Constants:
    """Packed weights by key, shared by the plans of all batch sizes."""

    def __init__(self, allocate: aligned.Allocate = aligned.zeros) -> None:
        self._allocate = allocate
        self._arrays: dict[Key, Array] = {}
        self._stale: set[Key] = set()

    def get(self, key: Key, make: Callable[[], Array]) -> Array:
        if key not in self._arrays:
            self._arrays[key] = aligned.aligned_copy(make(), self._allocate)
        elif key in self._stale:
            self._stale.discard(key)
            self._arrays[key][...] = make()
        return self._arrays[key]

    def renew(self) -> None:
        """Pack each constant again, in place, when it is next requested."""
        self._stale = set(self._arrays)

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())


class LoadedPlan:
    """A plan's steps as records that the driver reads. One run at a time.

    allocate: source of all memory. With another one than the default, each buffer, result and table is allocated by
    itself in its exact size, which reveals stray accesses.
    """

    def __init__(
        self, plan: ExecutionPlan, constants: Constants, allocate: aligned.Allocate = aligned.zeros
    ) -> None:
        self.plan = plan
        self._constants = constants
        self._code = addresses(plan.context.target, plan.kernels)
        self._allocate, self._apart = allocate, allocate is not aligned.zeros
        self._tables: list[Array] = []
        self._spoilable: list[Array] | None = [] if os.environ.get(SPOIL) else None
        mode = os.environ.get(VERIFY)
        if mode and (mode != "small" or plan.arena.bytes <= SMALL_PLAN_MAX_BYTES):
            from striate.engine.verify.replay import verify

            verify(plan)
        self._lock = fork_safe_lock()
        self._resolver = self._resolve()
        self._records = [self._resolver.array(step.record) for step in plan.steps]
        self._program = self._assemble()
        self._at = aligned.address(self._program)
        self._threads = self._thread_count()
        self._bind()
        self._pool = pool(plan.context.target)

    # addresses

    def _memory(self) -> dict[Buffer, int]:
        if self._apart:
            arrays = {
                value: self._allocate(value.layout.bytes // 4, np.float32)
                for value in self.plan.arena.offsets
            }
            self._tables += arrays.values()
            self._register_spoilable(*arrays.values())
            return {value: aligned.address(array) for value, array in arrays.items()}
        self._arena = self._allocate(self.plan.arena.bytes // 4 + 16, np.float32)
        self._register_spoilable(self._arena)
        base = aligned.address(self._arena)
        return {value: base + offset for value, offset in self.plan.arena.offsets.items()}

    def _register_spoilable(self, *rooms: Array) -> None:
        if self._spoilable is not None:
            self._spoilable += rooms

    def _spoil(self) -> None:
        """Fill working memory with NaN, so that reads of unwritten memory show."""
        for room in self._spoilable or ():
            room.fill(np.nan)

    def _pack(self) -> dict[Any, int]:
        """Address of everything that is packed; packs it unless that has been done, for large networks in parallel."""
        kinds: tuple[type[Constant | Packed], ...] = Constant, Packed
        every = dict.fromkeys(one for record in self._distinct_records() for one in record.places(*kinds))
        waiting = iter(reversed(every))  # the last layers are the largest

        def work() -> None:
            for one in waiting:
                self._packed(one)

        weights = sum(step.weights for step in {id(step.record): step for step in self.plan.steps}.values())
        run_on_threads(work, self.plan.context.threads if weights >= PARALLEL_PACK_MIN_BYTES else 1)
        return {one: aligned.address(self._packed(one)) for one in every}

    def _packed(self, one: Constant | Packed) -> Array:
        return self._constants.get(one.key, functools.partial(one.pack, self._code))

    def _distinct_records(self) -> list[Record]:
        """Each step's record; the images of a span share it."""
        return list({id(step.record): step.record for step in self.plan.steps}.values())

    def _resolve(self) -> Resolver:
        """Addresses of everything that records refer to, except what the caller owns."""
        memory, late = self._memory(), self.plan.outside
        values = {value for record in self._distinct_records() for value in record.places(Buffer)}
        places = {value: memory[value.root] for value in values if value not in late}
        return Resolver(places | self._code | self._pack(), self._copy, late)

    def _copy(self, array: Array) -> Array:
        return aligned.aligned_copy(array, self._allocate)

    def _table(self, array: Array) -> int:
        """Keep an array; returns its address."""
        return aligned.address(self._keep(array))

    def _keep(self, array: Array) -> Array:
        self._tables.append(self._copy(array))
        return self._tables[-1]

    # the program

    def renew(self) -> None:
        """Pack all weights again that are stale."""
        self._pack()

    def _bind(self) -> None:
        """Find the slots of inputs and results; small ones are copied through arrays of the plan."""
        plan, small = self.plan, self._staging_buffers()
        results = [(name, *_axis_order(value)) for name, value in plan.outputs.items()]
        place = {name: at for at, name in enumerate(plan.net.inputs)}
        self._staged_inputs = [(place[v.name], room) for v, room in small.items() if v.is_input]
        self._staged_results = [(v.name, room) for v, room in small.items() if not v.is_input]
        self._large = [(name, shape) for name, shape, _ in results if plan.outputs[name] not in small]
        inputs = [(place[name], value) for name, value in plan.inputs.items() if value not in small]
        outputs = [(name, value) for name, value in plan.outputs.items() if value not in small]
        slots = self._resolver.slots
        self._open_inputs = [(at, *slot) for at, value in inputs for slot in slots[value]]
        self._open_results = [(name, *slot) for name, value in outputs for slot in slots[value]]
        self._permutations = [(name, order) for name, _, order in results if order is not None]

    def _staging_buffers(self) -> dict[Buffer, Array]:
        """Arrays for small batches and results: copying them costs less than setting their addresses."""
        rooms = {
            value: self._allocate(math.prod(value.shape), np.float32).reshape(_axis_order(value)[0])
            for value in (*self.plan.inputs.values(), *self.plan.outputs.values())
            if 0 < 4 * math.prod(value.shape) <= COPY_MAX_BYTES
        }
        for value, room in rooms.items():
            for record, slot, offset in self._resolver.slots[value]:
                record[slot] = aligned.address(room) + offset
        return rooms

    def _thread_count(self) -> int:
        """Number of threads: one if no step is divided."""
        divided = any(len(step.tasks) > 1 for step in self.plan.steps)
        return self.plan.context.threads if divided else 1

    def _assemble(self) -> Array:
        plan, threads = self.plan, self._thread_count()
        self._times = self._allocate(len(plan.steps) + 1, np.int64)
        self._rooms = [self._scratch() for _ in range(threads)]
        waits = [k > 0 and plan.epochs[k] != plan.epochs[k - 1] for k in range(len(plan.steps))]
        steps = zip(plan.steps, self._records, waits, strict=True)
        return self._keep(
            assemble_program(
                [(self._code[s.kernel], record, s.tasks, wait) for s, record, wait in steps],
                self._rooms,
                self._table,
            )
        )

    def _scratch(self) -> int:
        room = self._allocate(-(-self.plan.scratch // 4), np.float32)
        self._tables.append(room)
        self._register_spoilable(room)
        return aligned.address(room)

    def run(self, *x: Array) -> dict[str, Array]:
        """Results by name for one batch of each of the network's inputs, in order, float32, of the plan's size."""
        results = {name: self._result(shape) for name, shape in self._large} if self._large else {}
        with self._lock:
            for at, room in self._staged_inputs:
                room[...] = x[at]
            if self._open_inputs:
                x = tuple(a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in x)
                for at, record, slot, offset in self._open_inputs:
                    record[slot] = aligned.address(x[at]) + offset
            for name, record, slot, offset in self._open_results:
                record[slot] = aligned.address(results[name]) + offset
            self._spoil()
            self._pool.run(self._at, self._threads)
            for name, room in self._staged_results:
                results[name] = room.copy()
        for name, order in self._permutations:
            results[name] = np.ascontiguousarray(results[name].transpose(order))
        return results

    def _result(self, shape: tuple[int, ...]) -> Array:
        if self._apart:
            return self._allocate(math.prod(shape), np.float32).reshape(shape)
        return np.empty(shape, np.float32)

    def measure_steps(self, *x: Array, rounds: int = 10) -> list[float]:
        """Seconds of each step: median of some rounds, by the processor's clock."""
        every = []
        self._program[driver.TIMES // 8] = aligned.address(self._times)
        try:
            for _ in range(rounds):
                start = time.perf_counter()
                self.run(*x)
                took = time.perf_counter() - start
                ticks = np.diff(self._times).astype(float)
                every.append(ticks / max(ticks.sum(), 1.0) * took)
        finally:
            self._program[driver.TIMES // 8] = 0
        return [float(seconds) for seconds in np.median(every, axis=0)]


def assemble_program(
    entries: Sequence[tuple[int, Array, Sequence[Task], bool]],
    rooms: Sequence[int],
    table: Callable[[Array], int],
) -> Array:
    """A program of some steps: code, record, tasks, and whether it waits for the steps before.

    rooms: each thread's scratch memory; table: keeps an array alive and returns its address.
    """
    steps = np.zeros((len(entries), driver.CALL_SIZE // 8), np.int64)
    for k, (code, record, tasks, waits) in enumerate(entries):
        cuts = table(np.array(tasks, np.int64).reshape(-1))
        steps[k] = code, aligned.address(record), cuts, len(tasks), int(waits)
    stride = driver.shares(len(rooms))
    shares = np.zeros(len(steps) * stride // 8, np.int64)
    program = aligned.zeros(driver.PROGRAM_SIZE // 8, np.int64)
    program[: driver.RUN // 8] = (
        table(steps), len(steps), table(shares), stride, len(rooms),
        table(np.array(rooms, np.int64)), sched_yield_address(), 0,
    )  # fmt: skip
    return program


def _axis_order(value: Buffer) -> tuple[tuple[int, ...], list[int] | None]:
    """The shape in which a result is written, channels after images, and the permutation to its own axes."""
    roles = value.roles
    order = sorted(range(len(roles)), key=lambda axis: (roles[axis] != "n", roles[axis] != "c"))
    back = None if order == sorted(order) else [order.index(axis) for axis in range(len(order))]
    return tuple(value.shape[axis] for axis in order), back


def run_on_threads(work: Callable[[], None], threads: int) -> None:
    """Run the same work on several threads, this one included; the first error is raised here."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised below, by the thread that asked
            errors.append(error)

    helpers = [threading.Thread(target=guarded) for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    guarded()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
