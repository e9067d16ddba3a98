"""Normalization, as it acts at inference: subtract a mean, divide by a deviation, scale and shift."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from striate.diagnostics import OpError
from striate.geometry import Window
from striate.op import Declaration, Op, Trait, choice, count, flag, number
from striate.ops._axes import elementwise, need_groups, variables
from striate.statement import Affine, Const, Domain, Expr, Index, Statement, Tap, call, index, load
from striate.tensor import Parameter, TensorSpec

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "LocalResponseNorm"]


def _affine(value: Expr, *where: str | Index, on: bool) -> Expr:
    return value * load("weight", *where) + load("bias", *where) if on else value


def _affine_parameters(*shape: int, on: bool) -> tuple[Parameter, ...]:
    if not on:
        return ()
    return Parameter("weight", shape, "scale", initial=1.0), Parameter("bias", shape, "shift", initial=0.0)


@dataclasses.dataclass(frozen=True)
class BatchNorm(Op):
    """(x - running_mean) / sqrt(running_var + eps) · weight + bias, per channel.

    Input and output: (N, C, …). Weight, bias and the running statistics: (C,).
    Source: Ioffe & Szegedy, arXiv 1502.03167; ONNX BatchNormalization.
    """

    word: ClassVar[str] = "bn"
    onnx: ClassVar[str] = "BatchNormalization"
    torch: ClassVar[str] = "BatchNorm2d"
    traits: ClassVar[Trait] = Trait.LINEAR | Trait.CHANNELWISE | Trait.NORMALIZATION | Trait.WHOLE_BATCH

    eps: float = number(1e-5, words=("eps",), least=0.0, doc="added to the variance")
    momentum: float = number(0.1, words=("momentum",), doc="weight of a new batch in the running statistics")
    affine: bool = flag(True, words=("affine",), doc="learn a scale and a shift")

    def averaged(self, x: TensorSpec) -> dict[str, int]:
        return {axis: n for axis, n in zip(x.axes, x.shape, strict=True) if axis != "C"}

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        size = x.channels
        statistics = (
            Parameter("running_mean", (size,), "mean", trainable=False, initial=0.0),
            Parameter("running_var", (size,), "variance", trainable=False, initial=1.0),
        )
        deviation = call("sqrt", load("running_var", "c") + self.eps)
        return elementwise(
            self,
            x,
            lambda v: _affine((v - load("running_mean", "c")) / deviation, "c", on=self.affine),
            *_affine_parameters(size, on=self.affine),
            *statistics,
        )

    def declare_training(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        names = variables(x)
        free = dict(zip(names.values(), x.shape, strict=True))
        over = {name: size for name, size in free.items() if name != "c"}
        values = math.prod(over.values())
        if values == 1:
            raise OpError(
                "batch norm cannot train on one value per channel",
                why=f"a batch of {x.shape[0]} on {x} has one value per channel, whose variance is 0",
                fix="use a batch of at least 2, or a larger map",
            )
        share, channel = 1 / max(values, 1), {"c": x.channels}
        value, mean, variance = load("x0", *free), load("t0", "c"), load("t1", "c")
        deviation, decay = value - mean, 1 - self.momentum
        # The normalization uses the variance of the batch, the running statistic its unbiased estimate.
        unbiased = self.momentum * values / max(values - 1, 1)
        where, total = index("c"), Domain(channel, over)
        statements = (
            Statement("t0", where, value * share, total, "sum"),
            Statement("t1", where, deviation * deviation * share, total, "sum"),
            Statement(
                "y0",
                index(*free),
                _affine(deviation / call("sqrt", variance + self.eps), "c", on=self.affine),
                Domain(free),
            ),
            Statement("u0", where, load("running_mean", "c") * decay + mean * self.momentum, Domain(channel)),
            Statement("u1", where, load("running_var", "c") * decay + variance * unbiased, Domain(channel)),
        )
        updates = {"running_mean": "u0", "running_var": "u1"}
        return dataclasses.replace(self.declare(x), statements=statements, updates=updates)


def _space(x: TensorSpec) -> dict[str, int]:
    return {axis: x.size(axis) for axis in x.axes if axis not in "NC"}


def _group_norm(op: Op, x: TensorSpec, groups: int, eps: float, affine: bool) -> Declaration:
    group_channels = need_groups(groups, x.channels)
    names = variables(x)
    space = {names[axis]: size for axis, size in _space(x).items()}
    outer = {"n": x.shape[0], "g": groups}
    inner = {"c": group_channels, **space}
    channel = Affine((("g", group_channels), ("c", 1)))
    place = [channel if axis == "C" else name for axis, name in names.items()]
    value, mean, variance = load("x0", *place), load("t0", *outer), load("t1", *outer)
    share = 1 / math.prod(inner.values())
    statements = (
        Statement("t0", index(*outer), value * share, Domain(outer, inner), "sum", Const(0.0)),
        Statement("t1", index(*outer), (value - mean) * (value - mean) * share, Domain(outer, inner), "sum"),
        Statement(
            "y0",
            index(*place),
            _affine((value - mean) / call("sqrt", variance + eps), channel, on=affine),
            Domain({**outer, **inner}),
        ),
    )
    return Declaration(op, (x,), (x,), _affine_parameters(x.channels, on=affine), statements)


@dataclasses.dataclass(frozen=True)
class GroupNorm(Op):
    """Mean and variance over each group of channels and all positions.

    Input and output: (N, C, …). Weight and bias (C,). Source: Wu & He, arXiv 1803.08494; ONNX GroupNormalization.
    """

    word: ClassVar[str] = "gn"
    positional: ClassVar[tuple[str, ...]] = ("groups",)
    onnx: ClassVar[str] = "GroupNormalization"
    torch: ClassVar[str] = "GroupNorm"
    traits: ClassVar[Trait] = Trait.NORMALIZATION

    groups: int = count(doc="number of groups")
    eps: float = number(1e-5, words=("eps",), least=0.0, doc="added to the variance")
    affine: bool = flag(True, words=("affine",), doc="learn a scale and a shift")

    def averaged(self, x: TensorSpec) -> dict[str, int]:
        return {"C": x.channels // self.groups, **_space(x)}

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _group_norm(self, inputs[0], self.groups, self.eps, self.affine)


@dataclasses.dataclass(frozen=True)
class InstanceNorm(Op):
    """Mean and variance of every channel of every image by itself.

    Input and output: (N, C, …). Weight and bias (C,) when affine. Source: Ulyanov et al., arXiv 1607.08022.
    """

    word: ClassVar[str] = "in"
    onnx: ClassVar[str] = "InstanceNormalization"
    torch: ClassVar[str] = "InstanceNorm2d"
    traits: ClassVar[Trait] = Trait.CHANNELWISE | Trait.NORMALIZATION

    eps: float = number(1e-5, words=("eps",), least=0.0, doc="added to the variance")
    affine: bool = flag(False, words=("affine",), doc="learn a scale and a shift")

    def averaged(self, x: TensorSpec) -> dict[str, int]:
        return _space(x)

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _group_norm(self, inputs[0], inputs[0].channels, self.eps, self.affine)


@dataclasses.dataclass(frozen=True)
class LayerNorm(Op):
    """Mean and variance over the channels at every position, or over everything of an image.

    Input and output: (N, C, …) or any order of axes. Weight and bias (C,), or (C, H, W) with axes "all".
    Source: Ba et al., arXiv 1607.06450; ONNX LayerNormalization.
    """

    word: ClassVar[str] = "ln"
    positional: ClassVar[tuple[str, ...]] = ("axes",)
    onnx: ClassVar[str] = "LayerNormalization"
    torch: ClassVar[str] = "LayerNorm"
    traits: ClassVar[Trait] = Trait.NORMALIZATION

    axes: str = choice("channels", ("channels", "all"), doc="axes of the statistics")
    eps: float = number(1e-5, words=("eps",), least=0.0, doc="added to the variance")
    affine: bool = flag(True, words=("affine",), doc="learn a scale and a shift")

    def averaged(self, x: TensorSpec) -> dict[str, int]:
        return {"C": x.channels} | (_space(x) if self.axes == "all" else {})

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        names = variables(x)
        free = dict(zip(names.values(), x.shape, strict=True))
        inner = {
            name: size for name, size in free.items() if name == "c" or (name != "n" and self.axes == "all")
        }
        outer = {name: size for name, size in free.items() if name not in inner}
        share = 1 / math.prod(inner.values())
        value, mean, variance = load("x0", *free), load("t0", *outer), load("t1", *outer)
        normal = (value - mean) / call("sqrt", variance + self.eps)
        statements = (
            Statement("t0", index(*outer), value * share, Domain(outer, inner), "sum"),
            Statement(
                "t1", index(*outer), (value - mean) * (value - mean) * share, Domain(outer, inner), "sum"
            ),
            Statement("y0", index(*free), _affine(normal, *inner, on=self.affine), Domain(free)),
        )
        weights = _affine_parameters(*inner.values(), on=self.affine)
        return Declaration(self, inputs, (x,), weights, statements)


@dataclasses.dataclass(frozen=True)
class LocalResponseNorm(Op):
    """x / (k + alpha/size · sum of x² over `size` neighboring channels)^beta.

    Input and output: (N, C, …). An even size reaches one further to one side: before in PyTorch, after in ONNX.
    Source: Krizhevsky et al., NIPS 2012, section 3.3 (alpha there is alpha/size here); ONNX LRN.
    """

    word: ClassVar[str] = "lrn"
    positional: ClassVar[tuple[str, ...]] = ("size",)
    onnx: ClassVar[str] = "LRN"
    torch: ClassVar[str] = "LocalResponseNorm"

    size: int = count(5, doc="neighboring channels")
    alpha: float = number(1e-4, words=("alpha",), doc="weight of the mean square")
    beta: float = number(0.75, words=("beta",), doc="exponent of the divisor")
    k: float = number(1.0, words=("k",), doc="constant term of the divisor")
    odd: str = choice(
        "before", ("before", "after"), words=("odd",), doc="side of the extra channel if the size is even"
    )

    @property
    def traits(self) -> Trait:
        """It keeps signs as long as its divisor is a positive number."""
        return Trait.KEEPS_SIGN if self.k > 0 and self.alpha >= 0 else Trait.NONE

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        names = variables(x)
        free = dict(zip(names.values(), x.shape, strict=True))
        sides = self.size // 2, (self.size - 1) // 2
        before, after = sides if self.odd == "before" else sides[::-1]
        near = Tap(Window(x.channels, self.size, 1, 1, before, after), "c", "u")
        neighbor = load("x0", *(near if name == "c" else name for name in free))
        scale = call("pow", load("t0", *free) * (self.alpha / self.size) + self.k, self.beta)
        statements = (
            Statement("t0", index(*free), neighbor * neighbor, Domain(free, {"u": self.size}), "sum"),
            Statement("y0", index(*free), load("x0", *free) / scale, Domain(free)),
        )
        return Declaration(self, inputs, (x,), (), statements)
