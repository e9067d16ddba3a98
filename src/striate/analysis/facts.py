"""The facts of a whole network, node by node: shapes, windows, fields, cost and memory in one frozen record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from striate import elsewhere
from striate.analysis.cost import convention as named_convention
from striate.analysis.cost import macs_by_node
from striate.analysis.fields import Fields, Misalignment, fields_by_input, misalignments, principal
from striate.analysis.memory import liveness
from striate.diagnostics import ShapeError, plural
from striate.geometry import ReceptiveField, TransposedWindow, Window
from striate.hooks import Displayed
from striate.network import Network, NetworkSource, as_network
from striate.signatures import explain_misuse
from striate.tensor import TensorSpec


@dataclasses.dataclass(frozen=True, slots=True)
class NodeFacts(elsewhere.Teaching):
    """One node. windows and receptive_field are keyed by axis: "h", "w" ("l" in one dimension, "d" before in three).

    params: learned numbers; macs: under the analysis' convention; activation_bytes: of all its outputs, per image;
    aligned: whether the branches that it merges look at the same place. receptive_field is on the first input that
    leads to the node, fields_by_input on each.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: TensorSpec
    params: int
    macs: int
    windows: Mapping[str, Window | TransposedWindow]
    receptive_field: Mapping[str, ReceptiveField]
    aligned: bool
    activation_bytes: int
    fields_by_input: Mapping[str, Mapping[str, ReceptiveField]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Totals(elsewhere.Teaching):
    """Sums over the nodes, and peaks over time; bytes are per image.

    unknown: for params, macs and memory, the nodes where it is unknown. With any, the sum is a lower bound.
    """

    params: int
    macs: int
    activation_bytes: int
    peak_bytes: int
    training_peak_bytes: int
    unknown: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def text(self, what: str) -> str:
        """A sum of params or macs, with "at least" before a lower bound."""
        return f"{self._bound(what)}{getattr(self, what):,}"

    def _bound(self, what: str) -> str:
        return "at least " if self.unknown.get(what) else ""

    def lacking(self, *what: str) -> str:
        """The number of nodes that make these sums incomplete, after a semicolon; empty where they are complete."""
        count = len({name for quantity in what for name in self.unknown.get(quantity, ())})
        return f"; {plural(count, 'node')} unknown" if count else ""


@dataclasses.dataclass(frozen=True, repr=False)
class Analysis(Displayed, elsewhere.Teaching):
    """Facts of every node that has an output; `problems` and `unknown` tell of the others.

    A loop gives the nodes' facts; ``facts["conv1"]`` is `node`, ``facts[0]`` the first.
    """

    network: Network
    nodes: tuple[NodeFacts, ...]
    totals: Totals
    convention: str
    misalignments: tuple[Misalignment, ...] = ()
    problems: tuple[ShapeError, ...] = ()
    unknown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        rows = [("node", "op", "output", "params", "MACs", "field")]
        for facts in self.nodes:
            op = str(self.network.node(facts.name).op)
            field = "x".join(str(axis_field.size) for axis_field in facts.receptive_field.values())
            rows.append((facts.name, op, str(facts.output), f"{facts.params:,}", f"{facts.macs:,}", field))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows]
        total = self.totals
        lines.append(
            f"{total._bound('params')}{plural(total.params, 'parameter')}, {total.text('macs')} MACs "
            f"({self.convention}){total.lacking('params', 'macs')}"
        )
        lines += [f"no output: {problem.node}: {problem.what}" for problem in self.problems]
        return "\n".join(lines)

    def __iter__(self) -> Iterator[NodeFacts]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __bool__(self) -> bool:
        return True  # also without a node

    def __getitem__(self, key: str | int) -> NodeFacts:
        return self.node(key) if isinstance(key, str) else self.nodes[key]

    def node(self, name: str) -> NodeFacts:
        """Facts of one node; UnknownNameError names the nearest."""
        self.network.node(name)
        return next(facts for facts in self.nodes if facts.name == name)


@explain_misuse
def analyze(net: NetworkSource, convention: str = "striate") -> Analysis:
    """Facts of every node: output size, parameters, MACs, windows, receptive field in pixels, memory in bytes.

    net: a network, or what names one, as `striate.load` takes it; convention: how MACs are counted, a name that
    `striate show --reconcile` lists. Outputs are specs of (N, C, H, W); bytes and MACs are those of one image.

    A node without an output ends its branch and is in `problems`. Raises UnknownNameError for an unknown
    convention. Source: Araujo, Norris & Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019.

    >>> import striate as st
    >>> facts = st.analyze("32x32x3 -> conv 5x5 6 -> relu -> maxpool 2")
    >>> facts.totals.params, facts.totals.macs, facts.node("maxpool1").receptive_field["h"].size
    (456, 352800, 6)
    """
    net = as_network(net)
    sentence = named_convention(convention).sentence
    inference = net.inference
    every = fields_by_input(net)
    first = principal(every)
    faults = misalignments(net, every)
    bad = {fault.node for fault in faults}
    macs = macs_by_node(net, convention)
    nodes = []
    for node in net.nodes:
        declaration = inference.declarations.get(node.name)
        if declaration is None:
            continue
        nodes.append(
            NodeFacts(
                node.name,
                node.op.word,
                node.inputs,
                declaration.outputs[0],
                declaration.params,
                macs[node.name],
                {axis.lower(): window for axis, window in declaration.windows.items()},
                _lower_axes(every[first[node.outputs[0]]][node.outputs[0]]),
                node.name not in bad,
                sum(spec.bytes for spec in declaration.outputs),
                {name: _lower_axes(fields[node.outputs[0]]) for name, fields in every.items()},
            )
        )
    peaks = liveness(net)
    totals = Totals(
        sum(facts.params for facts in nodes),
        sum(facts.macs for facts in nodes),
        sum(facts.activation_bytes for facts in nodes),
        *peaks,
        unknown_costs(net),
    )
    return Analysis(net, tuple(nodes), totals, sentence, faults, inference.problems, inference.unknown)


def unknown_costs(net: Network) -> dict[str, tuple[str, ...]]:
    """For params, macs and memory, the nodes where it is unknown: opaque ones, and those without an output."""
    inference = net.inference
    lost = [node.name for node in net.nodes if node.name not in inference.declarations]
    return {
        what: (*(name for name, d in inference.declarations.items() if what in d.uncounted), *lost)
        for what in ("params", "macs", "memory")
    }


def _lower_axes(fields: Fields) -> dict[str, ReceptiveField]:
    return {axis.lower(): axis_field.field for axis, axis_field in fields.items()}
