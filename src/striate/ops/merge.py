"""Where branches meet: sums, products, concatenation, and the crop that makes unequal maps equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import reduce
from operator import add, mul
from typing import ClassVar

from striate.diagnostics import ShapeError
from striate.geometry import Shift
from striate.op import Declaration, Op, choice, count
from striate.ops._axes import need_spatial, variables
from striate.statement import Affine, Domain, Expr, Statement, Tap, index, load
from striate.tensor import TensorSpec

__all__ = ["Add", "Concat", "Crop", "Multiply"]


def _unequal(op: Op, inputs: tuple[TensorSpec, ...], why: str, fix: str) -> ShapeError:
    shapes = " and ".join(str(x) for x in inputs)
    return ShapeError(f"{op.word} cannot merge {shapes}", code="G003", why=why, fix=fix)


def _broadcast(op: Op, inputs: tuple[TensorSpec, ...], combine: Callable[[Expr, Expr], Expr]) -> Declaration:
    """Combine inputs of equal shape; an axis of size 1 is repeated along the others' size."""
    first = inputs[0]
    if any(x.axes != first.axes for x in inputs):
        raise _unequal(op, inputs, "they do not have the same axes", "flatten or reshape one of them first")
    shape = tuple(max(sizes) for sizes in zip(*(x.shape for x in inputs), strict=True))
    for axis, size, *sizes in zip(first.axes, shape, *(x.shape for x in inputs), strict=True):
        odd = next((s for s in sizes if s not in (1, size)), None)
        if odd is not None:
            raise _unequal(
                op,
                inputs,
                f"along {axis}: {' and '.join(map(str, sizes))}",
                f"make {axis} {size} on every branch: "
                + ("as many filters" if axis == "C" else "the same stride and padding"),
            )
    y = dataclasses.replace(first, shape=shape)
    free = dict(zip(variables(y).values(), shape, strict=True))
    loads = [
        load(
            f"x{port}",
            *(
                name if size == full else Affine(())
                for name, size, full in zip(free, x.shape, shape, strict=True)
            ),
        )
        for port, x in enumerate(inputs)
    ]
    statement = Statement("y0", index(*free), reduce(combine, loads), Domain(free))  # type: ignore[arg-type]
    return Declaration(op, inputs, (y,), (), (statement,))


class Add(Op):
    """Sum of two or more inputs, element by element: a residual connection.

    Inputs: (N, C, …) each, equal or of size 1 along an axis. Output: their common shape.
    Source: He et al., arXiv 1512.03385; ONNX Add.
    """

    word: ClassVar[str] = "add"
    arity: ClassVar[int | None] = None
    onnx: ClassVar[str] = "Add"
    torch: ClassVar[str] = "torch.add"

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _broadcast(self, inputs, add)


class Multiply(Op):
    """Product of two or more inputs, element by element: a gate, as in squeeze-and-excitation.

    Inputs: (N, C, …) each, equal or of size 1 along an axis. Output: their common shape.
    Source: Hu et al., arXiv 1709.01507; ONNX Mul.
    """

    word: ClassVar[str] = "mul"
    arity: ClassVar[int | None] = None
    onnx: ClassVar[str] = "Mul"
    torch: ClassVar[str] = "torch.mul"

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _broadcast(self, inputs, mul)


@dataclasses.dataclass(frozen=True)
class Concat(Op):
    """Inputs side by side along one axis, the channels by default.

    Inputs: (N, Ci, H, W), equal but along the axis. Output: (N, sum of Ci, H, W). Source: ONNX Concat.
    """

    word: ClassVar[str] = "concat"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    arity: ClassVar[int | None] = None
    onnx: ClassVar[str] = "Concat"
    torch: ClassVar[str] = "torch.cat"

    axis: str = choice("C", ("C", "D", "H", "W", "L"), doc="axis along which they are joined")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        first = inputs[0]
        if self.axis not in first.axes or any(x.axes != first.axes for x in inputs):
            shared = [axis for axis in first.axes[1:] if all(axis in x.axes for x in inputs)]
            why = f"not all have the axes {' '.join(first.axes)} with {self.axis}"
            raise _unequal(self, inputs, why, f"choose one of {', '.join(shared)}, or reshape")
        for axis in first.axes:
            sizes = [x.size(axis) for x in inputs]
            if axis != self.axis and len(set(sizes)) > 1:
                raise _unequal(
                    self,
                    inputs,
                    f"along {axis}: {' and '.join(map(str, sizes))}",
                    f"make {axis} {min(sizes)} on every branch: the same stride and padding, or crop",
                )
        names = variables(first)
        statements, start = [], 0
        for port, x in enumerate(inputs):
            free = dict(zip(names.values(), x.shape, strict=True))
            target = (Affine(((name, 1),), start if name == names[self.axis] else 0) for name in free)
            statements.append(Statement("y0", tuple(target), load(f"x{port}", *free), Domain(free)))
            start += x.size(self.axis)
        shape = tuple(start if axis == self.axis else first.size(axis) for axis in first.axes)
        return Declaration(self, inputs, (dataclasses.replace(first, shape=shape),), (), tuple(statements))


@dataclasses.dataclass(frozen=True)
class Crop(Op):
    """The first input cut to the height and width of the second: from its middle, or from an offset.

    Inputs: (N, C, H, W), (N, C', H', W') with H' <= H. Output: (N, C, H', W'); an odd row is cut at the end.
    Source: Ronneberger et al., arXiv 1505.04597 (middle); Long et al., arXiv 1411.4038 (offset, Caffe's Crop).
    """

    word: ClassVar[str] = "crop"
    positional: ClassVar[tuple[str, ...]] = ("offset",)
    arity: ClassVar[int | None] = 2
    follows: ClassVar[int | None] = 1
    onnx: ClassVar[str] = "CenterCropPad"
    torch: ClassVar[str] = "torch.narrow"

    offset: int | None = count(None, least=0, doc="rows and columns cut before; the middle when not given")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        x, like = inputs
        need_spatial(self, x)
        if x.axes != like.axes or any(n < m for n, m in zip(x.spatial, like.spatial, strict=True)):
            raise _unequal(
                self, inputs, "only a larger map can be cropped to a smaller one", "swap the inputs"
            )
        maps = []
        for n, m in zip(x.spatial, like.spatial, strict=True):
            start = (n - m) // 2 if self.offset is None else self.offset
            if start + m > n:
                raise _unequal(
                    self, inputs, f"{start} + {m} reaches past {n}", f"an offset of at most {n - m}"
                )
            maps.append(Shift(n, -start, start + m - n))
        y = x.resized(spatial=like.spatial)
        free = dict(zip(variables(y).values(), y.shape, strict=True))
        names = list(free)
        read = load("x0", *names[:2], *(Tap(m, name) for m, name in zip(maps, names[2:], strict=True)))
        return Declaration(self, inputs, (y,), (), (Statement("y0", index(*free), read, Domain(free)),))
