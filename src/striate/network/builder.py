"""Building a network node by node, in Python."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence

from striate.diagnostics import GraphError, Named, Place, ShapeError, few, plural
from striate.fields import shown
from striate.network import sharing
from striate.network.graph import UNNAMED, Network, Node, declare, unread
from striate.op import Op
from striate.signatures import ExplainMisuse
from striate.tensor import TensorSpec, warn_of_axes

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclasses.dataclass(frozen=True)
class Ref:
    """Handle of a node's outputs in a builder. Several outputs can be unpacked: ``a, b = build(Split(), x)``."""

    builder: Builder = dataclasses.field(repr=False, compare=False)
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The only value's name."""
        if len(self.values) > 1:
            raise GraphError(
                f"{self.values[0].rsplit(':', 1)[0]} has {plural(len(self.values), 'output')}",
                where=f"they are {few(self.values)}",
                why="an input of a node is a single value",
                fix="unpack it and use one of them",
            )
        return self.values[0]

    @property
    def spec(self) -> TensorSpec:
        """Shape and axes; raises the ShapeError of a node without output."""
        return self.builder.spec(self.name)

    def __iter__(self) -> Iterator[Ref]:
        return iter([Ref(self.builder, (value,)) for value in self.values])


class Builder(metaclass=ExplainMisuse):
    """Builds a network node by node; branches join where a node reads several values.

    name: the network's; input: its shape (C, H, W), or the shapes of several inputs by name. Raises GraphError for an
    empty or unnamed input, UsageError for a shape that is not one.

    >>> import striate as st
    >>> from striate.ops import Conv, Relu
    >>> build = st.Builder("tiny", input=(3, 32, 32))
    >>> x = build(Conv(6, kernel=5), build.input)
    >>> build.build(build(Relu(), x)).specs["conv1"].shape
    (1, 6, 28, 28)

    A single input is called "input"; several have the names they are given:

    >>> build = st.Builder("two", input={"left": (3, 32, 32), "right": (64,)})
    >>> build.inputs["right"].spec.shape
    (1, 64)
    """

    def __init__(
        self, name: str = UNNAMED, input: Sequence[int] | Mapping[str, Sequence[int]] = (3, 224, 224)
    ) -> None:
        self.name = name
        shapes = input if isinstance(input, Mapping) else {"input": input}
        self._inputs = {_check_name(key): TensorSpec.image(shape) for key, shape in shapes.items()}
        for shape in shapes.values():
            warn_of_axes(shape, in_notation=False)
        if not self._inputs:
            raise GraphError(
                f"network {name} has no input",
                where=f"input={{}} of {name}",
                why="a network needs at least one input",
                fix='give a shape: input=(3, 32, 32), or input={"left": (3, 32, 32), "right": (64,)}',
            )
        self._nodes: list[Node] = []
        self._specs: dict[str, TensorSpec | ShapeError] = Named(self._inputs, name, "value")
        self._counts: dict[str, int] = {}
        self._names: set[str] = set(self._inputs)
        self._by_name: dict[str, Node] = {}
        self._scope: list[str] = []

    @property
    def input(self) -> Ref:
        """The only input. Raises GraphError when there are several."""
        if len(self._inputs) != 1:
            raise GraphError(
                f"{self.name} has {plural(len(self._inputs), 'input')}",
                where=f"inputs of {self.name}",
                why=f"they are {few(self._inputs)}",
                fix=f"name one of them: build.inputs[{next(iter(self._inputs))!r}]",
            )
        (name,) = self._inputs
        return Ref(self, (name,))

    @property
    def inputs(self) -> Mapping[str, Ref]:
        """All inputs by name."""
        return Named({name: Ref(self, (name,)) for name in self._inputs}, self.name, "input")

    def spec(self, value: str) -> TensorSpec:
        """Spec of a value by name. Raises UnknownNameError, and the ShapeError of a node without output."""
        entry = self._specs[value]
        if isinstance(entry, ShapeError):
            raise entry
        return entry

    def __call__(
        self,
        op: Op,
        *inputs: Ref,
        name: str | None = None,
        shares: str | Ref | Mapping[str, str] = "",
        fixed: Sequence[str] = (),
        frozen: Sequence[str] = (),
    ) -> Ref:
        """Place an op after the given values; returns a handle of its output.

        op: what the node computes; inputs: handles of the values that it reads; name: without one it is the op's word
        and a number.

        shares: the node (its name, or what the builder returned for it) whose parameters it uses, or the full names of
        other nodes' parameters by its own: ``{"weight": "enc.weight"}``. fixed: its parameters that are constants;
        frozen: those that are counted and not trained.

        Raises OpError and GraphError at once; a node without output is reported when its shape is asked for.
        """
        if not isinstance(op, Op):
            example = f"{op.__name__}()" if isinstance(op, type) else "an op such as Relu(), of striate.ops"
            raise GraphError(
                f"{shown(op)} is not an op",
                where=f"a node of {self.name}",
                why="a node is an op and the values that it reads",
                fix=f"give {example}; texts become networks: st.parse",
            )
        stem = ".".join((*self._scope, name or op.word))
        number = 0 if name else self._free_number(stem)
        full = f"{stem}{number}" if number else stem
        if isinstance(shares, Ref):
            shares = self._check_ref(shares).values[0].partition(":")[0]
        options = {"name": full, "shares": shares, "fixed": fixed, "frozen": frozen}
        reads = tuple(self._check_ref(ref).name for ref in inputs)
        node = Node(full, op, reads, _caller(), **sharing.from_dict(options))
        if full in self._names:
            raise GraphError(
                f"two nodes are named {full!r}",
                where=f"{full} = {op}",
                why="values are identified by name, so names must be unique",
                fix="give it another name",
            ).at(full, "", node.place)
        sharing.check([node], ChainMap({full: node}, self._by_name))
        outputs: Sequence[TensorSpec | ShapeError]
        try:
            specs = [self.spec(value) for value in node.inputs]
            if specs:
                op.check_input(specs[0])
            outputs = declare(node, specs).outputs
        except ShapeError as problem:
            outputs = [problem] * op.output_count
        # Only now, so that a refused call changes nothing.
        self._names.add(full)
        self._by_name[full] = node
        if number:
            self._counts[stem] = number
        self._nodes.append(node)
        self._specs.update(zip(node.outputs, outputs, strict=True))
        return Ref(self, node.outputs)

    def _check_ref(self, ref: Ref) -> Ref:
        if not isinstance(ref, Ref) or ref.builder is not self:
            raise GraphError(
                f"{shown(ref)} is not a value of {self.name}",
                where=f"its values are {few(self._specs)}",
                why="a node can read only values of the same builder",
                fix="use a value that this builder returned, or its input",
            )
        return ref

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Context in which names of nodes begin with ``name.``."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def build(self, *outputs: Ref) -> Network:
        """The network with these outputs, handles of values; without any, all values that no node reads leave it.

        Raises GraphError for a handle of another builder, and where the network has no output.
        """
        names = tuple(self._check_ref(ref).name for ref in outputs) or unread(self._nodes)
        return Network(self.name, self._inputs, tuple(self._nodes), names)

    def _free_number(self, stem: str) -> int:
        number = self._counts.get(stem, 0) + 1
        while f"{stem}{number}" in self._names:
            number += 1
        return number


def _check_name(key: object) -> str:
    """Return the name of an input. Raises GraphError if it is not a text."""
    if isinstance(key, str) and key:
        return key
    raise GraphError(
        f"{shown(key)} is not a name",
        where="inputs of the builder",
        why="names are texts",
        fix='give names: input={"left": (3, 32, 32), "right": (64,)}',
    )


def _caller() -> Place | None:
    """The line outside this module that placed a node; None for the package's own networks."""
    frame = sys._getframe(2)
    file = frame.f_code.co_filename
    return None if os.path.abspath(file).startswith(_PACKAGE + os.sep) else Place(file, frame.f_lineno)
