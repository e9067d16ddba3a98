"""Mark shared, constant and frozen parameters of an imported network on its nodes.

An importer gives every call separate tensors and records which tensor of the source each is. Here the first node that
uses a tensor becomes its owner, and the others share it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np

from striate.network import Network, Node
from striate.weights import seal


@dataclasses.dataclass
class Sources:
    """An importer's record of parameters, by full name.

    tensors: tensor of the source; fixed: constants; frozen: parameters that are not trained.
    """

    tensors: dict[str, Hashable] = dataclasses.field(default_factory=dict)
    fixed: set[str] = dataclasses.field(default_factory=set)
    frozen: set[str] = dataclasses.field(default_factory=set)

    def mark(self, net: Network) -> Network:
        """Return the network with these marks on its nodes."""
        if net.inference.problems and not self.tensors:
            return net
        owners: dict[tuple[Hashable, str], tuple[Node, str]] = {}
        nodes: list[Node] = []
        for node in net.nodes:
            declaration = net.inference.declarations.get(node.name)
            parameters = {p.name: p for p in declaration.parameters} if declaration else {}
            shared: dict[str, tuple[Node, str]] = {}
            for name, parameter in parameters.items():
                tensor = self.tensors.get(f"{node.name}.{name}")
                if tensor is None:
                    continue
                owner, owner_name = owners.setdefault((tensor, parameter.kind), (node, name))
                if owner is not node:
                    shared[name] = owner, owner_name
            rest = [name for name in parameters if name not in shared and parameters[name].trainable]
            nodes.append(
                dataclasses.replace(
                    node,
                    shares=_shares(node, parameters, shared),
                    fixed=self._of(node, rest, self.fixed),
                    frozen=self._of(node, rest, self.frozen),
                )
            )
        return dataclasses.replace(net, nodes=tuple(nodes))

    def _of(self, node: Node, names: Collection[str], marks: Collection[str]) -> tuple[str, ...]:
        return tuple(name for name in names if f"{node.name}.{name}" in marks)


def _shares(
    node: Node, parameters: Collection[str], shared: Mapping[str, tuple[Node, str]]
) -> str | tuple[tuple[str, str], ...]:
    """The field `shares`: the owner's name if it owns all parameters under the same names; else a mapping."""
    owners = {owner.name: owner for owner, _ in shared.values()}
    same = len(shared) == len(parameters) and all(
        name == owner_name for name, (_, owner_name) in shared.items()
    )
    if len(owners) == 1 and same:
        (owner,) = owners.values()
        if type(owner.op) is type(node.op):
            return owner.name
    return (
        tuple(sorted((name, f"{owner.name}.{owner_name}") for name, (owner, owner_name) in shared.items()))
        or ""
    )


def seal_weights(net: Network, weights: Mapping[str, Any]) -> dict[str, Any] | None:
    """Seal the arrays of a network's parameters, out of those of all nodes; None if some are missing.

    weights: must not be used by the caller afterwards.
    """
    if net.inference.problems or not all(name in weights for name in net.parameters):
        return None
    return {name: seal(np.ascontiguousarray(weights[name], np.float32)) for name in net.parameters}
