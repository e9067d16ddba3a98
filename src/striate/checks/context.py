"""What rules see: a network with its facts, each computed on first use, so that rules pay only for what they need."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from striate.checks.config import Config
from striate.diagnostics import StriateError
from striate.geometry import Window
from striate.network import Network, Node
from striate.op import Declaration, Trait, Windowed
from striate.tensor import MAX_SIZE, TensorSpec

if TYPE_CHECKING:
    from striate.analysis.fields import AxisField

AXIS_WORDS = {"H": "row", "W": "column", "L": "position", "D": "slice"}
"""Word for one index along a spatial axis."""


class Context:
    """A network under check and the settings of the check.

    `nodes` are those that have an output; nodes at or after a geometry failure are absent.
    """

    def __init__(self, network: Network, config: Config | None = None) -> None:
        self.network = network
        self.config = config or Config()
        self.inference = network.inference
        self.declarations: Mapping[str, Declaration] = self.inference.declarations
        self.nodes = tuple(node for node in network.nodes if node.name in self.declarations)
        self.trials = 0  # nodes re-inferred for fixes, see striate.checks.fixes

    # ------------------------------------------------------------------ the graph
    def of(self, *words: str) -> Iterator[Node]:
        """The nodes with one of these ops."""
        return (node for node in self.nodes if node.op.word in words)

    def having(self, trait: Trait) -> Iterator[Node]:
        """The nodes whose op has a trait."""
        return (node for node in self.nodes if trait in node.op.traits)

    def consumers(self, value: str) -> tuple[Node, ...]:
        return self.network.consumers[value]

    def is_output(self, value: str) -> bool:
        return value in self.network.outputs

    def before(self, node: Node) -> Node | None:
        """The node that produces the first input; None for a network input."""
        return self.network.producers.get(node.inputs[0])

    def after(self, node: Node) -> Node | None:
        """The only reader of this node's only output; None if none or several read it, or it is a network output."""
        if len(node.outputs) != 1 or self.is_output(node.outputs[0]):
            return None
        readers = self.consumers(node.outputs[0])
        return readers[0] if len(readers) == 1 else None

    def following(self, node: Node, *through: Trait) -> Node | None:
        """The next node on an unbranched path, skipping ops of one input that have one of the traits and no weights."""
        after = self.after(node)
        while after is not None and len(after.inputs) == 1:
            traits = after.op.traits
            if Trait.WEIGHTED_SUM in traits or not any(trait in traits for trait in through):
                break
            after = self.after(after)
        return after

    # ------------------------------------------------------------------ shapes
    def spec(self, value: str) -> TensorSpec:
        return self.inference.specs[value]

    def declaration(self, node: Node) -> Declaration:
        return self.declarations[node.name]

    @functools.cached_property
    def windows(self) -> list[tuple[Node, dict[str, Window]]]:
        """Every node that slides a window, with the window of each spatial axis (letters as in TensorSpec.axes)."""
        pairs = []
        for node in self.nodes:
            if isinstance(node.op, Windowed):
                axes = self.declarations[node.name].windows
                sliding = {axis: window for axis, window in axes.items() if isinstance(window, Window)}
                if sliding and len(sliding) == len(axes):
                    pairs.append((node, sliding))
        return pairs

    def groups(self, node: Node) -> int:
        """Number of groups of input channels of a convolution (or a fully connected layer)."""
        declaration = self.declarations[node.name]
        depth = next(p.shape[1] for p in declaration.parameters if p.kind == "weight")
        return declaration.inputs[0].channels // depth

    # ------------------------------------------------------------------ cost
    def params(self, node: Node) -> int:
        """Learned numbers of a node."""
        return self.declarations[node.name].params

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of a node, per image."""
        return self.declarations[node.name].macs

    @functools.cached_property
    def total_params(self) -> int:
        return sum(declaration.params for declaration in self.declarations.values())

    @functools.cached_property
    def total_macs(self) -> int:
        return sum(declaration.macs for declaration in self.declarations.values())

    # ------------------------------------------------------------------ the whole graph
    @functools.cached_property
    def fields_by_input(self) -> Mapping[str, Mapping[str, Mapping[str, AxisField]]]:
        """Input -> value -> axis of that input -> receptive field."""
        from striate.analysis.fields import fields_by_input

        return fields_by_input(self.network)

    @functools.cached_property
    def fields(self) -> Mapping[str, Mapping[str, AxisField]]:
        """Value -> axis of an input -> receptive field on that input, which is `source`'s."""
        return {value: self.fields_by_input[self.source(value)][value] for value in self._sources}

    @functools.cached_property
    def _sources(self) -> Mapping[str, str]:
        from striate.analysis.fields import principal

        return principal(self.fields_by_input)

    def source(self, value: str) -> str:
        """The first of the network's inputs that leads to a value."""
        return self._sources.get(value, next(iter(self.network.inputs)))

    @functools.cached_property
    def fitting_inputs(self) -> tuple[tuple[tuple[int, ...], Network], ...]:
        """The inputs (C, H, W) nearest below and above on which everything fits, each with its network."""
        from striate.analysis import sizes

        if len(self.network.inputs) != 1 or not self.network.input.spatial:
            return ()
        spec = self.network.input
        try:
            axes = sizes(self.network).axes
        except StriateError:
            return ()
        inputs = []
        for side in (-1, 1):
            shape = [spec.channels]
            for axis, n in zip(spec.spatial_axes, spec.spatial):
                near = axes[axis.lower()].nearest(n, 8)
                beyond = [m for m in near if (m - n) * side >= 0 and m <= MAX_SIZE]
                if beyond:
                    shape.append(min(beyond, key=lambda m: abs(m - n)))
            if len(shape) == len(spec.shape) - 1 and tuple(shape) != spec.without_batch:
                inputs.append((tuple(shape), self.network.with_input(shape)))
        return tuple(inputs)

    # ------------------------------------------------------------------ words
    def where(self, node: Node | None) -> str:
        """``conv1 = conv 3x3 /3 after input 7x7x1``"""
        if node is None:
            return f"{self.network.name} on " + " and ".join(
                f"{name} {spec}" for name, spec in self.network.inputs.items()
            )
        specs = self.inference.specs
        reads = (f"{value} {specs[value]}" if value in specs else value for value in node.inputs)
        return f"{node.name} = {node.op} after {' and '.join(reads)}"


def by(sizes: Mapping[str, int] | tuple[int, ...]) -> str:
    """``5x5``"""
    return "x".join(map(str, sizes.values() if isinstance(sizes, Mapping) else sizes))


def share(part: int, total: int) -> str:
    """A percentage that is never rounded to 0 % or 100 %."""
    percent = 100 * part / total if total else 0
    if 0 < percent < 1:
        return "below 1 %"
    return f"{min(math.floor(percent + 0.5), 99) if part < total else 100} %"
