"""Networks: immutable, named, validated directed acyclic graphs of ops. The centre of everything.

Decides names, order and inference; refuses to know any op, any weight and any file format.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.diagnostics import (
    GraphError,
    OpError,
    Place,
    ShapeError,
    StriateError,
    UnknownNameError,
    suggest,
)
from striate.op import Declaration, Op
from striate.tensor import Parameter, TensorSpec

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass(frozen=True)
class Node:
    """An op placed in a network. `inputs` name the values it reads; a sole output is named as the node itself."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    place: Place | None = dataclasses.field(default=None, compare=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        count = self.op.output_count
        return (self.name,) if count == 1 else tuple(f"{self.name}:{k}" for k in range(count))


@dataclasses.dataclass(frozen=True)
class Inference:
    """What is known once the ops have seen their inputs.

    problems: one ShapeError per node that has no output. Nodes behind such a node are in no table, but in `unknown`.
    """

    specs: Mapping[str, TensorSpec]
    declarations: Mapping[str, Declaration]
    problems: tuple[ShapeError, ...] = ()
    unknown: tuple[str, ...] = ()


@functools.lru_cache(maxsize=8192)
def _declare(op: Op, inputs: tuple[TensorSpec, ...]) -> Declaration:
    return op.declare(*inputs)


def declare(node: Node, inputs: Sequence[TensorSpec]) -> Declaration:
    """An op's declaration for these inputs; errors gain the node, its op and what it reads."""
    try:
        _check_arity(node)
        return _declare(node.op, tuple(inputs))
    except StriateError as error:
        reads = " and ".join(f"{name} {spec}" for name, spec in zip(node.inputs, inputs, strict=False))
        # Equal nodes share one op: each gets an error of its own.
        fresh = type(error)(error.what, why=error.why, fix=error.fix, code=error.code)
        raise fresh.at(node.name, f"{node.name} = {node.op} after {reads}", node.place) from None


def _check_arity(node: Node) -> None:
    given, wanted = len(node.inputs), node.op.arity
    if given != wanted and (wanted is not None or given < 2):
        expected = "two inputs or more" if wanted is None else f"{wanted} input" + "s" * (wanted > 1)
        raise OpError(
            f"{node.op.word} takes {expected}, {given} given",
            why=f"it names {', '.join(node.inputs) or 'none'}",
            fix="name the values it reads",
        )


@dataclasses.dataclass(frozen=True)
class Network:
    """A graph of nodes in topological order, its inputs with their specs, and the values that leave it.

    Raises GraphError for repeated, dangling or cyclic names. Shapes are inferred on first use: `inference` never
    fails for a node without output, `specs` raises its ShapeError.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _ordered(self.inputs, self.nodes))
        object.__setattr__(self, "inputs", dict(self.inputs))
        known = {*self.inputs, *(value for node in self.nodes for value in node.outputs)}
        if not self.outputs:
            raise GraphError(f"network {self.name} has no output", fix="name at least one value as output")
        for value in self.outputs:
            if value not in known:
                raise _dangling(f"the output of {self.name}", value, known)

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.inputs.items()), self.nodes, self.outputs))

    @functools.cached_property
    def inference(self) -> Inference:
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
            declarations[node.name] = declaration
            specs.update(zip(node.outputs, declaration.outputs, strict=True))
        return Inference(specs, declarations, tuple(problems), tuple(unknown))

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

    @property
    def input(self) -> TensorSpec:
        """Spec of the sole input. Raises GraphError when there are several."""
        if len(self.inputs) > 1:
            raise GraphError(
                f"{self.name} has {len(self.inputs)} inputs",
                why=f"they are {', '.join(self.inputs)}; what is asked for has an answer for one",
                fix="look at the part of the network behind one input",
            )
        (spec,) = self.inputs.values()
        return spec

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    def node(self, name: str) -> Node:
        """The node of a name; UnknownNameError names the nearest one."""
        if name not in self._by_name:
            near = suggest(name, self._by_name)
            raise UnknownNameError(
                f"{self.name} has no node {name!r}",
                why=f"it has {len(self.nodes)} nodes, from {self.nodes[0].name} to {self.nodes[-1].name}",
                fix=f"write {near!r}" if near else f"see the names with: striate show {self.name}",
            )
        return self._by_name[name]

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
        """Full name -> spec of every learned tensor and running statistic, in the nodes' order."""
        return {
            f"{name}.{parameter.name}": parameter
            for name, declaration in self.declarations.items()
            for parameter in declaration.parameters
        }

    def with_input(self, shape: Sequence[int]) -> Network:
        """The same nodes on another input (C, H, W)."""
        (name,) = self.inputs
        return dataclasses.replace(self, inputs={name: TensorSpec.image(tuple(shape))})

    def replace(self, node: str, op: Op) -> Network:
        """The same network with another op at a node."""
        old = self.node(node)
        nodes = tuple(dataclasses.replace(n, op=op) if n is old else n for n in self.nodes)
        return dataclasses.replace(self, nodes=nodes)

    def to_dict(self) -> dict[str, Any]:
        """Plain form; `from_dict` gives the same network back."""
        return {
            "name": self.name,
            "inputs": {name: list(spec.without_batch) for name, spec in self.inputs.items()},
            "nodes": [{"name": n.name, **n.op.to_dict(), "inputs": list(n.inputs)} for n in self.nodes],
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Network:
        """The network of a plain form; nodes may come in any order."""
        nodes = []
        for entry in data["nodes"]:
            fields = {key: value for key, value in entry.items() if key not in ("name", "inputs")}
            try:
                nodes.append(Node(entry["name"], Op.from_dict(fields), tuple(entry["inputs"])))
            except StriateError as error:
                raise error.at(str(entry.get("name", "?")), "") from None
        inputs = {name: TensorSpec.image(tuple(shape)) for name, shape in data["inputs"].items()}
        return cls(data["name"], inputs, tuple(nodes), tuple(data["outputs"]))


def unread(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The values that no node reads: what leaves a network that does not say it."""
    read = {value for node in nodes for value in node.inputs}
    return tuple(value for node in nodes for value in node.outputs if value not in read)


def _dangling(reader: str, value: str, known: Iterator[str] | set[str]) -> GraphError:
    near = suggest(value, known)
    return GraphError(
        f"{reader} names a value {value!r} that nothing makes",
        fix=f"write {near!r}" if near else "name a node or the input",
    )


def _ordered(inputs: Mapping[str, TensorSpec], nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes in an order in which every value is made before it is read; the given order where it is one."""
    made: dict[str, Node] = {}
    for node in nodes:
        for value in (node.name, *node.outputs):
            if value in inputs or made.setdefault(value, node) is not node:
                raise GraphError(
                    f"two nodes or inputs are named {value!r}",
                    fix="rename one of them",
                    why="names are unique",
                )
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
                known = {*inputs, *(value for n in nodes for value in n.outputs)}
                raise _dangling(f"node {node.name}", missing[0], known).at(node.name, "", node.place)
            if source.name in open_nodes:
                names = list(open_nodes)
                circle = [*names[names.index(source.name) :], source.name]
                raise GraphError(
                    f"the network runs in a circle: {' <- '.join(circle[:8])}",
                    why="a value would have to be known before it is made",
                    fix="remove one of these connections",
                ).at(node.name, "", node.place)
            stack.append(source)
    return tuple(ordered)


@dataclasses.dataclass(frozen=True)
class Ref:
    """Handle of what a builder has made. A node of several outputs is unpacked: ``a, b = build(Split(), x)``."""

    builder: Builder = dataclasses.field(repr=False, compare=False)
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The sole value's name."""
        if len(self.values) > 1:
            raise GraphError(
                f"{self.values[0].rsplit(':', 1)[0]} has {len(self.values)} outputs",
                fix="unpack it, and use one of them",
            )
        return self.values[0]

    @property
    def spec(self) -> TensorSpec:
        """Shape and axes; raises the ShapeError of a node without output."""
        return self.builder.spec(self.name)

    def __iter__(self) -> Iterator[Ref]:
        return iter([Ref(self.builder, (value,)) for value in self.values])


class Builder:
    """Makes a network node by node.

    >>> from striate.ops import Conv, Relu
    >>> build = Builder("tiny", input=(3, 32, 32))
    >>> x = build(Conv(6, kernel=5), build.input)
    >>> build.build(build(Relu(), x)).specs["conv1"].shape
    (1, 6, 28, 28)
    """

    def __init__(self, name: str = "net", input: Sequence[int] = (3, 224, 224)) -> None:
        self.name = name
        self._inputs = {"input": TensorSpec.image(tuple(input))}
        self._nodes: list[Node] = []
        self._specs: dict[str, TensorSpec | ShapeError] = dict(self._inputs)
        self._counts: dict[str, int] = {}
        self._names: set[str] = {"input"}
        self._scope: list[str] = []

    @property
    def input(self) -> Ref:
        return Ref(self, ("input",))

    def spec(self, value: str) -> TensorSpec:
        found = self._specs[value]
        if isinstance(found, ShapeError):
            raise found
        return found

    def __call__(self, op: Op, *inputs: Ref, name: str | None = None) -> Ref:
        """Place an op behind the given values; without a name it is its word and a number.

        Raises OpError and GraphError at once; a node without output is reported when its shape is asked for.
        """
        full = ".".join((*self._scope, name)) if name else self._free_name(op.word)
        node = Node(full, op, tuple(ref.name for ref in inputs), _caller())
        if full in self._names:
            raise GraphError(
                f"two nodes are named {full!r}", why="names are unique", fix="give it another name"
            ).at(full, "", node.place)
        self._names.add(full)
        self._nodes.append(node)
        made: Sequence[TensorSpec | ShapeError]
        try:
            made = declare(node, [self.spec(value) for value in node.inputs]).outputs
        except ShapeError as problem:
            made = [problem] * op.output_count
        self._specs.update(zip(node.outputs, made, strict=True))
        return Ref(self, node.outputs)

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names made inside begin with ``name.``."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def build(self, *outputs: Ref) -> Network:
        """The network that leaves through these values; through every unread one when none is given."""
        names = tuple(ref.name for ref in outputs) or unread(self._nodes)
        return Network(self.name, self._inputs, tuple(self._nodes), names)

    def _free_name(self, word: str) -> str:
        prefix = ".".join((*self._scope, word))
        while True:
            self._counts[prefix] = self._counts.get(prefix, 0) + 1
            name = f"{prefix}{self._counts[prefix]}"
            if name not in self._names:
                return name


def _caller() -> Place | None:
    """The line outside this module that placed a node; None for the package's own networks."""
    frame = sys._getframe(2)
    file = frame.f_code.co_filename
    return None if os.path.abspath(file).startswith(_PACKAGE + os.sep) else Place(file, frame.f_lineno)
