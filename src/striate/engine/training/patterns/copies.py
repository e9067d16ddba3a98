"""Concatenation, split, slice and zero padding in training: the gradient of a copy is a copy back."""

from __future__ import annotations

import dataclasses
import itertools

from striate.engine.derivatives import ZERO
from striate.engine.plan.computation import Copies, Copy
from striate.engine.plan.units import Buffer, Unit
from striate.engine.training.adjoint import gradient_name
from striate.engine.training.gradient_nests import gradient_nests
from striate.engine.training.patterns.pattern_training import PatternTraining, append_whole
from striate.engine.training.taped_node import TapedNode
from striate.engine.training.unit_builder import UnitBuilder


class CopiesTraining(PatternTraining[Copies, None]):
    """Channels of which several parts of an output are copies get the sum of their gradients from loop nests."""

    def forward(self, builder: UnitBuilder, node: TapedNode[Copies, None]) -> bool:
        return append_whole(builder, node)

    def backward(self, builder: UnitBuilder, node: TapedNode[Copies, None]) -> None:
        arriving = [builder.pop_gradient(y) for y in node.outputs]
        for port, x in enumerate(node.inputs):
            pieces: list[Copy] = []
            sources: list[Buffer] = []
            for piece in node.pattern.pieces:
                if piece.port != port or arriving[piece.output] == ZERO:
                    continue
                back = dataclasses.replace(
                    piece, port=len(sources), output=0, source=piece.target, target=piece.source, back=True
                )
                pieces.append(back)
                sources.append(builder.gradient_memory(node.outputs[piece.output], arriving[piece.output]))
            spans = sorted((p.target, p.target + p.channels) for p in pieces)
            if not pieces:
                continue
            if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
                values = {
                    gradient_name(f"y{k}"): builder.gradient_memory(y, g)
                    for k, (y, g) in enumerate(zip(node.outputs, arriving, strict=True))
                    if g != ZERO
                }
                outputs = [name.removeprefix("d ") for name in values]
                gradient_nests(builder, node, [f"x{port}"], outputs, values)
                continue
            dx = Buffer(f"gradient of {x.name}", x.shape, x.roles)
            name = f"gradient through {node.name}"
            builder.append(Unit([name], Copies(tuple(pieces)), sources, [dx], None, {}))
            builder.accumulate_gradient(x, builder.expr_of(dx))
