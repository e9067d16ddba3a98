"""What only training sees: dropout and stochastic depth pass their input on at inference; layer scale stays."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.op import Declaration, Noise, Op, Trait, number
from striate.ops._axes import elementwise, variables
from striate.statement import Affine, load
from striate.tensor import Parameter, TensorSpec

__all__ = ["Dropout", "LayerScale", "StochasticDepth"]


class _PassThrough(Op):
    traits: ClassVar[Trait] = Trait.TRANSPARENT | Trait.RANDOM
    rate: float

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return elementwise(self, inputs[0], lambda x: x)

    def declare_training(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        shape = self.noise_shape(x)
        noise_index = (
            v if n > 1 or full == 1 else Affine(())
            for v, n, full in zip(variables(x).values(), shape, x.shape)
        )
        keep = load("r0", *noise_index)
        noise = (Noise("r0", shape, self.rate),)
        return dataclasses.replace(elementwise(self, x, lambda v: v * keep), noise=noise)

    def noise_shape(self, x: TensorSpec) -> tuple[int, ...]:
        """Shape of what is drawn: one number per input by default."""
        return x.shape


@dataclasses.dataclass(frozen=True)
class Dropout(_PassThrough):
    """Zeroes a random share of its inputs in training. Input and output: (N, …).

    Source: Srivastava et al., JMLR 2014; ONNX Dropout.
    """

    word: ClassVar[str] = "dropout"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    onnx: ClassVar[str] = "Dropout"
    torch: ClassVar[str] = "Dropout"

    rate: float = number(0.5, words=("rate",), least=0.0, most=1.0, doc="probability of dropping an element")

    def idle(self, declaration: Declaration) -> str:
        return "" if self.rate else "its rate is 0"


@dataclasses.dataclass(frozen=True)
class StochasticDepth(_PassThrough):
    """Drops a whole residual branch at random in training. Input and output: (N, …).

    Source: Huang et al., arXiv 1603.09382.
    """

    word: ClassVar[str] = "stochasticdepth"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    onnx: ClassVar[str] = "Identity"
    torch: ClassVar[str] = "torchvision.ops.StochasticDepth"

    rate: float = number(
        0.1, words=("rate",), least=0.0, most=1.0, doc="probability of dropping the branch of an image"
    )

    def noise_shape(self, x: TensorSpec) -> tuple[int, ...]:
        """One number per image."""
        return (x.shape[0], *(1 for _ in x.shape[1:]))


@dataclasses.dataclass(frozen=True)
class LayerScale(Op):
    """x · layer_scale, one learned number per channel that starts small.

    Input and output: (N, C, H, W). Parameter layer_scale (C, 1, 1). Source: Touvron et al., arXiv 2103.17239.
    """

    word: ClassVar[str] = "layerscale"
    positional: ClassVar[tuple[str, ...]] = ("init",)
    onnx: ClassVar[str] = "Mul"
    torch: ClassVar[str] = ""
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.CHANNELWISE

    init: float = number(1e-6, words=("init",), doc="first value of every scale")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        ones = (1,) * len(x.spatial)
        scale = load("layer_scale", "c", *(Affine(()) for _ in ones))
        return elementwise(
            self,
            x,
            lambda v: v * scale,
            Parameter("layer_scale", (x.channels, *ones), "scale", initial=self.init),
        )
