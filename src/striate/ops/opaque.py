"""An unsupported operator, kept so that the rest of a network can be analyzed."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.diagnostics import OpError, ShapeError, plural
from striate.op import ANY, Declaration, Op, count, integers, note, text
from striate.tensor import SPATIAL, TensorSpec


@dataclasses.dataclass(frozen=True)
class Opaque(Op):
    """An unsupported operator, of which only the name and perhaps the shape and the cost are known.

    It declares no statement, so it cannot be executed; it counts as reading all of its inputs.
    Inputs: any, one or more. Output: (N, *shape); without a shape there is none, and the nodes after it cannot be
    checked. Totals that lack its numbers say so.
    Source: ONNX, operators of custom domains.
    """

    word: ClassVar[str] = "opaque"
    positional: ClassVar[tuple[str, ...]] = ("operator",)
    arity: ClassVar[int | None] = ANY

    operator: str = text(doc="its name in the source")
    shape: tuple[int, ...] | None = integers(
        None, words=("shape",), least=1, doc="output shape without the batch, if known"
    )

    why: str = note("why the importer does not support it")
    params: int | None = count(None, words=("params",), least=0, doc="number of parameters, if known")
    macs: int | None = count(
        None, words=("macs",), least=0, doc="multiply-accumulates with a weight, per image, if known"
    )

    def declare(self, *inputs: TensorSpec) -> Declaration:
        x = inputs[0]
        if self.shape is None:
            why = self.why or unsupported(self.operator)
            raise ShapeError(
                f"the output shape of {self.operator} is unknown",
                code="X001",
                why=f"{why}; the source gives no shape",
                fix="declare its output shape",
            )
        if len(self.shape) > 1 + max(SPATIAL):
            raise OpError(
                f"a shape of {plural(len(self.shape), 'axis', 'axes')} cannot be read",
                why=f"after the channels there are at most {max(SPATIAL)} spatial axes",
                fix="give channels, height and width",
            )
        if len(self.shape) == 1:
            y = TensorSpec((x.shape[0], *self.shape), ("N", "C"), x.dtype)
        else:
            y = dataclasses.replace(TensorSpec.image(self.shape, x.shape[0]), dtype=x.dtype)
        costs = {"params": self.params, "macs": self.macs, "memory": None}
        uncounted = tuple(what for what, number in costs.items() if number is None)
        return Declaration(
            self, inputs, (y,), more_params=self.params or 0, more_macs=self.macs or 0, uncounted=uncounted
        )


def unsupported(name: str, noun: str = "operator") -> str:
    """The reason of an operator, layer or module that Striate does not support at all."""
    return f"{name} is not {'an' if noun[0] in 'aeiou' else 'a'} {noun} that Striate knows"
