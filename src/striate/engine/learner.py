"""What an engine offers that takes the steps of the weights itself, because they live on a device of its own."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.inputs import Given

Array = NDArray[Any]
Arrays = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Rule:
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
class Store:
    """The arrays of a run by full names. moments: kind -> name -> array; average: None without a moving one.

    steps: updates taken so far; loss_scale: factor that keeps 16-bit gradients from vanishing, 0 before there is one.
    """

    weights: Arrays
    moments: dict[str, Arrays]
    average: Arrays | None
    steps: int = 0
    loss_scale: float = 0.0


class Learner(abc.ABC):
    """A network that learns: for every update `forward` and `backward` for each batch, then `bound`, then `step`."""

    @property
    def loss_scale(self) -> float:
        """As in Store."""
        return 0.0

    @abc.abstractmethod
    def forward(self, x: Given, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        """Outputs for a batch (N, C, H, W), or for one of each input, in training mode. N may be 0.

        last: whether it is the last batch of its update.
        """

    @abc.abstractmethod
    def backward(self, gradients: Sequence[Array]) -> None:
        """Add up the parameters' gradients, from those of the outputs of the last forward run."""

    @abc.abstractmethod
    def bound(self, share: float) -> float:
        """Multiply the sums, over all processes, by `share`; clip them; returns their joint length before that.

        0 where the step is left out, because a 16-bit gradient has overflowed.
        """

    @abc.abstractmethod
    def broken(self) -> list[str]:
        """Parameters whose gradient is not finite."""

    @abc.abstractmethod
    def step(self, lr: float, momentum: float | None) -> None:
        """Change the weights, and their moving average; momentum: in place of the rule's own."""

    @abc.abstractmethod
    def collect(self) -> None:
        """Bring the arrays of the run up to date."""
