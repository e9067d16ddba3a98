"""Networks: immutable, named, validated directed acyclic graphs of ops. The center of everything.

Decides names, order and inference; knows no single op, no weights and no file format.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

from striate import elsewhere, hooks
from striate.diagnostics import (
    FormatError,
    GraphError,
    Named,
    OpError,
    Place,
    ShapeError,
    StriateError,
    few,
    plural,
    suggest,
    unknown_key,
)
from striate.fields import shown
from striate.network import sharing
from striate.network.order import dangling, sort_nodes
from striate.op import ANY, Declaration, Op
from striate.op.bounds import verify
from striate.signatures import ExplainMisuse
from striate.tensor import Parameter, TensorSpec

UNNAMED = "net"
"""Name of a network that was given none."""


@dataclasses.dataclass(frozen=True)
class Node(metaclass=ExplainMisuse):
    """An op placed in a network.

    name: unique in its network; op: what it computes; inputs: names of the values that it reads; place: the line of a
    file where it was written. A single output has the node's name, several have ``name:0``, ``name:1``, ….

    shares: the node whose parameters it uses, or, for some of them, their names with the full name of another node's
    parameter: ``{"weight": "enc.weight"}``. fixed: its parameters that are constants, neither counted nor trained.
    frozen: those that are counted and not trained. Raises nothing; a Network refuses what does not fit into it.

    >>> import striate as st
    >>> node = st.parse("8x8x3 -> conv 3x3 4")["conv1"]
    >>> print(node)
    conv1 = conv 3x3 4 <- input
    >>> node.inputs, node.outputs
    (('input',), ('conv1',))
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    place: Place | None = dataclasses.field(default=None, compare=False)
    shares: str | tuple[tuple[str, str], ...] = ""
    fixed: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.shares, Mapping):
            object.__setattr__(self, "shares", tuple(sorted(self.shares.items())) or "")
        for field in ("fixed", "frozen"):
            names = getattr(self, field)
            object.__setattr__(self, field, (names,) if isinstance(names, str) else tuple(names))

    def __str__(self) -> str:
        """Name, op and inputs on one line: ``conv1 = conv 3x3 4 <- input``."""
        return f"{self.name} = {self.op} <- {few(self.inputs)}"

    def key(self, parameter: str) -> str:
        """Full name of the tensor behind a parameter of this node ("weight"): ``conv1.weight``, or what it shares."""
        if isinstance(self.shares, str):
            return f"{self.shares or self.name}.{parameter}"
        return dict(self.shares).get(parameter, f"{self.name}.{parameter}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values that it computes."""
        count = self.op.output_count
        return (self.name,) if count == 1 else tuple(f"{self.name}:{k}" for k in range(count))


@dataclasses.dataclass(frozen=True)
class Inference:
    """Result of shape inference.

    problems: one ShapeError per node without output. Nodes after such a node are not in the tables, but in `unknown`.
    """

    specs: Mapping[str, TensorSpec]
    declarations: Mapping[str, Declaration]
    problems: tuple[ShapeError, ...] = ()
    unknown: tuple[str, ...] = ()


@functools.lru_cache(maxsize=8192)
def _declare(op: Op, inputs: tuple[TensorSpec, ...], training: bool) -> Declaration:
    if training and type(op).declare_training is not Op.declare_training:
        return verify(op.declare_training(*inputs))
    return _declare(op, inputs, False) if training else verify(op.declare(*inputs))


def declaration_of(op: Op, *inputs: TensorSpec, training: bool = False) -> Declaration:
    """An op's declaration for these inputs, verified to stay inside its tensors. Raises OpError if it does not.

    Engines run only verified declarations, because they turn indices into addresses without checks.
    """
    return _declare(op, inputs, training)


def declare(node: Node, inputs: Sequence[TensorSpec]) -> Declaration:
    """An op's declaration for these inputs; errors get the node, its op and its inputs."""
    try:
        _check_arity(node)
        return declaration_of(node.op, *inputs)
    except StriateError as error:
        reads = " and ".join(f"{name} {spec}" for name, spec in zip(node.inputs, inputs, strict=False))
        # Equal nodes share one op: each gets an error of its own.
        fresh = type(error)(error.what, why=error.why, fix=error.fix, code=error.code)
        raise fresh.at(node.name, f"{node.name} = {node.op} after {reads}", node.place) from None


def _check_arity(node: Node) -> None:
    count, arity = len(node.inputs), node.op.arity
    if count < 1 if arity == ANY else count != arity and (arity is not None or count < 2):
        expected = "two or more inputs" if arity is None else f"{abs(arity)} input" + "s" * (arity > 1)
        expected += " or more" * (arity == ANY)
        raise OpError(
            f"{node.op.word} takes {expected}, {count} given",
            why=f"its inputs are {', '.join(node.inputs) or 'none'}",
            fix="give the values that it reads",
        )


_STRUCTURE = ("name", "inputs", "nodes", "outputs")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Network(hooks.Displayed, elsewhere.Teaching, metaclass=ExplainMisuse):
    """A graph of nodes in topological order, its inputs with their specs, and the values that leave it.

    name: of the network; inputs: name -> TensorSpec, batch axis first; nodes: in any order in which names resolve;
    outputs: names of the values that leave it. ``net["conv1"]`` is a node, ``len(net)`` the number of nodes, iteration
    yields them in order, ``str(net)`` is the table of `striate show`.

    It is structure only; weights are stored elsewhere. `aliases`: other names that its source has for parameters, a
    file's name -> the full name here. Networks that differ in them alone are equal.

    Raises GraphError for repeated, dangling or cyclic names. Shapes are inferred on first use: `inference` never
    fails for a node without output, `specs` raises its ShapeError.

    >>> import striate as st
    >>> net = st.parse("32x32x3 -> conv 5x5 6 -> relu", name="tiny")
    >>> net
    Network(tiny: input 32x32x3 -> 2 nodes -> relu1)
    >>> len(net), [node.name for node in net], net.specs["conv1"].shape
    (2, ['conv1', 'relu1'], (1, 6, 28, 28))
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", sort_nodes(self.inputs, self.nodes))
        object.__setattr__(self, "inputs", Named(self.inputs, self.name, "input"))
        values = {**self.inputs, **dict.fromkeys(value for node in self.nodes for value in node.outputs)}
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not self.outputs:
            raise GraphError(
                f"network {self.name} has no output",
                where=f"its values are {few(values)}",
                why="a network needs an output",
                fix="name at least one output",
            )
        for value in self.outputs:
            if value not in values:
                raise dangling(f"the output of {self.name}", value, values, f"outputs of {self.name}")
        sharing.check(self.nodes, self._by_name)

    def __repr__(self) -> str:
        """One line: name, inputs, number of nodes, outputs."""
        inputs = ", ".join(f"{name} {spec}" for name, spec in self.inputs.items())
        nodes = plural(len(self.nodes), "node")
        return f"{type(self).__name__}({self.name}: {inputs} -> {nodes} -> {few(self.outputs)})"

    def __str__(self) -> str:
        """The table of `striate show`, for the width of the terminal: sizes, parameters, cost, fields, findings."""
        return str(hooks.ask("table", self))

    def __eq__(self, other: object) -> bool:
        """Whether name, inputs, nodes and outputs are equal, whatever either was read from."""
        if not isinstance(other, Network):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in _STRUCTURE)

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.inputs.items()), self.nodes, self.outputs))

    @property
    def title(self) -> str:
        """Its name in headings."""
        return self.name

    @functools.cached_property
    def inference(self) -> Inference:
        """Specs and declarations of all nodes that have an output, and the problems of the others."""
        specs, declarations = dict(self.inputs), {}
        problems: list[ShapeError] = []
        unknown = []
        for node in self.nodes:
            if any(value not in specs for value in node.inputs):
                unknown.append(node.name)
                continue
            try:
                declaration = declare(node, [specs[value] for value in node.inputs])
            except ShapeError as problem:
                problems.append(problem)
                continue
            declarations[node.name] = sharing.mark(node, declaration, self._by_name)
            specs.update(zip(node.outputs, declaration.outputs, strict=True))
        problems += sharing.mismatches(self.nodes, declarations)
        return Inference(
            Named(specs, self.name, "value"),
            Named(declarations, self.name, "node"),
            tuple(problems),
            tuple(unknown),
        )

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Value -> TensorSpec. Raises the ShapeError of the first node without an output."""
        for problem in self.inference.problems:
            raise problem
        return self.inference.specs

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        """Node -> its declaration. Raises the ShapeError of the first node without an output."""
        return self.inference.declarations if self.specs else {}

    @functools.cached_property
    def training(self) -> Mapping[str, Declaration]:
        """Node -> its declaration while training. Raises as `declarations`, and OpError as `Op.declare_training`."""
        return {
            node.name: sharing.mark(
                node,
                declaration_of(node.op, *(self.specs[value] for value in node.inputs), training=True),
                self._by_name,
            )
            for node in self.nodes
        }

    @property
    def input(self) -> TensorSpec:
        """Spec of the only input. Raises GraphError when there are several."""
        if len(self.inputs) != 1:
            raise GraphError(
                f"{self.name} has {plural(len(self.inputs), 'input')}",
                where=f"inputs of {self.name}",
                why=f"they are {', '.join(self.inputs)}; the result is defined for one input only",
                fix="name one: net.inputs[name]",
            )
        (spec,) = self.inputs.values()
        return spec

    def input_name(self, name: str | None = None) -> str:
        """The only input's name, or `name` if an input has it.

        Raises GraphError for several inputs and no name, and for a name that no input has.
        """
        if name is None:
            _ = self.input
            return next(iter(self.inputs))
        if name not in self.inputs:
            raise _no_input(self, name)
        return name

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    def node(self, name: str) -> Node:
        """The node of a name, also ``net[name]``. Raises UnknownNameError, with the nearest name."""
        if name not in self._by_name:
            raise unknown_key(self.name, "node", name, self._by_name)
        return self._by_name[name]

    __getitem__ = node

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __bool__(self) -> bool:
        return True  # also without a node

    def __contains__(self, node: object) -> bool:
        return node in self._by_name or (isinstance(node, Node) and self._by_name.get(node.name) == node)

    @functools.cached_property
    def producers(self) -> Mapping[str, Node]:
        """Value -> the node that makes it; network inputs are absent."""
        return {value: node for node in self.nodes for value in node.outputs}

    @functools.cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """Value -> the nodes that read it."""
        readers: dict[str, list[Node]] = {value: [] for value in (*self.inputs, *self.producers)}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                readers[value].append(node)
        return {value: tuple(nodes) for value, nodes in readers.items()}

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Full name -> spec of every learned tensor, constant and running statistic, in the nodes' order.

        What several nodes share is listed once, under its owner's name.
        """
        parameters = {
            f"{name}.{parameter.name}": parameter
            for name, declaration in self.declarations.items()
            for parameter in declaration.parameters
            if not parameter.shared
        }
        return Named(parameters, self.name, "parameter")

    def with_input(self, shape: Sequence[int] | Mapping[str, Sequence[int]]) -> Self:
        """The same nodes on an input of another shape.

        shape: (C, H, W) of the only input, or shapes of several by name: ``{"left": (3, 64, 64)}``.
        Raises GraphError where one shape is given and there are several inputs, and for a name that no input has.
        """
        if not isinstance(shape, Mapping):
            _ = self.input
            (name,) = self.inputs
            shape = {name: shape}
        for name in shape:
            if name not in self.inputs:
                raise _no_input(self, name)
        specs = {name: TensorSpec.image(one) for name, one in shape.items()}
        return dataclasses.replace(self, inputs={**self.inputs, **specs})

    def replace(self, node: str, op: Op) -> Self:
        """The same network with another op at a node.

        node: its name; op: what it computes instead. Raises UnknownNameError for a name that no node has.

        >>> import striate as st
        >>> from striate.ops import Conv
        >>> net = st.parse("8x8x3 -> conv 3x3 4")
        >>> str(net.replace("conv1", Conv(8, kernel=5))["conv1"].op)
        'conv 5x5 8'
        """
        old = self.node(node)
        nodes = tuple(dataclasses.replace(n, op=op) if n is old else n for n in self.nodes)
        return dataclasses.replace(self, nodes=nodes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which `from_dict` builds the same network."""
        return {
            "name": self.name,
            "inputs": {name: list(spec.without_batch) for name, spec in self.inputs.items()},
            "nodes": [
                {"name": n.name, **n.op.to_dict(), **sharing.to_dict(n), "inputs": list(n.inputs)}
                for n in self.nodes
            ],
            "outputs": list(self.outputs),
            **({"aliases": dict(self.aliases)} if self.aliases else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Network:
        """Build a network from the plain values of `to_dict`.

        data: name, inputs (name -> (C, H, W)), nodes in any order, outputs. Raises FormatError if one of these
        is missing, and the errors of `Network`.
        """
        network = _plain(data, "the network", name=str, inputs=Mapping, nodes=list, outputs=list)
        nodes = []
        for at, entry in enumerate(network["nodes"]):
            plain = _plain(entry, f"node {at + 1}", name=str, inputs=list)
            fields = {
                key: value for key, value in plain.items() if key not in ("name", "inputs", *sharing.FIELDS)
            }
            try:
                op = Op.from_dict(fields)
            except StriateError as error:
                raise error.at(plain["name"], f"{plain['name']} = {shown(fields)}") from None
            reads = _names(plain["inputs"], f"inputs of {plain['name']}")
            nodes.append(Node(plain["name"], op, reads, None, **sharing.from_dict(plain)))
        inputs = {}
        for name, shape in network["inputs"].items():
            (name,) = _names([name], "inputs of the network")
            inputs[name] = TensorSpec.image(shape)
        outputs = _names(network["outputs"], "outputs of the network")
        aliases = sharing.read_aliases(network.get("aliases", {}))
        return cls(network["name"], inputs, tuple(nodes), outputs, aliases=aliases)


NetworkSource: TypeAlias = Any
"""A Network, or a source of one: a text that `striate.load` takes, a path, a Builder, a Model, a torch.nn.Module."""


def as_network(source: NetworkSource) -> Network:
    """The network that is meant: itself, a model's, or the one that a text, a path, a builder or a torch module names.

    Raises what `striate.load` raises for a text, and FormatError for what has no network.
    """
    if isinstance(source, Network):
        return source
    for name in ("net", "network"):  # of a model, of what was loaded
        if isinstance(net := getattr(source, name, None), Network):
            return net
    network: Network = hooks.ask("network", source)
    return network


def _no_input(net: Network, name: object) -> GraphError:
    near = suggest(str(name), net.inputs)
    return GraphError(
        f"{net.name} has no input {name!r}",
        where=f"inputs of {net.name}",
        why=f"they are {few(net.inputs)}",
        fix=f"write {near!r}" if near else f"name one of them: {few(net.inputs)}",
    )


def unread(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The values that no node reads: the outputs of a network that declares none."""
    read = {value for node in nodes for value in node.inputs}
    return tuple(value for node in nodes for value in node.outputs if value not in read)


_KINDS: Mapping[type, str] = {str: "a text", list: "a list", Mapping: "a table"}


def _plain(data: Any, what: str, **kinds: type) -> Mapping[str, Any]:
    """Check that data is a table with these keys and types. Raises FormatError."""
    table = data if isinstance(data, Mapping) else {}
    for key, kind in kinds.items():
        if not isinstance(table.get(key), kind):
            reason = f"got {shown(table[key])}" if key in table else f"its keys are {few(table)}"
            raise FormatError(
                f"{what} has no {key}" if key not in table else f"{key} of {what} is not {_KINDS[kind]}",
                where=f"{what}: {shown(data)}",
                why=reason if isinstance(data, Mapping) else f"{what} is not a table",
                fix=f"give {key} {_KINDS[kind]}; Network.to_dict shows the form",
            )
    return table


def _names(values: Sequence[Any], what: str) -> tuple[str, ...]:
    """Names of values, which are texts."""
    for value in values:
        if not isinstance(value, str):
            raise FormatError(
                f"{shown(value)} is not a name",
                where=what,
                why="values are identified by name",
                fix="give the name of a node or an input",
            )
    return tuple(values)
