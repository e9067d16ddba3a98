"""Detect channels-last inputs, as in files from TensorFlow, by their first permutation.

The result only renames axes. Such an input is read channels-first; a permutation to the file's order follows, which the
file's own permutation undoes.
"""

from __future__ import annotations

from collections.abc import Mapping

from striate.formats.onnx.proto import Call, Graph

Shape = tuple[int | str | None, ...]

ALIKE = frozenset(
    "Abs Add Cast Clip DequantizeLinear Div Identity LeakyRelu Mul Neg Pad QuantizeLinear Relu Sigmoid Sub Tanh".split()  # noqa: SIM905
)
"""Operators that keep the axis order."""
WINDOWED = frozenset(
    "AveragePool BatchNormalization Conv ConvTranspose InstanceNormalization LRN MaxPool".split()  # noqa: SIM905
)
"""Operators that require channels first."""


def channels_last(graph: Graph) -> frozenset[str]:
    """The inputs whose readers, after operators that keep axes, all move the last axis to the front first."""
    readers: dict[str, list[Call]] = {}
    for call in graph.calls:
        for name in dict.fromkeys(call.inputs):
            readers.setdefault(name, []).append(call)
    return frozenset(
        name for name, shape in graph.inputs.items() if shape and 3 <= len(shape) <= 5
        and _is_channels_last(name, shape, readers, graph)
    )  # fmt: skip


def channels_first(shape: Shape) -> Shape:
    """A channels-last shape as channels-first."""
    return (shape[0], shape[-1], *shape[1:-1])


def _is_channels_last(name: str, shape: Shape, readers: Mapping[str, list[Call]], graph: Graph) -> bool:
    rank, visited, waiting, turns = len(shape), {name}, [name], []
    while waiting:
        for call in readers.get(waiting.pop(), ()):
            if call.kind in ("Shape", "Size") or call.outputs[0] in visited:
                continue
            if call.kind in ALIKE:
                visited.add(call.outputs[0])
                waiting.append(call.outputs[0])
            elif _moves_channels_first(call, rank, shape, graph):
                turns.append(call.outputs[0])
            else:
                return False
        if graph.outputs and set(graph.outputs) & visited:
            return False
    # With three axes the permutation is the same in both directions: the operators after it decide.
    return bool(turns) and (rank > 3 or all(_reaches_window(value, readers) for value in turns))


def _moves_channels_first(call: Call, rank: int, shape: Shape, graph: Graph) -> bool:
    """True if a call moves the last axis after the batch; a single channel may be reshaped instead."""
    if call.kind == "Transpose":
        return call.attributes.get("perm") == [0, rank - 1, *range(1, rank - 1)]
    if call.kind != "Reshape" or shape[-1] != 1 or rank < 4:
        return False
    target = graph.constants.get(call.inputs[1]) if len(call.inputs) > 1 else None
    return target is not None and list(target.ravel()[1:]) == [1, *shape[1:-1]]


def _reaches_window(name: str, readers: Mapping[str, list[Call]]) -> bool:
    visited, waiting = {name}, [name]
    while waiting:
        for call in readers.get(waiting.pop(), ()):
            if call.kind in WINDOWED:
                return True
            if call.kind in ALIKE | {"Unsqueeze", "Reshape"} and call.outputs[0] not in visited:
                visited.add(call.outputs[0])
                waiting.append(call.outputs[0])
    return False
