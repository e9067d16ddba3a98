"""The number that an attribution explains: the score of a class, a unit of a node, or one pixel of a segmentation."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex

from striate.analysis.fields import ancestors
from striate.diagnostics import OpError, UnknownNameError, UsageError, by_reader, few, setting, suggest
from striate.network import Network, Node
from striate.op import Trait

PROBABILITIES = (Trait.DISTRIBUTION, Trait.LOG_DISTRIBUTION, Trait.LOGISTIC)


@dataclasses.dataclass(frozen=True)
class Target:
    """One number of a network.

    value: the name of the value that holds it; index: its position there, without the batch axis; label: the class, ""
    for a unit; sign: -1 for the first of two classes that share one output; predicted: whether the network chose it.
    """

    value: str
    index: tuple[int, ...]
    label: str = ""
    sign: int = 1
    predicted: bool = False

    def __str__(self) -> str:
        if self.label:
            place = f" at {', '.join(map(str, self.index[1:]))}" if len(self.index) > 1 else ""
            return f"class {self.label}{place}{' (predicted)' * self.predicted}"
        place = f" at {', '.join(map(str, self.index[1:]))}" if len(self.index) > 1 else ""
        return f"unit {self.index[0]} of {self.value}{place}"


def part_of(net: Network, values: Sequence[str]) -> Network:
    """The nodes that some values come from, with these as outputs. Raises OpError behind an opaque node."""
    names = {name for value in values for name in ancestors(net, value)}
    for node in net.nodes:
        declaration = net.inference.declarations.get(node.name)
        if node.name in names and declaration is not None and not declaration.statements:
            raise OpError(
                f"{values[0]} cannot be explained: {node.name} is opaque",
                why=f"{node.op} is known by its name and shape only, so it has no gradient",
                fix="explain a unit of a node in front of it, or replace it by operators that Striate knows",
            ).at(node.name, f"{node.name} = {node.op}", node.place)
    if net.inference.problems:
        raise net.inference.problems[0]
    nodes = tuple(node for node in net.nodes if node.name in names)
    if any(node.shares for node in nodes):
        nodes = net.nodes  # an owner of parameters may be elsewhere
    return Network(net.name, net.inputs, nodes, tuple(values))


def score_value(net: Network) -> str:
    """The value that holds the scores of the classes: the first output, before a final softmax or sigmoid.

    Probabilities saturate: their gradients vanish where the network is sure.
    """
    value = net.outputs[0]
    node = net.producers.get(value)
    probabilities = node is not None and any(trait in node.op.traits for trait in PROBABILITIES)
    return node.inputs[0] if node is not None and probabilities else value


def unit_target(net: Network, node: str, unit: int | Sequence[int]) -> Target:
    """A unit of a node: its channel, and its position or the middle one. Raises UsageError, UnknownNameError."""
    (value, *_) = net.node(node).outputs
    if value not in net.inference.specs:
        raise next(iter(net.inference.problems))
    shape = net.inference.specs[value].without_batch
    given = (operator.index(unit),) if isinstance(unit, SupportsIndex) else tuple(unit)
    index = (*given, *(size // 2 for size in shape[1:])) if len(given) == 1 else given
    return Target(value, _inside(value, shape, index))


def class_target(
    net: Network, classes: Sequence[str], label: str | int, pixel: Sequence[int] = (), predicted: bool = False
) -> Target:
    """A class by name or number, and of a segmentation the pixel, by default the middle one.

    Raises UnknownNameError for a class that the model does not have, UsageError for another pixel.
    """
    value = score_value(net)
    if value not in net.inference.specs:
        raise next(iter(net.inference.problems))
    shape = net.inference.specs[value].without_batch
    two = shape[0] == 1 and len(classes) == 2
    names = tuple(classes) if len(classes) == (2 if two else shape[0]) else tuple(map(str, range(shape[0])))
    number = names.index(str(label)) if str(label) in names else -1
    if number < 0 and str(label).isdecimal() and int(label) < len(names):
        number = int(label)
    if number < 0:
        near = "" if _is_number(label) else suggest(str(label), names)
        raise UnknownNameError(
            f"{net.name} has no class {label}",
            why=f"its classes are {few(names)}" + f", {len(names)} of them from 0" * _is_number(label),
            fix=f"did you mean {near}?" if near else by_reader("give one of these as target", "--class NAME"),
        )
    if pixel and len(pixel) != len(shape) - 1:
        raise UsageError(
            f"the classes of {net.name} have no pixel {', '.join(map(str, pixel))}",
            where=f"{value} is {net.inference.specs[value]}",
            why="a pixel belongs to a network that classifies every pixel" if len(shape) == 1 else "",
            fix="leave it out" if len(shape) == 1 else "give a row and a column",
        )
    place = tuple(pixel) or tuple(size // 2 for size in shape[1:])
    index = _inside(value, shape, (0 if two else number, *place))
    return Target(value, index, names[number], -1 if two and number == 0 else 1, predicted)


def _is_number(label: str | int) -> bool:
    """Whether a class is meant by its number, to which no other number is near."""
    return str(label).lstrip("-").isdecimal()


def _inside(value: str, shape: Sequence[int], index: Sequence[int]) -> tuple[int, ...]:
    if len(index) == len(shape) and all(0 <= k < size for k, size in zip(index, shape, strict=True)):
        return tuple(map(int, index))
    raise UsageError(
        f"{value} has no unit {', '.join(map(str, index)) or 'without numbers'}",
        where=f"its units are {' x '.join(map(str, shape))}: channels first, counted from 0",
        why=f"a unit is a channel, or {len(shape)} numbers" if len(shape) > 1 else "a unit is one number",
        fix=setting("unit", str(shape[0] - 1)),
    )


def has_map(net: Network, value: str) -> bool:
    """Whether a value has height and width, more than one place of them."""
    spec = net.inference.specs.get(value)
    return spec is not None and spec.spatial_axes == ("H", "W") and spec.size("H") * spec.size("W") > 1


def last_map(net: Network, target: str) -> Node:
    """The last node in front of a value that still has a map. Raises OpError if none has one."""
    for node in _maps(net, target):
        return node
    raise OpError(
        f"nothing in front of {target} has a map",
        where=net.name,
        why="Grad-CAM weights the channels of a map, with height and width",
        fix=OTHER_METHODS,
    )


OTHER_METHODS = "another method: saliency, integrated-gradients, occlusion"


def _maps(net: Network, target: str) -> Iterator[Node]:
    """The nodes with a map in front of a value, the last one first."""
    names = ancestors(net, target)
    for node in reversed(net.nodes):
        if node.name in names and target not in node.outputs and has_map(net, node.outputs[0]):
            yield node


def map_node(net: Network, name: str, target: str, argument: str = "layer") -> Node:
    """The node of that name, whose map Grad-CAM weights. argument: the one that names it, for the fix.

    Raises OpError if it has no map, or if `target` does not depend on it.
    """
    node = net.node(name)
    problem = ""
    if not has_map(net, node.outputs[0]):
        spec: Any = net.inference.specs.get(node.outputs[0], "unknown")
        problem = f"its output {spec} has no height and width"
    elif name not in ancestors(net, target) or target in node.outputs:
        problem = f"{target} does not depend on it"
    if problem:
        last = next(_maps(net, target), None)
        raise OpError(
            f"{name} has no map for Grad-CAM",
            why=problem,
            fix=setting(argument, last.name) if last else OTHER_METHODS,
        ).at(name, f"{name} = {node.op}", node.place)
    return node
