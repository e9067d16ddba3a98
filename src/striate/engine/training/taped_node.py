"""The nodes of a training step and their tensors, as the tape knows them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Generic, TypeVar

from striate.engine.derivatives import ZERO
from striate.engine.plan.units import Buffer
from striate.network import Node
from striate.op import Declaration
from striate.statement import Expr

P = TypeVar("P")
S = TypeVar("S")


class Unsupported(Exception):
    """A node that kernels do not cover. nodes: nodes to run as loop nests instead."""

    def __init__(self, what: str, *nodes: str) -> None:
        super().__init__(what)
        self.nodes = nodes


@dataclasses.dataclass(eq=False)
class Tensor:
    """Tensor of the network: an expression over buffers.

    flat, permuted: the tensor that this one flattens, or whose axes it has in another order; it is then a view and owns
    no memory. buffer: its buffer, once it has one. maker: the node whose output it is.
    """

    name: str
    shape: tuple[int, ...]
    roles: str
    expr: Expr = ZERO
    flat: Tensor | None = None
    permuted: Tensor | None = None
    buffer: Buffer | None = None
    maker: str = ""

    def size(self, role: str) -> int:
        """Product of all axes with a role."""
        return math.prod(n for n, r in zip(self.shape, self.roles, strict=True) if r == role)

    @property
    def plain(self) -> Tensor:
        """The tensor of which this one is a view, or the tensor itself."""
        under = self.flat or self.permuted
        return self if under is None else under.plain

    @property
    def owns_memory(self) -> bool:
        """True if this tensor owns its memory, or flattens a 1x1 map."""
        return self.plain is self or (self.permuted is None and math.prod(self.plain.shape[2:]) == 1)


@dataclasses.dataclass
class TapedNode(Generic[P, S]):
    """A node: its training declaration and tensors.

    pattern: what `recognize` found in its statements, or None. saved: what the backward pass needs of the forward pass;
    each pattern has its own kind.
    """

    node: Node
    declaration: Declaration
    pattern: P
    inputs: list[Tensor]
    outputs: list[Tensor]
    saved: S

    @property
    def name(self) -> str:
        return self.node.name

    def key(self, parameter: str) -> str:
        """The full name of a parameter, which nodes may share."""
        return self.node.key(parameter)

    @property
    def trainable(self) -> list[str]:
        """The parameters whose gradients are computed."""
        return [p.name for p in self.declaration.parameters if p.trainable]


AnyNode = TapedNode[Any, Any]
