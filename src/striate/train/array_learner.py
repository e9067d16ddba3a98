"""Updates the weights: the engine's learner if it keeps them on its device, else numpy on arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.diagnostics import UsageError, setting
from striate.engine.inputs import InputBatch
from striate.engine.interface import Engine, TrainingProgram
from striate.engine.learner import Learner, OptimizerState
from striate.engine.process_group import ProcessGroup
from striate.train.losses import Array
from striate.train.setup import TrainingSetup
from striate.train.state import State


def make_learner(setup: TrainingSetup, state: State, engine: Engine, process_group: ProcessGroup) -> Learner:
    """The learner of a setup, which continues from a state.

    Raises UsageError for amp or memory on an engine without it, LimitError for too little memory.
    """
    if setup.settings.amp and not engine.supports_amp:
        raise UsageError(
            f"the {engine.name} engine has no mixed precision",
            where="amp",
            fix=f"use {setting('engine', 'torch')}, or {setting('amp', False)}",
        )
    if setup.settings.memory and not engine.limits_memory:
        raise UsageError(
            f"the {engine.name} engine has no memory budget",
            where="memory",
            why="only the compiled engine recomputes values to save memory",
            fix=f"use {setting('engine', 'compiled')}, or leave out {setting('memory')}",
        )
    average = state.average.moving if state.average else None
    moments, steps = state.optimizer.moments, state.optimizer.steps
    store = OptimizerState(state.weights, moments, average, steps, state.loss_scale)
    learner = engine.learner(setup.net, setup.rule, store, process_group)
    return learner or ArrayLearner(setup, state, engine.training(setup.net, state.weights))


class ArrayLearner(Learner):
    """Steps the state's own arrays with Striate's optimizers."""

    def __init__(self, setup: TrainingSetup, state: State, program: TrainingProgram) -> None:
        self._setup, self._state, self._program = setup, state, program
        self._sums: dict[str, Array] = {}

    def forward(self, x: InputBatch, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        return self._program.forward(x, rng)

    def backward(self, gradients: Sequence[Array]) -> None:
        for name, statistic in self._program.updates.items():
            self._state.weights[name][...] = statistic
        for name, gradient in self._program.backward(gradients).items():
            self._sums[name] = self._sums[name] + gradient if name in self._sums else gradient

    def clip_gradients(self, scale: float) -> float:
        self._sums = {name: gradient * scale for name, gradient in self._sums.items()}
        return self._setup.clip_gradients(self._sums)

    def broken(self) -> list[str]:
        return [name for name, gradient in self._sums.items() if not np.isfinite(gradient).all()]

    def step(self, lr: float, momentum: float | None) -> None:
        state, sums = self._state, self._sums
        self._sums = {}
        state.optimizer.step(state.weights, sums, lr, momentum)
        if state.average:
            state.average.update(state.weights, state.optimizer.steps)

    def collect(self) -> None:
        """The state's arrays are the only ones."""
