"""Adapts data to a trained model: the same classes, the recorded transformation, the network's size.

Notes say what was adapted; what would give meaningless results is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from striate.diagnostics import FormatError, leading, plural, suggest
from striate.train.data.dataset import Dataset, Shape, View
from striate.train.data.transforms import Transform


@dataclasses.dataclass(frozen=True, eq=False)
class AdaptedData:
    """Data with the model's class numbers, the transformation for its images, and notes about what was adapted."""

    data: Dataset
    transform: Transform
    notes: tuple[str, ...]


def adapt_data(
    data: Dataset, transform: Transform, target: Shape, classes: Sequence[str] = ()
) -> AdaptedData:
    """`data` for a network of input `target` (C, H, W) trained with `transform` on `classes` (none: unknown).

    Raises FormatError if the data has classes that the model lacks, or the transformation cannot be used.
    """
    way = transform if data.pictures else transform.for_arrays(data.shape, target)
    result, notes = way.fit_to(data.shape, target, data.uniform)
    numbered, more = renumbered(data, classes)
    return AdaptedData(numbered, result, (*notes, *more))


def renumbered(data: Dataset, classes: Sequence[str]) -> tuple[Dataset, tuple[str, ...]]:
    """`data` with the class numbers of a model, by name; labels that are numbers count as the model's.

    classes: the model's, empty: unknown. Raises FormatError for a class that the model lacks.
    """
    if not classes or tuple(classes) == data.classes:
        return data, ()
    place = {name: number for number, name in enumerate(classes)}
    unknown = [name for name in data.classes if name not in place]
    if unknown and is_numbers(data.classes) and len(data.classes) <= len(classes):
        place, unknown = {str(number): number for number in range(len(classes))}, []
    if unknown:
        near = suggest(unknown[0], classes)
        raise FormatError(
            f"the model has no class {unknown[0]!r}",
            where=data.source,
            why=f"it was trained on {leading(classes, 8)}",
            fix=f"did you mean {near}? use the class names of the training data"
            if near
            else "use data with the classes of the training",
        )
    labels = np.array([place[name] for name in data.classes], np.int64)[data.labels]
    return View(data, labels=labels, classes=classes), (
        f"{plural(len(data.classes), 'class', 'classes')} numbered like the model's {len(classes)}",
    )


def with_classes(data: Dataset, classes: Sequence[str]) -> tuple[Dataset, tuple[str, ...]]:
    """`data` with the class numbers of a model, and notes.

    If the names differ but not their number, the data's classes replace the model's. Raises FormatError for another
    number of classes.
    """
    try:
        return renumbered(data, classes)[0], ()
    except FormatError:
        if len(data.classes) != len(classes):
            raise
    old, new = leading(classes, 5), leading(data.classes, 5)
    return data, (f"the classes change from {old} to {new}",)


def is_numbers(classes: Sequence[str]) -> bool:
    """True if the classes are called 0, 1, 2, …: labels that are numbers without names."""
    return all(name == str(number) for number, name in enumerate(classes))


def for_outputs(data: Dataset, outputs: int, from_model: bool) -> Dataset:
    """`data` with as many classes as the network has outputs. from_model: True if the classes are the model's.

    Raises FormatError if the network has other classes than these.
    """
    count = len(data.classes)
    if count == outputs:
        return data
    if count < outputs and not from_model and is_numbers(data.classes):
        return View(data, classes=tuple(map(str, range(outputs))))
    names = leading(data.classes, 4)
    raise FormatError(
        f"the network has {plural(outputs, 'class', 'classes')}, "
        f"the {'model names' if from_model else 'data has'} {count:,}",
        where=data.source,
        why=f"it is unknown which of its {plural(outputs, 'output')} are {names}"
        if count < outputs
        else "the others have no output",
        fix="use a model with class names, or class indices as labels"
        if count < outputs
        else f"use data with {plural(outputs, 'class', 'classes')}",
    )
