"""An ONNX file as plain data, read within limits, tensors as arrays. Nothing is executed, no file outside its folder is
opened.

Decides what is trusted in a file; knows no operator.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, GraphError, LimitError, MissingExtraError
from striate.extras import install_command
from striate.files import check_file, opened

Array = NDArray[Any]

OLDEST = 6
"""Opsets before 6 keep shapes in attributes, which no exporter has written since 2017."""
MAX_BYTES = 2**31 - 1
"""Protobuf's own limit; larger networks keep their weights in external data."""
MAX_NODES = 100_000
MAX_ELEMENTS = 2**34
"""Numbers in one tensor."""
MAX_BYTE_REPEATS = 8
"""Maximum number of times that tensors may share the bytes of external data (tied weights do)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One operator application: names of its inputs and outputs. `scope`: path of the modules that it came from.

    original: the last of the operators that a pattern replaced by this call.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    name: str = ""
    scope: str = ""
    note: str = ""
    proto: Any = None
    original: Call | None = None


@dataclasses.dataclass(frozen=True)
class Graph:
    """A file's graph. `inputs` and `shapes`: value -> sizes, None or a name for an open size; `metadata`: of the file;
    `kinds`: tensor -> PARAMETER or BUFFER, if the exporter says which.
    """

    name: str
    opset: int
    producer: str
    calls: tuple[Call, ...]
    inputs: Mapping[str, tuple[int | str | None, ...] | None]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int | str | None, ...] | None]
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)


def package() -> Any:
    """The onnx package. Raises MissingExtraError."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError(
            "ONNX files need the package onnx",
            why="it is an optional part of Striate",
            fix=install_command("onnx"),
        ) from None
    return onnx


def load(path: Path) -> Graph:
    """Load the graph of a file. Raises a StriateError for any fault of it."""
    check_file(
        path, MAX_BYTES, "an ONNX file", "save it with external data: larger weights are kept next to it"
    )
    onnx = package()
    model = parse_model(onnx, path)
    try:
        return _graph(onnx, model, path)
    except (ValueError, TypeError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise _broken(path, "its content is inconsistent", str(error)) from None


def parse_model(onnx: Any, path: Path) -> Any:
    """Load the onnx.ModelProto of a file, unchanged."""
    with opened(path) as stream:
        data = stream.read()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, which has another name in every version
        raise _broken(path, "it is not a complete protobuf message", str(error)) from None
    return model


def _broken(path: Path, why: str, detail: str = "") -> FormatError:
    return FormatError(
        f"{path} is not an ONNX file, or damaged",
        where=str(path),
        why=f"{why}: {detail[:200]}" if detail else why,
        fix="export or download it again",
    )


def _graph(onnx: Any, model: Any, path: Path) -> Graph:
    if not model.HasField("graph") or not model.graph.node:
        raise _broken(path, "it contains no operator")
    opset = _opset(onnx, model, path)
    if model.functions:
        _check_functions(model, path)
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise LimitError(
            f"{len(graph.node):,} operators",
            where=str(path),
            why=f"at most {MAX_NODES:,} are read",
            fix="split it",
        )
    folder = path.parent
    _check_external(onnx, graph, folder, path)
    constants = {}
    for tensor in graph.initializer:
        constants[_text(tensor.name)] = array(onnx, tensor, folder, path)
    calls = tuple(_calls(onnx, graph.node, folder, path))
    shapes = {_text(v.name): _shape(v) for v in (*graph.value_info, *graph.output, *graph.input)}
    return Graph(
        name=_text(graph.name) if model.producer_name == "striate" and graph.name else path.stem,
        opset=opset,
        producer=model.producer_name,
        calls=_sort_calls(calls, {*constants, *(v.name for v in graph.input)}, path),
        inputs={v.name: _shape(v) for v in graph.input if v.name not in constants},
        outputs=tuple(v.name for v in graph.output),
        constants=constants,
        shapes=shapes,
        metadata={_text(entry.key): _text(entry.value) for entry in model.metadata_props},
        kinds=_kinds(graph, constants),
    )


_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
"""Key under which torch.onnx.export(dynamo=True) says what a tensor was in the module."""


def _kinds(graph: Any, constants: Collection[str]) -> dict[str, str]:
    return {
        v.name: _text(entry.value)
        for v in graph.value_info
        if v.name in constants
        for entry in getattr(v, "metadata_props", ())  # not in every version of onnx
        if entry.key == _KIND
    }


def _opset(onnx: Any, model: Any, path: Path) -> int:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset, newest = versions.get("", versions.get("ai.onnx", 0)), onnx.defs.onnx_opset_version()
    if OLDEST <= opset <= newest:
        return int(opset)
    old = opset < OLDEST
    raise FormatError(
        f"{path} has opset {opset}" if opset else f"{path} names no opset",
        where=str(path),
        why=f"opsets {OLDEST} to {newest} are read; {newest} is the newest that the installed onnx knows",
        fix="export it again, at opset 17" if old else "pip install --upgrade onnx, or export it at opset 17",
    )


def _check_functions(model: Any, path: Path) -> None:
    """Raise unless inlining all functions of a model ends within limits: functions may call each other."""
    bodies = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    done = False
    while not done:  # from functions that call none upward
        done = True
        for key, body in bodies.items():
            callees = [(node.domain, node.op_type) for node in _all_nodes(body.node)]
            if key not in sizes and all(k in sizes or k not in bodies for k in callees):
                sizes[key] = min(sum(sizes.get(k, 1) for k in callees), 10**9)
                done = False
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in _all_nodes(model.graph.node))
    if len(sizes) < len(bodies):
        raise GraphError(
            "its functions call each other in a cycle",
            where=str(path),
            why="inlining them would never end",
            fix="export it again",
        )
    if total > MAX_NODES:
        raise LimitError(
            f"its functions expand to {total:,} operators", where=str(path), why=f"at most {MAX_NODES:,} are read",
            fix="export it without functions",
        )  # fmt: skip


def _all_nodes(nodes: Any) -> Iterator[Any]:
    """All nodes, those of nested graphs included."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)


def _shape(value: Any) -> tuple[int | str | None, ...] | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(
        d.dim_value
        if d.WhichOneof("value") == "dim_value" and d.dim_value > 0
        else _text(d.dim_param) or None
        for d in kind.shape.dim
    )


def _text(value: Any) -> str:
    """A name in the file; protobuf returns bytes if it is not UTF-8."""
    if not isinstance(value, str):
        raise TypeError(f"a name that is not text: {value[:40]!r}")
    return value


def _calls(onnx: Any, nodes: Any, folder: Path, path: Path) -> Iterator[Call]:
    for node in nodes:
        attributes = {}
        for attribute in node.attribute:
            attributes[_text(attribute.name)] = _attribute(onnx, attribute, folder, path)
        metadata = {entry.key: _text(entry.value) for entry in getattr(node, "metadata_props", ())}
        kind = (
            _text(node.op_type)
            if node.domain in ("", "ai.onnx")
            else f"{_text(node.domain)}.{_text(node.op_type)}"
        )
        scope = metadata.get("pkg.torch.onnx.name_scopes", "")
        yield Call(
            kind,
            tuple(map(_text, node.input)),
            tuple(map(_text, node.output)),
            attributes,
            _text(node.name),
            scope,
            _text(node.doc_string),
            node,
        )


def _attribute(onnx: Any, attribute: Any, folder: Path, path: Path) -> Any:
    kinds = onnx.AttributeProto
    match attribute.type:
        case kinds.FLOAT:
            return short(attribute.f)
        case kinds.FLOATS:
            return [short(f) for f in attribute.floats]
        case kinds.STRING:
            return attribute.s.decode("utf-8", "replace")
        case kinds.STRINGS:
            return [s.decode("utf-8", "replace") for s in attribute.strings]
        case kinds.TENSOR:
            return array(onnx, attribute.t, folder, path)
        case kinds.INT:
            return int(attribute.i)
        case kinds.INTS:
            return [int(i) for i in attribute.ints]
    return None  # subgraphs and types: no supported operator reads one


def short(number: float) -> float:
    """The shortest decimal that rounds to the same float32: 1e-05 for 9.999999747378752e-06."""
    return float(str(np.float32(number)))


def array(onnx: Any, tensor: Any, folder: Path, path: Path) -> Array:
    """A tensor's array; its declared shape must match the stored bytes before anything is allocated."""
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise LimitError(
            f"tensor {tensor.name[:80]!r} has the shape {'x'.join(map(str, shape[:8]))}",
            where=str(path),
            why=f"a tensor has at most {MAX_ELEMENTS:,} elements",
            fix="export the network again",
        )
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(onnx, tensor, shape, folder, path)
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor)).reshape(shape)
    except Exception as error:
        raise _broken(path, f"tensor {tensor.name[:80]!r} does not hold {'x'.join(map(str, shape))} elements",
                      str(error)) from None  # fmt: skip


def _external(onnx: Any, tensor: Any, shape: tuple[int, ...], folder: Path, path: Path) -> Array:
    """External data in a file next to the model, never outside its folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    target = _external_path(tensor, entries.get("location", ""), folder, path)
    check_file(target)
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    count = math.prod(shape)
    offset, length = int(entries.get("offset") or 0), int(entries.get("length") or count * kind.itemsize)
    size = target.stat().st_size
    if offset < 0 or length != count * kind.itemsize or offset + length > size:
        raise _broken(
            target,
            f"tensor {tensor.name[:80]!r} needs {length:,} bytes at offset {offset:,}; the file has {size:,}",
        )
    return (
        np.fromfile(target, kind.newbyteorder("<"), count, offset=offset)
        .reshape(shape)
        .astype(kind, copy=False)
    )


def _check_external(onnx: Any, graph: Any, folder: Path, path: Path) -> None:
    """Raise LimitError if the tensors need far more external data than there is: each may claim the whole file."""
    sizes: dict[Path, int] = {}
    needed_bytes = 0
    in_attributes = (
        attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")
    )
    for tensor in (*graph.initializer, *in_attributes):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            target = _external_path(tensor, location, folder, path)
            check_file(target)
            sizes[target] = target.stat().st_size
            kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
            needed_bytes += max(math.prod(tensor.dims), 0) * kind.itemsize
    if needed_bytes > MAX_BYTE_REPEATS * sum(sizes.values()):
        raise LimitError(
            f"{path} needs {needed_bytes:,} bytes of external data",
            where=str(path),
            why=f"{', '.join(sorted(t.name for t in sizes))[:100]}: {sum(sizes.values()):,} bytes, "
            f"which tensors may share up to {MAX_BYTE_REPEATS} times",
            fix="export or download it again",
        )


def _external_path(tensor: Any, location: str, folder: Path, path: Path) -> Path:
    """The file with a tensor's external data. Raises FormatError if it is outside the model's folder."""
    parts = PurePosixPath(location.replace("\\", "/"))
    refused = (
        not location or "\0" in location or parts.is_absolute() or ".." in parts.parts or ":" in location
    )
    if not refused:
        target = folder / location
        refused = not target.resolve().is_relative_to(folder.resolve())
    if refused:
        raise FormatError(
            f"tensor {tensor.name[:80]!r} has its data outside the model's folder",
            where=f"{path}: {location[:200]!r}",
            why="a model may read only files in its own folder",
            fix="move the file next to the model and refer to it without a path",
        )
    return target


def _sort_calls(calls: tuple[Call, ...], available: set[str], path: Path) -> tuple[Call, ...]:
    """Sort the calls topologically. Raises GraphError for a cycle or a missing value."""
    makers: dict[str, Call] = {}
    for call in calls:
        for value in filter(None, call.outputs):
            if value in available or makers.setdefault(value, call) is not call:
                raise GraphError(
                    f"two operators produce the value {value[:80]!r}", where=str(path), why="a value has one producer",
                    fix="export the network again",
                )  # fmt: skip
    waiting: dict[str, list[Call]] = {}
    missing = {}
    ready = []
    for call in calls:
        needs = {value for value in call.inputs if value and value not in available}
        for value in needs:
            if value not in makers:
                raise GraphError(
                    f"{call.kind} reads {value[:80]!r}, which does not exist",
                    where=f"{path}: {call.name[:80]}",
                    why="no input, weight or operator output has this name",
                    fix="export the network again",
                )
            waiting.setdefault(value, []).append(call)
        missing[call] = len(needs)
        if not needs:
            ready.append(call)
    position = {call: at for at, call in enumerate(calls)}
    if all(position[makers[v]] < position[c] for v, readers in waiting.items() for c in readers):
        return calls
    result = []
    while ready:
        call = ready.pop()
        result.append(call)
        for value in dict.fromkeys(filter(None, call.outputs)):
            for reader in waiting.get(value, ()):
                missing[reader] -= 1
                if not missing[reader]:
                    ready.append(reader)
    if len(result) < len(calls):
        stuck = next(call for call in calls if missing[call])
        raise GraphError(
            f"the graph has a cycle through {stuck.kind} {stuck.name[:80]!r}",
            where=str(path),
            why="a value would depend on itself",
            fix="export the network again",
        )
    return tuple(result)
