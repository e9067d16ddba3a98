"""Pooling in training."""

from __future__ import annotations

import math

from striate.engine.derivatives import mul
from striate.engine.kernels import pool
from striate.engine.plan import windows
from striate.engine.plan.computation import Pool
from striate.engine.plan.units import Buffer, PoolGradient, Unit
from striate.engine.training.patterns.pattern_training import PatternTraining, append_whole
from striate.engine.training.taped_node import TapedNode
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Const


class PoolTraining(PatternTraining[Pool, None]):
    """The gradient of a maximum goes to the first largest number of the window, so input and output are kept."""

    def forward(self, builder: UnitBuilder, node: TapedNode[Pool, None]) -> bool:
        return _has_kernels(node.pattern) and append_whole(builder, node)

    def backward(self, builder: UnitBuilder, node: TapedNode[Pool, None]) -> None:
        (x,), (y,), body = node.inputs, node.outputs, node.pattern
        dy = builder.gradient_memory(y, builder.pop_gradient(y))
        if body.reduce == "mean" and all(m.taps == m.input and m.output == 1 for m in body.maps):
            pixels = math.prod(x.shape[2:])
            builder.accumulate_gradient(x, mul(builder.expr_of(dy), Const(1 / pixels)))
            return
        dx = Buffer(f"gradient of {x.name}", x.shape, x.roles)
        reads = [dy] if body.reduce == "mean" else [dy, builder.memory(x), builder.memory(y)]
        builder.append(Unit([f"gradient through {node.name}"], PoolGradient(body), reads, [dx], None, {}))
        builder.accumulate_gradient(x, builder.expr_of(dx))


def _has_kernels(body: Pool) -> bool:
    """Whether pooling has kernels for the forward and the backward pass."""
    return windows.has_pool_kernel(body) and all(
        pool.taps(m, body.padded) is not None for m in windows.pool_windows(body)
    )
