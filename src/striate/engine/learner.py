"""Interface of engines that update the weights themselves, because these live on the engine's device."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.inputs import InputBatch

Array = NDArray[Any]
Arrays = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class UpdateRule:
    """A step of the weights in plain values, as `striate.train.optimizers` defines them.

    word: sgd, adam or adamw; decayed: names of the tensors that `weight_decay` pulls; ema: decay of the moving average,
    0 without; mixed: 16-bit arithmetic where it does no harm. memory: bytes that a step of `batch_size` images may take
    with its weights, 0 for any; accumulate: batches of an update.
    """

    word: str
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decayed: frozenset[str] = frozenset()
    clip_norm: float = 0.0
    clip_value: float = 0.0
    ema: float = 0.0
    mixed: bool = False
    memory: int = 0
    batch_size: int = 0
    accumulate: int = 1


@dataclasses.dataclass
class OptimizerState:
    """The arrays of a run by full names. moments: kind -> name -> array; average: None without a moving one.

    steps: updates taken so far; loss_scale: factor that keeps 16-bit gradients from vanishing, 0 before there is one.
    """

    weights: Arrays
    moments: dict[str, Arrays]
    average: Arrays | None
    steps: int = 0
    loss_scale: float = 0.0


class Learner(abc.ABC):
    """Trains a network. For every update: `forward` and `backward` per batch, then `clip_gradients`, then `step`."""

    @property
    def loss_scale(self) -> float:
        """As in OptimizerState."""
        return 0.0

    @abc.abstractmethod
    def forward(self, x: InputBatch, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        """Outputs for a batch (N, C, H, W), or for one batch per input, in training mode. N may be 0.

        last: True if this is the last batch of the update.
        """

    @abc.abstractmethod
    def backward(self, gradients: Sequence[Array]) -> None:
        """Accumulate the parameters' gradients, given those of the outputs of the last forward pass."""

    @abc.abstractmethod
    def clip_gradients(self, scale: float) -> float:
        """Multiply the gradients, summed over all processes, by `scale`, and clip them. Returns their norm before that.

        Returns 0 if the update is skipped because a 16-bit gradient has overflowed.
        """

    @abc.abstractmethod
    def broken(self) -> list[str]:
        """Names of parameters whose gradient is not finite."""

    @abc.abstractmethod
    def step(self, lr: float, momentum: float | None) -> None:
        """Update the weights and their moving average. momentum: overrides that of the optimizer's configuration."""

    @abc.abstractmethod
    def collect(self) -> None:
        """Copy weights, moments and average back into the arrays of the run."""
