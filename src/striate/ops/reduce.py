"""One number in place of an axis: sums, means, extremes and norms."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from striate.diagnostics import OpError
from striate.geometry import Whole
from striate.op import Declaration, Op, Trait, choice, text
from striate.ops._axes import TAPS, ranges, variables
from striate.statement import Affine, Domain, Expr, Index, Load, Statement, Tap, call
from striate.tensor import TensorSpec

__all__ = ["Reduce"]

_MIN_SUM_OF_SQUARES = 1e-37
"""Lower bound of a sum of squares: the root has no derivative at 0."""


@dataclasses.dataclass(frozen=True)
class Reduce(Op):
    """Sum, mean, maximum, minimum, or the norm |x| + … (l1) or √(x² + …) (l2) over one or more axes, kept with size 1.

    Input: (N, …). Output: the same axes, those that are reduced of size 1. Source: ONNX ReduceMean and its like.
    """

    word: ClassVar[str] = "reduce"
    positional: ClassVar[tuple[str, ...]] = ("function",)
    onnx: ClassVar[str] = "ReduceMean"
    torch: ClassVar[str] = "torch.mean"

    function: str = choice("mean", ("mean", "sum", "max", "min", "l1", "l2"), doc="the reduction")
    over: str = text("C", words=("over",), doc="letters of the reduced axes")

    @property
    def traits(self) -> Trait:
        """A norm has no sign; sums and means are linear."""
        more = {"mean": Trait.LINEAR, "sum": Trait.LINEAR, "l1": Trait.NOT_NEGATIVE, "l2": Trait.NOT_NEGATIVE}
        apart = Trait.NONE if "C" in self.over else Trait.CHANNELWISE
        return Trait.KEEPS_SIGN | apart | more.get(self.function, Trait.NONE)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if not self.over or len(set(self.over)) < len(self.over) or not set(self.over) <= set(x.axes[1:]):
            raise OpError(
                f"reduce over {self.over or 'nothing'} does not match the axes {''.join(x.axes[1:])}",
                why="use letters of the input's axes, each once, without the batch",
                fix=f"over {x.axes[1]}",
            )
        names, taps = variables(x), iter((*TAPS, "c"))
        y = dataclasses.replace(x, shape=tuple(1 if a in self.over else n for a, n in zip(x.axes, x.shape)))
        free, reduced = ranges(y), dict[str, int]()
        places: list[Index] = []
        for axis, size in zip(x.axes, x.shape, strict=True):
            name = names[axis]
            if axis not in self.over:
                places.append(Affine(((name, 1),)))
            elif axis == "C":
                del free["c"]
                reduced["c"] = size
                places.append(Affine((("c", 1),)))
            else:
                tap = next(taps)
                reduced[tap] = size
                places.append(Tap(Whole(size), name, tap))
        where = tuple(
            Affine(()) if name == "c" and "C" in self.over else Affine(((name, 1),)) for name in ranges(y)
        )
        value: Expr = Load("x0", tuple(places))
        statements = _statements(self.function, value, where, free, reduced)
        return Declaration(self, inputs, (y,), (), statements)


def _statements(
    function: str, value: Expr, where: tuple[Affine, ...], free: dict[str, int], reduced: dict[str, int]
) -> tuple[Statement, ...]:
    domain = Domain(free, reduced)
    total = Load("t0", where)
    match function:
        case "max":
            return (Statement("y0", where, value, domain, "max"),)
        case "min":
            largest = Statement("t0", where, -value, domain, "max")
            return largest, Statement("y0", where, -total, Domain(free))
        case "mean":
            return (Statement("y0", where, value * (1 / math.prod(reduced.values())), domain, "sum"),)
        case "l1":
            return (Statement("y0", where, call("abs", value), domain, "sum"),)
        case "l2":
            root = call("sqrt", call("max", total, _MIN_SUM_OF_SQUARES))
            return Statement("t0", where, value * value, domain, "sum"), Statement(
                "y0", where, root, Domain(free)
            )
    return (Statement("y0", where, value, domain, "sum"),)
