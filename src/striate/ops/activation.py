"""Activations: one scalar function at every position, and softmax along an axis."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from striate.diagnostics import OpError
from striate.op import Declaration, Op, Trait, choice, flag, number
from striate.ops._axes import Pointwise, elementwise, ranges, variables
from striate.statement import Affine, Const, Domain, Expr, Statement, call, index, load
from striate.tensor import Parameter, TensorSpec

__all__ = [
    "Elu",
    "Gelu",
    "Hardsigmoid",
    "Hardswish",
    "LeakyRelu",
    "LogSoftmax",
    "Mish",
    "Prelu",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]


def _relu(x: Expr) -> Expr:
    return call("max", x, 0)


def _clip(x: Expr, low: float, high: float) -> Expr:
    return call("min", call("max", x, low), high)


def _sigmoid(x: Expr) -> Expr:
    # 1 / (1 + e^-x) without an overflow on either side.
    return (call("tanh", x * 0.5) + 1) * 0.5


def _softplus(x: Expr) -> Expr:
    return _relu(x) + call("log1p", call("exp", -call("abs", x)))


class Relu(Pointwise):
    """max(x, 0). Input and output: (N, …). Source: Nair & Hinton, ICML 2010; ONNX Relu."""

    word: ClassVar[str] = "relu"
    onnx: ClassVar[str] = "Relu"
    torch: ClassVar[str] = "ReLU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.NOT_NEGATIVE | Trait.KEEPS_POSITIVE

    def function(self, x: Expr) -> Expr:
        return _relu(x)


class Relu6(Pointwise):
    """min(max(x, 0), 6). Input and output: (N, …).

    Source: Krizhevsky 2010; MobileNets (arXiv 1704.04861); ONNX Clip.
    """

    word: ClassVar[str] = "relu6"
    onnx: ClassVar[str] = "Clip"
    torch: ClassVar[str] = "ReLU6"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.NOT_NEGATIVE

    def function(self, x: Expr) -> Expr:
        return _clip(x, 0, 6)


@dataclasses.dataclass(frozen=True)
class LeakyRelu(Pointwise):
    """x where x > 0, else slope·x. Input and output: (N, …). Source: Maas et al., ICML 2013; ONNX LeakyRelu."""

    word: ClassVar[str] = "leakyrelu"
    positional: ClassVar[tuple[str, ...]] = ("slope",)
    onnx: ClassVar[str] = "LeakyRelu"
    torch: ClassVar[str] = "LeakyReLU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_POSITIVE

    slope: float = number(0.01, words=("slope",), doc="slope on the negative side")

    def function(self, x: Expr) -> Expr:
        return call("where", x, x, x * self.slope)


@dataclasses.dataclass(frozen=True)
class Prelu(Op):
    """x where x > 0, else w·x with a learned w, one for all channels or one per channel.

    Input and output: (N, C, …). Weight (1,) or (C,). Source: He et al., arXiv 1502.01852; ONNX PRelu.
    """

    word: ClassVar[str] = "prelu"
    positional: ClassVar[tuple[str, ...]] = ("channels",)
    onnx: ClassVar[str] = "PRelu"
    torch: ClassVar[str] = "PReLU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_POSITIVE

    channels: str = choice("shared", ("shared", "each"), doc="one slope, or one per channel")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        per_channel = self.channels == "each"
        weight = Parameter("weight", (x.channels if per_channel else 1,), "slope", initial=0.25)
        slope = load("weight", "c") if per_channel else load("weight", Affine(()))
        return elementwise(self, x, lambda v: call("where", v, v, v * slope), weight)


@dataclasses.dataclass(frozen=True)
class Elu(Pointwise):
    """x where x > 0, else alpha·(e^x - 1). Input and output: (N, …).

    Source: Clevert et al., arXiv 1511.07289; ONNX Elu.
    """

    word: ClassVar[str] = "elu"
    positional: ClassVar[tuple[str, ...]] = ("alpha",)
    onnx: ClassVar[str] = "Elu"
    torch: ClassVar[str] = "ELU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_POSITIVE

    alpha: float = number(1.0, words=("alpha",), doc="limit on the negative side")

    def function(self, x: Expr) -> Expr:
        return call("where", x, x, call("expm1", call("min", x, 0)) * self.alpha)


class Selu(Pointwise):
    """Scaled elu that keeps mean 0 and variance 1. Input and output: (N, …).

    Source: Klambauer et al., arXiv 1706.02515; ONNX Selu.
    """

    word: ClassVar[str] = "selu"
    onnx: ClassVar[str] = "Selu"
    torch: ClassVar[str] = "SELU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        alpha, scale = 1.6732632423543772848, 1.0507009873554804934
        return call("where", x, x, call("expm1", call("min", x, 0)) * alpha) * scale


@dataclasses.dataclass(frozen=True)
class Gelu(Pointwise):
    """x·Φ(x), exactly or by its tanh approximation. Input and output: (N, …).

    Source: Hendrycks & Gimpel, arXiv 1606.08415; ONNX Gelu.
    """

    word: ClassVar[str] = "gelu"
    onnx: ClassVar[str] = "Gelu"
    torch: ClassVar[str] = "GELU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    approximate: bool = flag(False, words=("tanh",), doc="the tanh approximation")

    def function(self, x: Expr) -> Expr:
        if self.approximate:
            inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
            return x * 0.5 * (call("tanh", inner) + 1)
        return x * 0.5 * (call("erf", x * math.sqrt(0.5)) + 1)


class Silu(Pointwise):
    """x·sigmoid(x), also called swish. Input and output: (N, …).

    Source: Elfwing et al., arXiv 1702.03118; Ramachandran et al., arXiv 1710.05941.
    """

    word: ClassVar[str] = "silu"
    onnx: ClassVar[str] = "Mul"
    torch: ClassVar[str] = "SiLU"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        return x * _sigmoid(x)


class Sigmoid(Pointwise):
    """1 / (1 + e^-x). Input and output: (N, …). Source: ONNX Sigmoid."""

    word: ClassVar[str] = "sigmoid"
    onnx: ClassVar[str] = "Sigmoid"
    torch: ClassVar[str] = "Sigmoid"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.LOGISTIC

    def function(self, x: Expr) -> Expr:
        return _sigmoid(x)


class Tanh(Pointwise):
    """Hyperbolic tangent. Input and output: (N, …).

    Source: LeCun et al., "Efficient BackProp", 1998; ONNX Tanh.
    """

    word: ClassVar[str] = "tanh"
    onnx: ClassVar[str] = "Tanh"
    torch: ClassVar[str] = "Tanh"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        return call("tanh", x)


class Hardsigmoid(Pointwise):
    """min(max(x/6 + 1/2, 0), 1). Input and output: (N, …).

    Source: Howard et al., arXiv 1905.02244; ONNX HardSigmoid with alpha 1/6.
    """

    word: ClassVar[str] = "hardsigmoid"
    onnx: ClassVar[str] = "HardSigmoid"
    torch: ClassVar[str] = "Hardsigmoid"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.NOT_NEGATIVE

    def function(self, x: Expr) -> Expr:
        return _clip(x + 3, 0, 6) / 6


class Hardswish(Pointwise):
    """x·hardsigmoid(x). Input and output: (N, …). Source: Howard et al., arXiv 1905.02244; ONNX HardSwish."""

    word: ClassVar[str] = "hardswish"
    onnx: ClassVar[str] = "HardSwish"
    torch: ClassVar[str] = "Hardswish"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        return x * _clip(x + 3, 0, 6) / 6


class Softplus(Pointwise):
    """log(1 + e^x). Input and output: (N, …). Source: Dugas et al., NIPS 2000; ONNX Softplus."""

    word: ClassVar[str] = "softplus"
    onnx: ClassVar[str] = "Softplus"
    torch: ClassVar[str] = "Softplus"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.NOT_NEGATIVE

    def function(self, x: Expr) -> Expr:
        return _softplus(x)


class Softsign(Pointwise):
    """x / (1 + |x|). Input and output: (N, …).

    Source: Bergstra et al., "Quadratic Polynomials Learn Better Image Features", 2009; ONNX Softsign.
    """

    word: ClassVar[str] = "softsign"
    onnx: ClassVar[str] = "Softsign"
    torch: ClassVar[str] = "Softsign"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        return x / (call("abs", x) + 1)


class Mish(Pointwise):
    """x·tanh(softplus(x)). Input and output: (N, …). Source: Misra, arXiv 1908.08681; ONNX Mish."""

    word: ClassVar[str] = "mish"
    onnx: ClassVar[str] = "Mish"
    torch: ClassVar[str] = "Mish"
    traits: ClassVar[Trait] = Trait.ACTIVATION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        return x * call("tanh", _softplus(x))


def _softmax(op: Op, x: TensorSpec, axis: str, *, log: bool) -> Declaration:
    if axis not in x.axes:
        raise OpError(
            f"{op.word} along {axis} of an input without that axis",
            why=f"it has the axes {' '.join(x.axes)}",
            fix=f"choose one of {', '.join(x.axes[1:])}",
        )
    free, axis_variable = ranges(x), variables(x)[axis]
    rest = {name: size for name, size in free.items() if name != axis_variable}
    over = Domain(rest, {axis_variable: x.size(axis)})
    value, largest = load("x0", *free), load("t0", *rest)
    # Shifted by the largest, so that no exponential overflows.
    shifted = value - largest
    total = load("t1", *rest)
    result = shifted - (call("log1p", total - 1)) if log else call("exp", shifted) / total
    statements = (
        Statement("t0", index(*rest), value, over, "max"),
        Statement("t1", index(*rest), call("exp", shifted), over, "sum", Const(0.0)),
        Statement("y0", index(*free), result, Domain(free)),
    )
    return Declaration(op, (x,), (x,), (), statements)


def _axis() -> str:
    field: str = choice("C", ("C", "D", "H", "W", "L"), doc="axis along which the outputs sum to 1")
    return field


@dataclasses.dataclass(frozen=True)
class Softmax(Op):
    """e^x over its sum along the channels, or another axis, at every position. Input and output: (N, C, …).

    Source: ONNX Softmax.
    """

    word: ClassVar[str] = "softmax"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    onnx: ClassVar[str] = "Softmax"
    torch: ClassVar[str] = "Softmax"
    traits: ClassVar[Trait] = Trait.DISTRIBUTION

    axis: str = _axis()

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _softmax(self, inputs[0], self.axis, log=False)


@dataclasses.dataclass(frozen=True)
class LogSoftmax(Op):
    """Logarithm of softmax along the channels, or another axis. Input and output: (N, C, …).

    Source: ONNX LogSoftmax.
    """

    word: ClassVar[str] = "logsoftmax"
    positional: ClassVar[tuple[str, ...]] = ("axis",)
    onnx: ClassVar[str] = "LogSoftmax"
    torch: ClassVar[str] = "LogSoftmax"
    traits: ClassVar[Trait] = Trait.LOG_DISTRIBUTION

    axis: str = _axis()

    def declare(self, *inputs: TensorSpec) -> Declaration:
        return _softmax(self, inputs[0], self.axis, log=True)
