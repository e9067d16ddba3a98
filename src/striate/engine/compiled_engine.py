"""The compiled engine: networks planned for this processor, run by kernels in machine code."""

from __future__ import annotations

import collections
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import LimitError
from striate.engine import cpu_caches
from striate.engine.codegen.code import compile_stats
from striate.engine.inputs import InputBatch, arrays_by_input, rows
from striate.engine.interface import Engine, Program, TrainingProgram, is_strict, runnable
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.numpy_.numpy_engine import NumpyEngine, batched
from striate.engine.plan.execution_plan import ExecutionPlan, plan
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.process_group import ProcessGroup
from striate.engine.runtime.loaded_plan import Constants, LoadedPlan
from striate.engine.runtime.plan_report import Machine, PlanReport, bound, table
from striate.engine.target import Target
from striate.engine.threads import available
from striate.locks import fork_safe_lock
from striate.network import Network

Array = NDArray[Any]

READY_BATCH_SIZES = 8
"""Batch sizes that stay ready to run: 64 and the powers of two below it, and one more."""


class CompiledProgram(Program):
    """A network in machine code. Batches of any size run: each size is planned at its first use.

    Weights are packed at their first use, and shared by all sizes. Float64 batches go to the numpy engine, which keeps
    their precision.
    """

    def __init__(
        self,
        net: Network,
        weights: Mapping[str, Array],
        target: Target,
        size: int,
        threads: int,
        strict: bool,
    ) -> None:
        self.net, self._weights = net, weights
        self._target, self._threads, self._strict = target, threads, strict
        self._constants = Constants()
        self._ready: collections.OrderedDict[tuple[int, tuple[str, ...]], LoadedPlan] = (
            collections.OrderedDict()
        )
        self._lock = fork_safe_lock()
        self._size = size
        self._last: tuple[tuple[int, ...], LoadedPlan] | None = None

    def plan_for(self, size: int, names: Sequence[str]) -> LoadedPlan:
        """The plan for a batch size and some results, ready to run."""
        key = size, tuple(dict.fromkeys(names))
        with self._lock:
            if key not in self._ready:
                context = PlanContext(
                    self._target, self._threads, self._strict, cpu_caches.size(2), cpu_caches.size(3)
                )
                execution_plan = plan(batched(self.net, size), self._weights, key[1], context)
                self._ready[key] = LoadedPlan(execution_plan, self._constants)
                while len(self._ready) > READY_BATCH_SIZES:
                    self._ready.popitem(last=False)
            self._ready.move_to_end(key)
            return self._ready[key]

    def renew(self) -> None:
        with self._lock:
            self._constants.renew()
            for loaded in self._ready.values():
                loaded.renew()

    @property
    def plan(self) -> ExecutionPlan:
        """The plan for the batch size that the program was made for."""
        return self.plan_for(self._size, self.net.outputs).plan

    def __call__(self, x: InputBatch, *more: Array) -> Array | tuple[Array, ...]:
        """As every program; a batch of the only input with the last shape skips the checks."""
        last = self._last
        if (
            last is None
            or not isinstance(x, np.ndarray)
            or x.shape != last[0]
            or x.dtype != np.float32
            or more
        ):
            return super().__call__(x, *more)
        try:
            outputs = last[1].run(x)
        except MemoryError:
            return super().__call__(x)  # which says what to do
        return (
            outputs[self.net.outputs[0]]
            if len(outputs) == 1
            else tuple(outputs[name] for name in self.net.outputs)
        )

    def values(self, x: InputBatch, names: Sequence[str]) -> dict[str, Array]:
        inputs = arrays_by_input(self.net, x)
        size, (array, *more) = rows(inputs), inputs.values()
        if array.dtype == np.float64:
            return self._precise.values(inputs, names)
        if not size:
            return {n: np.empty((0, *self.net.specs[n].shape[1:]), np.float32) for n in names}
        try:
            loaded = self.plan_for(size, names)
            if tuple(names) == self.net.outputs and not more:
                self._last = array.shape, loaded
            return loaded.run(array, *more)
        except MemoryError as error:
            raise LimitError(
                f"a batch of {size} needs more memory than there is",
                why="all values that live at the same time have to fit",
                fix="predict fewer images at a time, or smaller ones",
            ) from error

    def profile(self, x: InputBatch) -> dict[str, float]:
        arrays = [array.astype(np.float32, copy=False) for array in arrays_by_input(self.net, x).values()]
        loaded, node_seconds = self.plan_for(rows(arrays), self.net.outputs), dict[str, float]()
        for step, seconds in zip(loaded.plan.steps, loaded.measure_steps(*arrays), strict=True):
            node_seconds[step.unit.name] = node_seconds.get(step.unit.name, 0.0) + seconds
        return node_seconds

    def table(self, x: InputBatch, machine: Machine) -> PlanReport:
        """The plan for this batch with measured times, compared with the limits of a machine."""
        arrays = [array.astype(np.float32, copy=False) for array in arrays_by_input(self.net, x).values()]
        loaded = self.plan_for(rows(arrays), self.net.outputs)
        return table(loaded, loaded.measure_steps(*arrays), self._constants.bytes, machine)

    def bound(self, images: int, machine: Machine) -> float:
        """Lower bound on the seconds of a batch of some images on a machine, from the plan; nothing runs."""
        plan = self.plan_for(images, self.net.outputs).plan
        return bound(plan.steps, self._constants.bytes, machine, plan.context.threads)

    @functools.cached_property
    def _precise(self) -> Program:
        return NumpyEngine().compile(self.net, self._weights)

    def first_non_finite(self, x: InputBatch) -> str | None:
        return self._precise.first_non_finite(x)


class CompiledEngine(Engine):
    """Kernels for one processor."""

    name = "compiled"
    limits_memory = True

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def compiled(self) -> tuple[int, float]:
        return compile_stats.kernels, compile_stats.seconds

    def compile(
        self,
        net: Network,
        weights: Mapping[str, Array],
        *,
        batch: int | None = None,
        threads: int | None = None,
        precision: str = "fast",
    ) -> Program:
        count = threads or available()
        program = CompiledProgram(
            runnable(net), weights, self.target, batch or 1, count, is_strict(precision)
        )
        if batch is not None:
            program.plan_for(batch, net.outputs)
        return program

    def training(self, net: Network, weights: Mapping[str, Array]) -> TrainingProgram:
        from striate.engine.training.compiled_training import CompiledTraining

        return CompiledTraining(runnable(net), weights, self.context())

    def differentiate(
        self, net: Network, weights: Mapping[str, Array], values: Sequence[str]
    ) -> TrainingProgram:
        from striate.engine.training.compiled_training import CompiledTraining

        return CompiledTraining(runnable(net), weights, self.context(), values=values)

    def learner(
        self, net: Network, rule: UpdateRule, store: OptimizerState, process_group: ProcessGroup
    ) -> Learner | None:
        from striate.engine.training.compiled_learner import CompiledLearner

        if rule.mixed:
            return None
        return CompiledLearner(runnable(net), rule, store, self.context())

    def context(self, threads: int | None = None) -> PlanContext:
        """Properties of this machine for plans."""
        return PlanContext(self.target, threads or available(), False, cpu_caches.size(2), cpu_caches.size(3))
