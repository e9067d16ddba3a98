"""Import and export of ONNX files. Needs the package onnx, the optional part [onnx].

proto      a file as plain data, within limits           names      names of nodes
layout     channels-last inputs                          reading    the graph, operator by operator
fold       constant folding                              writing    a network as a file
patterns   functions written as several operators        site       one operator while it is read
operators  the meaning of each operator, for reading and writing, one file per family
preprocessing  the normalization of images, into the graph and out of it
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from striate.diagnostics import FormatError, setting
from striate.formats import notation
from striate.formats.loaded import Loaded
from striate.network import Network
from striate.tensor import SPATIAL, TensorSpec

Shape = tuple[int | str | None, ...]


def read(path: str | Path, input: Any = None) -> Loaded:
    """Read the network of a file, with its weights and Striate's record of the model.

    `input` is as `striate.load` takes it; open sizes need it. A channels-last input, as in TensorFlow, becomes
    channels-first, like all arrays in Striate. Unsupported operators become `opaque` nodes with the shapes that ONNX
    infers (rule X001). Raises a StriateError for any fault of a file.
    """
    from striate.formats import folder
    from striate.formats.onnx import striate_metadata
    from striate.formats.onnx.layout import channels_first, channels_last
    from striate.formats.onnx.names import PRODUCER
    from striate.formats.onnx.preprocessing import fold_preprocessing
    from striate.formats.onnx.proto import load
    from striate.formats.onnx.reading import Reader, batch_of
    from striate.formats.peephole import tidy
    from striate.formats.python import with_input_size
    from striate.formats.tied import seal_weights

    graph = load(Path(path))
    if not graph.inputs:
        raise FormatError(
            f"{path} has no input",
            where=str(path),
            why="everything in it is computed from constants",
            fix="export the network with its input",
        )
    record = folder.read_record(Path(path), graph.metadata)
    graph, about = fold_preprocessing(graph, record, folder.about(record))
    # Files that Striate wrote have their channels first, whatever their first permutation is.
    last = frozenset() if graph.producer == PRODUCER else channels_last(graph)
    shapes = {n: channels_first(s) if s and n in last else s for n, s in graph.inputs.items()}
    closed = all(shape and all(isinstance(n, int) for n in shape[1:]) for shape in shapes.values())
    request = {} if closed else _requested_sizes(shapes, input, str(path))
    batch = batch_of(list(shapes.values()))
    inputs = {}
    for name, shape in shapes.items():
        sizes = request.get(name, shape[1:] if shape else ())
        complete = len(sizes) - 1 in SPATIAL and all(isinstance(n, int) for n in sizes)
        if not complete:
            raise _open_size_error(str(path), name, shape, len(graph.inputs) > 1)
        inputs[name] = TensorSpec.image([n for n in sizes if isinstance(n, int)], batch)
    original = striate_metadata.network(graph, inputs)
    reader = Reader(graph, inputs, last) if original is None else None
    net, weights = original or reader.read()  # type: ignore[union-attr]
    if reader is not None:
        net = tidy(net) if not net.inference.problems else net
        net = reader.uses.sources(net).mark(net)
    model = Loaded.of(net, seal_weights(net, weights), **about)
    return with_input_size(model, input) if closed else model


def _requested_sizes(inputs: Mapping[str, Shape | None], input: Any, path: str) -> dict[str, tuple[int, ...]]:
    """The requested sizes, by input name."""
    if input is None:
        return {}
    sizes_by_name = {}
    for name, shape in inputs.items():
        sizes = shape[1:] if shape and len(shape) > 1 else (1, 1, 1)
        sizes_by_name[name] = tuple(n if isinstance(n, int) else 1 for n in sizes)
    return notation.requested_shapes(sizes_by_name, input)


def _open_size_error(path: str, name: str, shape: Shape | None, several: bool) -> FormatError:
    text = "x".join("?" if n is None else str(n) for n in shape) if shape else "no shape"
    return FormatError(
        f"{path} leaves the size of its input open",
        where=f"{path}: {name[:80]} is {text}",
        why="sizes, receptive fields and costs depend on the input size; the file has (batch, channels, height, width)",
        fix=f"name it: {setting('input', {name[:80]: '224x224x3'} if several else '224x224x3')}",
    )


def write(path: str | Path, net: Network, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write network and weights at opset 17, batch size open. Raises OpError for a node that ONNX cannot express."""
    from striate.formats.onnx.writing import save

    save(Path(path), net, weights)


__all__ = ["read", "write"]
