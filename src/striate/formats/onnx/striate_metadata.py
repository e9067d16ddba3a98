"""Recover the networks of ONNX files that Striate wrote.

The nodes' doc_string holds the original ops. It counts only if writing these gives exactly the operators in the file; a
file that was changed is read like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import GraphError, StriateError
from striate.formats.onnx.names import PRODUCER
from striate.formats.onnx.proto import Call, Graph
from striate.formats.onnx.spelling import equal, same
from striate.formats.onnx.writing import NOTE, adapt_operators, pen_for
from striate.network import Network, Node, sharing
from striate.network.graph import declare
from striate.op import Op
from striate.tensor import TensorSpec

Array = NDArray[Any]

MAX_NUMBERS, MAX_SIDE = 2**27, 2**13
"""Maximum size of values up to which a network is recovered; a larger one is read like any other."""


def network(graph: Graph, inputs: Mapping[str, TensorSpec]) -> tuple[Network, dict[str, Array]] | None:
    """Recover the network and its weights; None if Striate did not write the file, or it was changed since."""
    if graph.producer != PRODUCER:
        return None
    specs, nodes, weights = dict(inputs), [], {}
    if not all(map(_usual, specs.values())):
        return None
    waiting: list[Call] = []
    for call in graph.calls:
        waiting.append(call)
        if not call.note.startswith(NOTE):
            continue
        try:
            record = json.loads(call.note.removeprefix(NOTE))
            node = Node(
                call.name, Op.from_dict(record["op"]), tuple(record["inputs"]), **sharing.from_dict(record)
            )
            declaration = declare(node, [specs[name] for name in node.inputs])
            if not all(map(_usual, declaration.outputs)):
                return None
            pen = pen_for(node, declaration)
        except (StriateError, ValueError, TypeError, KeyError, RecursionError, MemoryError):
            return None
        rewritten = adapt_operators(pen, graph.opset)
        if len(rewritten) != len(waiting) or not all(map(same, rewritten, waiting)):
            return None
        if not all(equal(graph.constants.get(name), array) for name, array in pen.constants.items()):
            return None
        for parameter in declaration.parameters:
            full = node.key(parameter.name)
            array = graph.constants.get(full)
            if array is None or array.shape != parameter.shape:
                return None
            weights[full] = np.asarray(array, np.float32)
        specs.update(zip(node.outputs, declaration.outputs, strict=True))
        nodes.append(node)
        waiting = []
    if waiting:
        return None
    images = {name: TensorSpec.image(spec.without_batch) for name, spec in inputs.items()}
    try:
        return Network(graph.name, images, tuple(nodes), graph.outputs), weights
    except GraphError:  # a node shares parameters of a missing node
        return None


def _usual(spec: TensorSpec) -> bool:
    """True if a value has the size of an image: the constants of an op can be as large as its input."""
    return spec.elements <= MAX_NUMBERS and max(spec.spatial_sizes, default=1) <= MAX_SIDE
