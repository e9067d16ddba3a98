"""Topological order of nodes: every value is produced before it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import GraphError, few, suggest
from striate.tensor import TensorSpec

if TYPE_CHECKING:
    from striate.network.graph import Node


def dangling(reader: str, value: str, names: Collection[str], where: str) -> GraphError:
    """The error for the name of a value that does not exist."""
    near = suggest(value, names)
    return GraphError(
        f"{reader} reads {value!r}, which does not exist",
        where=where,
        why=f"the values are {few(names)}",
        fix=f"write {near!r}" if near else "use the name of a node or an input",
    )


def sort_nodes(inputs: Mapping[str, TensorSpec], nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Sort nodes so that every value is produced before it is read; a valid order is kept."""
    producers: dict[str, Node] = {}
    for node in nodes:
        for value in (node.name, *node.outputs):
            if value in inputs or producers.setdefault(value, node) is not node:
                raise GraphError(
                    f"two nodes or inputs are named {value!r}",
                    where=f"{node.name} = {node.op}",
                    why="values are identified by name, so names must be unique",
                    fix="rename one",
                ).at(node.name, "", node.place)
    available, finished, order = set(inputs), set(), []
    for root in nodes:
        # Depth first without recursion: a network may be a chain of any length.
        stack = [root]
        open_nodes: dict[str, None] = {}
        while stack:
            node = stack[-1]
            if node.name in finished:
                stack.pop()
                continue
            open_nodes[node.name] = None
            missing = [value for value in node.inputs if value not in available]
            if not missing:
                stack.pop()
                open_nodes.pop(node.name, None)
                finished.add(node.name)
                available.update(node.outputs)
                order.append(node)
                continue
            source = producers.get(missing[0])
            if source is None or missing[0] not in source.outputs:
                values = {**inputs, **dict.fromkeys(value for n in nodes for value in n.outputs)}
                where = f"{node.name} = {node.op}, inputs {few(node.inputs)}"
                raise dangling(f"node {node.name}", missing[0], values, where).at(node.name, "", node.place)
            if source.name in open_nodes:
                names = list(open_nodes)
                circle = [*names[names.index(source.name) :], source.name]
                raise GraphError(
                    f"the network has a cycle of {len(circle) - 1}: {' <- '.join(circle[:8])}",
                    where=f"{node.name} = {node.op}, inputs {few(node.inputs)}",
                    why="a value would depend on itself",
                    fix="remove one of these connections",
                ).at(node.name, "", node.place)
            stack.append(source)
    return tuple(order)
