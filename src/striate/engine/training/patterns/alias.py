"""Aliases in training: the same numbers under another shape cost nothing in either pass."""

from __future__ import annotations

from striate.engine.derivatives import ZERO
from striate.engine.plan.computation import Alias
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.taped_node import TapedNode
from striate.engine.training.unit_builder import UnitBuilder


class AliasTraining(PatternTraining[Alias, None]):
    """The output is a view of the input, or the same expression. A view has no gradient of its own: gradients arrive at
    the tensor under it."""

    def forward(self, builder: UnitBuilder, node: TapedNode[Alias, None]) -> bool:
        (x,), (y,), alias = node.inputs, node.outputs, node.pattern
        roles = alias.view(x.roles, flat=x.flat is not None)
        if roles is None:
            return False
        y.roles = roles
        if alias.kind == "same":
            y.expr, y.buffer = x.expr, x.buffer
            y.flat, y.permuted, y.maker = x.flat, x.permuted, x.maker
        elif alias.kind == "flat":
            y.flat = x
        elif roles == x.plain.roles:
            y.expr, y.buffer = x.plain.expr, x.plain.buffer
        else:
            y.permuted = x.plain
        return True

    def backward(self, builder: UnitBuilder, node: TapedNode[Alias, None]) -> None:
        (x,), (y,) = node.inputs, node.outputs
        if y.plain is not x.plain:
            g = builder.pop_gradient(y)
            if g != ZERO:
                builder.accumulate_gradient(x, g)
