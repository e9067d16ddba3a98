"""Where branches meet: sums, products, extremes, concatenation, and the crop that makes unequal maps equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import reduce
from operator import add, mul, truediv
from typing import ClassVar

from striate.diagnostics import ShapeError
from striate.geometry import Shift
from striate.op import Declaration, Op, Trait, choice, count
from striate.ops._axes import need_spatial, variables
from striate.statement import Affine, Domain, Expr, Statement, Tap, call, index, load
from striate.tensor import SPATIAL, TensorSpec

__all__ = ["Add", "Concat", "Crop", "Divide", "MatMul", "Maximum", "Minimum", "Multiply"]


def _unequal(op: Op, inputs: tuple[TensorSpec, ...], why: str, fix: str) -> ShapeError:
    shapes = " and ".join(str(x) for x in inputs)
    return ShapeError(f"{op.word} cannot merge {shapes}", code="G003", why=why, fix=fix)


def _broadcast(op: Op, inputs: tuple[TensorSpec, ...], combine: Callable[[Expr, Expr], Expr]) -> Declaration:
    """Combine inputs of equal shape; an axis of size 1 is repeated along the others' size."""
    first = inputs[0]
    if any(x.axes != first.axes for x in inputs):
        raise _unequal(op, inputs, "their axes differ", "flatten or reshape one of them first")
    shape = tuple(max(sizes) for sizes in zip(*(x.shape for x in inputs), strict=True))
    for axis, size, *sizes in zip(first.axes, shape, *(x.shape for x in inputs), strict=True):
        odd = next((s for s in sizes if s not in (1, size)), None)
        if odd is not None:
            raise _unequal(
                op,
                inputs,
                f"along {axis}: {' and '.join(map(str, sizes))}",
                f"make {axis} {size} on every branch: "
                + ("the same number of filters" if axis == "C" else "the same stride and padding"),
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
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

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
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _broadcast(self, inputs, mul)


class Divide(Op):
    """The first input divided by the second, element by element.

    Inputs: (N, C, …) each, equal or of size 1 along an axis. Output: their common shape. Source: ONNX Div.
    """

    word: ClassVar[str] = "div"
    arity: ClassVar[int | None] = 2
    onnx: ClassVar[str] = "Div"
    torch: ClassVar[str] = "torch.div"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _broadcast(self, inputs, truediv)


class Maximum(Op):
    """The largest of two or more inputs, element by element (maxout).

    Inputs: (N, C, …) each, equal or of size 1 along an axis. Output: their common shape.
    Source: Goodfellow et al., arXiv 1302.4389; ONNX Max.
    """

    word: ClassVar[str] = "maximum"
    arity: ClassVar[int | None] = None
    onnx: ClassVar[str] = "Max"
    torch: ClassVar[str] = "torch.maximum"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _broadcast(self, inputs, lambda a, b: call("max", a, b))


class Minimum(Op):
    """The smallest of two or more inputs, element by element.

    Inputs: (N, C, …) each, equal or of size 1 along an axis. Output: their common shape. Source: ONNX Min.
    """

    word: ClassVar[str] = "minimum"
    arity: ClassVar[int | None] = None
    onnx: ClassVar[str] = "Min"
    torch: ClassVar[str] = "torch.minimum"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _broadcast(self, inputs, lambda a, b: call("min", a, b))


class MatMul(Op):
    """Matrix product over the last two axes: y[…, i, j] = sum over k of a[…, i, k] · b[…, k, j].

    Inputs: (N, …, I, K) and (N, …, K, J), the axes before them equal or of size 1. Output: (N, …, I, J), its axes named
    by their places; as products with no weight they are not counted as multiplications.
    Source: Vaswani et al., arXiv 1706.03762; ONNX MatMul.
    """

    word: ClassVar[str] = "matmul"
    arity: ClassVar[int | None] = 2
    onnx: ClassVar[str] = "MatMul"
    torch: ClassVar[str] = "torch.matmul"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN

    def declare(self, *inputs: TensorSpec) -> Declaration:
        a, b = inputs
        rank = len(a.shape)
        pairs = list(zip(a.shape[:-2], b.shape[:-2]))
        if rank != len(b.shape) or rank < 3:
            raise _unequal(
                self, inputs, "it takes two values of equal rank, at least three axes each", "reshape one"
            )
        if a.shape[-1] != b.shape[-2]:
            why = f"the first has {a.shape[-1]} columns, the second {b.shape[-2]} rows"
            raise _unequal(self, inputs, why, "permute or reshape one of them first")
        if any(n != m and 1 not in (n, m) for n, m in pairs):
            raise _unequal(
                self, inputs, "the axes before the matrices differ", "make them equal, or 1 on one side"
            )
        leading = [max(pair) for pair in pairs]
        y = TensorSpec((*leading, a.shape[-2], b.shape[-1]), ("N", "C", *SPATIAL[rank - 2]), a.dtype)
        names = ["n", "g", "h", "l"][: rank - 2]
        free = dict(zip([*names, "i", "j"], y.shape, strict=True))

        def read(port: int, x: TensorSpec, *last: str) -> Expr:
            before = [v if n == m else Affine(()) for v, n, m in zip(names, x.shape, leading)]
            return load(f"x{port}", *before, *last)

        product = read(0, a, "i", "k") * read(1, b, "k", "j")
        domain = Domain(free, {"k": a.shape[-1]})
        return Declaration(self, inputs, (y,), (), (Statement("y0", index(*free), product, domain, "sum"),))


@dataclasses.dataclass(frozen=True)
class Concat(Op):
    """Inputs concatenated along one axis, the channels by default.

    Inputs: (N, Ci, H, W), equal but along the axis. Output: (N, sum of Ci, H, W). Source: ONNX Concat.
    """

    word: ClassVar[str] = "concat"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    arity: ClassVar[int | None] = None
    onnx: ClassVar[str] = "Concat"
    torch: ClassVar[str] = "torch.cat"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    axis: str = choice("C", ("C", "D", "H", "W", "L"), doc="axis of the concatenation")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        first = inputs[0]
        if self.axis not in first.axes or any(x.axes != first.axes for x in inputs):
            common = [axis for axis in first.axes[1:] if all(axis in x.axes for x in inputs)]
            why = f"not all have the axes {' '.join(first.axes)} with {self.axis}"
            raise _unequal(self, inputs, why, f"choose one of {', '.join(common)}, or reshape")
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
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    offset: int | None = count(
        None, least=0, doc="rows and columns cut before the crop; default: a center crop"
    )

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
