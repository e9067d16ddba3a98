"""From an ONNX graph to a Network and its weights, one operator after the other.

Decides order, names, what is folded, and what becomes of an operator that nobody here knows; what an operator means is
said in `operators/`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, ShapeError, StriateError
from striate.formats.onnx import operators
from striate.formats.onnx.fold import Unfoldable, fold
from striate.formats.onnx.names import PARAMETER, Names
from striate.formats.onnx.patterns import simplify
from striate.formats.onnx.proto import Call, Graph, package
from striate.network import Network, Node
from striate.network.graph import declare
from striate.op import Op
from striate.ops.gather import Gather
from striate.ops.opaque import Opaque
from striate.ops.reshape import Flatten, Permute, Reshape
from striate.tensor import SPATIAL, TensorSpec

Array = NDArray[Any]

ANY_BATCH = 3
"""What a batch of open size is taken to be while reading: no constant of a network is likely to mean it."""


DAMAGED = (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, ZeroDivisionError)
"""What a file makes an operator's reader raise whose attributes have another type or number than the operator says."""


class Unknown(Exception):
    """This use of an operator has no counterpart here; says why."""


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the network: its name, and its spec where that is known.

    Where no TensorSpec can say its shape (the batch is not first, say), `known` is None, `hidden` the shape, and `name`
    the value before it that can be named: an opaque node behind it stands for all operators in between.
    `wide` is the shape that ONNX has repeated it to; it stays small for those who repeat it anyhow.
    """

    name: str
    known: TensorSpec | None
    hidden: tuple[int, ...] | None = None
    wide: tuple[int, ...] | None = None

    @property
    def spec(self) -> TensorSpec:
        if self.known is None:
            raise Unknown("the shape of its input is not known")
        return self.known

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """Its shape in the graph, whether it can be named here or not."""
        return self.wide or (self.known.shape if self.known else self.hidden)


Held = Value | Array | None
"""What stands behind a name of the graph: a value, a constant, or a constant that could not be computed."""


class Site:
    """One operator being read: its inputs and attributes, and `emit` for the nodes that it becomes."""

    def __init__(self, reader: Reader, call: Call) -> None:
        self.call, self.opset = call, reader.graph.opset
        self._reader = reader
        self._given = [reader.held.get(name) if name else None for name in call.inputs]

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.call.attributes.get(name, default)

    @property
    def slim(self) -> list[Value]:
        """The inputs that are values, in order; those that were repeated still small."""
        return [given for given in self._given if isinstance(given, Value)]

    @property
    def data(self) -> list[Value]:
        """The inputs that are values, in order."""
        return [self.full(given) for given in self.slim]

    def value(self, at: int = 0) -> Value:
        """An input that has to be a value. Raises Unknown."""
        given = self._given[at] if at < len(self._given) else None
        if not isinstance(given, Value):
            raise Unknown(f"input {at} is a constant")
        return self.full(given)

    def has(self, at: int) -> bool:
        return at < len(self.call.inputs) and bool(self.call.inputs[at])

    def array(self, at: int) -> Array:
        """An input that has to be a constant. Raises Unknown."""
        found = self.optional(at)
        if found is None:
            raise Unknown(f"input {at} is missing")
        return found

    def optional(self, at: int) -> Array | None:
        """An input that may be absent, and has to be a constant. Raises Unknown."""
        if not self.has(at):
            return None
        given = self._given[at]
        if not isinstance(given, np.ndarray):
            raise Unknown(f"input {at} is computed, not a constant")
        return given

    def integers(self, name: str, at: int | None = None) -> list[int] | None:
        """Whole numbers from an attribute, or from an input since a later opset."""
        if name in self.call.attributes:
            return list(self.call.attributes[name])
        found = self.optional(at) if at is not None else None
        return None if found is None else [int(n) for n in found.ravel()]

    def learned(self, at: int) -> bool:
        """Whether an input is a tensor of the file's own, not a number inside the graph."""
        return bool(self.origin(at))

    def origin(self, at: int) -> str:
        """The tensor of the file that a constant comes from; empty for a number inside the graph."""
        return self._reader.origins.get(self.call.inputs[at], "")

    def scalar(self, at: int) -> float:
        """A constant of one number. Raises Unknown."""
        found = self.array(at)
        self.expect(found.size == 1, f"input {at} has {found.size} numbers")
        return float(str(found.astype(np.float32).ravel()[0]))

    def is_value(self, name: str) -> bool:
        return isinstance(self._reader.held.get(name), Value)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Raise Unknown unless something holds; `otherwise` says what it is instead."""
        if not holds:
            raise Unknown(otherwise)

    @property
    def leaves(self) -> bool:
        """Whether what is made is a result of the graph."""
        return any(name in self._reader.graph.outputs for name in self.call.outputs)

    def only_first_output(self) -> None:
        """Raise Unknown if a further output is read."""
        if any(name in self._reader.needed for name in self.call.outputs[1:] if name):
            raise Unknown("its second output is read")

    def emit(self, op: Op, *values: Value, **weights: Array) -> Value:
        """A node of the network; its sole output."""
        (made,) = self.emit_all(op, *values, **weights)
        return made

    def emit_all(self, op: Op, *values: Value, **weights: Array) -> list[Value]:
        return self._reader.place(self.call, op, values, weights)

    def standard(self, x: Value) -> Value:
        """x with its axes named N, C, space, as ONNX's operators take them by position."""
        usual = ("N", "C", *SPATIAL.get(len(x.shape) - 2, ("?",)))
        return x if x.spec.axes == usual else self.reshape(x, x.shape)

    def named(self, x: Value, axes: Sequence[str]) -> Value:
        """x with its axes called otherwise; not one number moves."""
        if x.spec.axes == tuple(axes):
            return x
        usual = tuple(axes) == ("N", "C", *SPATIAL[len(x.shape) - 2])
        made = self.emit(Reshape(x.shape[1:], None if usual else "".join(axes[1:])), x)
        return dataclasses.replace(made, wide=x.wide)

    def features_last(self, x: Value) -> Value:
        """x with its last axis called the channels, as what mixes or normalises that axis takes it."""
        space = SPATIAL[len(x.shape) - 2]
        return x if x.spec.axes[-1] == "C" else self.named(x, ("N", *space, "C"))

    def spread(self, x: Value, whole: Sequence[int]) -> Value:
        """x with its axes of size 1 repeated to a shape."""
        for axis, size, wanted in zip(x.spec.axes, x.shape, whole, strict=True):
            if size != wanted:
                self.expect(axis != "N" and size == 1 < wanted, "an image repeated to a batch")
                x = self.emit(Gather((0,) * wanted, axis), x)
        return x

    def full(self, x: Value) -> Value:
        """x in its own size."""
        return x if x.wide is None else self.spread(dataclasses.replace(x, wide=None), x.wide)

    def in_order(self, x: Value) -> Value:
        """x with its channels before its space, whatever its axes are called."""
        usual = ("C", *SPATIAL[len(x.shape) - 2])
        return x if x.spec.axes[1:] == usual else self.emit(Permute("".join(usual)), x)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        if list(order) == list(range(len(x.shape))):
            return x
        if order[0] != 0:
            raise Unknown("the batch does not stay first")
        return self.emit(Permute("".join(x.spec.axes[k] for k in order[1:])), x)

    def reshape(self, x: Value, shape: Sequence[int], written: Sequence[int] | None = None) -> Value:
        """x under another shape, batch included; `written` is the shape as the file says it, with its -1."""
        if len(shape) < 2 or shape[0] != x.shape[0] or len(shape) - 2 not in SPATIAL or 0 in shape:
            raise Unknown(f"the shape {'x'.join(map(str, shape))} has no batch before its channels")
        usual = ("N", "C", *SPATIAL[len(shape) - 2])
        if tuple(shape) == x.shape and x.spec.axes == usual:
            return x
        if len(shape) == 2:
            return self.emit(Flatten(), x)
        wish = tuple(shape[1:])
        if written is not None and len(written) == len(shape) and list(written[1:]).count(-1) == 1:
            wish = tuple(-1 if w == -1 else n for w, n in zip(written[1:], wish, strict=True))
        return self.emit(Reshape(wish), x)


class Reader:
    """State while a graph is read."""

    def __init__(self, graph: Graph, inputs: Mapping[str, TensorSpec]) -> None:
        self.graph = graph
        self.held: dict[str, Held] = dict(graph.constants)
        self.nodes: list[Node] = []
        self.weights: dict[str, Array] = {}
        self.origins = {name: name for name in graph.constants}
        """Constant -> the tensor of the file that it comes from."""
        self.values: dict[str, str] = {}
        """Value of the graph -> value of the network."""
        self.specs: dict[str, TensorSpec] = {}
        self._refused: Node | None = None
        self.batch = next(iter(inputs.values())).shape[0]
        self.why: dict[str, str] = {}
        calls = [call for call in graph.calls if not self._fold(call)]
        self._makers = {name: call for call in calls for name in call.outputs}
        calls = simplify(
            calls, {n: v for n, v in self.held.items() if isinstance(v, np.ndarray)}, graph.outputs
        )
        self.needed = _needed(calls, graph.outputs)
        self.calls = [call for call in calls if any(name in self.needed for name in call.outputs)]
        self.names = Names(self.calls, self.origins, graph.producer, inputs)
        self.inputs = {}
        for name, spec in inputs.items():
            self.inputs[self.names.inputs[name]] = spec
            self.specs[self.names.inputs[name]] = spec
            self.held[name] = Value(self.names.inputs[name], spec)
            self.values[name] = self.names.inputs[name]

    def read(self) -> tuple[Network, dict[str, Array]]:
        for call in self.calls:
            if not self._fold(call):
                self._read(call)
        outputs = []
        for name in self.graph.outputs:
            held = self.held.get(name)
            if not isinstance(held, Value):
                raise FormatError(
                    f"the output {name[:80]!r} does not depend on the input",
                    where=self.graph.name,
                    why="it is computed from constants only",
                    fix="export the network with its input",
                )
            outputs.append(held.name)
        inputs = {name: TensorSpec.image(spec.shape[1:]) for name, spec in self.inputs.items()}
        net = Network(self.graph.name, inputs, tuple(self.nodes), tuple(dict.fromkeys(outputs)))
        return net, self.weights

    def _fold(self, call: Call) -> bool:
        """Whether the call was computed, from constants or from the shape of a value."""
        given = [self.held.get(name) if name else None for name in call.inputs]
        source = given[0] if given else None
        sizes = source.sizes if isinstance(source, Value) else None
        if call.kind in ("Shape", "Size") and sizes:
            shape = np.array(sizes, np.int64)
            a = call.attributes
            self.held[call.outputs[0]] = (
                shape[a.get("start", 0) : a.get("end")] if call.kind == "Shape" else np.array(shape.prod())
            )
            return True
        if any(
            name and not isinstance(value, np.ndarray) for name, value in zip(call.inputs, given, strict=True)
        ):
            return False
        try:
            made = fold(call, given, self.graph.opset)  # type: ignore[arg-type]
        except Unfoldable:
            if any(call.inputs):
                self.held.update(dict.fromkeys(call.outputs))
            return bool(any(call.inputs))
        self.held.update(zip(call.outputs, made, strict=False))
        sources = [self.origins[name] for name in call.inputs if name in self.origins]
        if sources:
            renamed = call.kind == "Identity" and PARAMETER.fullmatch(call.outputs[0])
            self.origins.update(dict.fromkeys(call.outputs, call.outputs[0] if renamed else sources[0]))
        return True

    def _read(self, call: Call) -> None:
        site = Site(self, call)
        before = len(self.nodes)
        try:
            if call.kind not in operators.READERS:
                raise Unknown(f"{call.kind} is not an operator that Striate knows")
            try:
                made = operators.READERS[call.kind](site)
            except DAMAGED as error:
                raise Unknown(f"its attributes and inputs do not go together: {str(error)[:200]}") from None
            outputs = [made] if isinstance(made, Value) else list(made)
        except ShapeError as error:
            if not self._refused or any(self._inferred(call).values()):
                self._undo(before)
                outputs = self._opaque(site, error.what)
            else:  # nobody gives it a shape: the node stays, and inference says why it has none
                self.nodes.append(self._refused)
                outputs = [Value(name, None) for name in self._refused.outputs]
        except (Unknown, StriateError) as error:
            self._undo(before)
            if call.spelled is not None:
                self._read_as_written(call.spelled)
                return
            outputs = self._opaque(site, error.what if isinstance(error, StriateError) else str(error))
        for name, value in zip(call.outputs, outputs, strict=False):
            self.held[name] = value
            self.values[name] = value.name

    def _read_as_written(self, call: Call) -> None:
        """Read an operator by itself that was taken for the last of a function, and those before it that were left."""
        waiting = [call]
        while waiting:
            one = waiting[-1]
            missing = [name for name in one.inputs if name and name not in self.held]
            if missing:
                waiting += [self._makers[name] for name in missing]
                continue
            waiting.pop()
            if not all(name in self.held for name in one.outputs if name) and not self._fold(one):
                self._read(one)

    def _undo(self, before: int) -> None:
        """Forget the nodes placed since, with their names and weights."""
        for node in self.nodes[before:]:
            self.names.forget(node.name)
            for key in [key for key in self.weights if key.startswith(f"{node.name}.")]:
                del self.weights[key]
        del self.nodes[before:]

    def _opaque(self, site: Site, why: str) -> list[Value]:
        """Nodes that stand for an operator by its name and the shapes that ONNX gives its outputs."""
        call = site.call
        if not site.slim:
            self.held.update(dict.fromkeys(call.outputs))
            return []
        shapes = self._inferred(call)
        made = []
        for name in filter(None, call.outputs):
            shape = shapes.get(name)
            if shape is None or not all(isinstance(n, int) and n > 0 for n in shape):
                shape = None
            sizes = tuple(n for n in shape or () if isinstance(n, int))
            named = len(sizes) - 2 in SPATIAL and sizes[0] == self.batch
            if shape is not None and not named and name not in self.graph.outputs:
                made.append(Value(site.slim[0].name, None, sizes))
                continue
            values = [*{value.name: value for value in site.slim}.values()]
            kind = call.kind.removeprefix("striate.")
            (value,) = self.place(call, Opaque(kind, sizes[1:] if named else None), values, {})
            self.why[value.name] = why
            made.append(value)
        return made

    def _inferred(self, call: Call) -> dict[str, tuple[int | str | None, ...] | None]:
        """Output -> shape, by ONNX's own inference of this one operator; else as the file says."""
        onnx = package()
        declared = {name: self.graph.shapes.get(name) for name in call.outputs}
        if call.proto is None:
            return declared
        inputs, constants = [], []
        for name in dict.fromkeys(filter(None, call.inputs)):
            held = self.held.get(name)
            sizes = held.sizes if isinstance(held, Value) else None
            if sizes:
                inputs.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes))
            elif isinstance(held, np.ndarray) and held.size <= 10_000:
                constants.append(onnx.numpy_helper.from_array(held, name))
            elif isinstance(held, np.ndarray):
                kind = onnx.helper.np_dtype_to_tensor_dtype(held.dtype)
                inputs.append(onnx.helper.make_tensor_value_info(name, kind, held.shape))
            else:
                return declared
        try:
            outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in call.outputs if name]
            graph = onnx.helper.make_graph([call.proto], "one", inputs, outputs, constants)
            opsets = [onnx.helper.make_opsetid("", self.graph.opset)]
            model = onnx.helper.make_model(graph, opset_imports=opsets)
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        except Exception:  # inference refuses what it does not know; the file's own word is left then
            return declared
        found: dict[str, tuple[int | str | None, ...] | None] = {}
        for value in (*inferred.value_info, *inferred.output):
            if value.type.tensor_type.HasField("shape"):
                found[value.name] = tuple(d.dim_value or None for d in value.type.tensor_type.shape.dim)
        return {name: found.get(name) or shape for name, shape in declared.items()}

    def place(self, call: Call, op: Op, values: Sequence[Value], weights: Mapping[str, Array]) -> list[Value]:
        """A node for a call; the first one gets the call's own name. Raises OpError, ShapeError."""
        name = self.names.take(call, op)
        node = Node(name, op, tuple(value.name for value in values))
        specs = [self.specs.get(value.name) for value in values]
        made: tuple[TensorSpec | None, ...] = (None,) * len(node.outputs)
        if all(spec is not None for spec in specs):
            try:
                declaration = declare(node, [spec for spec in specs if spec is not None])
            except StriateError as error:
                if not isinstance(op, Opaque):
                    self._refused = node if isinstance(error, ShapeError) else None
                    self.names.forget(name)
                    raise
            else:
                made = declaration.outputs
                for parameter in declaration.parameters:
                    array = np.asarray(weights[parameter.name], np.float32)
                    if array.shape != parameter.shape:
                        array = array.reshape(parameter.shape) if array.size == parameter.elements else array
                    if array.shape != parameter.shape:
                        self.names.forget(name)
                        raise Unknown(f"its {parameter.name} has the shape {array.shape}")
                    self.weights[f"{name}.{parameter.name}"] = array
        self.nodes.append(node)
        self.specs.update((output, spec) for output, spec in zip(node.outputs, made) if spec)
        return [Value(output, spec) for output, spec in zip(node.outputs, made, strict=True)]


def _needed(calls: Sequence[Call], outputs: Sequence[str]) -> set[str]:
    """The values that the outputs depend on, through which the order of calls is kept."""
    needed = set(outputs)
    for call in reversed(calls):
        if any(name in needed for name in call.outputs):
            needed.update(call.inputs)
    return needed


def batch_of(shapes: Sequence[tuple[int | str | None, ...] | None]) -> int:
    """The batch while reading: what the file fixes, or a stand-in."""
    fixed = {shape[0] for shape in shapes if shape}
    only = next(iter(fixed)) if len(fixed) == 1 else None
    return only if isinstance(only, int) else ANY_BATCH
