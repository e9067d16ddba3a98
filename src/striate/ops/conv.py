"""Convolution and its adjoint, in one, two and three dimensions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from striate.diagnostics import OpError, ShapeError, plural
from striate.geometry import TransposedWindow, Window
from striate.op import Declaration, Padding, Sizes, Trait, Windowed, count, flag, mode, padding, sizes
from striate.ops._axes import OUT, need_groups, need_spatial, slide, windows
from striate.statement import Affine, Domain, Load, Statement, index, load
from striate.tensor import Parameter, TensorSpec

__all__ = ["Conv", "ConvTranspose"]


def _channel_index(name: str, size: int) -> Affine:
    """Channel index g·size + name of a grouped op."""
    return Affine((("g", size), (name, 1)))


@dataclasses.dataclass(frozen=True)
class Conv(Windowed):
    """Convolution: y[n, k, i, j] = b[k] + sum over c, u, v of x[n, c, i·s + u·d - p, …] · w[k, c, u, v].

    Input: (N, C, H, W), or one or three spatial axes. Output: (N, filters, H', W') with
    H' = ⌊(H + p - d·(kernel - 1) - 1)/stride⌋ + 1, p both paddings together. A filter extends the full depth of
    its input, weight (filters, C / groups, kernel, kernel); groups and depthwise are the named exceptions.
    Filters are not flipped: as everywhere in deep learning, this is cross-correlation.
    Source: Dumoulin & Visin, arXiv 1603.07285; ONNX Conv.
    """

    word: ClassVar[str] = "conv"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"dwconv": {"groups": "depthwise", "filters": None}}
    positional: ClassVar[tuple[str, ...]] = ("kernel", "filters")
    onnx: ClassVar[str] = "Conv"
    torch: ClassVar[str] = "Conv2d"
    traits: ClassVar[Trait] = Trait.CONVOLUTION

    filters: int | None = count(
        1, optional=True, doc="number of filters = output channels; depthwise: the number of channels"
    )
    kernel: Sizes = sizes(3, doc="filter height and width")
    stride: Sizes = sizes(1, words=("/", "stride"), doc="step between windows")
    padding: Padding = padding()
    dilation: Sizes = sizes(1, words=("dil", "dilation"), doc="step between the taps of one window")
    groups: int | str = count(
        1, words=("groups",), also=("depthwise",), doc="groups of channels, or depthwise"
    )
    bias: bool = flag(True, words=("bias",), doc="add one number per filter")
    mode: str = mode()
    in_channels: int | None = count(None, words=("in",), doc="input channels that the weights expect")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        kernel = self.per_axis("kernel", need_spatial(self, x))
        groups = x.channels if self.groups == "depthwise" else int(self.groups)
        if self.filters is None and self.groups != "depthwise":
            raise OpError(
                "conv without filters",
                why="only a depthwise convolution takes their number from its input",
                fix="filters 1",
            )
        filters = x.channels if self.filters is None else self.filters
        if self.in_channels not in (None, x.channels):
            raise ShapeError(
                f"expected {self.in_channels} input channels, got {x.channels}",
                code="G004",
                why="filters extend the full depth of the input: #input channels == #filter channels",
                fix=f"give an input of {plural(self.in_channels, 'channel')}, or filters of depth {x.channels}",
            )
        depth, group_filters = (
            need_groups(groups, x.channels, "input channels"),
            need_groups(groups, filters, "filters"),
        )
        axes = windows(self, x)
        taps, out, reach = slide(axes)
        k = _channel_index("k", group_filters)
        value = Load("x0", (*index("n"), _channel_index("c", depth), *taps)) * load("weight", k, "c", *reach)
        free = {"n": x.shape[0], "g": groups, "k": group_filters, **out}
        y = Statement(
            "y0",
            (*index("n"), k, *index(*out)),
            value,
            Domain(free, {"c": depth, **reach}),
            "sum",
            load("bias", k) if self.bias else None,
        )
        weights = [Parameter("weight", (filters, depth, *kernel))]
        if self.bias:
            weights.append(Parameter("bias", (filters,), "bias"))
        result = x.resized(channels=filters, spatial=[axis.output for axis in axes])
        return Declaration(self, inputs, (result,), tuple(weights), (y,))


@dataclasses.dataclass(frozen=True)
class ConvTranspose(Windowed):
    """Transposed convolution, the adjoint of `Conv`: every input spreads its filter over the output.

    Input: (N, C, H, W). Output: (N, filters, H', W') with H' = (H - 1)·stride - p + d·(kernel - 1) + 1 + output
    padding, p both paddings together. Weight (C, filters / groups, kernel, kernel).
    Source: Dumoulin & Visin, arXiv 1603.07285, section 4; ONNX ConvTranspose.
    """

    word: ClassVar[str] = "tconv"
    positional: ClassVar[tuple[str, ...]] = ("kernel", "filters")
    onnx: ClassVar[str] = "ConvTranspose"
    torch: ClassVar[str] = "ConvTranspose2d"
    traits: ClassVar[Trait] = Trait.WEIGHTED_SUM

    filters: int = count(1, doc="number of output channels")
    kernel: Sizes = sizes(2, doc="filter height and width")
    stride: Sizes = sizes(1, words=("/", "stride"), doc="output step between input positions")
    padding: Padding = padding(policies=False, doc="rows and columns cropped from the output")
    output_padding: Sizes = sizes(0, words=("outpad",), least=0, doc="added to one side of the output")
    dilation: Sizes = sizes(1, words=("dil", "dilation"), doc="step between the taps of one filter")
    groups: int = count(1, words=("groups",), doc="groups of channels")
    bias: bool = flag(True, words=("bias",), doc="add one number per filter")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        rank = need_spatial(self, x)
        depth = need_groups(self.groups, x.channels, "input channels")
        group_filters = need_groups(self.groups, self.filters, "filters")
        maps = self.maps_over(x)
        if not all(axis.output for axis in maps):
            raise ShapeError(
                f"{self.word} has no output",
                why="; ".join(axis.formula for axis in maps),
                fix="less padding, or a larger kernel",
            )
        windows_back = [Window(m.output, m.kernel, m.stride, m.dilation, m.before, m.after) for m in maps]
        taps, _, reach = slide(windows_back)
        space = dict(zip(OUT, x.spatial, strict=False))
        c, k = _channel_index("c", depth), _channel_index("k", group_filters)
        free = {"n": x.shape[0], "g": self.groups, "k": group_filters, **space}
        value = load("x0", "n", c, *space) * load("weight", c, "k", *reach)
        domain = Domain(free, {"c": depth, **reach})
        result = x.resized(channels=self.filters, spatial=[axis.output for axis in maps])
        weights = [Parameter("weight", (x.channels, group_filters, *self.per_axis("kernel", rank)))]
        if not self.bias:
            return Declaration(
                self, inputs, (result,), tuple(weights),
                (Statement("y0", (*index("n"), k, *taps), value, domain, "sum"),),
            )  # fmt: skip
        weights.append(Parameter("bias", (self.filters,), "bias"))
        where = index("n", "k", *space)
        full_domain = Domain(
            {"n": x.shape[0], "k": self.filters, **dict(zip(OUT, result.spatial, strict=False))}
        )
        statements = (
            Statement("t0", (*index("n"), k, *taps), value, domain, "sum"),
            Statement("y0", where, Load("t0", where) + load("bias", "k"), full_domain),
        )
        return Declaration(self, inputs, (result,), tuple(weights), statements)

    def maps_over(self, x: TensorSpec) -> list[TransposedWindow]:
        """The map along every spatial axis of x, whether or not anything is left of the output. Raises OpError."""
        rank = len(x.spatial)
        fields = [self.per_axis(name, rank) for name in ("kernel", "stride", "dilation", "output_padding")]
        maps = []
        for n, k, s, d, extra, pad in zip(x.spatial, *fields, self.padding_per_axis(rank), strict=True):
            before, after = pad if isinstance(pad, tuple) else (0, 0)
            if extra >= max(s, d):
                raise OpError(
                    f"output padding {extra} is not smaller than stride {s} or dilation {d}",
                    why="it selects among the output sizes that the stride allows",
                    fix=f"output padding {max(s, d) - 1}",
                )
            maps.append(TransposedWindow(n, k, s, d, before, after, extra))
        return maps


def filter_volume(declaration: Declaration) -> int:
    """Numbers in one filter: its height, width and full depth."""
    weight = next(p for p in declaration.parameters if p.name == "weight")
    return math.prod(weight.shape[1:])
