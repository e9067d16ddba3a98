"""A fixed scale and shift: the arithmetic with plain numbers that other frameworks' networks hold."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.op import Declaration, Op, number
from striate.ops._axes import elementwise
from striate.tensor import TensorSpec

__all__ = ["Scale"]


@dataclasses.dataclass(frozen=True)
class Scale(Op):
    """x·factor + offset with two fixed numbers; nothing is learned.

    Input and output: (N, …). Source: ONNX Mul by a constant; PyTorch torch.mul, torch.add with a number.
    """

    word: ClassVar[str] = "scale"
    positional: ClassVar[tuple[str, ...]] = ("factor",)
    onnx: ClassVar[str] = "Mul"
    torch: ClassVar[str] = "torch.mul"

    factor: float = number(1.0, words=("factor",), doc="what everything is multiplied by")
    offset: float = number(0.0, words=("plus",), doc="what is added then")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return elementwise(self, inputs[0], lambda x: x * self.factor + self.offset)
