"""Optimizers: SGD with momentum, Adam, AdamW. One class per update rule, all state in named arrays.

An optimizer changes the weights in place. It owns its moments, which a checkpoint stores as they are. Weight decay
applies to the tensors named in `decayed`: convolution and linear weights, never biases
or norms.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.tensor import Parameter

Array = NDArray[Any]

DECAYED = "weight"
"""The kind of parameter that weight decay applies to (biases, scales and slopes are other kinds)."""


def decayed(parameters: Mapping[str, Parameter]) -> frozenset[str]:
    """Names of the tensors that weight decay applies to."""
    return frozenset(name for name, p in parameters.items() if p.trainable and p.kind == DECAYED)


class Optimizer(abc.ABC):
    """Base of the rules. `moments`: kind of moment -> name of the tensor -> array like the tensor."""

    word: ClassVar[str]
    usual_lr: ClassVar[float]
    """Default learning rate."""
    usual_decay: ClassVar[float]
    moment_names: ClassVar[tuple[str, ...]]

    def __init__(self, weight_decay: float = 0.0, decayed: Collection[str] = ()) -> None:
        self.weight_decay = weight_decay
        self.decayed = frozenset(decayed)
        self.steps = 0
        self.moments: dict[str, dict[str, Array]] = {name: {} for name in self.moment_names}

    def step(
        self,
        weights: Mapping[str, Array],
        gradients: Mapping[str, Array],
        lr: float,
        momentum: float | None = None,
    ) -> None:
        """One step in place. momentum: replaces the optimizer's, for schedules that change it."""
        self.steps += 1
        for name, gradient in gradients.items():
            decay = self.weight_decay if name in self.decayed else 0.0
            self._update(name, weights[name], gradient, lr, decay, momentum)

    @abc.abstractmethod
    def _update(
        self, name: str, weight: Array, gradient: Array, lr: float, decay: float, momentum: float | None
    ) -> None:
        """Change one tensor in place."""

    def _moment(self, kind: str, name: str, like: Array) -> Array:
        return self.moments[kind].setdefault(name, np.zeros_like(like))


class SGD(Optimizer):
    """v ← μv + g; w ← w - lr·v, or with Nesterov w ← w - lr·(g + μv). Decay is part of g.

    Source: Sutskever et al., ICML 2013, in the form of torch.optim.SGD.
    """

    word = "sgd"
    usual_lr, usual_decay = 0.05, 5e-4
    moment_names = ("velocity",)

    def __init__(
        self,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        super().__init__(weight_decay, decayed)
        self.momentum, self.nesterov = momentum, nesterov

    def _update(
        self, name: str, weight: Array, gradient: Array, lr: float, decay: float, momentum: float | None
    ) -> None:
        mu = self.momentum if momentum is None else momentum
        g = gradient + decay * weight if decay else gradient
        if mu:
            velocity = self._moment("velocity", name, weight)
            velocity *= mu
            velocity += g
            g = g + mu * velocity if self.nesterov else velocity
        weight -= lr * g


class Adam(Optimizer):
    """m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - lr·m̂/(√v̂ + ε); decay is part of g.

    Source: Kingma & Ba, arXiv 1412.6980.
    """

    word = "adam"
    usual_lr, usual_decay = 1e-3, 0.0
    moment_names = ("first", "second")

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        super().__init__(weight_decay, decayed)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def _update(
        self, name: str, weight: Array, gradient: Array, lr: float, decay: float, momentum: float | None
    ) -> None:
        g = self._decay(weight, gradient, lr, decay)
        beta1 = self.beta1 if momentum is None else momentum
        first, second = self._moment("first", name, weight), self._moment("second", name, weight)
        first *= beta1
        first += (1 - beta1) * g
        second *= self.beta2
        second += (1 - self.beta2) * (g * g)
        step = lr / (1 - beta1**self.steps)
        weight -= step * first / (np.sqrt(second) / math.sqrt(1 - self.beta2**self.steps) + self.eps)

    def _decay(self, weight: Array, gradient: Array, lr: float, decay: float) -> Array:
        return gradient + decay * weight if decay else gradient


class AdamW(Adam):
    """Adam whose decay acts on the weights alone: w ← (1 - lr·decay)·w first, then Adam's step on the bare gradient.

    Source: Loshchilov & Hutter, arXiv 1711.05101, in the form of torch.optim.AdamW.
    """

    word = "adamw"
    usual_decay = 1e-2

    def _decay(self, weight: Array, gradient: Array, lr: float, decay: float) -> Array:
        if decay:
            weight *= 1 - lr * decay
        return gradient


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.word: cls for cls in (SGD, Adam, AdamW)}
