"""What every pattern has in training: a forward and a backward pass."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

from striate.engine.plan.units import Buffer, Unit
from striate.engine.training.taped_node import AnyNode, TapedNode
from striate.engine.training.unit_builder import UnitBuilder

P = TypeVar("P")
S = TypeVar("S")


class PatternTraining(abc.ABC, Generic[P, S]):
    """How nodes of one pattern P are computed in training. S: what the forward pass saves for the backward pass."""

    @abc.abstractmethod
    def forward(self, builder: UnitBuilder, node: TapedNode[P, S]) -> bool:
        """Append the units that compute the outputs, and save what `backward` needs on the node. False, and nothing is
        appended, where kernels do not cover the node in both passes: it then runs as loop nests. Raises Unsupported."""

    @abc.abstractmethod
    def backward(self, builder: UnitBuilder, node: TapedNode[P, S]) -> None:
        """Append the units that compute the gradients of the inputs and the trainable parameters. A gradient has
        arrived at one output at least. Raises Unsupported."""


def append_whole(builder: UnitBuilder, node: AnyNode) -> bool:
    """Append one unit for a pattern that reads and writes whole maps; False if an input is a view."""
    inputs = node.inputs
    if any(x.plain is not x for x in inputs) or not node.pattern.fits([x.roles for x in inputs]):
        return False
    values = [builder.memory(x) for x in inputs]
    buffers = [Buffer(y.name, y.shape, y.roles) for y in node.outputs]
    builder.append(Unit([node.name], node.pattern, values, buffers, node.declaration, {}))
    for y, value in zip(node.outputs, buffers, strict=True):
        builder.define(y, value)
    return True
