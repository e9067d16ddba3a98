"""Ops that only move numbers: no arithmetic, no parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from striate.diagnostics import OpError, ShapeError, plural
from striate.geometry import Shift
from striate.op import Declaration, Op, Padding, Trait, choice, count, integers, mode, number, padding, text
from striate.ops._axes import elementwise, nearest_divisor, need_groups, need_spatial, same_shape, variables
from striate.statement import Affine, Domain, Index, Statement, Tap, index, load
from striate.tensor import SPATIAL, TensorSpec

__all__ = [
    "ChannelShuffle",
    "Flatten",
    "Identity",
    "Pad",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Reshape",
    "Slice",
    "Split",
]


def _ranges(x: TensorSpec) -> dict[str, int]:
    return dict(zip(variables(x).values(), x.shape, strict=True))


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _flat_copy(op: Op, x: TensorSpec, y: TensorSpec) -> Declaration:
    """The same numbers in row-major order under another shape, or other names."""
    free = _ranges(x)
    if x.shape == y.shape:
        return Declaration(
            op, (x,), (y,), (), (Statement("y0", index(*free), load("x0", *free), Domain(free)),)
        )
    inner = list(free)[1:]
    flat = tuple(zip(inner, _strides(x.shape[1:]), strict=True))
    target = (
        Affine(flat, 0, stride, size if axis else 0)
        for axis, (stride, size) in enumerate(zip(_strides(y.shape[1:]), y.shape[1:], strict=True))
    )
    statement = Statement("y0", (*index("n"), *target), load("x0", *free), Domain(free))
    return Declaration(op, (x,), (y,), (), (statement,))


class Identity(Op):
    """The input itself. Input and output: (N, …). Source: ONNX Identity."""

    word: ClassVar[str] = "identity"
    onnx: ClassVar[str] = "Identity"
    torch: ClassVar[str] = "Identity"
    traits: ClassVar[Trait] = Trait.TRANSPARENT

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return elementwise(self, inputs[0], lambda x: x)


class Flatten(Op):
    """All numbers of an image in one row, channels outermost. Input: (N, C, H, W). Output: (N, C·H·W).

    Source: ONNX Flatten.
    """

    word: ClassVar[str] = "flatten"
    onnx: ClassVar[str] = "Flatten"
    torch: ClassVar[str] = "Flatten"
    traits: ClassVar[Trait] = Trait.VIEW

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        return _flat_copy(self, x, TensorSpec((x.shape[0], x.elements), ("N", "C"), x.dtype))


@dataclasses.dataclass(frozen=True)
class Reshape(Op):
    """The same numbers, in row-major order, under another shape (without the batch); one entry may be -1.

    Input: (N, …). Output: (N, *shape): (C), (C, L), (C, H, W) or (C, D, H, W), unless the axes are named.
    Source: ONNX Reshape.
    """

    word: ClassVar[str] = "reshape"
    positional: ClassVar[tuple[str, ...]] = ("shape",)
    onnx: ClassVar[str] = "Reshape"
    torch: ClassVar[str] = "Unflatten"
    traits: ClassVar[Trait] = Trait.VIEW

    shape: tuple[int, ...] = integers(doc="output shape without the batch; one size may be -1", least=-1)
    axes: str | None = text(None, words=("axes",), doc="letters of the output's axes, if not the default")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        product = math.prod(size for size in self.shape[:8] if size != -1)
        if len(self.shape) - 1 not in SPATIAL or self.shape.count(-1) > 1 or product == 0:
            raise OpError(
                f"{x} cannot be reshaped to {'x'.join(map(str, self.shape[:8]))}",
                why=f"got {len(self.shape)} sizes; a shape has one to four sizes of at least 1, and at most one -1",
                fix="give one to four sizes of at least 1, or -1 for one of them",
            )
        shape = tuple(x.elements // product if size == -1 else size for size in self.shape)
        if math.prod(shape) != x.elements:
            raise ShapeError(
                f"{x} cannot be reshaped to {'x'.join(map(str, self.shape))}",
                code="G004",
                why=f"it has {plural(x.elements, 'element')}, the shape {product}"
                + (" times -1" if -1 in self.shape else ""),
                fix="give sizes with the same product, or -1 for one of them",
            )
        usual = ("C", *SPATIAL[len(shape) - 1])
        if self.axes is not None and sorted(self.axes) != sorted(usual):
            raise OpError(
                f"axes {self.axes} do not name the shape {'x'.join(map(str, shape))}",
                why=f"{plural(len(shape), 'size')} take the letters {' '.join(usual)}, in any order",
                fix=f"axes {''.join(usual)}",
            )
        y = TensorSpec((x.shape[0], *shape), ("N", *(self.axes or usual)), x.dtype)
        return _flat_copy(self, x, y)


@dataclasses.dataclass(frozen=True)
class Permute(Op):
    """Axes in another order, named by their letters: ``permute HWC`` makes (N, C, H, W) into (N, H, W, C).

    Input: (N, …). Output: (N, axes in the new order). Source: ONNX Transpose.
    """

    word: ClassVar[str] = "permute"
    positional: ClassVar[tuple[str, ...]] = ("order",)
    onnx: ClassVar[str] = "Transpose"
    torch: ClassVar[str] = "torch.permute"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN | Trait.CHANNELWISE

    order: str = text(doc="letters of the axes after the batch, in their new order")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if sorted(self.order) != sorted(x.axes[1:]):
            raise OpError(
                f"permute {self.order} does not match the axes {''.join(x.axes[1:])}",
                why="name every axis except the batch once",
                fix=f"permute {''.join((*x.axes[2:], x.axes[1]))}",
            )
        axes = ("N", *self.order)
        names = variables(x)
        y = dataclasses.replace(x, axes=axes, shape=tuple(x.size(axis) for axis in axes))
        target = index(*(names[axis] for axis in axes))
        free = _ranges(x)
        return Declaration(
            self, inputs, (y,), (), (Statement("y0", target, load("x0", *free), Domain(free)),)
        )


@dataclasses.dataclass(frozen=True)
class Pad(Op):
    """Rows and columns, and channels, added around the input. Input: (N, C, H, W). Output: (N, C + c, H + p, W + p).

    Source: ONNX Pad; new channels: He et al., arXiv 1512.03385, section 3.3 (A).
    """

    word: ClassVar[str] = "pad"
    positional: ClassVar[tuple[str, ...]] = ("padding",)
    onnx: ClassVar[str] = "Pad"
    torch: ClassVar[str] = "ZeroPad2d"

    padding: Padding = padding(1, words=(), policies=False, doc="rows and columns to add")
    mode: str = mode()
    value: float = number(0.0, words=("value",), doc="fill value of mode zeros")
    channels: tuple[int, ...] = integers(
        (0, 0), words=("channels",), least=0, doc="channels to add, before and after"
    )

    @property
    def traits(self) -> Trait:
        """It keeps signs where it fills in nothing negative, and channels apart where it adds none."""
        sign = Trait.NONE if self.value < 0 else Trait.KEEPS_SIGN
        return Trait.LINEAR | sign | (Trait.NONE if any(self.channels) else Trait.CHANNELWISE)

    def idle(self, declaration: Declaration) -> str:
        return same_shape(declaration)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        pads = [p for p in self.padding_per_axis(need_spatial(self, x)) if isinstance(p, tuple)]
        maps = [
            Shift(n, before, after, 1, self.mode) for n, (before, after) in zip(x.spatial, pads, strict=True)
        ]
        if len(self.channels) != 2:
            raise OpError("pad channels takes two numbers", why="before and after", fix="channels 0,8")
        deep = Shift(x.channels, *self.channels)
        y = x.resized(channels=deep.output, spatial=[m.output for m in maps])
        free = _ranges(y)
        names = list(free)
        taps = (Tap(m, name) for m, name in zip(maps, names[2:], strict=True))
        channel = Tap(deep, names[1]) if any(self.channels) else names[1]
        read = load("x0", names[0], channel, *taps, outside=self.value)
        return Declaration(self, inputs, (y,), (), (Statement("y0", index(*free), read, Domain(free)),))


@dataclasses.dataclass(frozen=True)
class Slice(Op):
    """Every step-th entry of one axis from start to before stop; negative positions count from the end.

    Input: (N, …). Output: the same axes, one of them shorter. Source: ONNX Slice.
    """

    word: ClassVar[str] = "slice"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    onnx: ClassVar[str] = "Slice"
    torch: ClassVar[str] = "torch.narrow"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    axis: str = choice("C", ("C", "D", "H", "W", "L"), doc="axis to slice")
    start: int = count(0, words=("from",), least=None, doc="first entry")
    stop: int | None = count(None, words=("to",), least=None, doc="entry to stop before; default: the end")
    step: int = count(1, words=("step",), doc="step between entries")

    def idle(self, declaration: Declaration) -> str:
        return same_shape(declaration)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if self.axis not in x.axes:
            raise OpError(
                f"slice along {self.axis} of an input without that axis",
                why=f"it has the axes {' '.join(x.axes)}",
                fix=f"choose one of {', '.join(x.axes[1:])}",
            )
        size = x.size(self.axis)
        start, stop, _ = slice(self.start, self.stop).indices(size)
        if start >= stop:
            raise ShapeError(
                f"slice from {self.start} to {'the end' if self.stop is None else self.stop} of {size} is empty",
                why=f"along {self.axis} that is {start} to {stop}",
                fix=f"start below {size}, stop above start",
            )
        least_size = 0
        if self.start < 0:
            least_size = -self.start
        elif self.stop is not None and self.stop > 0:
            least_size = start + (stop - start - 1) // self.step * self.step + 1  # one past the last entry
        cut = Shift(size, -start, stop - size, self.step, fixed=least_size)
        name = variables(x)[self.axis]
        y = dataclasses.replace(
            x, shape=tuple(cut.output if a == self.axis else s for a, s in zip(x.axes, x.shape))
        )
        free = _ranges(y)
        read = load("x0", *(Tap(cut, v) if v == name else v for v in free))
        return Declaration(self, inputs, (y,), (), (Statement("y0", index(*free), read, Domain(free)),))


@dataclasses.dataclass(frozen=True)
class Split(Op):
    """The input split along the channels into equal parts or given sizes; one output each.

    Input: (N, C, …). Outputs: (N, Ci, …). Source: ONNX Split; PyTorch chunk.
    """

    word: ClassVar[str] = "split"
    positional: ClassVar[tuple[str, ...]] = ("parts",)
    onnx: ClassVar[str] = "Split"
    torch: ClassVar[str] = "torch.split"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    parts: int = count(2, doc="number of equal parts")
    sizes: tuple[int, ...] | None = integers(
        None, words=("sizes",), least=1, doc="channels of each part, instead of equal parts"
    )

    @property
    def output_count(self) -> int:
        return len(self.sizes) if self.sizes else self.parts

    def idle(self, declaration: Declaration) -> str:
        return "it splits into one part" if self.output_count == 1 else ""

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        if self.sizes is None and x.channels % self.parts:
            raise OpError(
                f"{plural(x.channels, 'channel')} cannot be split into {plural(self.parts, 'equal part')}",
                why=f"{x.channels}/{self.parts} = {x.channels / self.parts:.2f}",
                fix=f"give sizes, or {plural(nearest_divisor(x.channels, self.parts), 'part')}",
            )
        sizes = self.sizes or (x.channels // self.parts,) * self.parts
        if sum(sizes) != x.channels:
            raise OpError(
                f"split sizes {' '.join(map(str, sizes))} do not make {plural(x.channels, 'channel')}",
                why=f"they sum to {sum(sizes)}",
                fix=f"use sizes that sum to {x.channels}",
            )
        outputs, statements, start = [], [], 0
        for port, size in enumerate(sizes):
            y = dataclasses.replace(x, shape=tuple(size if a == "C" else s for a, s in zip(x.axes, x.shape)))
            free = _ranges(y)
            read = load("x0", *(Affine((("c", 1),), start) if v == "c" else v for v in free))
            outputs.append(y)
            statements.append(Statement(f"y{port}", index(*free), read, Domain(free)))
            start += size
        return Declaration(self, inputs, tuple(outputs), (), tuple(statements))


@dataclasses.dataclass(frozen=True)
class ChannelShuffle(Op):
    """Channels permuted across groups: channel g·(C/groups) + c goes to c·groups + g.

    Input and output: (N, C, …). Source: Zhang et al., arXiv 1707.01083.
    """

    word: ClassVar[str] = "channelshuffle"
    positional: ClassVar[tuple[str, ...]] = ("groups",)
    onnx: ClassVar[str] = ""
    torch: ClassVar[str] = "ChannelShuffle"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    groups: int = count(2, doc="number of groups to shuffle between")

    def idle(self, declaration: Declaration) -> str:
        trivial = self.groups in (1, declaration.inputs[0].channels)
        return f"{self.groups} groups do not change the order" if trivial else ""

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        group_channels = need_groups(self.groups, x.channels)
        space = {name: size for name, size in _ranges(x).items() if name not in ("n", "c")}
        free = {"n": x.shape[0], "g": self.groups, "c": group_channels, **space}

        def place(channel: Affine) -> tuple[Index, ...]:
            return index(*(channel if name == "c" else name for name in _ranges(x)))

        target = place(Affine((("c", self.groups), ("g", 1))))
        read = load("x0", *place(Affine((("g", group_channels), ("c", 1)))))
        return Declaration(self, inputs, (x,), (), (Statement("y0", target, read, Domain(free)),))


@dataclasses.dataclass(frozen=True)
class PixelShuffle(Op):
    """Channels moved into space: factor² channels become factor x factor pixels.

    Input: (N, C·factor², H, W). Output: (N, C, H·factor, W·factor). Source: Shi et al., arXiv 1609.05158;
    ONNX DepthToSpace (CRD).
    """

    word: ClassVar[str] = "pixelshuffle"
    positional: ClassVar[tuple[str, ...]] = ("factor",)
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    onnx: ClassVar[str] = "DepthToSpace"
    torch: ClassVar[str] = "PixelShuffle"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    factor: int = count(2, doc="upscale factor")

    def idle(self, declaration: Declaration) -> str:
        return same_shape(declaration)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        rank, factor = need_spatial(self, x), self.factor
        patch = factor**rank
        if x.channels % patch:
            raise OpError(
                f"{plural(x.channels, 'channel')} cannot be folded into patches of {patch}",
                why=f"pixelshuffle {factor} takes {factor}^{rank} channels for each output channel",
                fix=f"{plural(-(-x.channels // patch) * patch, 'channel')}",
            )
        y = x.resized(channels=x.channels // patch, spatial=[n * factor for n in x.spatial])
        space, fine = list(_ranges(x))[2:], ("u", "v", "w")[:rank]
        free = {"n": x.shape[0], "c": y.channels, **dict.fromkeys(fine, factor)}
        free |= {v: s for v, s in _ranges(x).items() if v in space}
        channel = Affine((("c", patch), *zip(fine, _strides((factor,) * rank), strict=True)))
        target = (Affine(((v, factor), (u, 1))) for v, u in zip(space, fine, strict=True))
        statement = Statement(
            "y0", (*index("n", "c"), *target), load("x0", "n", channel, *space), Domain(free)
        )
        return Declaration(self, inputs, (y,), (), (statement,))


@dataclasses.dataclass(frozen=True)
class PixelUnshuffle(Op):
    """Space moved into channels: factor x factor pixels become factor² channels; the inverse of `PixelShuffle`.

    Input: (N, C, H, W), H and W multiples of factor. Output: (N, C·factor², H / factor, W / factor).
    Source: Shi et al., arXiv 1609.05158; PyTorch PixelUnshuffle.
    """

    word: ClassVar[str] = "pixelunshuffle"
    positional: ClassVar[tuple[str, ...]] = ("factor",)
    onnx: ClassVar[str] = ""
    torch: ClassVar[str] = "PixelUnshuffle"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN

    factor: int = count(2, doc="downscale factor")

    def idle(self, declaration: Declaration) -> str:
        return same_shape(declaration)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        rank, factor = need_spatial(self, x), self.factor
        for axis, size in zip(x.spatial_axes, x.spatial, strict=True):
            if size % factor:
                raise ShapeError(
                    f"pixelunshuffle {factor} does not divide {axis} {size}",
                    why=f"{size}/{factor} = {size / factor:.2f}, which must be a whole number",
                    fix=f"{axis} {size - size % factor or factor}, or pad up to {size + -size % factor}",
                )
        y = x.resized(channels=x.channels * factor**rank, spatial=[n // factor for n in x.spatial])
        space, fine = list(_ranges(y))[2:], ("u", "v", "w")[:rank]
        free = {"n": x.shape[0], "c": x.channels, **dict.fromkeys(fine, factor)}
        free |= {v: s for v, s in _ranges(y).items() if v in space}
        channel = Affine((("c", factor**rank), *zip(fine, _strides((factor,) * rank), strict=True)))
        read = load(
            "x0", "n", "c", *(Affine(((v, factor), (u, 1))) for v, u in zip(space, fine, strict=True))
        )
        statement = Statement("y0", (*index("n"), channel, *index(*space)), read, Domain(free))
        return Declaration(self, inputs, (y,), (), (statement,))
