"""Activation memory of a network, per image: what lives when its nodes run one after the other.

Inference: nodes run in the network's (topological) order. A value takes its bytes from the step that makes it to
the last step that reads it, a result of the network to the end; the network's input is there from the first
step to its last reader. The memory of a step is all values that live then, the node's own outputs included.
Nothing works in place: each op writes its own buffer. With `in_place`, an op that computes every number
from the same position of an input (activations, batch norm, dropout, add, …; read off its statements) writes
over that input if nothing reads it later, and flatten and reshape keep its buffer. The network's input is never
written over: it belongs to the caller.

Training: the forward steps keep every value, for the backward steps to read; these run in reverse order. The
memory of a backward step is the values not yet freed, the gradients that wait for their producer's step (those
of the network's results from the start), and the gradients of the node's inputs, which this step writes (added
in place where another reader wrote before). The network's input gets no gradient. After the step, the node's
outputs and their gradients are freed.

Not counted, in both: parameters, their gradients, optimizer state, scratch space inside an op.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping

from striate.network import Network, Node
from striate.op import Declaration, Trait


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """One node's turn: the bytes that exist while it runs, what it makes, and what is freed when it is done.

    Names are values; a gradient is called `d(value)`, and `steps[i].phase` is "forward" or "backward".
    """

    node: str
    phase: str
    bytes: int
    allocated: tuple[str, ...] = ()
    freed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """The steps of one run, in order. `start` is what exists before the first: the network's inputs."""

    start: tuple[str, ...]
    start_bytes: int
    steps: tuple[Moment, ...]

    @property
    def peak_bytes(self) -> int:
        return max((step.bytes for step in self.steps), default=self.start_bytes)

    @property
    def peak(self) -> Moment | None:
        """The first step that reaches the peak; None where nothing runs."""
        return max(self.steps, key=lambda step: step.bytes, default=None)

    def live(self, index: int) -> tuple[str, ...]:
        """Names of what exists while step `index` runs, oldest first (its own outputs included)."""
        names = dict.fromkeys(self.start)
        for step in self.steps[:index]:
            names |= dict.fromkeys(step.allocated)
            for name in step.freed:
                names.pop(name, None)
        return tuple(names | dict.fromkeys(self.steps[index].allocated))


def activation_bytes(net: Network) -> dict[str, int]:
    """Bytes of each node's outputs, per image; nodes that cannot be computed are left out."""
    inference = net.inference
    return {
        node.name: sum(inference.specs[value].bytes for value in node.outputs)
        for node in net.nodes
        if node.name in inference.declarations
    }


def liveness(net: Network) -> tuple[int, int]:
    """Peak bytes per image of inference and of a training step (conventions at the top of this module)."""
    return timeline(net).peak_bytes, timeline(net, training=True).peak_bytes


def timeline(net: Network, *, training: bool = False, in_place: bool = False) -> Timeline:
    """Memory step by step. `in_place` concerns inference only.

    >>> from striate.formats import parse
    >>> net = parse("4x4x1 -> conv 3x3 2 pad 1 -> relu -> maxpool 2")
    >>> [step.bytes for step in timeline(net).steps]     # 16 + 32 numbers, 32 + 32, 32 + 8; 4 bytes each
    [192, 256, 160]
    >>> timeline(net, training=True).peak_bytes          # 16 + 32 + 32 numbers, gradients of 32 and 32
    576
    """
    inference = net.inference
    nodes = [node for node in net.nodes if node.name in inference.declarations]
    sizes = {value: inference.specs[value].bytes for value in _values(net, nodes)}
    start = tuple(net.inputs)
    steps = _training(net, nodes, sizes) if training else _inference(net, nodes, sizes, in_place)
    return Timeline(start, sum(sizes[value] for value in start), tuple(steps))


def _values(net: Network, nodes: Iterable[Node]) -> Iterator[str]:
    return itertools.chain(net.inputs, *(node.outputs for node in nodes))


def _last_use(net: Network, nodes: list[Node]) -> dict[str, int]:
    """Index of the last step that needs each value: its last reader's, else its own; the end for results."""
    last = dict.fromkeys(net.inputs, 0)
    for index, node in enumerate(nodes):
        last |= dict.fromkeys(itertools.chain(node.inputs, node.outputs), index)
    return last | dict.fromkeys((v for v in net.outputs if v in last), len(nodes))


def _inference(net: Network, nodes: list[Node], sizes: Mapping[str, int], in_place: bool) -> Iterator[Moment]:
    declared = net.inference.declarations
    last = _last_use(net, nodes)
    live = sum(sizes[value] for value in net.inputs)
    for index, node in enumerate(nodes):
        dying = [value for value in dict.fromkeys((*node.inputs, *node.outputs)) if last[value] == index]
        if index == 0:  # inputs that nothing reads go after the first step
            dying += [value for value in net.inputs if last[value] == 0 and value not in dying]
        ports = _overwritable(declared[node.name]) if in_place else ()
        donors = (node.inputs[port] for port in ports)
        donor = next((v for v in donors if v in dying and v not in net.inputs), None)
        live += sum(sizes[value] for value in node.outputs) if donor is None else 0
        yield Moment(node.name, "forward", live, node.outputs, tuple(dying))
        live -= sum(sizes[value] for value in dying if value != donor)


def _overwritable(declared: Declaration) -> Iterator[int]:
    """The inputs that an op can write over: of its output's size, and read only at the position it writes."""
    if len(declared.outputs) > 1:
        return
    for port, spec in enumerate(declared.inputs):
        name = f"x{port}"
        same_place = all(
            not statement.reduce and statement.target == "y0" and load.index == statement.index
            for statement in declared.statements
            for load in statement.loads
            if load.tensor == name
        )
        if spec.bytes == declared.outputs[0].bytes and (same_place or Trait.VIEW in declared.op.traits):
            yield port


def _training(net: Network, nodes: list[Node], sizes: Mapping[str, int]) -> Iterator[Moment]:
    live = sum(sizes[value] for value in net.inputs)
    for node in nodes:
        live += sum(sizes[value] for value in node.outputs)
        yield Moment(node.name, "forward", live, node.outputs)
    pending = [value for value in net.outputs if value in sizes]  # the loss gives all results their gradients
    started = set(net.inputs)  # values whose gradient has its memory, or never gets any
    for node in reversed(nodes):
        gradients = [v for v in dict.fromkeys((*pending, *node.outputs, *node.inputs)) if v not in started]
        pending = []
        started.update(gradients)
        live += sum(sizes[value] for value in gradients)
        freed = (*(f"d({value})" for value in node.outputs), *node.outputs)
        yield Moment(node.name, "backward", live, tuple(f"d({value})" for value in gradients), freed)
        live -= 2 * sum(sizes[value] for value in node.outputs)
