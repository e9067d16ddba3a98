"""Entries of one axis in any order."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.diagnostics import OpError, ShapeError
from striate.geometry import Listed
from striate.op import Declaration, Op, Trait, choice, integers
from striate.ops._axes import ranges, variables
from striate.statement import Domain, Statement, Tap, index, load
from striate.tensor import TensorSpec

__all__ = ["Gather"]


@dataclasses.dataclass(frozen=True)
class Gather(Op):
    """The listed entries of one axis, in the order of the list: a selection, a permutation or repetitions.

    Input: (N, …). Output: the same axes, one of them as long as the list. Source: ONNX Gather.
    """

    word: ClassVar[str] = "gather"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    onnx: ClassVar[str] = "Gather"
    torch: ClassVar[str] = "torch.index_select"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    entries: tuple[int, ...] = integers(words=("entries",), least=0, doc="indices of the entries, from 0")
    axis: str = choice("C", ("C", "D", "H", "W", "L"), doc="axis to take them from")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if self.axis not in x.axes or not self.entries:
            raise OpError(
                f"gather along {self.axis} of an input without that axis"
                if self.entries
                else "gather without entries",
                why=f"it has the axes {' '.join(x.axes)}",
                fix=f"choose one of {', '.join(x.axes[1:])}" if self.entries else "give at least one entry",
            )
        size = x.size(self.axis)
        if max(self.entries) >= size:
            raise ShapeError(
                f"there is no entry {max(self.entries)} along {self.axis}",
                why=f"it has {size}, counted from 0",
                fix=f"entries up to {size - 1}",
            )
        y = dataclasses.replace(
            x, shape=tuple(len(self.entries) if a == self.axis else n for a, n in zip(x.axes, x.shape))
        )
        name, free = variables(x)[self.axis], ranges(y)
        read = load("x0", *(Tap(Listed(size, self.entries), v) if v == name else v for v in free))
        return Declaration(self, inputs, (y,), (), (Statement("y0", index(*free), read, Domain(free)),))
