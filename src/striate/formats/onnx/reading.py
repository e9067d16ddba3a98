"""Convert an ONNX graph to a Network and its weights, operator by operator.

Decides order, names, folding, and the handling of unsupported operators; `operators/` defines the operators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, InternalError, ShapeError, StriateError
from striate.formats.importing import Unknown, distinct, expressible, fault, need, reason, undo
from striate.formats.onnx import operators
from striate.formats.onnx.fold import Allowance, Unfoldable, fold
from striate.formats.onnx.names import PARAMETER, Names
from striate.formats.onnx.patterns import simplify
from striate.formats.onnx.proto import Call, Graph, package
from striate.formats.onnx.sharing import Uses
from striate.formats.onnx.site import Array, Binding, Site, Value
from striate.network import Network, Node
from striate.network.graph import declare
from striate.op import Declaration, Op
from striate.ops.opaque import Opaque, unsupported
from striate.ops.reshape import Identity, Permute
from striate.tensor import TensorSpec

ANY_BATCH = 3
"""Stand-in for an open batch size during import: a value that no constant of a network is likely to equal."""

CONTROL = ("If", "Loop", "Scan")


class Reader:
    """State of one import."""

    def __init__(
        self, graph: Graph, inputs: Mapping[str, TensorSpec], last: Collection[str] = ()
    ) -> None:  # `last`: inputs whose channels come last in the file, and first in `inputs`
        self.graph = graph
        self.bindings: dict[str, Binding] = dict(graph.constants)
        in_attributes = [
            v for call in graph.calls for v in call.attributes.values() if isinstance(v, np.ndarray)
        ]
        self.allowance = Allowance(sum(array.size for array in (*graph.constants.values(), *in_attributes)))
        self.nodes: list[Node] = []
        self.weights: dict[str, Array] = {}
        self.origins = {name: name for name in graph.constants}
        """Constant -> the tensor of the file that it comes from."""
        self.values: dict[str, str] = {}
        """Value of the graph -> value of the network."""
        self.uses = Uses(self.bindings, self.origins)
        self.specs: dict[str, TensorSpec] = {}
        self._pending: Node | None = None
        self.batch = next(iter(inputs.values())).shape[0]
        self.why: dict[str, str] = {}
        self.read_by: dict[str, tuple[str, ...]] = {}
        """Opaque node -> the tensors of the file that it reads."""
        calls = [call for call in graph.calls if not self._fold(call)]
        self._makers = {name: call for call in calls for name in call.outputs}
        calls = simplify(
            calls, {n: v for n, v in self.bindings.items() if isinstance(v, np.ndarray)}, graph.outputs
        )
        self.needed = _dependencies(calls, graph.outputs)
        self.calls = [call for call in calls if any(name in self.needed for name in call.outputs)]
        self.names = Names(self.calls, self.origins, graph.producer, inputs)
        self.inputs = {}
        for name, spec in inputs.items():
            self.inputs[self.names.inputs[name]] = spec
            self.specs[self.names.inputs[name]] = spec
            value = Value(self.names.inputs[name], spec)
            self.values[name] = value.name
            if name in last:
                to_file_order = Permute("".join((*spec.spatial_axes, "C")))
                (value,) = self.place(Call("Transpose", (name,), (), {}), to_file_order, [value], {})
            self.bindings[name] = value

    def read(self) -> tuple[Network, dict[str, Array]]:
        for call in self.calls:
            if not self._fold(call):
                self._refuse_control(call)
                self._read(call)
        outputs: list[str] = []
        for name in self.graph.outputs:
            value = self.bindings.get(name)
            if not isinstance(value, Value):
                raise FormatError(
                    f"the output {name[:80]!r} does not depend on the input",
                    where=self.graph.name,
                    why="it is computed from constants alone",
                    fix="export the network with its input",
                )
            if value.name in outputs and value.known is not None:  # a value that is two outputs
                (value,) = self.place(Call("Identity", (name,), (name,), {}), Identity(), [value], {})
            outputs.append(value.name)
        inputs = {name: TensorSpec.image(spec.shape[1:]) for name, spec in self.inputs.items()}
        nodes = tuple(self._count_opaque())
        return Network(self.graph.name, inputs, nodes, tuple(dict.fromkeys(outputs))), self.weights

    def _numbers(self, origin: str) -> int:
        """Element count of a float tensor of the file."""
        array = self.graph.constants.get(origin)
        return array.size if array is not None and array.dtype.kind == "f" else 0

    def _count_opaque(self) -> Iterator[Node]:
        """The nodes; an opaque node counts the elements of the tensors that no node before it reads.

        A single number is more often a setting than a parameter, and does not count.
        """
        counted: set[str] = set()
        for node in self.nodes:
            if isinstance(node.op, Opaque):
                origins = [origin for origin in self.read_by.get(node.name, ()) if origin not in counted]
                counted.update(origins)
                count = sum(max(self._numbers(o) - self.uses.used_elements(o), 0) for o in origins)
                node = dataclasses.replace(node, op=dataclasses.replace(node.op, params=count))
            yield node

    def _fold(self, call: Call) -> bool:
        """Fold the call from constants or from the shape of a value; return whether that was possible."""
        inputs = [self.bindings.get(name) if name else None for name in call.inputs]
        source = inputs[0] if inputs else None
        sizes = source.sizes if isinstance(source, Value) else None
        if call.kind in ("Shape", "Size") and sizes:
            shape = np.array(sizes, np.int64)
            start, end = call.attributes.get("start", 0), call.attributes.get("end")
            if not isinstance(start, int) or not isinstance(end, int | None):
                return False
            self.bindings[call.outputs[0]] = (
                shape[start:end] if call.kind == "Shape" else np.array(shape.prod())
            )
            return True
        if any(
            name and not isinstance(value, np.ndarray)
            for name, value in zip(call.inputs, inputs, strict=True)
        ):
            return False
        try:
            outputs = fold(call, inputs, self.allowance)  # type: ignore[arg-type]
        except Unfoldable:
            if any(call.inputs):
                self.bindings.update(dict.fromkeys(call.outputs))
            return bool(any(call.inputs))
        self.bindings.update(zip(call.outputs, outputs, strict=False))
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
                raise Unknown(unsupported(call.kind))
            try:
                result = operators.READERS[call.kind](site)
            except (Unknown, StriateError):
                raise
            except Exception as error:
                wrong = self._damage(call)
                if not wrong:
                    raise fault(
                        call.kind, f"{self.graph.name}: {call.name[:80] or call.kind}", error
                    ) from error
                raise Unknown(f"its attributes and inputs are inconsistent: {wrong}") from None
            outputs = [result] if isinstance(result, Value) else list(result)
        except ShapeError as error:
            if not self._pending or any(self._infer_shapes(call).values()):
                self._undo(before)
                outputs = self._opaque(site, error.what)
            else:  # its shape is unknown: the node stays, and inference says why it has none
                self.nodes.append(self._pending)
                outputs = [Value(name, None) for name in self._pending.outputs]
        except InternalError:
            raise
        except (Unknown, StriateError) as error:
            self._undo(before)
            if call.original is not None:
                self._read_original(call.original)
                return
            outputs = self._opaque(site, reason(error))
        for name, value in zip(call.outputs, outputs, strict=False):
            self.bindings[name] = value
            self.values[name] = value.name

    def _refuse_control(self, call: Call) -> None:
        """Raise for data-dependent control flow, which a Network cannot express."""
        if call.kind in CONTROL:
            raise FormatError(
                f"{call.kind} chooses at run time what is computed",
                where=f"{self.graph.name}: {call.name[:80] or call.kind}",
                why="Striate needs one fixed graph, because sizes, fields and costs depend on it",
                fix="export it again with fixed sizes (dynamo=True), or let onnxsim fold its conditions",
            )

    def _read_original(self, call: Call) -> None:
        """Read the original operators of a call that a pattern replaced."""
        waiting = [call]
        while waiting:
            one = waiting[-1]
            missing = [name for name in one.inputs if name and name not in self.bindings]
            if missing:
                waiting += [self._makers[name] for name in missing]
                continue
            waiting.pop()
            if not all(name in self.bindings for name in one.outputs if name) and not self._fold(one):
                self._read(one)

    def _damage(self, call: Call) -> str:
        """Why ONNX's checker rejects an operator (or those that a pattern replaced by it); empty if it is valid."""
        onnx = package()
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": self.graph.opset}
        for one in self._original_calls(call):
            if one.proto.domain not in ("", "ai.onnx"):
                return f"{one.kind} is an operator of the domain {one.proto.domain[:80]}"
            try:
                onnx.checker.check_node(one.proto, context)
                self._infer_one(one, strict=True)
            except Exception as error:
                return " ".join(str(error).split())[:200] or "ONNX's checker rejects it"
        return ""

    def _original_calls(self, call: Call) -> list[Call]:
        """The operators of the file that a call stands for."""
        if call.original is None:
            return [call]
        originals, waiting = [], [call.original]
        while waiting:
            one = waiting.pop()
            makers = (self._makers.get(name) for name in one.inputs if name not in call.inputs)
            waiting += [maker for maker in makers if maker and maker not in originals]
            originals.append(one)
        return originals

    def _undo(self, before: int) -> None:
        """Remove the nodes after the first `before`, with their names and weights."""
        names, keys = undo(self.nodes, self.weights, before)
        for name in names:
            self.names.forget(name)
        for key in keys:
            self.uses.forget(key)

    def _opaque(self, site: Site, why: str) -> list[Value]:
        """Add opaque nodes for an operator, with its name and ONNX's output shapes."""
        call = site.call
        if not site.slim:
            self.bindings.update(dict.fromkeys(call.outputs))
            return []
        shapes = self._infer_shapes(call)
        tensors = tuple(
            dict.fromkeys(
                [
                    *(o for name in call.inputs if (o := self.origins.get(name)) and self._numbers(o) > 1),
                    *(origin for value in site.slim for origin in value.tensors),
                ]
            )
        )
        outputs = []
        for name in filter(None, call.outputs):
            shape = shapes.get(name)
            if shape is None or not all(isinstance(n, int) and n > 0 for n in shape):
                shape = None
            sizes = tuple(n for n in shape or () if isinstance(n, int))
            has_spec = expressible(sizes, self.batch)
            if shape is not None and not has_spec and name not in self.graph.outputs:
                outputs.append(Value(site.slim[0].name, None, hidden=sizes, tensors=tensors))
                continue
            values = distinct(site.slim)
            kind = call.kind.removeprefix("striate.")
            (value,) = self.place(call, Opaque(kind, sizes[1:] if has_spec else None, why), values, {})
            self.why[value.name] = why
            self.read_by[value.name] = tensors
            outputs.append(value)
        return outputs

    def _infer_shapes(self, call: Call) -> dict[str, tuple[int | str | None, ...] | None]:
        """Output -> shape, by ONNX's shape inference for this operator; else from the file."""
        declared = {name: self.graph.shapes.get(name) for name in call.outputs}
        if call.proto is None:
            return declared
        try:
            inferred = self._infer_one(call)
        except (
            Exception
        ):  # inference fails on operators that it does not support; the shapes of the file remain
            return declared
        if inferred is None:
            return declared
        shapes: dict[str, tuple[int | str | None, ...] | None] = {}
        for value in (*inferred.value_info, *inferred.output):
            if value.type.tensor_type.HasField("shape"):
                shapes[value.name] = tuple(d.dim_value or None for d in value.type.tensor_type.shape.dim)
        return {name: shapes.get(name) or shape for name, shape in declared.items()}

    def _infer_one(self, call: Call, strict: bool = False) -> Any:
        """Run ONNX's shape inference on one operator; return its graph, None if an input shape is unknown."""
        onnx = package()
        inputs, constants = [], []
        for name in dict.fromkeys(filter(None, call.inputs)):
            value = self.bindings.get(name)
            sizes = value.sizes if isinstance(value, Value) else None
            if sizes:
                inputs.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes))
            elif isinstance(value, np.ndarray) and value.size <= 10_000:
                constants.append(onnx.numpy_helper.from_array(value, name))
            elif isinstance(value, np.ndarray):
                kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
                inputs.append(onnx.helper.make_tensor_value_info(name, kind, value.shape))
            else:
                return None
        outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in call.outputs if name]
        graph = onnx.helper.make_graph([call.proto], "one", inputs, outputs, constants)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", self.graph.opset)])
        return onnx.shape_inference.infer_shapes(
            model, check_type=strict, strict_mode=strict, data_prop=True
        ).graph

    def place(self, call: Call, op: Op, values: Sequence[Value], weights: Mapping[str, Array]) -> list[Value]:
        """Add a node for a call; the first gets the call's name. Raises OpError, ShapeError."""
        name = self.names.take(call, op)
        node = Node(name, op, tuple(value.name for value in values))
        specs = [self.specs.get(value.name) for value in values]
        out_specs: tuple[TensorSpec | None, ...] = (None,) * len(node.outputs)
        if all(spec is not None for spec in specs):
            try:
                declaration = declare(node, [spec for spec in specs if spec is not None])
            except StriateError as error:
                if not isinstance(op, Opaque):
                    self._pending = node if isinstance(error, ShapeError) else None
                    self.names.forget(name)
                    raise
            else:
                out_specs = declaration.outputs
                try:
                    self.weights.update(self._check_arrays(call, name, declaration, weights))
                except Unknown:
                    self.names.forget(name)
                    for parameter in declaration.parameters:
                        self.uses.forget(f"{name}.{parameter.name}")
                    raise
        self.nodes.append(node)
        self.specs.update((output, spec) for output, spec in zip(node.outputs, out_specs) if spec)
        return [Value(output, spec) for output, spec in zip(node.outputs, out_specs, strict=True)]

    def _check_arrays(
        self, call: Call, name: str, declaration: Declaration, weights: Mapping[str, Array]
    ) -> dict[str, Array]:
        """The arrays of a node's parameters by full name. Raises Unknown if one has the wrong shape."""
        fitting = {}
        for parameter in declaration.parameters:
            array = np.asarray(weights[parameter.name], np.float32)
            if array.shape != parameter.shape:
                array = array.reshape(parameter.shape) if array.size == parameter.elements else array
            need(array.shape == parameter.shape, f"its {parameter.name} has shape {array.shape}")
            try:  # any number of operators may read one tensor of a file
                self.allowance.take(array.size)
            except Unfoldable:
                raise Unknown("too many operators share its tensors") from None
            full = f"{name}.{parameter.name}"
            self.uses.add(call, full, array, parameter.trainable)
            fitting[full] = array
        return fitting


def _dependencies(calls: Sequence[Call], outputs: Sequence[str]) -> set[str]:
    """The values that the outputs depend on."""
    needed = set(outputs)
    for call in reversed(calls):
        if any(name in needed for name in call.outputs):
            needed.update(call.inputs)
    return needed


def batch_of(shapes: Sequence[tuple[int | str | None, ...] | None]) -> int:
    """The batch size during import: fixed by the file, or a stand-in."""
    sizes = {shape[0] for shape in shapes if shape}
    only = next(iter(sizes)) if len(sizes) == 1 else None
    return only if isinstance(only, int) else ANY_BATCH
