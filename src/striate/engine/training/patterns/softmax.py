"""Softmax and its logarithm in training."""

from __future__ import annotations

import dataclasses

from striate.engine.plan.computation import Softmax
from striate.engine.plan.units import Buffer, Unit
from striate.engine.training.patterns.by_pixel import output_like_input, reads_channels
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.taped_node import TapedNode
from striate.engine.training.unit_builder import UnitBuilder
from striate.statement import Affine, Domain, Statement, call, index, load


class SoftmaxTraining(PatternTraining[Softmax, None]):
    """The gradient follows from the result."""

    def forward(self, builder: UnitBuilder, node: TapedNode[Softmax, None]) -> bool:
        (x,), body = node.inputs, node.pattern
        if not reads_channels(x, body):
            return False
        value, y = builder.memory(x.plain), output_like_input(node)
        result = Buffer(y.name, y.shape, y.roles)
        body = dataclasses.replace(body, channel=1)
        builder.append(Unit([node.name], body, [value], [result], None, {}))
        builder.define(y, result)
        return True

    def backward(self, builder: UnitBuilder, node: TapedNode[Softmax, None]) -> None:
        """dx = y·(dy - Σ dy·y), its logarithm's dy - e^y·Σ dy; sums over the channels of each pixel."""
        (x,), y, log = node.inputs, node.outputs[0].plain, node.pattern.log
        dy, result = builder.gradient_memory(y, builder.pop_gradient(y)), builder.memory(y)
        space = "ijl"[: len(y.shape) - 2]
        sizes = dict(zip(space, y.shape[2:], strict=True))
        one = Buffer(f"{node.name} sums", (y.shape[0], 1, *y.shape[2:]), y.roles, lanes=1)
        g = load("g", "n", "c", *space)
        total = Statement(
            "s", (*index("n"), Affine(()), *index(*space)), g if log else g * load("y", "n", "c", *space),
            Domain({"n": y.shape[0], **sizes}, {"c": y.shape[1]}), "sum",
        )  # fmt: skip
        values = {"g": dy, "y": result, "s": one}
        builder.append_nests(f"gradient through {node.name}", [(total, False)], values)
        slope, value, sums = map(builder.expr_of, (dy, result, one))
        if log:
            builder.accumulate_gradient(x, slope - call("mul", call("exp", value), sums))
        else:
            builder.accumulate_gradient(x, call("mul", value, slope - sums))
