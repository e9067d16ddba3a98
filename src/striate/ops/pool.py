"""Pooling: sliding, global and adaptive windows without weights, each channel by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from striate.diagnostics import OpError
from striate.geometry import Adaptive, AxisMap, Whole, Window
from striate.op import Declaration, Op, Padding, Sizes, Trait, Windowed, count, flag, padding, sizes
from striate.ops._axes import need_spatial, same_shape, slide, windows
from striate.statement import Domain, Expr, Inside, Load, Statement, call, index
from striate.tensor import TensorSpec

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "LpPool",
    "MaxPool",
]


def _reduction(
    op: Op,
    x: TensorSpec,
    maps: Sequence[AxisMap],
    reduce: str,
    value: Expr | None = None,
    *,
    target: str = "y0",
) -> Statement:
    """One reduction over the taps of every spatial axis, per channel."""
    taps, out, reach = slide(maps)
    outside = float("-inf") if reduce == "max" else 0.0
    read = Load("x0", (*index("n", "c"), *taps), outside)
    domain = Domain({"n": x.shape[0], "c": x.channels, **out}, reach)
    return Statement(target, index("n", "c", *out), read if value is None else value, domain, reduce)


def _mean(op: Op, x: TensorSpec, maps: Sequence[AxisMap], *, padded: bool) -> Declaration:
    """Sum of the taps over their number; `padded` counts those that land on padding, too."""
    taps, out, reach = slide(maps)
    weight: Expr = Inside(taps[0], padded)
    for tap in taps[1:]:
        weight = weight * Inside(tap, padded)
    where = index("n", "c", *out)
    free = {"n": x.shape[0], "c": x.channels, **out}
    statements = (
        _reduction(op, x, maps, "sum", target="t0"),
        Statement("t1", index(*out), weight, Domain(out, reach), "sum"),
        Statement("y0", where, Load("t0", where) / Load("t1", index(*out)), Domain(free)),
    )
    return _declare_pool(op, x, maps, statements)


def _declare_pool(
    op: Op, x: TensorSpec, maps: Sequence[AxisMap], statements: tuple[Statement, ...]
) -> Declaration:
    return Declaration(op, (x,), (x.resized(spatial=[m.output for m in maps]),), (), statements)


class _Sliding(Windowed):
    """Shared by pools with a kernel: padding stays below the kernel, as every framework asks."""

    positional: ClassVar[tuple[str, ...]] = ("kernel",)

    def idle(self, declaration: Declaration) -> str:
        single = all(window.taps == 1 for window in declaration.windows.values())
        return "a window of one pixel at stride 1" if single and same_shape(declaration) else ""

    def _windows(self, x: TensorSpec) -> list[Window]:
        rank = need_spatial(self, x)
        kernel = self.per_axis("kernel", rank)
        for size, pad in zip(kernel, self.padding_per_axis(rank), strict=True):
            if isinstance(pad, tuple) and max(pad) > size // 2:
                raise OpError(
                    f"padding {max(pad)} is more than half of the pooling kernel {size}",
                    why="a window could read only padding, which has no maximum or mean",
                    fix=f"pad at most {size // 2}",
                )
        return windows(self, x)


@dataclasses.dataclass(frozen=True)
class MaxPool(_Sliding):
    """Largest value of each window, per channel; padding does not count.

    Input: (N, C, H, W). Output: (N, C, H', W'), sizes as for `Conv`, rounded up in ceil mode.
    Source: ONNX MaxPool; PyTorch MaxPool2d.
    """

    word: ClassVar[str] = "maxpool"
    onnx: ClassVar[str] = "MaxPool"
    torch: ClassVar[str] = "MaxPool2d"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN | Trait.CHANNELWISE

    kernel: Sizes = sizes(2, doc="window height and width")
    stride: Sizes | None = sizes(None, words=("/", "stride"), doc="step between windows; default: the kernel")
    padding: Padding = padding()
    dilation: Sizes = sizes(1, words=("dil", "dilation"), doc="step between the taps of one window")
    ceil: bool = flag(
        False, words=("ceil",), doc="round the size up: the last window may extend past the end"
    )

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        axes = self._windows(x)
        return _declare_pool(self, x, axes, (_reduction(self, x, axes, "max"),))


@dataclasses.dataclass(frozen=True)
class AvgPool(_Sliding):
    """Mean of each window, per channel; padding counts as zeros unless `count_include_pad` is off.

    Input: (N, C, H, W). Output: (N, C, H', W'), sizes as for `Conv`, rounded up in ceil mode; what hangs over
    the padded end is never counted. Source: ONNX AveragePool; PyTorch AvgPool2d.
    """

    word: ClassVar[str] = "avgpool"
    onnx: ClassVar[str] = "AveragePool"
    torch: ClassVar[str] = "AvgPool2d"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN | Trait.CHANNELWISE

    kernel: Sizes = sizes(2, doc="window height and width")
    stride: Sizes | None = sizes(None, words=("/", "stride"), doc="step between windows; default: the kernel")
    padding: Padding = padding()
    ceil: bool = flag(
        False, words=("ceil",), doc="round the size up: the last window may extend past the end"
    )
    count_include_pad: bool = flag(True, words=("countpad",), doc="include padding in the mean")
    dilation: Sizes = sizes(1, words=("dil", "dilation"), doc="step between the taps of one window")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        axes = self._windows(x)
        return _mean(self, x, axes, padded=self.count_include_pad)


@dataclasses.dataclass(frozen=True)
class LpPool(_Sliding):
    """p-norm of each window, per channel: (sum of |x|^p)^(1/p).

    Input: (N, C, H, W). Output: (N, C, H', W'), sizes as for `Conv`. Source: ONNX LpPool.
    """

    word: ClassVar[str] = "lppool"
    onnx: ClassVar[str] = "LpPool"
    torch: ClassVar[str] = "LPPool2d"
    traits: ClassVar[Trait] = Trait.NOT_NEGATIVE | Trait.CHANNELWISE

    kernel: Sizes = sizes(2, doc="window height and width")
    p: int = count(2, words=("p",), doc="order of the norm")
    stride: Sizes | None = sizes(None, words=("/", "stride"), doc="step between windows; default: the kernel")
    padding: Padding = padding()
    ceil: bool = flag(
        False, words=("ceil",), doc="round the size up: the last window may extend past the end"
    )
    dilation: Sizes = sizes(1, words=("dil", "dilation"), doc="step between the taps of one window")

    def idle(self, declaration: Declaration) -> str:
        return ""  # a window of one pixel gives its absolute value

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        axes = self._windows(x)
        taps, _, _ = slide(axes)
        power = call("pow", call("abs", Load("x0", (*index("n", "c"), *taps))), self.p)
        total = _reduction(self, x, axes, "sum", power, target="t0")
        root = Statement(
            "y0", total.index, call("pow", Load("t0", total.index), 1 / self.p), Domain(total.domain.free)
        )
        return _declare_pool(self, x, axes, (total, root))


class GlobalAvgPool(Op):
    """Mean over all positions, per channel.

    Input: (N, C, H, W). Output: (N, C, 1, 1). Source: Lin et al., arXiv 1312.4400; ONNX GlobalAveragePool.
    """

    word: ClassVar[str] = "gap"
    onnx: ClassVar[str] = "GlobalAveragePool"
    torch: ClassVar[str] = "AdaptiveAvgPool2d"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN | Trait.CHANNELWISE

    def declare(self, *inputs: TensorSpec) -> Declaration:
        need_spatial(self, inputs[0])
        return _mean(self, inputs[0], [Whole(n) for n in inputs[0].spatial], padded=False)


class GlobalMaxPool(Op):
    """Maximum over all positions, per channel.

    Input: (N, C, H, W). Output: (N, C, 1, 1). Source: ONNX GlobalMaxPool.
    """

    word: ClassVar[str] = "gmp"
    onnx: ClassVar[str] = "GlobalMaxPool"
    torch: ClassVar[str] = "AdaptiveMaxPool2d"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN | Trait.CHANNELWISE

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        need_spatial(self, x)
        maps = [Whole(n) for n in x.spatial]
        return _declare_pool(self, x, maps, (_reduction(self, x, maps, "max"),))


@dataclasses.dataclass(frozen=True)
class AdaptiveAvgPool(Op):
    """Mean of bins that cut the input into `size` parts, ⌊i·H/size⌋ … ⌈(i+1)·H/size⌉, whatever its size.

    Input: (N, C, H, W). Output: (N, C, size, size). Source: PyTorch AdaptiveAvgPool2d.
    """

    word: ClassVar[str] = "adaptiveavgpool"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    onnx: ClassVar[str] = ""
    torch: ClassVar[str] = "AdaptiveAvgPool2d"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.KEEPS_SIGN | Trait.CHANNELWISE

    size: Sizes = sizes(1, doc="output height and width")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _mean(self, inputs[0], _bins(self, inputs[0]), padded=False)


@dataclasses.dataclass(frozen=True)
class AdaptiveMaxPool(Op):
    """Maximum of bins that cut the input into `size` parts, whatever its size; bins as for `AdaptiveAvgPool`.

    Input: (N, C, H, W). Output: (N, C, size, size). Source: PyTorch AdaptiveMaxPool2d.
    """

    word: ClassVar[str] = "adaptivemaxpool"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    onnx: ClassVar[str] = ""
    torch: ClassVar[str] = "AdaptiveMaxPool2d"
    traits: ClassVar[Trait] = Trait.KEEPS_SIGN | Trait.CHANNELWISE

    size: Sizes = sizes(1, doc="output height and width")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        maps = _bins(self, inputs[0])
        return _declare_pool(self, inputs[0], maps, (_reduction(self, inputs[0], maps, "max"),))


def _bins(op: Op, x: TensorSpec) -> list[Adaptive]:
    return [Adaptive(n, m) for n, m in zip(x.spatial, op.per_axis("size", need_spatial(op, x)), strict=True)]
