"""Local response norm in training: a kernel sums the squares of neighboring channels, the rest is elementwise."""

from __future__ import annotations

from striate.engine.kernels import lrn
from striate.engine.plan.computation import LocalResponseNorm
from striate.engine.plan.units import Buffer, Unit
from striate.engine.training.patterns.statements import KernelStatement, SavedStatements
from striate.engine.training.taped_node import TapedNode, Tensor
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Const, Expr, Load, call

LocalNormNode = TapedNode[LocalResponseNorm, SavedStatements]


class SquaresOfNeighbors(KernelStatement[LocalResponseNorm]):
    """The sums of squares, which are stored."""

    def covers(self, pattern: LocalResponseNorm, lanes: int) -> bool:
        return lrn.covers(lanes, pattern.size)

    def forward(self, builder: UnitBuilder, node: LocalNormNode, lead: Tensor) -> Tensor:
        value = builder.memory(lead)
        total = Buffer(f"{node.name} squares", value.shape, value.roles)
        body = LocalResponseNorm(node.pattern.size, Load("t0", ()))
        builder.append(Unit([node.name], body, [value], [total], None, {}))
        return Tensor("t0", value.shape, value.roles, builder.expr_of(total), buffer=total)

    def backward(self, builder: UnitBuilder, node: LocalNormNode, g: Expr) -> Expr:
        """Gradient of the input through the sums: twice the input, times the window sum of the sums' gradient."""
        value = builder.memory(node.saved.lead)
        slope = builder.compute(f"gradient of {node.name} squares", g, value.shape, value.roles)
        total = Buffer(f"{node.name} slopes", value.shape, value.roles)
        body = LocalResponseNorm(node.pattern.size, Load("t0", ()), squares=False)
        builder.append(Unit([f"gradient through {node.name}"], body, [slope], [total], None, {}))
        return call("mul", call("mul", builder.expr_of(value), Const(2.0)), builder.expr_of(total))
