"""The part of a network that has sizes, for pictures of paths: up to a node without an output."""

from __future__ import annotations

import dataclasses

from striate.diagnostics import OpError
from striate.network import Network


def known(net: Network) -> Network:
    """The network without the nodes that have no output; its outputs are then the last value that there is."""
    declared = net.inference.declarations
    if not net.inference.problems:
        return net
    nodes = tuple(dataclasses.replace(node, shares="") for node in net.nodes if node.name in declared)
    outputs = nodes[-1].outputs if nodes else tuple(net.inputs)
    return dataclasses.replace(net, nodes=nodes, outputs=outputs)


def feature_map(net: Network, node: str = "") -> str:
    """The value whose units a picture follows: a node's, or the last one with height and width.

    Raises OpError where it has neither, ShapeError for a node without an output.
    """
    if node:
        (value, *_) = net.node(node).outputs
        if value in known(net).specs and not net.inference.specs[value].spatial:
            raise OpError(
                f"{value} has no height and width",
                where=str(net.node(node)),
                why=f"it is {net.inference.specs[value]}",
                fix=f"name a node with a feature map: {feature_map(net)}",
            )
        if value not in net.inference.specs:
            raise next(iter(net.inference.problems))
        return value
    values = [*net.inputs, *(value for n in net.nodes for value in n.outputs)]
    maps = [v for v in values if v in net.inference.specs and net.inference.specs[v].spatial]
    wide = [v for v in maps if max(net.inference.specs[v].spatial_sizes) > 1]
    if not maps:
        raise OpError(
            "no value has height and width",
            why=f"the input is {next(iter(net.inputs.values()))}",
            fix="give an image, 32x32x3",
        )
    return (wide or maps)[-1]
