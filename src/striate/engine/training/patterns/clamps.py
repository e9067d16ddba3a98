"""Clamps in training: fused into the products before them, and their gradients into the pooling after them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from striate.engine.derivatives import ZERO, where
from striate.engine.plan import algebra
from striate.engine.plan.units import Buffer, PoolGradient
from striate.engine.training.operands import names
from striate.engine.training.taped_node import TapedNode, Tensor
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Const, Expr, Load, Statement


def fuse(builder: UnitBuilder, x: Tensor, y: Tensor) -> None:
    """Fuse a clamp into the store of the products that compute its input, if nothing else reads that input: the
    gradient follows from the result."""
    value = x.plain.buffer
    if value is None or builder.readers[x.name] > 1 or x.name in builder.net.outputs:
        return
    (name,) = names(builder.expr_of(value))
    limits = algebra.clamp(y.expr, name)
    if limits is None or value.name != x.name:
        return
    unit = builder.producer(value)
    # A second clamp would change the result from which the gradient of the first one follows.
    if unit is not None and not unit.clamped and unit.clamp(*limits):
        unit.nodes.append(y.maker)
        builder.define(y, value)


def gradient(
    builder: UnitBuilder, node: TapedNode[Any, Any], statement: Statement, value: Expr, g: Expr
) -> dict[str, Expr] | None:
    """The gradient of a clamp, computed from its result if that is in memory; None for another statement.

    value: of the statement, over tensors "own x0" and so on; the gradient is an expression over "arriving".
    """
    y = node.outputs[0].plain
    if statement.target != "y0" or {*names(value)} != {"own x0"} or y.buffer is None:
        return None
    limits = algebra.clamp(value, "own x0")
    if limits is None:
        return None
    low, high = limits
    result = builder.expr_of(y.buffer)
    passed: Expr = Load("arriving", ())
    watched = node.outputs[0].name in builder.gradient_values
    if not watched and _fuse_gradient(builder, g, y.buffer, low, high):
        return {"own x0": passed}
    if math.isfinite(high):
        passed = where(Const(high) - result, passed, ZERO)
    if math.isfinite(low):
        passed = where(result - Const(low) if low else result, passed, ZERO)
    return {"own x0": passed}


def _fuse_gradient(builder: UnitBuilder, g: Expr, result: Buffer, low: float, high: float) -> bool:
    """Fuse a clamp's gradient into that of the maximum pooling that reads it, if nothing else reads it."""
    if not isinstance(g, Load):
        return False
    unit = builder.producer(builder.buffer_of(g))
    body = unit.body if unit is not None else None
    if unit is None or not isinstance(body, PoolGradient) or result not in unit.inputs[1:2]:
        return False
    unit.body = dataclasses.replace(body, low=low, high=high)
    return True
