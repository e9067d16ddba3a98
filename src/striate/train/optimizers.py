"""Optimizers: SGD with momentum, Adam, AdamW. One class per update rule, all state in named arrays.

The rules are those of `engine.update_rules`. An optimizer changes the weights in place. It owns its moments, which a
checkpoint stores as they are. Weight decay applies to the tensors named in `decayed`: convolution and linear weights,
never biases or norms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.engine.update_rules import UpdateFormula, formula
from striate.tensor import Parameter

Array = NDArray[Any]

DECAYED = "weight"
"""The kind of parameter that weight decay applies to (biases, scales and slopes are other kinds)."""


def decayed(parameters: Mapping[str, Parameter]) -> frozenset[str]:
    """Names of the tensors that weight decay applies to."""
    return frozenset(name for name, p in parameters.items() if p.trainable and p.kind == DECAYED)


class Optimizer:
    """Base of the rules. `moments`: kind of moment -> name of the tensor -> array like the tensor."""

    word: ClassVar[str]
    usual_lr: ClassVar[float]
    """Default learning rate."""
    usual_decay: ClassVar[float]

    def __init__(self, weight_decay: float = 0.0, decayed: Collection[str] = ()) -> None:
        self.weight_decay = weight_decay
        self.decayed = frozenset(decayed)
        self.steps = 0
        self.moments: dict[str, dict[str, Array]] = {name: {} for name in self.formula.moments}

    @property
    def formula(self) -> UpdateFormula:
        """The update rule, whose settings are attributes of the optimizer."""
        return formula(self.word)

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
            settings = self.formula.settings(self, momentum, lr=lr, decay=decay, step=self.steps)
            arrays = {"weight": weights[name]}
            for kind, moments in self.moments.items():
                arrays[kind] = moments.setdefault(name, np.zeros_like(weights[name]))
            results = self.formula.evaluate({**arrays, "gradient": gradient}, settings)
            for kind, array in arrays.items():
                array[...] = results[kind]


class SGD(Optimizer):
    """v ← μv + g; w ← w - lr·v, or with Nesterov w ← w - lr·(g + μv). Decay is part of g.

    Source: Sutskever et al., ICML 2013, in the form of torch.optim.SGD.
    """

    word = "sgd"
    usual_lr, usual_decay = 0.05, 5e-4

    def __init__(
        self,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        self.momentum, self.nesterov = momentum, nesterov
        super().__init__(weight_decay, decayed)

    @property
    def formula(self) -> UpdateFormula:
        return formula(self.word, self.nesterov)


class Adam(Optimizer):
    """m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - lr·m̂/(√v̂ + ε); decay is part of g.

    Source: Kingma & Ba, arXiv 1412.6980.
    """

    word = "adam"
    usual_lr, usual_decay = 1e-3, 0.0

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


class AdamW(Adam):
    """Adam whose decay acts on the weights alone: w ← (1 - lr·decay)·w first, then Adam's step on the bare gradient.

    Source: Loshchilov & Hutter, arXiv 1711.05101, in the form of torch.optim.AdamW.
    """

    word = "adamw"
    usual_decay = 1e-2


OPTIMIZERS: dict[str, type[Optimizer]] = {cls.word: cls for cls in (SGD, Adam, AdamW)}
