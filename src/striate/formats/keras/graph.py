"""A Keras configuration as a graph: layers, their calls, and the tensors that each call reads.

Reads both forms: Keras 3's (`__keras_tensor__` with its history) and the older lists. Decides whether a graph is
consistent; knows no layer. Nothing in a configuration is looked up, imported or executed.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.diagnostics import FormatError, GraphError, LimitError

MAX_LAYERS = 20_000
MAX_NAME = 1000
MAX_DEPTH = 40
"""Maximum depth of nested models."""
Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Ref:
    """Output `tensor` of call `call` of a layer."""

    layer: str
    call: int = 0
    tensor: int = 0


@dataclasses.dataclass(frozen=True)
class Constant:
    """Numeric argument of a call; `value` is a number or nested lists of numbers."""

    value: Any


class Strange:
    """An argument that is neither a tensor nor a number."""


Argument = Ref | Constant | Strange


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """One layer entry of a configuration. group: its group in the weights file; inner: the nested model, if it is one.

    first: number of its first call; some models count an internal call before it.
    """

    name: str
    kind: str
    module: str | None
    registered: str
    config: Mapping[str, Any]
    calls: tuple[tuple[Argument, ...], ...]
    group: str
    inner: Model | None = None
    first: int = 0

    @property
    def builtin(self) -> bool:
        """True if the class is part of Keras; others are custom Python code."""
        known = self.module is None or self.module.split(".")[0] in ("keras", "tf_keras", "tensorflow")
        return known and ">" not in self.registered

    @property
    def is_input(self) -> bool:
        return self.kind == "InputLayer"

    @property
    def is_operation(self) -> bool:
        """True for an operation of keras.ops, which has no variables and is not saved."""
        return ".ops" in (self.module or "")


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A network of layers. `shapes`: shapes that the file records for the tensors that are read."""

    name: str
    layers: Mapping[str, Layer]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    shapes: Mapping[Ref, Shape]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Graph of a file. old: written before Keras 3; last: images have their channels last."""

    model: Model
    old: bool
    last: bool
    input_shapes: Mapping[str, Shape]
    """Input layer -> its shape in the file, batch first."""


class _Parser:
    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self.formats: Counter[str] = Counter()

    def fault(self, where: str, why: str) -> FormatError:
        return FormatError(
            f"{self.path} describes no network",
            where=f"{self.path}: {where[:120]}",
            why=why,
            fix="save it again: model.save('model.keras')",
        )

    def model(self, entry: Any, depth: int = 0) -> Model:
        """Read a model from its entry {class_name, config}."""
        config = self.table(entry, "config", "the model")
        if depth > MAX_DEPTH:
            raise LimitError(
                f"{self.path} nests models {depth} deep",
                where=self.path,
                why=f"at most {MAX_DEPTH} levels are supported",
                fix="nest fewer models",
            )
        layers = config.get("layers")
        name = _name(config, entry)
        if not isinstance(layers, list) or not layers:
            raise self.fault(name, "a model without layers")
        return (self._functional if "input_layers" in config else self._sequential)(
            name, config, layers, depth
        )

    def table(self, entry: Any, key: str, what: str) -> Mapping[str, Any]:
        table = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(table, dict):
            raise self.fault(what, f"it has no table {key}")
        return table

    # -------------------------------------------------------------------------------------------------- one layer

    def layer(
        self,
        entry: Any,
        calls: tuple[tuple[Argument, ...], ...],
        counts: Counter[str],
        depth: int,
    ) -> Layer:
        config = self.table(entry, "config", "a layer")
        kind, name = entry.get("class_name"), _name(config, entry)
        module, registered = entry.get("module"), entry.get("registered_name") or ""
        if not isinstance(kind, str) or not kind or not name:
            raise self.fault(name or "a layer", "it has no name or no class")
        if not f"{name}{kind}{registered}".isprintable() or len(name) > MAX_NAME:
            raise self.fault(repr(name), f"a name has up to {MAX_NAME} characters that can be printed")
        self.count += 1
        if self.count > MAX_LAYERS:
            raise LimitError(
                f"{self.path} has more than {MAX_LAYERS:,} layers",
                where=self.path,
                why="this is the maximum",
                fix="split it",
            )
        if module is None and "module" in entry:
            module = ""  # Keras 3 leaves it empty for classes that it does not know
        format = config.get("data_format")
        if isinstance(format, str):
            self.formats[format] += 1
        inner = None
        if "layers" in config and ("input_layers" in config or kind == "Sequential"):
            inner = self.model(entry, depth + 1)
        group = group_name(kind)
        layer = Layer(
            name, kind[:80], module if isinstance(module, str) else None, str(registered)[:80], config, calls,
            f"{group}_{counts[group]}" if counts[group] else group, inner,
        )  # fmt: skip
        if not layer.is_operation:
            counts[group] += 1
        return layer

    # -------------------------------------------------------------------------------------------------- models

    def _sequential(self, name: str, config: Mapping[str, Any], entries: Sequence[Any], depth: int) -> Model:
        layers: dict[str, Layer] = {}
        counts: Counter[str] = Counter()
        at: Ref | None = None
        shapes: dict[Ref, Shape] = {}
        for entry in entries:
            layer = self.layer(entry, () if at is None else ((at,),), counts, depth)
            if at is None and not layer.is_input:
                first = f"{name}.input"
                at = Ref(first)
                shape = (
                    _shape(layer.config.get("batch_shape"))
                    or _shape(layer.config.get("batch_input_shape"))
                    or _shape(config.get("build_input_shape"))
                    or _build_shape(entry)
                )
                if shape is None and layer.inner and len(layer.inner.inputs) == 1:
                    shape = layer.inner.shapes.get(layer.inner.inputs[0])
                layers[first] = Layer(
                    first, "InputLayer", None, "", {"batch_shape": shape}, (), "input_layer"
                )
                shapes |= {at: shape} if shape else {}
                layer = dataclasses.replace(layer, calls=((at,),))
            elif layer.is_input and (shape := input_shape(layer)):
                shapes[Ref(layer.name)] = shape
            elif at is not None and (
                shape := _build_shape(entry)
            ):  # the layer before produces the shape that this one was built for
                shapes.setdefault(at, shape)
            if layer.name in layers:
                raise self._duplicate(layer.name)
            layers[layer.name] = layer
            at = Ref(layer.name)
        assert at is not None
        return Model(name, layers, (Ref(next(iter(layers))),), (at,), shapes)

    def _functional(self, name: str, config: Mapping[str, Any], entries: Sequence[Any], depth: int) -> Model:
        layers: dict[str, Layer] = {}
        counts: Counter[str] = Counter()
        shapes: dict[Ref, Shape] = {}
        for entry in entries:
            nodes = entry.get("inbound_nodes", []) if isinstance(entry, dict) else None
            if not isinstance(nodes, list):
                raise self.fault(name, "a layer without a list of inbound nodes")
            calls = tuple(tuple(self._arguments(node, shapes)) for node in nodes)
            layer = self.layer(entry, calls, counts, depth)
            if layer.name in layers:
                raise self._duplicate(layer.name)
            layers[layer.name] = layer
            if layer.is_input and (shape := input_shape(layer)):
                shapes[Ref(layer.name)] = shape
        inputs = tuple(self._leaves(config["input_layers"], name))
        outputs = tuple(self._leaves(config.get("output_layers"), name))
        if not inputs or not outputs:
            raise self.fault(name, "a model without inputs or outputs")
        for ref in (*inputs, *outputs, *(r for m in layers.values() for c in m.calls for r in c)):
            if not isinstance(ref, Ref):
                continue
            if ref.layer not in layers:
                raise self.fault(name, f"it reads layer {ref.layer[:80]!r}, which does not exist")
            read = layers[ref.layer]
            if read.inner and ref.call == len(read.calls):
                layers[ref.layer] = dataclasses.replace(read, first=1)
        return Model(name, layers, inputs, outputs, shapes)

    def _duplicate(self, name: str) -> GraphError:
        return GraphError(
            f"two layers are named {name[:80]!r}",
            where=self.path,
            why="layers are identified by name, so names must be unique",
            fix="rename one",
        )

    def _arguments(self, node: Any, shapes: dict[Ref, Shape]) -> Iterator[Argument]:
        """Tensors and numbers of one call, in order."""
        if isinstance(node, dict):
            yield from self._flat([node.get("args", []), list((node.get("kwargs") or {}).values())], shapes)
            return
        if not isinstance(node, list):
            raise self.fault("inbound_nodes", "a call that is neither a table nor a list")
        for item in node if node and isinstance(node[0], list) else [node]:
            if len(item) < 3 or not isinstance(item[0], str):
                raise self.fault("inbound_nodes", "a tensor is written [layer, call, number]")
            yield self._ref(item[:3])
            yield from self._flat([list((item[3] if len(item) > 3 else None) or {})], shapes)

    def _flat(self, value: Any, shapes: dict[Ref, Shape], depth: int = 0) -> Iterator[Argument]:
        if isinstance(value, list) and depth < 8:
            for item in value:
                yield from self._flat(item, shapes, depth + 1)
        elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            config = self.table(value, "config", "a tensor")
            ref = self._ref(config.get("keras_history"))
            if shape := _shape(config.get("shape")):
                shapes[ref] = shape
            yield ref
        elif isinstance(value, dict) and value.get("class_name") in ("__tensor__", "__numpy__"):
            yield Constant(self.table(value, "config", "a constant").get("value"))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield Constant(value)
        elif isinstance(value, dict) and value:
            yield Strange()

    def _ref(self, history: Any) -> Ref:
        if (
            not isinstance(history, list)
            or len(history) != 3
            or not isinstance(history[0], str)
            or not all(type(n) is int and 0 <= n < MAX_LAYERS for n in history[1:])
        ):
            raise self.fault("inbound_nodes", "a tensor's history is [layer, call, number]")
        return Ref(*history)

    def _leaves(self, value: Any, name: str, depth: int = 0) -> Iterator[Ref]:
        """Tensors of input_layers or output_layers: one, or lists and tables of them."""
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            yield self._ref(value)
        elif isinstance(value, list | dict) and depth < 8:
            for item in value.values() if isinstance(value, dict) else value:
                yield from self._leaves(item, name, depth + 1)
        else:
            raise self.fault(name, "its inputs or outputs are not lists of tensors")


def parse(entry: Any, version: str, path: str) -> Graph:
    """Parse the graph of a configuration. Raises FormatError, GraphError, LimitError."""
    parser = _Parser(path)
    if not isinstance(entry, dict):
        raise parser.fault("config.json", "it is not a table")
    config = entry.get("config")
    if not isinstance(config, dict) or "layers" not in config:
        kind = str(entry.get("class_name") or "something else")[:80]
        raise FormatError(
            f"{path} holds a model of class {kind}, whose graph is Python code",
            where=path,
            why="only Functional and Sequential models store their graph, and Striate runs no code from a file",
            fix="export it in Keras with model.export('model.onnx', format='onnx') and use model.onnx",
        )
    model = parser.model(entry)
    shapes = {ref.layer: model.shapes.get(ref) for ref in model.inputs}
    for name, shape in shapes.items():
        if shape is None or len(shape) < 2:
            raise FormatError(
                f"{path} does not state the shape of its input",
                where=f"{path}: {name[:80]}",
                why="the model was saved before it was built" if shape is None else f"it is {shape}",
                fix="start it with keras.Input((height, width, channels)) and save it again",
            )
    return Graph(
        model,
        old=version.split(".")[0] in ("1", "2"),
        last=parser.formats["channels_last"] >= parser.formats["channels_first"],
        input_shapes={name: shape for name, shape in shapes.items() if shape},
    )


def input_shapes(graph: Graph, path: str) -> dict[str, Shape]:
    """Input layer -> its shape without the batch, channels first; None for open sizes."""
    shapes = {}
    for name, (_, *sizes) in graph.input_shapes.items():
        if graph.last:
            sizes = [sizes[-1], *sizes[:-1]]
        if len(sizes) > 4 or any(n is not None and not 0 < n <= 10**9 for n in sizes):
            raise FormatError(
                f"the input of {path} is not supported",
                where=f"{path}: {name[:80]} is {'x'.join('?' if n is None else str(n) for n in sizes[:8])}",
                why="an input has channels and up to three spatial axes, each at least 1",
                fix="save the part of the model that reads images",
            )
        shapes[name] = tuple(sizes)
    return shapes


def input_shape(layer: Layer) -> Shape | None:
    """Shape that an input layer declares, batch first."""
    return _shape(layer.config.get("batch_shape")) or _shape(layer.config.get("batch_input_shape"))


def group_name(kind: str) -> str:
    """Name of a class's group in the weights file: words joined by underscores, digits unchanged."""
    plain = re.sub(r"\W+", "", kind)
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", plain).lower()


def _shape(value: Any) -> Shape | None:
    if not isinstance(value, list | tuple) or not value or len(value) > 16:
        return None
    return tuple(value) if all(n is None or type(n) is int for n in value) else None


def _build_shape(entry: Any) -> Shape | None:
    """Shape that a layer was built for."""
    config = entry.get("build_config")
    return _shape(config.get("input_shape")) if isinstance(config, dict) else None


def _name(config: Mapping[str, Any], entry: Any) -> str:
    name = entry.get("name") or config.get("name")
    return name if isinstance(name, str) else ""
