"""Data of several inputs: one array for each, by name; row 5 of one belongs to row 5 of the others.

Images, which have height and width, are stored and normalized as they are for one input; vectors, sequences and volumes
are used as they are, as float32. The network says which input is an image, so arrays are laid out when the network is
known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, TrainingError, plural, setting, suggest
from striate.network import Network
from striate.tensor import TensorSpec
from striate.train.data.arrays import (
    IN_MEMORY,
    as_labels,
    check_labels,
    numbered,
    on_one_scale,
    parts_of,
)
from striate.train.data.dataset import Array, Dataset, OnBad, Shape, View

EMPTY: Shape = (0, 0, 0)


class ArraysByInput(Dataset):
    """x: name -> array of N rows; y: (N,) class numbers or (N, K) one-hot. Raises FormatError if row numbers differ."""

    def __init__(
        self,
        x: Mapping[str, Any],
        y: Any,
        classes: Sequence[str] | None = None,
        *,
        kind: str = IN_MEMORY,
        part: str = "",
        remarks: Sequence[str] = (),
        on_bad: OnBad = "skip",
        naming: Callable[[int], str] | None = None,
        whites: Mapping[str, int] | None = None,
    ) -> None:
        self.x = {str(name): _numbers(str(name), np.asarray(array), kind) for name, array in x.items()}
        labels, names = as_labels(y, kind)
        for name, array in self.x.items():
            if len(array) != len(labels):
                raise FormatError(
                    f"{kind}: {name} has {plural(len(array), 'row')}, but there are {plural(len(labels), 'label')}",
                    where=kind,
                    why="the inputs need one row per label",
                    fix="give every input as many rows as there are labels",
                )
        if classes is None:
            classes = names or numbered(labels, kind)
        check_labels(labels, len(classes), kind)
        super().__init__(labels, classes, EMPTY, kind, part=part, remarks=remarks, on_bad=on_bad)
        self.whites = dict(whites) if whites is not None else whites_of([self.x], kind)
        self.pictures = False
        self._naming = naming or (lambda index: f"{kind} {part}#{index}".replace("  ", " "))

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return {name: array.shape[1:] for name, array in self.x.items()}

    def image(self, index: int) -> Any:
        return {name: array[index] for name, array in self.x.items()}

    def name(self, index: int) -> str:
        return self._naming(index)


class LaidOut(View):
    """Rows of arrays with the axes and types of a network's inputs."""

    def __init__(self, base: Dataset, net: Network, whites: Mapping[str, int]) -> None:
        super().__init__(base)
        self.whites = {name: _white(name, base, whites.get(name, 0)) for name in net.inputs}
        self._specs = dict(net.inputs)
        self._ways = {name: _way(name, base, spec, self.whites[name]) for name, spec in net.inputs.items()}

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return {name: spec.without_batch for name, spec in self._specs.items()}

    def image(self, index: int) -> Any:
        row: Any = self.base.image(index)
        return {name: way(row[name]) for name, way in self._ways.items()}


class OneInput(View):
    """The images of one of several inputs."""

    def __init__(self, base: Dataset, name: str) -> None:
        channels, height, width = base.inputs[name]
        super().__init__(base, shape=(channels, height, width))
        self.input, self.white, self.whites = name, base.whites.get(name) or None, {}

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return {}

    def image(self, index: int) -> Array:
        row: Any = self.base.image(index)
        image: Array = row[self.input]
        return image


def parts_by_input(
    pairs: Mapping[str, tuple[Mapping[str, Any], Any]],
    kind: str,
    names: Sequence[str] | None = None,
    remarks: Sequence[str] = (),
    naming: Callable[[str, int], str] | None = None,
) -> dict[str, Dataset]:
    """The parts of one set of several inputs, as `arrays.parts_of_arrays`. Raises FormatError, LimitError."""
    every = [{str(name): np.asarray(array) for name, array in x.items()} for x, _ in pairs.values()]
    for part, x in zip(pairs, every):
        if x.keys() != every[0].keys():
            raise FormatError(
                f"{kind}: the parts have different inputs",
                where=kind,
                why=f"{part} has {', '.join(x)}; the first part has {', '.join(every[0])}",
                fix="give every part the same inputs",
            )
    whites = whites_of(every, kind)
    return parts_of(ArraysByInput, every, pairs, kind, names, remarks, naming, whites=whites)


def whites_of(parts: Sequence[Mapping[str, Array]], kind: str) -> dict[str, int]:
    """The integer that each input's images read as 1, the same in all parts; 0 if there is none.

    Raises FormatError for images with different scales in different parts.
    """
    whites = {}
    for name in parts[0]:
        integers = [x[name] for x in parts if x[name].dtype.kind in "iu" and x[name].size]
        low, high = (
            min((int(x.min()) for x in integers), default=0),
            max((int(x.max()) for x in integers), default=0),
        )
        whites[name] = 0 if not integers or low < 0 or high > 65535 else 255 if high <= 255 else 65535
        if whites[name] and all(x[name].ndim == 4 for x in parts):
            on_one_scale([x[name] for x in parts], whites[name], f"{kind}: {name}")
    return whites


def lay_out(net: Network, data: Dataset, whites: Mapping[str, int] = MappingProxyType({})) -> Dataset:
    """Lay out the data for a network of several inputs; unchanged if network and data have one.

    whites: the integer of each input that training has read as 1, so that integers have the same scale here.
    Raises TrainingError if inputs are missing or unknown, or have other shapes than the network's.
    """
    if isinstance(data, LaidOut):
        return data
    if not data.inputs and len(net.inputs) == 1:
        return data
    names, data_names = list(net.inputs), list(data.inputs)
    if not data_names:
        raise TrainingError(
            f"{net.name} has {plural(len(names), 'input')}; the data has one image per label",
            where=data.source,
            why=f"its inputs are {', '.join(names)}",
            fix=f"fit({{{', '.join(f'{name!r}: …' for name in names)}}}, y), or an .npz file with "
            f"{', '.join(f'x_{name}' for name in names)} and y",
        )
    unknown = [name for name in data_names if name not in net.inputs]
    missing = [name for name in names if name not in data_names]
    if unknown or missing:
        near = suggest(unknown[0], missing) if unknown else None
        raise TrainingError(
            f"{net.name} has no input {unknown[0]!r}" if unknown else f"the data has no {missing[0]}",
            where=data.source,
            why=f"the network's inputs are {', '.join(names)}; the data has {', '.join(data_names)}",
            fix=f"write {near!r}" if near else "give one array for each input of the network",
        )
    rows = LaidOut(data, net, whites)
    if len(names) == 1 and len(rows.inputs[names[0]]) == 3:
        return OneInput(rows, names[0])
    return rows


def _numbers(name: str, array: Array, kind: str) -> Array:
    if array.dtype.kind not in "fiub" or array.ndim < 2 or 0 in array.shape[1:]:
        raise FormatError(
            f"{kind}: {name} is an array of shape {array.shape} and type {array.dtype}",
            where=kind,
            why="an input has one row of numbers per label: (N, K), (N, C, H, W), …",
            fix="reshape the array" if array.dtype.kind in "fiub" else "give numbers",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = ~np.isfinite(array).reshape(len(array), -1).all(1)
        raise FormatError(
            f"{kind}: row {int(np.argmax(bad))} of {name} has a value that is not finite",
            where=kind,
            why=f"{int(bad.sum()):,} of {len(array):,} rows are affected",
            fix="leave these rows out, or use np.nan_to_num",
        )
    return array


def _white(name: str, data: Dataset, trained_white: int) -> int:
    """The integer that an input's images read as 1. Raises TrainingError if it exceeds that of the training."""
    white = data.whites.get(name, 0)
    if trained_white and white > trained_white:
        raise TrainingError(
            f"{name}: pixels above {trained_white:,}",
            where=data.source,
            why=f"they are integers up to {white:,}; training read integers as 0..{trained_white:,}",
            fix="give float32 in [0, 1]",
        )
    return trained_white if trained_white and white else white


def _way(name: str, data: Dataset, spec: TensorSpec, level: int) -> Callable[[Array], Array]:
    """The function that converts a row of an input. Raises TrainingError if its shape differs from the network's."""
    shape, target = data.inputs[name], spec.without_batch
    image = len(target) == 3
    axes: tuple[int, ...] | None = None
    if shape == target:
        axes = tuple(range(len(shape)))
    elif image and (*shape[-1:], *shape[:-1]) == target and len(shape) == 3:
        axes = (2, 0, 1)
    elif image and target[0] == 1 and shape == target[1:]:
        axes = ()
    if axes is None:
        size = TensorSpec.image(shape) if 1 <= len(shape) <= 4 else shape
        raise TrainingError(
            f"{name} takes {spec}; the data has rows of shape {shape}",
            where=data.source,
            why="arrays of several inputs are not resized",
            fix=f"resize them, or declare the network with {setting('input', {name: size})}",
        )
    if not image:
        return lambda row: row.astype(np.float32)
    white = np.float32(level or 1)

    def laid(row: Array) -> Array:
        row = row.transpose(axes) if axes else row[None]
        if row.dtype == np.uint8:
            return row
        return row.astype(np.float32) / white if row.dtype.kind in "iu" else row.astype(np.float32)

    return laid
