"""Axes taken apart, put in another order and joined again, in one step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from striate.diagnostics import OpError, ShapeError, plural
from striate.op import Declaration, Op, Trait, integers
from striate.statement import Affine, Domain, Load, Statement
from striate.tensor import SPATIAL, TensorSpec

__all__ = ["Rearrange"]

_MAX_AXES = 12
"""Maximum axes that a value is split into."""


@dataclasses.dataclass(frozen=True)
class Rearrange(Op):
    """The input reshaped to `apart`, its axes permuted by `order`, and reshaped to `shape`.

    Space to channels, or windows cut out of a map: permutations that need more axes than the input has.
    Input: (N, …). Output: (N, *shape). In `apart` and `shape` one size may be -1; none of the fields names the batch.
    Source: PyTorch's view, permute, reshape; ONNX Reshape with Transpose in between.
    """

    word: ClassVar[str] = "rearrange"
    positional: ClassVar[tuple[str, ...]] = ("apart", "order", "shape")
    onnx: ClassVar[str] = "Reshape"
    torch: ClassVar[str] = "torch.permute"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    apart: tuple[int, ...] = integers(doc="sizes that the input is split into", least=-1)
    order: tuple[int, ...] = integers(doc="order of these axes, counted from 0", least=0)
    shape: tuple[int, ...] = integers(doc="output shape without the batch", least=-1)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if sorted(self.order) != list(range(len(self.apart))) or len(self.apart) > _MAX_AXES:
            raise OpError(
                f"order {','.join(map(str, self.order[:_MAX_AXES]))} is not a permutation of {len(self.apart)} axes",
                why=f"every part is named once, counted from 0; there are at most {_MAX_AXES}",
                fix=f"order {','.join(map(str, range(min(len(self.apart), _MAX_AXES))))}",
            )
        if len(self.shape) - 1 not in SPATIAL:
            raise OpError(
                f"a value has no {plural(len(self.shape), 'axis', 'axes')} besides the batch",
                why="it has one to four",
                fix="join axes",
            )
        apart, shape = _fill_size(x, self.apart), _fill_size(x, self.shape)
        y = TensorSpec((x.shape[0], *shape), ("N", "C", *SPATIAL[len(shape) - 1]), x.dtype)
        names = {f"a{k}": size for k, size in enumerate(apart)}
        turned = {f"a{k}": apart[k] for k in self.order}
        image = Affine((("n", 1),))
        statement = Statement(
            "y0",
            (image, *_addresses(turned, shape)),
            Load("x0", (image, *_addresses(names, x.shape[1:]))),
            Domain({"n": x.shape[0], **names}),
        )
        return Declaration(self, inputs, (y,), (), (statement,))


def _fill_size(x: TensorSpec, wish: Sequence[int]) -> tuple[int, ...]:
    """The sizes, -1 replaced by the factor that is left. Raises ShapeError if the numbers do not fit."""
    product = math.prod(size for size in wish if size != -1)
    sizes = tuple(x.elements // product if size == -1 and product else size for size in wish)
    if wish.count(-1) > 1 or math.prod(sizes) != x.elements:
        raise ShapeError(
            f"{x} cannot be split into {'x'.join(map(str, wish))}",
            code="G004",
            why=f"it has {plural(x.elements, 'element')}, the sizes {product}"
            + (" times -1" if -1 in wish else ""),
            fix="give sizes with the same product, or -1 for one of them",
        )
    return sizes


def _addresses(names: Mapping[str, int], shape: Sequence[int]) -> list[Affine]:
    """Index of every axis of a shape in loop variables that run, row-major, through the same numbers."""
    terms, stride = [], math.prod(names.values())
    for name, size in names.items():
        stride //= size
        terms.append((name, stride))
    indices, below = [], math.prod(shape)
    for at, size in enumerate(shape):
        above, below = below, below // size
        # Variables that step within this axis alone are its index; else it is cut out of the whole address.
        axis_terms = [
            (name, step)
            for name, step in terms
            if below <= step and step * names[name] <= above and names[name] > 1
        ]
        if math.prod(names[name] for name, _ in axis_terms) == size:
            indices.append(Affine(tuple((name, step // below) for name, step in axis_terms)))
        else:
            indices.append(Affine(tuple(terms), 0, below, size if at else 0))
    return indices
