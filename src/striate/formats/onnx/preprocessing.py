"""Write the normalization of images as the first operators of a graph, and fold it back into the record on reading.

A file that Striate wrote takes images in the range that training took. Its metadata names the value after these
operators: if they are unchanged, they count as the recorded transformation; otherwise they are ordinary operators, and
the transformation leaves normalization to them. So nothing is normalized twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.proto import Call, Graph
from striate.formats.onnx.spelling import Operator, equal, same
from striate.formats.recorded_steps import LUMA, word_of
from striate.network import Network
from striate.tensor import TensorSpec

Array = NDArray[Any]

NORMALIZED = "normalized"
"""The key of the record that names the value which the network reads."""


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Operators from the graph's input of `channels` to `value`, what the network reads."""

    input: str
    value: str
    channels: int
    operators: tuple[Operator, ...]
    constants: Mapping[str, Array]


def preprocessing(net: Network, transform: Any) -> tuple[Preprocessing, ...]:
    """Preprocessing of each input of a network; inputs without normalization, or whose normalization no operators
    express, have none.
    """
    result = []
    names = {*net.inputs, *net.producers, *(node.name for node in net.nodes)}
    for name, spec in net.inputs.items():
        value = f"{name}/{NORMALIZED}"
        while any(other.startswith(value) for other in names):
            value += "_"
        before = (
            None if name in net.outputs else operators(name, value, spec, _of_input(net, transform, name))
        )
        if before is not None:
            result.append(before)
            names.add(value)
    return tuple(result)


def record_entry(before: Sequence[Preprocessing], several: bool) -> Any:
    """The entry `NORMALIZED` of a record: the value that the network reads, or these by input."""
    return {one.input: one.value for one in before} if several else before[0].value


def operators(name: str, value: str, spec: TensorSpec, transform: Any) -> Preprocessing | None:
    """The operators between an input called `name` and the `value` of a spec."""
    steps = _steps(transform)
    at = next((n for n, step in enumerate(steps) if word_of(step) == "normalize"), None)
    if at is None or len(spec.without_batch) < 2:
        return None
    try:
        mean, std = (np.asarray(steps[at][key], np.float32).reshape(-1) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        return None
    after = [step.get("count") for step in steps[at + 1 :] if word_of(step) == "channels"]
    count = after[-1] if after else len(mean)
    if (
        count != spec.without_batch[0]
        or len(mean) != len(std)
        or (len(mean), count) not in _channel_changes(count)
    ):
        return None
    ones = (1,) * (len(spec.without_batch) - 1)
    constants: dict[str, Array] = {
        f"{value}/mean": mean.reshape(1, -1, *ones),
        f"{value}/std": std.reshape(1, -1, *ones),
    }
    scaled = value if count == len(mean) else f"{value}/scaled"
    calls: list[Operator] = [
        ("Sub", (name, f"{value}/mean"), (f"{value}/centered",), {}),
        ("Div", (f"{value}/centered", f"{value}/std"), (scaled,), {}),
    ]
    if len(mean) == 1 < count:
        calls.append(("Concat", (scaled,) * count, (value,), {"axis": 1}))
    elif count == 1 < len(mean):
        constants[f"{value}/luma"] = np.array(LUMA, np.float32).reshape(1, -1, *ones)
        constants[f"{value}/channels"] = np.array([1], np.int64)
        calls.append(("Mul", (scaled, f"{value}/luma"), (f"{value}/weighted",), {}))
        calls.append(("ReduceSum", (f"{value}/weighted", f"{value}/channels"), (value,), {"keepdims": 1}))
    return Preprocessing(name, value, len(mean), tuple(calls), constants)


def fold_preprocessing(graph: Graph, record: Any, about: Mapping[str, Any]) -> tuple[Graph, dict[str, Any]]:
    """Fold the normalization of a graph into the model's record. If the record does not match, the graph stays, and the
    transformation does not normalize again.
    """
    value = record.get(NORMALIZED) if isinstance(record, Mapping) else None
    if isinstance(value, str) and len(graph.inputs) == 1:
        (name,) = graph.inputs
        graph, transform = _fold_input(graph, name, value, about["transform"])
        return graph, {**about, "transform": transform}
    if isinstance(value, str):
        return graph, {**about, "transform": _without(about["transform"])}
    inputs = about["transform"].get("inputs")
    if not isinstance(value, Mapping) or not isinstance(inputs, Mapping):
        return graph, dict(about)
    transforms = dict(inputs)
    for name, inner in value.items():
        if name in transforms and name in graph.inputs and isinstance(inner, str):
            graph, transforms[name] = _fold_input(graph, name, inner, transforms[name])
        elif name in transforms:
            transforms[name] = _without(transforms[name])
    return graph, {**about, "transform": {**about["transform"], "inputs": transforms}}


def _fold_input(graph: Graph, name: str, value: str, transform: Any) -> tuple[Graph, Any]:
    """Remove the normalization of one input from the graph; return the graph and the transformation of that input."""
    match = _match_preprocessing(graph, name, value, transform)
    if match is None:
        return graph, _without(transform)
    before, sizes = match
    removed_values = {output for _, _, outputs, _ in before.operators for output in outputs}
    calls = [call for call in graph.calls if not removed_values & set(call.outputs)]
    shapes = {name: shape for name, shape in graph.shapes.items() if name not in removed_values}
    return (
        dataclasses.replace(
            graph,
            calls=tuple(_rename_input(call, value, before.input) for call in calls),
            inputs={**graph.inputs, before.input: sizes},
            constants={name: a for name, a in graph.constants.items() if name not in before.constants},
            shapes={**shapes, before.input: sizes},
        ),
        transform,
    )


def _match_preprocessing(
    graph: Graph, name: str, value: str, transform: Any
) -> tuple[Preprocessing, tuple[int | str | None, ...]] | None:
    """The operators at the beginning of a graph and their output sizes, if they match the record."""
    shape = graph.inputs[name]
    if shape is None or len(shape) < 3:
        return None
    counts = [step.get("count") for step in _steps(transform) if word_of(step) == "channels"]
    for channels in (shape[1], *counts):
        if not isinstance(channels, int) or channels < 1:
            continue
        spec = TensorSpec.image((channels, *(1,) * (len(shape) - 2)))
        before = operators(name, value, spec, transform)
        if before is None or before.channels != shape[1]:
            continue
        values = {output for _, _, outputs, _ in before.operators for output in outputs}
        first = [call for call in graph.calls if values & set(call.outputs)]
        rest = [call for call in graph.calls if not values & set(call.outputs)]
        fits = len(first) == len(before.operators) and all(map(same, before.operators, first))
        inner = values - {value}
        reads = {read for call in rest for read in call.inputs}
        if (
            fits
            and all(equal(graph.constants.get(key), array) for key, array in before.constants.items())
            and not reads & {*inner, name, *before.constants}
            and not {value, *inner} & set(graph.outputs)
        ):
            return before, (shape[0], channels, *shape[2:])
    return None


def _without(transform: Any) -> dict[str, Any]:
    """The transformation for a graph that normalizes by itself."""
    plain = dict(transform) if isinstance(transform, Mapping) else {}
    steps, after = [], False
    for step in _steps(transform):
        if word_of(step) == "normalize":
            count, after = len(step.get("mean") or (0,)), True
            step = {**step, "mean": [0.0] * count, "std": [1.0] * count}
        if not (after and word_of(step) == "channels"):
            steps.append(step)
    return {**plain, "steps": steps} if steps else plain


def _rename_input(call: Call, old: str, new: str) -> Call:
    inputs = tuple(new if name == old else name for name in call.inputs)
    if inputs == call.inputs or call.proto is None:
        return dataclasses.replace(call, inputs=inputs)
    proto = type(call.proto)()
    proto.CopyFrom(call.proto)
    del proto.input[:]
    proto.input.extend(inputs)
    return dataclasses.replace(call, inputs=inputs, proto=proto)


def _steps(transform: Any) -> Sequence[Mapping[str, Any]]:
    steps = transform.get("steps") if isinstance(transform, Mapping) else None
    return [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list | tuple) else []


def _of_input(net: Network, transform: Any, name: str) -> Any:
    """The part of a transformation that is for an input."""
    if len(net.inputs) == 1:
        return transform
    inputs = transform.get("inputs") if isinstance(transform, Mapping) else None
    return inputs.get(name) if isinstance(inputs, Mapping) else None


def _channel_changes(count: int) -> tuple[tuple[int, int], ...]:
    """(channels of the images, of the network): unchanged, gray repeated, color to gray."""
    return (count, count), (1, count), (3, 1)
