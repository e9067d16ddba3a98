"""Data and a trained model brought together: the same classes, the recorded transformation, the network's size.

Decides what may be adapted and says so; refuses what would give numbers without meaning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from striate.diagnostics import FormatError, suggest
from striate.train.data.dataset import Dataset, Shape, Subset
from striate.train.data.transforms import Transform


@dataclasses.dataclass(frozen=True, eq=False)
class Suited:
    """Data numbered as the model's classes, what takes its images into the network, and what had to be adapted."""

    data: Dataset
    transform: Transform
    notes: tuple[str, ...]


def suit(data: Dataset, transform: Transform, target: Shape, classes: Sequence[str] = ()) -> Suited:
    """`data` for a network of input `target` (C, H, W) trained with `transform` on `classes` (none: unknown).

    Raises FormatError where the data has classes the model does not know, or the transformation cannot be used.
    """
    whole, notes = transform.fit_to(data.shape, target, data.uniform)
    if not classes or tuple(classes) == data.classes:
        return Suited(data, whole, notes)
    unknown = [name for name in data.classes if name not in classes]
    if unknown:
        near = suggest(unknown[0], classes)
        raise FormatError(
            f"the model does not know the class {unknown[0]!r}",
            where=data.source,
            why=f"it was trained on {', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''}",
            fix=f"did you mean {near}? name the class as in training"
            if near
            else "data with the classes of the training",
        )
    place = {name: number for number, name in enumerate(classes)}
    numbered = Subset(data, np.arange(len(data)), data.part)
    numbered.labels = np.array([place[name] for name in data.classes], np.int64)[data.labels]
    numbered.classes = tuple(classes)
    return Suited(
        numbered, whole, (*notes, f"{len(data.classes)} classes numbered as the model's {len(classes)}")
    )
