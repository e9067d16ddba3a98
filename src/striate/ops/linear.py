"""The fully connected layer: every output reads every input."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.diagnostics import OpError, ShapeError, plural
from striate.op import Declaration, Op, Trait, count, flag
from striate.statement import Domain, Statement, index, load
from striate.tensor import Parameter, TensorSpec

__all__ = ["Linear"]


@dataclasses.dataclass(frozen=True)
class Linear(Op):
    """Fully connected layer: y[…, k] = b[k] + sum over c of x[…, c] · w[k, c].

    Input: (N, …, C), usually a flattened image (N, C); on more axes it acts on the last one.
    Output: (N, …, features). Weight (features, C). Source: ONNX Gemm; PyTorch Linear.
    """

    word: ClassVar[str] = "fc"
    aliases: ClassVar = {"linear": {}}
    positional: ClassVar[tuple[str, ...]] = ("features",)
    onnx: ClassVar[str] = "Gemm"
    torch: ClassVar[str] = "Linear"
    traits: ClassVar[Trait] = Trait.WEIGHTED_SUM

    features: int = count(doc="number of outputs")
    bias: bool = flag(True, words=("bias",), doc="add one number per output")
    in_features: int | None = count(None, words=("in",), doc="input features that the weights expect")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if x.axes[-1] != "C":
            raise OpError(
                f"fc needs a flat input (got {x})",
                why=f"it would mix only axis {x.axes[-1]}",
                fix="add flatten (or gap -> flatten) before it",
            )
        size = x.shape[-1]
        if self.in_features not in (None, size):
            raise ShapeError(
                f"{plural(self.in_features, 'input')} expected, got {size}",
                code="G004",
                why=f"the weights are {self.features} x {self.in_features}; the input has {plural(size, 'number')}",
                fix=f"use an input that flattens to {self.in_features}, or weights for {size}",
            )
        outer = {f"m{axis}" if axis else "n": s for axis, s in enumerate(x.shape[:-1])}
        y = Statement(
            "y0",
            index(*outer, "k"),
            load("x0", *outer, "c") * load("weight", "k", "c"),
            Domain({**outer, "k": self.features}, {"c": size}),
            "sum",
            load("bias", "k") if self.bias else None,
        )
        weights = [Parameter("weight", (self.features, size))]
        if self.bias:
            weights.append(Parameter("bias", (self.features,), "bias"))
        result = dataclasses.replace(x, shape=(*x.shape[:-1], self.features))
        return Declaration(self, inputs, (result,), tuple(weights), (y,))
