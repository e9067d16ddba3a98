"""A network as an ONNX file: opset 17 (19 where circular padding needs it), the batch open, names kept.

A node becomes one operator of its name, or several: `name/1`, `name/2` and last `name`, whose doc_string holds the op
in Striate's form. `striate_metadata.py` decides when that counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import OpError, StriateError
from striate.files import write_aside
from striate.formats.folder import RECORD
from striate.formats.onnx import operators
from striate.formats.onnx.names import PRODUCER
from striate.formats.onnx.preprocessing import NORMALIZED, Preprocessing, preprocessing, record_entry
from striate.formats.onnx.proto import MAX_BYTES, package
from striate.formats.onnx.spelling import Operator
from striate.formats.safetensors import raw_bytes
from striate.geometry import TransposedWindow, Window, fold
from striate.network import Network, Node, sharing
from striate.op import Declaration
from striate.tensor import TensorSpec
from striate.version import __version__

Array = NDArray[Any]

OPSET, IR = 17, 8
WRAPPING_OPSET, WRAPPING_IR = 19, 9
"""The first opset whose Pad has circular padding."""
BATCH = "N"
NOTE = "striate "
INSIDE = MAX_BYTES - 2**24
"""Maximum bytes of weights in one file; the rest of the protobuf message is the graph."""
MAX_INLINE_ELEMENTS, PAGE_BYTES = 1024, 4096
"""Maximum elements of a tensor that always stays in the model; alignment of larger ones, for readers that map the file.
"""


class Pen:
    """One node during export: its inputs, and the operators and constants that it becomes."""

    def __init__(self, node: Node, declaration: Declaration) -> None:
        self.node, self.name, self.op, self.declaration = node, node.name, node.op, declaration
        self.sources, self.makes = node.inputs, node.outputs
        self.operators: list[Operator] = []
        self.constants: dict[str, Array] = {}
        self._back: Sequence[int] | None = None
        self.axes = declaration.inputs[0].axes if declaration.inputs else ()
        """The current axes of x, also inside `channels_second` and `channels_last`."""

    @property
    def x(self) -> str:
        return self.sources[0]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.declaration.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.declaration.outputs

    @property
    def windows(self) -> list[Window | TransposedWindow]:
        return [*self.declaration.windows.values()]

    @property
    def sliding(self) -> list[Window]:
        """The windows of a pool or convolution, not of a transposed one."""
        return [window for window in self.windows if isinstance(window, Window)]

    def sides(self) -> list[int]:
        """The padding of all windows: all before, then all after."""
        return [*(w.before for w in self.windows), *(w.after for w in self.windows)]

    @staticmethod
    def pads(pairs: Sequence[tuple[int, int]]) -> list[int]:
        """Pairs (before, after) of the channels and spatial axes, as ONNX lists them for all axes."""
        return [0, *(before for before, _ in pairs), 0, *(after for _, after in pairs)]

    def call(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an intermediate operator; return its output."""
        output = f"{self.name}/{len(self.operators) + 1}"
        self.operators.append((kind, inputs, (output,), attributes))
        return output

    def last(self, kind: str, *inputs: str, **attributes: Any) -> None:
        """Add the operator that produces the node's outputs."""
        self.operators.append((kind, inputs, self.makes, attributes))

    def result(self, kind: str, *inputs: str, **attributes: Any) -> None:
        """Add the operator that produces the result, inside `channels_second` or `channels_last`, which move the axes
        back.
        """
        if self._back is None:
            self.last(kind, *inputs, **attributes)
        else:
            self.last("Transpose", self.call(kind, *inputs, **attributes), perm=[*self._back])

    @contextlib.contextmanager
    def channels_second(self) -> Iterator[str]:
        """x permuted so that channels follow the batch."""
        axes = self.inputs[0].axes
        at = axes.index("C")
        yield self._transpose([0, at, *(k for k in range(1, len(axes)) if k != at)])
        self._back, self.axes = None, axes

    @contextlib.contextmanager
    def channels_last(self) -> Iterator[str]:
        """x permuted so that channels are last."""
        axes = self.inputs[0].axes
        at = axes.index("C")
        yield self._transpose([*(k for k in range(len(axes)) if k != at), at])
        self._back, self.axes = None, axes

    def _transpose(self, order: Sequence[int]) -> str:
        if list(order) == list(range(len(order))):
            return self.x
        self._back = [list(order).index(k) for k in range(len(order))]
        self.axes = tuple(self.inputs[0].axes[k] for k in order)
        return self.call("Transpose", self.x, perm=[*order])

    def constant(self, array: Array) -> str:
        name = f"{self.name}/c{len(self.constants) + 1}"
        self.constants[name] = array
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def weight(self, name: str) -> str:
        """The tensor of one of the node's parameters."""
        return self.node.key(name)

    def by_channel(self, weight: str) -> str:
        """Reshape a tensor (C,) to (C, 1, …), for broadcasting over the axes after the channels."""
        count = len(self.axes) - 1 - self.axes.index("C")
        return self.call("Unsqueeze", weight, self.integers(*range(1, count + 1))) if count else weight

    def pad(self, x: str, pairs: Sequence[tuple[int, int]], mode: str, last: bool = False) -> str:
        """Pad the spatial axes of x by a Pad, or by a gather if ONNX lacks the mode. last: this produces the node's
        output.
        """
        words = operators.moves.WRITTEN
        space = [*zip(self.inputs[0].spatial, pairs, strict=True)]
        if mode not in words or (mode == "reflect" and any(max(pair) >= size for size, pair in space)):
            return self._pad_by_gather(x, space, mode, last)  # onnxruntime reflects no further than that
        sides = self.integers(*self.pads([(0, 0), *pairs]))
        if not last:
            return self.call("Pad", x, sides, mode=words[mode])
        self.last("Pad", x, sides, mode=words[mode])
        return self.makes[0]

    def _pad_by_gather(
        self, x: str, space: Sequence[tuple[int, tuple[int, int]]], mode: str, last: bool
    ) -> str:
        """Pad x by gathering the entries that a border mode repeats. space: (size, padding) per spatial axis."""
        for axis, (size, (before, after)) in enumerate(space, 2):
            if before or after:
                entries = self.integers(*(fold(i, size, mode) or 0 for i in range(-before, size + after)))
                x = self.call("Gather", x, entries, axis=axis)
        if last:
            self.last("Identity", x)
        return x


def pen_for(node: Node, declaration: Declaration) -> Pen:
    """Write a node with a new pen. Raises OpError for a node that ONNX cannot express."""
    pen, op = Pen(node, declaration), node.op
    writer = operators.WRITERS.get(op.word)
    if writer is None:
        raise OpError(
            f"{op.word} cannot be written to ONNX",
            why="ONNX has no operator for it",
            fix="replace it with ops that ONNX has",
        )
    writer(pen, op)
    return pen


def adapt_operators(pen: Pen, opset: int) -> list[Operator]:
    """Adapt a node's operators to an opset: since 18 the axes of a reduction are an input."""
    if opset < 18:
        return pen.operators
    adapted: list[Operator] = []
    for kind, inputs, outputs, attributes in pen.operators:
        if kind.startswith("Reduce") and "axes" in attributes:
            inputs = (*inputs, pen.integers(*attributes["axes"]))
            attributes = {key: value for key, value in attributes.items() if key != "axes"}
        adapted.append((kind, inputs, outputs, attributes))
    return adapted


def note(node: Node) -> str:
    """The doc_string of a node."""
    record = {"op": node.op.to_dict(), "inputs": node.inputs, **sharing.to_dict(node)}
    return NOTE + json.dumps(record, separators=(",", ":"))


class Store:
    """Storage of parameters: in the model, or for large weights in a file next to it."""

    def __init__(self, onnx: Any, data_file: str = "") -> None:
        self._onnx, self._data_file = onnx, data_file
        self.chunks: list[memoryview | bytes] = []
        self._end = 0

    def tensor(self, name: str, values: Array) -> Any:
        """Store a parameter; return its onnx.TensorProto."""
        array = np.ascontiguousarray(values, "<f4")
        if not self._data_file or array.size < MAX_INLINE_ELEMENTS:
            return self._onnx.numpy_helper.from_array(array, name)
        kinds = self._onnx.TensorProto
        tensor = kinds(name=name, dims=array.shape, data_type=kinds.FLOAT, data_location=kinds.EXTERNAL)
        gap = -self._end % PAGE_BYTES
        self.chunks += [bytes(gap), raw_bytes(array)]
        place = {"location": self._data_file, "offset": self._end + gap, "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._end += gap + array.nbytes
        return tensor


def save(
    path: Path,
    net: Network,
    weights: Mapping[str, Array],
    about: Mapping[str, Any] | None = None,
    raw: bool = False,
) -> None:
    """Write the file. Raises OpError, which names the node, if ONNX has no operator for it.

    about: metadata of the model; its normalization begins the graph, unless `raw`. Weights too large for one protobuf
    message go into `<path>.data`.
    """
    onnx = package()
    large = 4 * sum(parameter.elements for parameter in net.parameters.values()) > INSIDE
    store = Store(onnx, f"{path.name}.data" if large else "")
    before = () if raw or not about else preprocessing(net, about.get("transform"))
    proto = model(onnx, net, weights, store, before)
    if about and any(about.values()):
        record = {**about, NORMALIZED: record_entry(before, len(net.inputs) > 1)} if before else dict(about)
        proto.metadata_props.add(key=RECORD, value=json.dumps(record))
    if not large:
        write_aside(path, proto.SerializeToString())
        return
    data = path.with_name(f"{path.name}.data")
    old = data.exists()
    write_aside(data, *store.chunks)
    try:
        write_aside(path, proto.SerializeToString())
    except StriateError:
        if not old:
            data.unlink(missing_ok=True)
        raise


def model(
    onnx: Any,
    net: Network,
    weights: Mapping[str, Array],
    store: Store,
    before: Sequence[Preprocessing] = (),
) -> Any:
    """Build the onnx.ModelProto of a network; before: preprocessing of its inputs."""
    nodes, tensors = [], []
    renamed = {one.input: one.value for one in before}
    channels = {one.input: one.channels for one in before}
    for one in before:
        for kind, inputs, outputs, attributes in one.operators:
            nodes.append(onnx.helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        for name, array in one.constants.items():
            tensors.append(onnx.numpy_helper.from_array(array, name))
    pens = [_pen_of(node, net, [renamed.get(name, name) for name in node.inputs]) for node in net.nodes]
    wraps = any(a.get("mode") == "wrap" for pen in pens for _, _, _, a in pen.operators)
    opset, version = (WRAPPING_OPSET, WRAPPING_IR) if wraps else (OPSET, IR)
    for node, pen in zip(net.nodes, pens):
        calls = adapt_operators(pen, opset)
        for at, (kind, inputs, outputs, attributes) in enumerate(calls, 1):
            final = at == len(calls)
            name = node.name if final else f"{node.name}/{at}"
            nodes.append(
                onnx.helper.make_node(
                    kind, inputs, outputs, name=name, doc_string=note(node) if final else None, **attributes
                )
            )
        tensors += [onnx.numpy_helper.from_array(array, name) for name, array in pen.constants.items()]
        for parameter in net.declarations[node.name].parameters:
            if not parameter.shared:
                name = node.key(parameter.name)
                tensors.append(store.tensor(name, weights[name]))

    def value(name: str) -> Any:
        sizes = net.specs[name].without_batch
        if name in channels:
            sizes = (channels[name], *sizes[1:])
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [BATCH, *sizes])

    inner = [value(v) for node in net.nodes for v in node.outputs if v not in net.outputs]
    graph = onnx.helper.make_graph(
        nodes,
        net.name,
        [value(n) for n in net.inputs],
        [value(n) for n in net.outputs],
        tensors,
        value_info=inner,
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=version,
        producer_name=PRODUCER, producer_version=__version__,
    )  # fmt: skip


def _pen_of(node: Node, net: Network, reads: Sequence[str]) -> Pen:
    try:
        return pen_for(dataclasses.replace(node, inputs=tuple(reads)), net.declarations[node.name])
    except OpError as error:
        raise error.at(node.name, f"{node.name} = {node.op}", node.place) from None
