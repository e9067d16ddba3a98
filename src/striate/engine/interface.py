"""The interface of all engines: run a network, and train one. `registry` finds an engine by name.

Engines differ in speed and agree in results; the loop, the model and the command line see only this interface.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import (
    OpError,
    UnknownNameError,
    UsageError,
    setting,
    suggest,
)
from striate.engine.inputs import InputBatch, join_arguments
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.process_group import SINGLE_PROCESS, ProcessGroup, launch_environment
from striate.network import Network
from striate.op import Declaration

Array = NDArray[Any]


class Program(abc.ABC):
    """A network in runnable form, inference only. Any batch size runs; batch 0 gives empty outputs."""

    net: Network

    @abc.abstractmethod
    def renew(self) -> None:
        """Load the weights again after their arrays were changed in place. Not safe while the program runs."""

    def __call__(self, x: InputBatch, *more: Array) -> Array | tuple[Array, ...]:
        """Outputs for a batch x (N, C, H, W), float32 (or float64, kept): one array, or a tuple of several.

        A network of several inputs takes ``program(a, b)``, ``program((a, b))`` or ``program({"left": a, …})``.
        """
        values = self.values(join_arguments(x, more), self.net.outputs)
        outputs = tuple(values[name] for name in self.net.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @abc.abstractmethod
    def values(self, x: InputBatch, names: Sequence[str]) -> dict[str, Array]:
        """The named values for a batch."""

    @abc.abstractmethod
    def profile(self, x: InputBatch) -> dict[str, float]:
        """Seconds by node for a batch, in order; nodes that are computed together are one: "conv1 + bn1 + relu1"."""

    @abc.abstractmethod
    def first_non_finite(self, x: InputBatch) -> str | None:
        """The first node whose output holds a NaN or an infinity for this batch."""


class TrainingProgram(abc.ABC):
    """A network in training mode: batch statistics, noise, gradients. Weights are read at every forward pass."""

    net: Network
    updates: dict[str, Array]
    """Running statistics after the last forward pass, by full parameter name."""

    @abc.abstractmethod
    def forward(self, x: InputBatch, rng: np.random.Generator) -> tuple[Array, ...]:
        """Outputs for a batch; noise is drawn from `rng` in the nodes' order."""

    @abc.abstractmethod
    def backward(self, gradients: Sequence[Array]) -> dict[str, Array]:
        """Gradients of all trainable parameters, by full name, from those of the outputs of the last forward pass; of
        a program that `Engine.differentiate` made those of its values, by name."""


class Engine(abc.ABC):
    """Runs and trains networks. supports_amp: trains in mixed precision. limits_memory: trains in a memory budget."""

    name: str
    supports_amp: bool = False
    limits_memory: bool = False

    @abc.abstractmethod
    def compile(
        self,
        net: Network,
        weights: Mapping[str, Array],
        *,
        batch: int | None = None,
        threads: int | None = None,
        precision: str = "fast",
    ) -> Program:
        """The network ready to run with these weights; `batch` and `threads` are what it is made fast for.

        precision "strict": no algorithm that rounds more than the plain sum does (Winograd's). The arrays must stay as
        they are, or `Program.renew` follows: a program reads them now, and again when a batch of another size comes.
        """

    @abc.abstractmethod
    def training(self, net: Network, weights: Mapping[str, Array]) -> TrainingProgram:
        """The network ready to train; the arrays in `weights` may be changed between runs."""

    @abc.abstractmethod
    def differentiate(
        self, net: Network, weights: Mapping[str, Array], values: Sequence[str]
    ) -> TrainingProgram:
        """The network in its inference form, ready to compute gradients with respect to inputs and values of nodes.

        `backward` gives those of `values`, zeros where no output depends on one; parameters get none.
        """

    @property
    def description(self) -> str:
        """The engine and its device, for reports."""
        return self.name

    @property
    def compiled(self) -> tuple[int, float]:
        """Number of kernels that this process has compiled, and the seconds: (0, 0) for engines without kernels."""
        return 0, 0.0

    def learner(
        self, net: Network, rule: UpdateRule, store: OptimizerState, process_group: ProcessGroup
    ) -> Learner | None:
        """The engine's own learner; None if weights are arrays in memory, which the training loop updates."""
        return None

    def process_group(self) -> AbstractContextManager[ProcessGroup]:
        """The process group of this training, connected while the context lasts. Raises UsageError, TrainingError."""
        _, size = launch_environment()
        if size > 1:
            raise UsageError(
                f"the {self.name} engine trains in one process, torchrun has started {size}",
                fix=setting("engine", "torch"),
            )
        return contextlib.nullcontext(SINGLE_PROCESS)


PRECISIONS = ("fast", "strict")


def is_strict(precision: str) -> bool:
    """Whether a precision is "strict" rather than "fast". Raises UnknownNameError for another word."""
    if precision not in PRECISIONS:
        near = suggest(precision, PRECISIONS)
        raise UnknownNameError(
            f"no precision {precision!r}",
            why=f"known: {', '.join(PRECISIONS)}",
            fix=f"write {near!r}" if near else "leave it out: fast",
        )
    return precision == "strict"


def frozen_declarations(net: Network) -> dict[str, Declaration]:
    """Every node's declaration in inference, in which no parameter is trained."""
    return {
        name: dataclasses.replace(
            declaration,
            parameters=tuple(dataclasses.replace(p, trainable=False) for p in declaration.parameters),
        )
        for name, declaration in net.declarations.items()
    }


def runnable(net: Network) -> Network:
    """The network itself. Raises OpError if one of its ops is known only by name."""
    for node in net.nodes:
        if not net.declarations[node.name].statements:
            raise OpError(
                f"{node.op} cannot be run",
                why="the operator is known by its name and shape only",
                fix="replace the node by operators that Striate knows",
            ).at(node.name, f"{node.name} = {node.op}", node.place)
    return net
