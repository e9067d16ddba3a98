"""An operator that Striate does not know, kept so that the rest of a network can still be examined."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from striate.diagnostics import OpError, ShapeError, plural
from striate.op import ANY, Declaration, Op, integers, note, text
from striate.tensor import SPATIAL, TensorSpec


@dataclasses.dataclass(frozen=True)
class Opaque(Op):
    """An operator known by name only. It declares no statement, so it cannot be executed, costs nothing that could
    be counted, and is taken to read all of its inputs.

    Inputs: any, one or more. Output: (N, *shape); without a shape there is none, and what stands behind it cannot be
    checked.
    Source: ONNX, operators of custom domains.
    """

    word: ClassVar[str] = "opaque"
    positional: ClassVar[tuple[str, ...]] = ("operator",)
    arity: ClassVar[int | None] = ANY

    operator: str = text(doc="its name where it comes from")
    shape: tuple[int, ...] | None = integers(
        None, words=("shape",), least=1, doc="output shape without the batch, if known"
    )

    why: str = note("why it is not supported, as the importer said")

    def declare(self, *inputs: TensorSpec) -> Declaration:
        x = inputs[0]
        if self.shape is None:
            why = self.why or f"{self.operator} is not an operator that Striate knows"
            raise ShapeError(
                f"the output shape of {self.operator} is not known",
                code="X001",
                why=f"{why}, and no shape was given with it",
                fix="give its output shape",
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
        return Declaration(self, inputs, (y,))
