"""Training passes of a network in machine code."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import LimitError, plural
from striate.engine import aligned
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.inputs import InputBatch, arrays_by_input, rows
from striate.engine.interface import TrainingProgram
from striate.engine.kernels import driver, dropout_mask, permute_by_list
from striate.engine.kernels.argument_record import Constant, Key, table
from striate.engine.numpy_.numpy_engine import NumpyTraining, batched
from striate.engine.numpy_.philox import draw_key
from striate.engine.plan.kernel_calls import Packed, PlanContext, Task, cut
from striate.engine.plan.stages import Stage
from striate.engine.plan.units import Buffer, Unit
from striate.engine.runtime.loaded_plan import Constants, LoadedPlan, assemble_program
from striate.engine.training.budget import plan_within
from striate.engine.training.sweeps import Gradients, as_kernel_array
from striate.engine.training.taped_node import Unsupported
from striate.engine.training.tracing import trace_permutation
from striate.engine.training.training_plan import (
    TrainingPlan,
    plan,
    record_tape,
    stages,
    training_declarations,
)
from striate.network import Network

Array = NDArray[Any]

Job = tuple[int, Array, list[Task], bool]
"""A kernel call of a program, as `assemble_program` takes it."""

SINGLE_THREAD_MAX_NUMBERS = 1 << 14
"""Up to this many numbers are moved or drawn by one thread."""

READY_BATCH_SIZES = 8
"""Batch sizes that stay ready."""

PERMUTE, DROPOUT_MASK = Kernel("permute_by_list"), Kernel("dropout_mask")


class LoadedTrainingPlan(LoadedPlan):
    """A training plan as three programs: preparation (noise, and constants that no call packs), forward pass and
    backward pass. One run at a time.

    room: memory for its buffers, unless each has its own. updates: running statistics after the last forward pass;
    gradients: after the last backward pass; both by full parameter name.
    """

    plan: TrainingPlan

    def __init__(
        self, plan: TrainingPlan, constants: Constants, allocate: aligned.Allocate, room: Array | None
    ) -> None:
        self._room = room
        self._at_value: dict[Buffer, Array] = {}
        super().__init__(plan, constants, allocate)

    def _memory(self) -> dict[Buffer, int]:
        offsets = self.plan.arena.offsets
        if self._apart or self._room is None:
            self._buffers = {value: self._allocate(value.layout.bytes // 4, np.float32) for value in offsets}
        else:
            lines = {value: (start // 4, value.layout.bytes // 4) for value, start in offsets.items()}
            self._buffers = {value: self._room[at : at + count] for value, (at, count) in lines.items()}
        self._register_spoilable(*self._buffers.values())
        return {value: aligned.address(array) for value, array in self._buffers.items()}

    def _pack(self) -> dict[Any, int]:
        """Constants hold zeros now; the calls of `_permute_job` copy the real weights into place before every run.

        Weights that calls pack lie in the arena.
        """
        self._moves: dict[Key, tuple[Unit, int, dict[str, Array]]] = {}
        places: dict[Any, int] = {}
        for step in self.plan.steps:
            for packed in step.record.places(Packed):
                value = self.plan.packed.get(packed.key)
                places[packed] = 0 if value is None else aligned.address(self._buffers[value])
            for constant in step.record.places(Constant):
                places[constant] = aligned.address(self._constants.get(constant.key, constant.make))
                self._find_moves(step.unit, constant, places[constant])
        return places

    def _find_moves(self, unit: Unit, constant: Constant, address: int) -> None:
        key = constant.key
        names = [name for name in self.plan.weights.get(unit, ()) if key[-1] != "bias" or name == "bias"]
        if names and key not in self._moves:
            try:
                self._moves[key] = unit, address, trace_permutation(unit, names, constant.make)
            except OverflowError:
                raise Unsupported(unit.name) from None

    def _bind(self) -> None:
        """Nothing is bound yet: `put` sets addresses."""

    def _assemble(self) -> Array:
        program = super()._assemble()
        turn, count = self.plan.first_backward, len(self.plan.steps)
        program[driver.COUNT // 8] = turn
        back = self._allocate(driver.PROGRAM_SIZE // 8, np.int64)
        back[:] = program
        back[driver.CALLS // 8] += turn * driver.CALL_SIZE
        back[driver.COUNT // 8] = count - turn
        back[driver.SHARES // 8] += turn * int(program[driver.STRIDE // 8])
        self._back = back
        jobs = [
            self._permute_job(unit, name, pairs, address)
            for unit, address, moves in self._moves.values()
            for name, pairs in moves.items()
            if len(pairs)
        ]
        self._draws: list[Array] = []
        jobs += [self._noise_job(place) for place in range(len(self.plan.buffers.noise))]
        self._before = self._keep(assemble_program(jobs, self._rooms, self._table)) if jobs else None
        self._allocate_results()
        return program

    def _allocate_results(self) -> None:
        """Allocate the arrays for the results of a run."""
        shapes, buffers = self.plan.net.parameters, self.plan.buffers
        self.updates = {}
        for name, value in buffers.updates.items():
            room = self._allocate(math.prod(value.shape), np.float32)
            self.put(value, room)
            self.updates[name] = room.reshape(shapes[name].shape)
        arrays = {name: self._buffers[value] for name, value in sorted(buffers.gradients.items())}
        specs = self.plan.net.specs
        self.gradients = Gradients(
            {
                name: array.reshape((specs if name in specs else shapes)[name].shape)
                for name, array in arrays.items()
            }
        )

    def _permute_job(self, unit: Unit, name: str, pairs: Array, to: int) -> Job:
        """A kernel call that copies a parameter's numbers to their positions in a constant."""
        value = self.plan.buffers.parameters[self.plan.weights[unit][name]]
        arguments = permute_by_list.arguments(value.start_address, to, table(pairs), len(pairs))
        record = self._resolver.array(arguments)
        return self._job(PERMUTE, record, permute_by_list.rows(len(pairs)), len(pairs))

    def _noise_job(self, place: int) -> Job:
        """A kernel call that draws noise."""
        value, noise = self.plan.buffers.noise[place]
        groups = dropout_mask.rows(math.prod(noise.shape))
        room = self._allocate(groups * dropout_mask.GROUP_NUMBERS, np.float32)
        self.put(value, room)
        self._draws.append(self._keep(dropout_mask.arguments(aligned.address(room), noise.rate, place)))
        return self._job(DROPOUT_MASK, self._draws[-1], groups, room.size)

    def _job(self, kernel: Kernel, record: Array, rows: int, numbers: int) -> Job:
        code = addresses(self.plan.context.target, [kernel])[kernel]
        return (
            code,
            record,
            cut(rows, 1, self.plan.context.threads if numbers > SINGLE_THREAD_MAX_NUMBERS else 1),
            False,
        )

    def _thread_count(self) -> int:
        return self.plan.context.threads

    def put(self, value: Buffer, array: Array) -> None:
        """Set the array of an input or a result."""
        if self._at_value.get(value) is array:
            return
        self._at_value[value] = array
        address = aligned.address(array)
        for record, slot, offset in self._resolver.slots.get(value, ()):
            record[slot] = address + offset

    def prepare(self, key: tuple[int, int]) -> None:
        """Pack the weights that no call packs, and draw this run's noise."""
        for record in self._draws:
            record[dropout_mask.KEY // 8 : dropout_mask.KEY // 8 + 2] = key
        if self._before is not None:
            self._pool.run(aligned.address(self._before), self._threads)

    def measure_calls(self, rounds: int = 5) -> list[float]:
        """Seconds of each kernel call on the current contents: median of some rounds, by the processor's clock."""
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
        self._spoil()
        self._pool.run(self._at, self._threads)

    def backward(self) -> None:
        self._pool.run(aligned.address(self._back), self._threads)


class CompiledTraining(TrainingProgram):
    """Forward and backward passes in machine code; the numpy engine trains networks whose gradients have no kernels.

    memory: budget in bytes for a training step, 0 = unlimited. reserved: bytes of that budget that parameters and
    optimizer moments take. values: names of values whose gradients are computed instead of the parameters', in the
    network's inference form. All batch sizes share the memory of the largest.
    """

    def __init__(
        self,
        net: Network,
        weights: Mapping[str, Array],
        context: PlanContext,
        allocate: aligned.Allocate = aligned.zeros,
        memory: int = 0,
        reserved: int = 0,
        values: Sequence[str] | None = None,
    ) -> None:
        self._gradient_values = values
        self.net, self._weights, self._context = net, weights, context
        self._limits = memory, reserved
        self.updates: dict[str, Array] = {}
        self._ready: dict[int, LoadedTrainingPlan] = {}
        self._unsupported: set[int] = set()
        self._constants, self._allocate = Constants(allocate), allocate
        self._numpy_program: NumpyTraining | None = None
        self._now: LoadedTrainingPlan | None = None
        self._shared = np.zeros(0, np.float32)

    def _numpy(self) -> NumpyTraining:
        if self._numpy_program is None:
            self._numpy_program = NumpyTraining(self.net, self._weights, self._gradient_values)
        return self._numpy_program

    @property
    def compiled(self) -> bool:
        """Whether the last forward pass ran in machine code."""
        return self._now is not None

    def plan_for(self, size: int) -> LoadedTrainingPlan:
        """The plan for a batch size, ready to run.

        Raises Unsupported; with a memory budget LimitError if it is too small, and UsageError instead of Unsupported.
        """
        if size in self._unsupported:
            raise Unsupported(self.net.name)
        if size not in self._ready:
            try:
                self._ready[size] = self._load_plan(size)
            except Unsupported:
                self._unsupported.add(size)
                raise
            except MemoryError as error:
                raise LimitError(
                    f"training on {plural(size, 'image')} at a time needs more memory than is available",
                    why="all values that the backward pass needs must fit",
                    fix="a smaller batch_size, and accumulate in proportion; or a memory budget",
                ) from error
            while len(self._ready) > READY_BATCH_SIZES:
                del self._ready[next(iter(self._ready))]
        return self._ready[size]

    def stages_for(self, size: int) -> Iterator[Stage]:
        """The stages of the plan for a batch size. Raises Unsupported, and LimitError as `plan_for`."""
        net = batched(self.net, size)
        dropped = plan_within(net, self._context, *self._limits).dropped if self._limits[0] else ()
        return stages(record_tape(net, training_declarations(net), self._context), self._context, dropped)

    def _load_plan(self, size: int) -> LoadedTrainingPlan:
        net = batched(self.net, size)
        training_plan = (
            plan_within(net, self._context, *self._limits)
            if self._limits[0]
            else plan(net, self._context, self._gradient_values)
        )
        apart = self._allocate is not aligned.zeros
        if not apart and training_plan.arena.bytes > self._shared.nbytes:
            self._ready.clear()
            self._now, self._shared = None, np.zeros(0, np.float32)
            self._shared = self._allocate(-(-training_plan.arena.bytes // 4) + 16, np.float32)
        return LoadedTrainingPlan(
            training_plan, self._constants, self._allocate, None if apart else self._shared
        )

    def forward(self, x: InputBatch, rng: np.random.Generator) -> tuple[Array, ...]:
        inputs = arrays_by_input(self.net, x)
        self._now = None
        if rows(inputs) and all(array.dtype == np.float32 for array in inputs.values()):
            with contextlib.suppress(Unsupported):
                self._now = self.plan_for(rows(inputs))
        if self._now is None:
            results = self._numpy().forward(inputs, rng)
            self.updates = self._numpy().updates
            return results
        loaded, buffers = self._now, self._now.plan.buffers
        for name, array in inputs.items():
            loaded.put(buffers.inputs[name], np.ascontiguousarray(array))
        for name, value in buffers.parameter_inputs:
            loaded.put(value, np.ascontiguousarray(self._weights[name], np.float32))
        outputs = {name: self._room(value) for name, value in buffers.outputs.items()}
        for name, room in outputs.items():
            loaded.put(buffers.outputs[name], room)
        self.updates = loaded.updates
        loaded.prepare(draw_key(rng) if buffers.noise else (0, 0))
        loaded.forward()
        return tuple(outputs[name] for name in self.net.outputs)

    def _room(self, value: Buffer) -> Array:
        """A new array for a result; it belongs to the caller."""
        if self._allocate is aligned.zeros:
            return np.empty(value.shape, np.float32)
        return self._allocate(math.prod(value.shape), np.float32).reshape(value.shape)

    def backward(self, gradients: Sequence[Array]) -> dict[str, Array]:
        if self._now is None:
            return self._numpy().backward(gradients)
        results = {
            name: gradient.copy() for name, gradient in self.backward_in_place(gradients).arrays.items()
        }
        for name in self._gradient_values or ():
            if name not in results:  # no output depends on it
                results[name] = np.zeros(self._now.plan.net.specs[name].shape, np.float32)
        return results

    def backward_in_place(self, gradients: Sequence[Array]) -> Gradients:
        """As `backward`, but the gradients stay in memory that the next forward pass overwrites."""
        if self._now is None:
            plain = self._numpy().backward(gradients)
            return Gradients({name: as_kernel_array(gradient) for name, gradient in plain.items()})
        loaded, buffers = self._now, self._now.plan.buffers
        arriving: dict[str, Array] = {}
        for name, gradient in zip(self.net.outputs, gradients, strict=True):
            arriving[name] = arriving[name] + gradient if name in arriving else gradient
        for name, gradient in arriving.items():
            loaded.put(buffers.seeds[name], np.ascontiguousarray(gradient, np.float32))
        loaded.backward()
        return loaded.gradients
