"""Resampling to another size: nearest neighbor, (bi-, tri-)linear and (bi-)cubic."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import ClassVar

from striate.diagnostics import OpError, ShapeError
from striate.geometry import AxisMap, Cubic, Linear, Nearest
from striate.op import Declaration, Op, Sizes, Trait, choice, flag, number, sizes
from striate.ops._axes import need_spatial, same_shape, slide
from striate.statement import Blend, Domain, Expr, Statement, index, load
from striate.tensor import TensorSpec

__all__ = ["Upsample"]


@dataclasses.dataclass(frozen=True)
class Upsample(Op):
    """The input resampled by a scale, or to a size.

    Input: (N, C, H, W). Output: (N, C, ⌊H·scale⌋, ⌊W·scale⌋), or the given size. Nearest reads ⌊i/scale⌋;
    bilinear blends the two neighbors of (i + 1/2)/scale - 1/2 along an axis, bicubic four, or aligns the corners.
    Source: PyTorch Upsample; ONNX Resize.
    """

    word: ClassVar[str] = "upsample"
    positional: ClassVar[tuple[str, ...]] = ("scale",)
    onnx: ClassVar[str] = "Resize"
    torch: ClassVar[str] = "Upsample"

    scale: float | None = number(None, words=("scale",), doc="scale factor")
    size: Sizes | None = sizes(None, words=("size",), doc="output height and width instead")
    method: str = choice(
        "nearest", ("nearest", "bilinear", "bicubic"), words=("method",), doc="interpolation"
    )
    align_corners: bool = flag(False, words=("corners",), doc="align corners when interpolating")

    @property
    def traits(self) -> Trait:
        """Cubic interpolation overshoots, below zero, too."""
        sign = Trait.NONE if self.method == "bicubic" else Trait.KEEPS_SIGN
        return Trait.LINEAR | Trait.CHANNELWISE | sign

    def idle(self, declaration: Declaration) -> str:
        return same_shape(declaration)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        rank = need_spatial(self, x)
        if (self.scale is None) == (self.size is None):
            raise OpError(
                "upsample needs either a scale or a size",
                why=f"scale is {self.scale}, size is {self.size}",
                fix="upsample 2",
            )
        scale = None if self.scale is None else Fraction(str(self.scale))
        if scale is None:
            sizes = self.per_axis("size", rank)
        elif scale > 0:
            sizes = tuple(int(n * scale) for n in x.spatial)
        else:
            raise OpError(
                f"scale {self.scale:g} is not positive", why="sizes must be positive", fix="scale 2"
            )
        if not all(sizes):
            raise ShapeError(
                "upsample has no output", why=f"{x} times {self.scale} has no pixels", fix="scale 1"
            )
        axes = list(zip(x.spatial, sizes, strict=True))
        maps: list[AxisMap]
        if self.method == "nearest":
            maps = [Nearest(n, m, scale) for n, m in axes]
        else:
            blend = Linear if self.method == "bilinear" else Cubic
            maps = [blend(n, m, scale, self.align_corners) for n, m in axes]
        taps, out, reach = slide(maps)
        free = {"n": x.shape[0], "c": x.channels, **out}
        value: Expr = load("x0", "n", "c", *taps)
        if self.method != "nearest":
            value = reduce(mul, (Blend(tap) for tap in taps), value)
        statement = Statement("y0", index(*free), value, Domain(free, reach), "sum")
        y = x.resized(spatial=[m.output for m in maps])
        return Declaration(self, inputs, (y,), (), (statement,))
