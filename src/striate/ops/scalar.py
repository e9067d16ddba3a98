"""Arithmetic with constants: what other frameworks write between layers, as in x / 255 - 0.5 or min(x, 6)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.diagnostics import ShapeError
from striate.op import Declaration, Op, Trait, flag, integers, number
from striate.ops._axes import elementwise, variables
from striate.statement import Affine as Place
from striate.statement import Expr, call, load
from striate.tensor import Parameter, TensorSpec

__all__ = ["Affine", "Clip"]


@dataclasses.dataclass(frozen=True)
class Affine(Op):
    """x · weight · scale + bias + shift: two fixed numbers, and two tensors that are broadcast over the input.

    Input and output: (N, …). Weight and bias have the input's shape, or 1 along an axis, and always along the batch;
    axes in front may be missing. Neither is there unless its shape is given. Source: ONNX Mul, and Add, Sub and Div of
    a constant.
    """

    word: ClassVar[str] = "affine"
    positional: ClassVar[tuple[str, ...]] = ("scale", "shift")
    onnx: ClassVar[str] = "Mul"
    torch: ClassVar[str] = ""

    scale: float = number(1.0, words=("scale",), doc="factor")
    shift: float = number(0.0, words=("shift",), doc="offset")
    weight: tuple[int, ...] | None = integers(
        None, words=("weight",), least=1, doc="shape of a tensor of factors"
    )
    bias: tuple[int, ...] | None = integers(
        None, words=("bias",), least=1, doc="shape of a tensor of offsets"
    )
    learned: bool = flag(True, words=("learned",), doc="the tensors are learned, not fixed")

    @property
    def traits(self) -> Trait:
        """It keeps signs where it is nothing but numbers that are not negative."""
        plain = self.weight is None and self.bias is None and min(self.scale, self.shift) >= 0
        return Trait.LINEAR | Trait.CHANNELWISE | (Trait.KEEPS_SIGN if plain else Trait.NONE)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        parameters = []
        for name, kind, shape in (("weight", "scale", self.weight), ("bias", "shift", self.bias)):
            if shape is None:
                continue
            sizes = (1, *x.shape[1:])[-len(shape) :]
            if len(shape) != len(sizes) or any(s not in (1, n) for s, n in zip(shape, sizes)):
                raise ShapeError(
                    f"a {name} of shape {'x'.join(map(str, shape))} cannot be broadcast to {x}",
                    code="G004",
                    why=f"the input is {'x'.join(map(str, x.shape[1:]))}; each size must be the input's, or 1",
                    fix=f"{name} {','.join(map(str, x.shape[1:2] + (1,) * len(x.shape[2:])))}",
                )
            parameters.append(Parameter(name, shape, kind, self.learned, 1.0 if name == "weight" else 0.0))
        names = tuple(variables(x).values())
        tensors = {
            p.name: load(
                p.name, *(n if size > 1 else Place(()) for n, size in zip(names[-len(p.shape) :], p.shape))
            )
            for p in parameters
        }

        def value(v: Expr) -> Expr:
            v = v if self.scale == 1 else v * self.scale
            v = v * tensors["weight"] if "weight" in tensors else v
            v = v + tensors["bias"] if "bias" in tensors else v
            return v if self.shift == 0 else v + self.shift

        return elementwise(self, x, value, *parameters)


@dataclasses.dataclass(frozen=True)
class Clip(Op):
    """min(max(x, low), high); a bound may be missing. Input and output: (N, …). Source: ONNX Clip."""

    word: ClassVar[str] = "clip"
    onnx: ClassVar[str] = "Clip"
    torch: ClassVar[str] = "torch.clamp"

    low: float | None = number(None, words=("low",), doc="lower bound")
    high: float | None = number(None, words=("high",), doc="upper bound")

    @property
    def traits(self) -> Trait:
        """Its signs are those of its bounds."""
        traits = Trait.FUNCTION
        if self.high is not None and self.high < 0:
            return traits
        traits |= Trait.KEEPS_SIGN
        if self.low is not None and self.low >= 0:
            traits |= Trait.NOT_NEGATIVE
        return traits | Trait.KEEPS_POSITIVE if self.high is None and (self.low or 0) <= 0 else traits

    def declare(self, *inputs: TensorSpec) -> Declaration:
        def value(x: Expr) -> Expr:
            x = x if self.low is None else call("max", x, self.low)
            return x if self.high is None else call("min", x, self.high)

        return elementwise(self, inputs[0], value)
