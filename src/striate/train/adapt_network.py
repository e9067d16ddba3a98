"""The network that a MODEL names, built for a dataset: one output per class, and the images' size.

A catalogue model follows the data; a network that someone wrote stays as it is. Notes say what was decided.
"""

from __future__ import annotations

import dataclasses

from striate import models
from striate.diagnostics import StriateError, TrainingError, UnknownNameError, plural
from striate.formats import load
from striate.formats.loaded import Loaded, structure
from striate.models.catalogue import Entry
from striate.network import Network
from striate.ops.linear import Linear
from striate.tensor import TensorSpec
from striate.train.data import Dataset
from striate.train.data.adapt import with_classes
from striate.train.data.dataset import Shape
from striate.train.data.several import lay_out


@dataclasses.dataclass(frozen=True)
class AdaptedNetwork:
    """A network for a dataset, and notes about what was decided, one line each."""

    net: Loaded
    notes: tuple[str, ...] = ()


def adapt_network(model: str, data: Dataset, input: str = "") -> AdaptedNetwork:
    """The network called `model` for the images and classes of `data`; input: its size, "" for that of the images.

    A catalogue model gets the classes of the data and, if it has an output at that size, the size of its images.
    Any other network stays as it was written. Raises StriateErrors of loading, TrainingError if the classes differ.
    """
    entry = _entry(model)
    if entry is None:
        net = load(model, _sizes(input))
        adapted = _as_written(net, with_classes(data, net.classes)[0])
        notes = (f"starts with the weights of {model}",) if net.weights is not None else ()
        return AdaptedNetwork(adapted.net, (*adapted.notes, *notes))
    if data.inputs:  # which no network of the catalogue takes
        lay_out(entry.build(entry.input), data)
    shape = load(model, input).input.without_batch if input else None
    network, note = _build(entry, data, shape)
    if network.inference.problems:
        raise network.inference.problems[0]
    return AdaptedNetwork(_check_outputs(structure(network), data), (note,))


def _sizes(input: str) -> str | dict[str, str] | None:
    """Parse an input size; of several inputs ``left=32x32x3,right=64``."""
    if "=" not in input:
        return input or None
    pairs = (part.strip().rpartition("=") for part in input.split(",") if part.strip())
    return {name.strip(): size.strip() for name, _, size in pairs}


def image_input(net: Network) -> Shape:
    """(C, H, W) of the network's one input. Raises TrainingError if it takes something other than one image."""
    if len(net.inputs) > 1:
        names = list(net.inputs)
        raise TrainingError(
            f"{net.name} takes {plural(len(names), 'input')}, not one image",
            where=f"its inputs are {', '.join(f'{name} {spec}' for name, spec in net.inputs.items())}",
            why="it is unknown which of them the image is for",
            fix=f"give one array per input: {{{', '.join(f'{name!r}: …' for name in names)}}}",
        )
    shape = net.input.without_batch
    if len(shape) != 3:
        raise TrainingError(
            f"{net.name} takes no images",
            where=f"its input {net.input}",
            why=f"an image has 3 axes, the input has {len(shape)}",
            fix="use a network whose input is HxWxC",
        )
    return shape[0], shape[1], shape[2]


def _entry(model: str) -> Entry | None:
    """The catalogue entry of this name, or None. Paths and notation are never names of entries."""
    try:
        return models.get(model)
    except UnknownNameError:
        return None


def _build(entry: Entry, data: Dataset, input: tuple[int, ...] | None) -> tuple[Network, str]:
    count = len(data.classes)
    classes = plural(count, "class", "classes")
    if input is not None:
        return entry.build(input, num_classes=count), f"{entry.name} created for {classes}"
    channels = data.shape[0]
    shape: Shape = (channels, *entry.input[1:])
    size = TensorSpec.image(shape)
    if not data.uniform:
        return entry.build(shape, num_classes=count), (
            f"{entry.name} created for {classes}; the images differ in size and are resized to its {size}"
        )
    if data.shape == shape:
        return entry.build(shape, num_classes=count), f"{entry.name} created for {classes}"
    images = f"{data.shape[1]}x{data.shape[2]}"
    try:
        net = entry.build(data.shape, num_classes=count)
        if not net.inference.problems:
            note = f"{entry.name} created for the image size {TensorSpec.image(data.shape)} and {classes}"
            return net, note
    except StriateError:  # too small already for the builder
        pass
    return entry.build(shape, num_classes=count), (
        f"{entry.name} created for {classes}; it has no output at {images}, so images are resized to its {size}"
    )


def _as_written(net: Loaded, data: Dataset) -> AdaptedNetwork:
    if net.inference.problems:
        raise net.inference.problems[0]
    if data.inputs or len(net.inputs) > 1:
        lay_out(net, data)
        return AdaptedNetwork(_check_outputs(net, data))
    shape = image_input(net)
    if not data.uniform:
        return AdaptedNetwork(
            _check_outputs(net, data), (f"the images differ in size and are resized to {net.input}",)
        )
    if data.shape != shape:
        images = TensorSpec.image(data.shape)
        return AdaptedNetwork(
            _check_outputs(net, data), (f"images of {images} are resized to the network's {net.input}",)
        )
    return AdaptedNetwork(_check_outputs(net, data))


def _check_outputs(net: Loaded, data: Dataset) -> Loaded:
    """The network, if it has one output per class. Raises TrainingError."""
    name, count = net.outputs[0], len(data.classes)
    shape = net.specs[name].without_batch
    last = net.producers.get(name)
    where = f"{last.name} = {last.op}, the end of {net.name}" if last else net.name
    if len(shape) != 1:
        raise TrainingError(
            f"{net.name} outputs a map, but the data has one label per image",
            where=where,
            why=f"its output is {net.specs[name]}",
            fix=f"end it with: -> gap -> flatten -> fc {count}",
        )
    if shape[0] == count or (shape[0] == 1 and count == 2):
        return net
    ends = isinstance(last.op, Linear) if last else False
    raise TrainingError(
        f"{net.name} has {plural(shape[0], 'output')}, but the data has {plural(count, 'class', 'classes')}",
        where=where,
        why=f"{data.source}",
        fix=f"end it with fc {count} instead of fc {shape[0]}"
        if ends
        else f"end it with: -> flatten -> fc {count}",
    )
