"""Plain functions of one number, that other frameworks write layers in."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.op import Trait, number
from striate.ops._axes import Pointwise
from striate.statement import Expr, call

__all__ = ["Abs", "Erf", "Exp", "Log", "Pow"]


class Abs(Pointwise):
    """|x|. Input and output: (N, …). Source: ONNX Abs."""

    word: ClassVar[str] = "abs"
    onnx: ClassVar[str] = "Abs"
    torch: ClassVar[str] = "torch.abs"
    traits: ClassVar[Trait] = Trait.FUNCTION | Trait.NOT_NEGATIVE | Trait.KEEPS_POSITIVE

    def function(self, x: Expr) -> Expr:
        return call("abs", x)


class Exp(Pointwise):
    """e^x. Input and output: (N, …). Source: ONNX Exp."""

    word: ClassVar[str] = "exp"
    onnx: ClassVar[str] = "Exp"
    torch: ClassVar[str] = "torch.exp"
    traits: ClassVar[Trait] = Trait.FUNCTION | Trait.NOT_NEGATIVE

    def function(self, x: Expr) -> Expr:
        return call("exp", x)


class Log(Pointwise):
    """Natural logarithm, undefined below 0. Input and output: (N, …). Source: ONNX Log."""

    word: ClassVar[str] = "log"
    onnx: ClassVar[str] = "Log"
    torch: ClassVar[str] = "torch.log"
    traits: ClassVar[Trait] = Trait.FUNCTION

    def function(self, x: Expr) -> Expr:
        return call("log", x)


class Erf(Pointwise):
    """Error function, 2/√π times the integral of e^(-t²) from 0 to x. Input and output: (N, …). Source: ONNX Erf."""

    word: ClassVar[str] = "erf"
    onnx: ClassVar[str] = "Erf"
    torch: ClassVar[str] = "torch.erf"
    traits: ClassVar[Trait] = Trait.FUNCTION | Trait.KEEPS_SIGN

    def function(self, x: Expr) -> Expr:
        return call("erf", x)


@dataclasses.dataclass(frozen=True)
class Pow(Pointwise):
    """x to a fixed exponent: 2 squares, 0.5 is the square root, -1 the reciprocal. Input and output: (N, …).

    Negative numbers have powers to whole exponents only. Source: ONNX Pow.
    """

    word: ClassVar[str] = "pow"
    positional: ClassVar[tuple[str, ...]] = ("exponent",)
    onnx: ClassVar[str] = "Pow"
    torch: ClassVar[str] = "torch.pow"

    exponent: float = number(doc="fixed exponent")

    @property
    def traits(self) -> Trait:
        """An even power has no sign."""
        even = Trait.NONE if self.exponent % 2 else Trait.NOT_NEGATIVE
        return Trait.FUNCTION | Trait.KEEPS_SIGN | even

    def function(self, x: Expr) -> Expr:
        match self.exponent:
            case 2:
                return x * x
            case 3:
                return x * x * x
            case 0.5:
                return call("sqrt", x)
            case -0.5:
                return call("div", 1, call("sqrt", x))
            case -1:
                return call("div", 1, x)
        return call("pow", x, self.exponent)
