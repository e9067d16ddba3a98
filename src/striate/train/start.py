"""How training starts: data and a network, which may be trained already, brought together.

Decides what a trained network keeps, its classes and its transformation, and says what changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from striate.diagnostics import UsageError
from striate.engine.inputs import as_array
from striate.network import Network
from striate.train.data import Dataset, Transform, open_data
from striate.train.data.dataset import OnBad, Subset
from striate.train.data.several import laid_out
from striate.train.data.splits import ALL, VALIDATION
from striate.train.data.suiting import renumbered, with_classes
from striate.train.data.transforms import ByInput
from striate.train.network import image_input
from striate.train.settings import Settings
from striate.train.source import augmented, augmented_by_input, transforms, white_of

FAR = 3.0
"""Deviations by which the mean of new images differs from that of the training before it is said."""


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """made: the transformations for training and for everything else; notes: what a trained model loses or adapts."""

    train: Dataset
    validation: Dataset | None
    made: tuple[Transform, Transform]
    notes: tuple[str, ...] = ()


def start_from(
    net: Network,
    train: Dataset,
    validation: Dataset | None,
    settings: Settings,
    classes: Sequence[str] = (),
    transform: Mapping[str, Any] | None = None,
) -> Start:
    """Training of a network whose model knows `classes` and a `transform`, empty where it was never trained.

    Raises FormatError where classes or images are of another kind than those of the model.
    """
    recorded = Transform.from_dict(transform) if transform else Transform()
    train = laid_out(net, train, recorded.whites if isinstance(recorded, ByInput) else {})
    validation = None if validation is None else laid_out(net, validation, train.whites)
    train, notes = with_classes(train, classes)
    if validation is not None and len(validation):
        validation, _ = renumbered(validation, train.classes)
    if isinstance(recorded, ByInput) and train.inputs:
        return Start(train, validation, (augmented_by_input(recorded, train, settings), recorded), notes)
    if train.inputs or recorded.normalise is None:
        made = transforms(net, train, settings)
        if transform:
            old = recorded.describe()
            notes = (*notes, f"the transformation becomes {made[1].describe()}; it was {old}, without a mean")
        return Start(train, validation, made, notes)
    target, known = image_input(net), recorded
    way = known if train.pictures else known.for_arrays(train.shape, target)
    plain, adapted = way.fit_to(train.shape, target, train.uniform)
    plain = dataclasses.replace(plain, white=white_of(train) or known.white)
    notes = (*notes, *adapted, *far(train, plain))
    return Start(train, validation, (augmented(plain, train, target, settings), plain), notes)


def given_data(train: Any, labels: Any, validation: Any, epochs: Any = None) -> tuple[Any, Any]:
    """Training and validation data of what was given in order: images and labels, or data and validation data.

    Raises UsageError where labels are missing, validation data comes twice, or in the place of the number of epochs.
    """
    if isinstance(epochs, tuple | list | Mapping):
        raise UsageError(
            "epochs is a number, and data came",
            why="the third argument says how long to train",
            fix="validation=(x, y)",
        )
    if isinstance(train, list) and labels is not None and is_array(labels):
        train = as_array(train)  # images one by one
    if is_array(train):
        if labels is None:
            raise UsageError(
                "images without labels", why="an array holds the images alone", fix="give both: (x, y)"
            )
        return (train, labels), validation
    if labels is not None and validation is not None:
        raise UsageError("there are two sets of validation data", fix="give one: validation=…")
    return train, labels if validation is None else validation


def by_input(net: Network, data: Any, labels: Any = None) -> Any:
    """The arrays of several inputs by name where they were given in order: ((a, b), y), parts of such, or (a, b) beside
    `labels`. A dict for the sole input of a network is its array.
    """
    names = list(net.inputs)
    if isinstance(data, Mapping):
        if len(names) == 1 and data.keys() == net.inputs.keys():
            return data[names[0]]
        return data if is_array(data) else {name: by_input(net, one) for name, one in data.items()}
    in_order = isinstance(data, tuple | list) and len(data) == len(names) > 1 and all(map(is_array, data))
    if in_order and labels is not None and is_array(labels):
        return dict(zip(names, data, strict=True))
    if not isinstance(data, tuple | list) or len(data) != 2:
        return data
    first = data[0]
    if isinstance(first, Mapping) and len(names) == 1 and first.keys() == net.inputs.keys():
        return first[names[0]], data[1]
    if (
        len(names) > 1
        and isinstance(first, tuple | list)
        and len(first) == len(names)
        and all(map(is_array, first))
    ):
        return dict(zip(names, first, strict=True)), data[1]
    return data


def is_array(x: Any) -> bool:
    """Whether this is an array of images, or a dict of them by input."""
    if isinstance(x, Mapping):
        return bool(x) and all(map(is_array, x.values()))
    return hasattr(x, "__array__") and not hasattr(x, "features")  # which Hugging Face's data sets have


def opened(
    data: Any, validation: Any, seed: int, on_bad: str, run: Any = None
) -> tuple[Dataset, Dataset | None]:
    """The parts to train and to validate on. run: the folder of a run that goes on.

    Raises UsageError where there is no data, and what `open_data` raises.
    """
    if data is None or (isinstance(data, str) and not data):
        raise UsageError(
            "there is no data to train on",
            why="the call has none"
            if run is None
            else f"the run in {run} was trained on data that has no path",
            fix="fit(x, y), or fit(PATH)"
            if run is None
            else f"give it again: fit(x, y, resume={str(run)!r})",
        )
    if validation is None:
        parts = open_data(data, seed=seed, on_bad=cast("OnBad", on_bad))
        return parts.train, parts.validation
    pair = isinstance(validation, tuple | list)  # which may be empty
    train = open_data(data, ALL)
    apart = {VALIDATION: validation} if pair else validation
    return train, open_data(apart, ALL, white=train.white or 0)


def far(data: Dataset, plain: Transform) -> tuple[str, ...]:
    """What is said where images are of another range than those of the training before."""
    normalise = plain.normalise
    if normalise is None or not len(data):
        return ()
    sample = Subset(data, np.unique(np.linspace(0, len(data) - 1, 100).astype(np.int64)), data.part)
    mean, std = sample.statistics()
    if len(mean) != len(normalise.mean):
        return ()
    distance = max(
        abs(m - n) / max(s, t) for m, n, s, t in zip(mean, normalise.mean, std, normalise.std, strict=True)
    )
    wide = max(max(s / t, t / s) for s, t in zip(std, normalise.std, strict=True))
    if distance <= FAR and wide <= 10 * FAR:
        return ()
    return (
        f"the images have mean {_numbers(mean)} and standard deviation {_numbers(std)}; the model keeps the "
        f"transformation of its training, {_numbers(normalise.mean)} and {_numbers(normalise.std)}",
    )


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{value:.3g}" for value in values)
