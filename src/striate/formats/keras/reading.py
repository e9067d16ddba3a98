"""Convert a Keras graph to a Network and its weights, call by call.

Decides order, names, layout, and the handling of unsupported layers; `layers/` defines the layers.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, GraphError, LimitError, ShapeError, StriateError, plural
from striate.formats.importing import Unknown, distinct, reason, undo
from striate.formats.keras import layers as known
from striate.formats.keras.graph import Graph, Layer, Model, Ref, Shape, Strange
from striate.formats.keras.site import Array, Site, Value, standard_order
from striate.formats.keras.variables import Variables
from striate.formats.names import UniqueNames, legal
from striate.formats.peephole import tidy
from striate.formats.tied import Sources
from striate.network import Network, Node, declare
from striate.op import Op
from striate.ops.opaque import Opaque, unsupported
from striate.tensor import SPATIAL, TensorSpec

MAX_NODES = 20_000
MAX_WEIGHT_REPEATS = 8
"""Maximum total size of the weights of repeated calls, as a multiple of the file."""


class Reader:
    """State of one import."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, tuple[int, ...]],
        variables: Variables | None,
        name: str,
        path: str,
    ) -> None:
        self.graph, self.path, self.name = graph, path, name
        self._variables = variables
        self._budget = MAX_WEIGHT_REPEATS * variables.size if variables else 0
        self.names = UniqueNames()
        self._calls = 0
        self.nodes: list[Node] = []
        self.specs: dict[str, TensorSpec] = {}
        self.weights: dict[str, Array] = {}
        self.sources = Sources()
        self._counted: set[tuple[str, ...]] = set()
        self._arrays: dict[tuple[tuple[str, ...], str], Array] = {}
        self._pending: Node | None = None
        self.inputs: dict[str, TensorSpec] = {}
        self._inputs: list[Value] = []
        for layer, size in sizes.items():
            input_name = self.names.take("input" if len(sizes) == 1 else legal(layer) or "input")
            self.inputs[input_name] = self.specs[input_name] = TensorSpec.image(size)
            spec = self.specs[input_name]
            self._inputs.append(Value(input_name, spec, standard_order(len(spec.shape), graph.last)))

    def read(self) -> tuple[Network, dict[str, Array] | None]:
        """Read the network, and its weights if the file has them."""
        outputs = []
        for value in self._model(self.graph.model, self._inputs, ()):
            if value.known is not None:
                layer = Layer("output", "Output", None, "", {}, (), "")
                site = Site(self, layer, (), [value])
                value = site.standard(value)
                if not site.placed:
                    self.names.discard(site.name)
            outputs.append(value.name)
        if not self.nodes:
            raise FormatError(
                f"{self.path} computes nothing",
                where=self.path,
                why="its output is its input, unchanged",
                fix="save a model that has layers",
            )
        net = Network(self.name, self.inputs, tuple(self.nodes), tuple(dict.fromkeys(outputs)))
        net = self.sources.mark(tidy(net) if not net.inference.problems else net)
        return net, self.weights if self._variables else None

    # -------------------------------------------------------------------------------------------------- models

    def _model(self, model: Model, inputs: Sequence[Value], path: tuple[Layer, ...]) -> list[Value]:
        """Read the calls of a model in order of their inputs; return its output values."""
        if len(inputs) != len(model.inputs):
            raise GraphError(
                f"{model.name[:80]} takes {plural(len(model.inputs), 'input')} (got {len(inputs)})",
                where=self.path,
                why="a call of a nested model must give all of its inputs",
                fix="save it again: model.save('model.keras')",
            )
        values: dict[Ref, Value] = dict(zip(model.inputs, inputs, strict=True))
        waiting: dict[Ref, list[tuple[Layer, int]]] = {}
        missing: dict[tuple[str, int], int] = {}
        # Keep the order of the file (by depth in the graph) wherever dependencies allow it.
        position = {name: at for at, name in enumerate(model.layers)}
        ready: list[tuple[int, int, Layer]] = []
        for layer in model.layers.values():
            for number, call in enumerate(layer.calls):
                needs = {item for item in call if isinstance(item, Ref) and item not in values}
                missing[layer.name, number] = len(needs)
                for ref in needs:
                    waiting.setdefault(ref, []).append((layer, number))
                if not needs and not layer.is_input:
                    heapq.heappush(ready, (position[layer.name], number, layer))
        while ready:
            _, number, layer = heapq.heappop(ready)
            call = layer.calls[number]
            items = [values[item] if isinstance(item, Ref) else item for item in call]
            for tensor, value in enumerate(
                self._call(layer, items, path, model.shapes, number + layer.first)
            ):
                ref = Ref(layer.name, number + layer.first, tensor)
                values[ref] = value
                for reader, at in waiting.pop(ref, ()):
                    missing[reader.name, at] -= 1
                    if not missing[reader.name, at]:
                        heapq.heappush(ready, (position[reader.name], at, reader))
        for ref in model.outputs:
            if ref not in values:
                raise GraphError(
                    f"the output of {model.name[:80]} cannot be computed",
                    where=f"{self.path}: {ref.layer[:80]}",
                    why="the layers before it form a cycle, or read a tensor that no layer produces",
                    fix="save it again: model.save('model.keras')",
                )
        return [values[ref] for ref in model.outputs]

    def _call(
        self,
        layer: Layer,
        items: list[Any],
        path: tuple[Layer, ...],
        shapes: Mapping[Ref, Shape],
        number: int,
    ) -> list[Value]:
        self._calls += 1
        if self._calls > MAX_NODES or len(self.nodes) > MAX_NODES:
            raise LimitError(
                f"{self.path} calls more than {MAX_NODES:,} layers",
                where=self.path,
                why="this is the maximum, including nested models",
                fix="split it",
            )
        if layer.inner is not None and layer.builtin:
            return self._model(layer.inner, [i for i in items if isinstance(i, Value)], (*path, layer))
        site = Site(self, layer, path, items)
        before = len(self.nodes)
        try:
            if not layer.builtin or layer.kind not in known.READERS:
                raise Unknown(unsupported(layer.kind, "layer"))
            site.expect(not any(isinstance(i, Strange) for i in items), "a non-tensor argument")
            site.expect(not _quantized(layer.config), "its weights are quantized")
            outputs = [known.READERS[layer.kind](site)]
        except ShapeError:
            if self._pending is None:
                raise
            # Its shape is unknown: the node stays, and inference says why it has none.
            self.nodes.append(self._pending)
            outputs = [Value(self._pending.name, None)]
        except (FormatError, LimitError) as error:
            raise error.at(layer.name, f"{self.path}: {layer.name[:80]}, a {layer.kind}") from None
        except (Unknown, StriateError) as error:
            outputs = self._opaque(site, before, shapes, number, reason(error))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            # Keras has no schema to decide who is at fault, so the message names both the file and the rule.
            raise FormatError(
                f"{layer.name[:80]} is inconsistent",
                where=f"{self.path}: {layer.name[:80]}, a {layer.kind}",
                why=f"Striate's rule for {layer.kind} fails on its configuration: "
                f"{type(error).__name__}: {error}"[:300],
                fix="save it again: model.save('model.keras'); if the file is correct, report a bug",
            ) from None
        if not site.placed:
            self.names.discard(site.name)
        return outputs

    def _opaque(
        self, site: Site, before: int, shapes: Mapping[Ref, Shape], number: int, why: str
    ) -> list[Value]:
        """Add opaque nodes for a layer, with its class name and the output shapes from the file."""
        for name in undo(self.nodes, self.weights, before)[0]:
            self.names.discard(name)
        site.placed = False
        self.names.add(site.name)
        layer = site.layer
        if not site.values:
            raise GraphError(
                f"{layer.name[:80]} has no input",
                where=f"{self.path}: {layer.name[:80]}, a {layer.kind}",
                why="every layer except an input reads a tensor",
                fix="save it again: model.save('model.keras')",
            )
        values = distinct(site.values)
        count = 1 + max(
            (ref.tensor for ref in shapes if (ref.layer, ref.call) == (layer.name, number)), default=0
        )
        outputs = []
        for tensor in range(min(count, 256)):
            params = self._numbers(site)
            shape = shapes.get(Ref(layer.name, number, tensor)) or _expected_shape(site)
            sizes = [n for n in shape[1:] if n] if shape else []
            if shape is None or len(sizes) != len(shape) - 1 or not sizes:
                op = Opaque(_operator(layer), why=why, params=params)
                outputs.append(self.place(site, op, values, {}))
            elif len(sizes) - 1 not in SPATIAL:
                outputs.append(Value(values[0].name, None, hidden=shape))
            else:
                if site.last:
                    sizes = [sizes[-1], *sizes[:-1]]
                op = Opaque(_operator(layer), tuple(sizes), why, params)
                outputs.append(site.usual(self.place(site, op, values, {})))
        return outputs

    def _numbers(self, site: Site) -> int | None:
        """Element count of a layer's weights in the file, counted once; None if the file was not opened."""
        if self._variables is None:
            return None
        if site.place in self._counted:
            return 0
        self._counted.add(site.place)
        return self._variables.numbers(site.place, [part.group for part in site.layers])

    # -------------------------------------------------------------------------------------------------- nodes

    def place(
        self,
        site: Site,
        op: Op,
        values: Sequence[Value],
        weights: Mapping[str, Callable[[], Any]],
        suffix: str = "",
        constants: Collection[str] = (),
    ) -> Value:
        """Add a node for a call; the first gets the layer's name. constants: parameters that are constant.

        Raises OpError, ShapeError, FormatError.
        """
        name = self.names.take(f"{site.name}.{suffix or op.word}") if suffix or site.placed else site.name
        node = Node(name, op, tuple(value.name for value in values))
        specs = [self.specs.get(value.name) for value in values]
        self._pending = None
        spec = None
        if all(specs):
            try:
                declaration = declare(node, [known for known in specs if known])
            except ShapeError as error:
                if not isinstance(op, Opaque):
                    self._pending = node
                    raise error
            else:
                (spec,) = declaration.outputs
                self.specs[name] = spec
                for parameter in declaration.parameters:
                    full = f"{name}.{parameter.name}"
                    self.sources.tensors[full] = (*site.place, str(site.count), parameter.name)
                    if parameter.name in constants:
                        self.sources.fixed.add(full)
                    elif site.config.get("trainable") is False:
                        self.sources.frozen.add(full)
                if self._variables is not None:
                    for parameter in declaration.parameters:
                        array = self._check_array(
                            site, parameter.name, weights[parameter.name](), parameter.shape
                        )
                        self.weights[f"{name}.{parameter.name}"] = array
        self.nodes.append(node)
        site.count += bool(weights)
        site.placed |= name == site.name
        return Value(name, spec)

    def _check_array(self, site: Site, name: str, values: Any, shape: tuple[int, ...]) -> Array:
        array = np.asarray(values, np.float32)
        if array.shape != shape and array.size == math.prod(shape):
            array = array.reshape(shape)
        if array.shape != shape:
            raise FormatError(
                f"the weights of {site.layer.name[:80]} have the wrong shape",
                where=f"{self.path}: {site.layer.name[:80]}, a {site.layer.kind}",
                why=f"its {name} is {'x'.join(map(str, array.shape))} in the file, "
                f"{'x'.join(map(str, shape))} according to its configuration",
                fix="save it again: model.save('model.keras')",
            )
        self._budget -= array.nbytes
        if self._budget < 0:
            raise LimitError(
                f"the layers of {self.path} use too many weights",
                where=f"{self.path}: {site.layer.name[:80]}",
                why=f"its repeated calls need more than {MAX_WEIGHT_REPEATS} times the weights in the file",
                fix="split the model and load its parts",
            )
        return array

    def variable(self, path: tuple[Layer, ...], layer: Layer, names: Sequence[str], name: str) -> Array:
        """Read a variable of a layer from the file. Raises FormatError if it is missing."""
        layers = (*path, layer)
        key = tuple(part.name for part in layers), name
        if key not in self._arrays:
            assert self._variables is not None
            array = self._variables.get(key[0], names, [part.group for part in layers], name)
            if array is None:
                raise FormatError(
                    f"{layer.name[:80]} has no {name} in the file",
                    where=f"{self.path}: {layer.name[:80]}, a {layer.kind}",
                    why="its configuration requires this variable, and the weights lack it",
                    fix="save it again: model.save('model.keras')",
                )
            self._arrays[key] = array
        return self._arrays[key]


def _expected_shape(site: Site) -> Shape | None:
    """Output shape according to the layer's configuration, if the file records none."""
    if len({value.name for value in site.values}) != 1 or site.values[0].known is None:
        return None
    return known.shape(site, site.values[0].shape)


def _operator(layer: Layer) -> str:
    """Operator text of an opaque node: the class, and why it is not run."""
    if layer.kind in ("Lambda", "TFOpLambda", "SlicingOpLambda"):
        return f"{layer.kind} (Python code, not run)"
    if not layer.builtin:
        return f"{layer.registered or layer.kind} (custom class, not run)"
    return layer.kind


def _quantized(config: Mapping[str, Any]) -> bool:
    policy = config.get("dtype")
    inner = policy.get("config") if isinstance(policy, dict) else None
    words = (policy.get("class_name"), (inner or {}).get("name")) if isinstance(policy, dict) else (policy,)
    return any(
        isinstance(n, str) and (n.startswith(("Quantized", "int8", "int4")) or "_from_" in n) for n in words
    )
