"""The order of nodes: every value is made before it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import GraphError, few, suggest
from striate.tensor import TensorSpec

if TYPE_CHECKING:
    from striate.network.graph import Node


def dangling(reader: str, value: str, known: Collection[str], where: str) -> GraphError:
    """The error for a name of a value that nothing makes."""
    near = suggest(value, known)
    return GraphError(
        f"{reader} reads {value!r}, which does not exist",
        where=where,
        why=f"the values are {few(known)}",
        fix=f"write {near!r}" if near else "use the name of a node or an input",
    )


def ordered(inputs: Mapping[str, TensorSpec], nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes in an order in which every value is made before it is read; the given order where it is one."""
    made: dict[str, Node] = {}
    for node in nodes:
        for value in (node.name, *node.outputs):
            if value in inputs or made.setdefault(value, node) is not node:
                raise GraphError(
                    f"two nodes or inputs are named {value!r}",
                    where=f"{node.name} = {node.op}",
                    why="values are identified by name, so names must be unique",
                    fix="rename one",
                ).at(node.name, "", node.place)
    ready, done, ordered = set(inputs), set(), []
    for root in nodes:
        # Depth first without recursion: a network may be a chain of any length.
        stack = [root]
        open_nodes: dict[str, None] = {}
        while stack:
            node = stack[-1]
            if node.name in done:
                stack.pop()
                continue
            open_nodes[node.name] = None
            missing = [value for value in node.inputs if value not in ready]
            if not missing:
                stack.pop()
                open_nodes.pop(node.name, None)
                done.add(node.name)
                ready.update(node.outputs)
                ordered.append(node)
                continue
            source = made.get(missing[0])
            if source is None or missing[0] not in source.outputs:
                known = {**inputs, **dict.fromkeys(value for n in nodes for value in n.outputs)}
                where = f"{node.name} = {node.op}, inputs {few(node.inputs)}"
                raise dangling(f"node {node.name}", missing[0], known, where).at(node.name, "", node.place)
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
    return tuple(ordered)
