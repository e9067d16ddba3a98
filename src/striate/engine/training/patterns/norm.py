"""Norms over the channels of each pixel, or over groups of channels of an image, in training."""

from __future__ import annotations

import dataclasses
import math

from striate.engine.plan.computation import Norm
from striate.engine.plan.units import Buffer, Unit
from striate.engine.training.patterns.by_pixel import output_like_input, reads_channels
from striate.engine.training.patterns.norm_gradient import SavedNorm, group_gradient, pixel_gradient
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.taped_node import TapedNode
from striate.engine.training.unit_builder import UnitBuilder


class NormTraining(PatternTraining[Norm, SavedNorm]):
    """The input is kept; the backward pass computes the statistics again."""

    def forward(self, builder: UnitBuilder, node: TapedNode[Norm, SavedNorm]) -> bool:
        (x,), body = node.inputs, node.pattern
        if not reads_channels(x, body) or (body.groups and (x.plain is not x or len(x.shape) < 3)):
            return False
        value, y = builder.memory(x.plain), output_like_input(node)
        result = Buffer(y.name, y.shape, y.roles)
        vectors = {
            p.name: builder.buffer_of(builder.vector(node.key(p.name), math.prod(p.shape)))
            for p in node.declaration.parameters
        }
        body = dataclasses.replace(body, channel=1)
        builder.append(Unit([node.name], body, [value, *vectors.values()], [result], None, {}))
        node.saved = SavedNorm(value, vectors.get("weight"))
        builder.define(y, result)
        return True

    def backward(self, builder: UnitBuilder, node: TapedNode[Norm, SavedNorm]) -> None:
        (y,) = node.outputs
        dy = builder.gradient_memory(y, builder.pop_gradient(y))
        if node.pattern.groups:
            group_gradient(builder, node, dy)
        else:
            pixel_gradient(builder, node, dy)
