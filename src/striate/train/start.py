"""Start of training: adapts the data and a network, which may be trained already, to each other.

Decides which classes and transformation a trained network keeps; notes say what changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.network import Network
from striate.train.adapt_network import image_input
from striate.train.data import Dataset, Transform
from striate.train.data.adapt import renumbered, with_classes
from striate.train.data.dataset import Subset
from striate.train.data.several import lay_out
from striate.train.data.transforms import ByInput
from striate.train.data_source import augment, augment_by_input, make_transforms, white_of
from striate.train.settings import Settings

MAX_MEAN_DEVIATIONS = 3.0
"""Deviation of the mean of new images from the training mean, in standard deviations, that causes a remark."""


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """Data and transformations of a run.

    transforms: for training and for everything else; notes: what changes for a trained model.
    """

    train: Dataset
    validation: Dataset | None
    transforms: tuple[Transform, Transform]
    notes: tuple[str, ...] = ()


def start_from(
    net: Network,
    train: Dataset,
    validation: Dataset | None,
    settings: Settings,
    classes: Sequence[str] = (),
    transform: Mapping[str, Any] | None = None,
) -> Start:
    """Prepare training of a network whose model has `classes` and a `transform`, empty if it was never trained.

    Raises FormatError if classes or images do not fit those of the model.
    """
    recorded = Transform.from_dict(transform) if transform else Transform()
    train = lay_out(net, train, recorded.whites if isinstance(recorded, ByInput) else {})
    validation = None if validation is None else lay_out(net, validation, train.whites)
    train, notes = with_classes(train, classes)
    if validation is not None and len(validation):
        validation, _ = renumbered(validation, train.classes)
    if isinstance(recorded, ByInput) and train.inputs:
        return Start(train, validation, (augment_by_input(recorded, train, settings), recorded), notes)
    if train.inputs or recorded.normalize is None:
        transforms = make_transforms(net, train, settings)
        if transform:
            old = recorded.describe()
            notes = (
                *notes,
                f"the transformation changes from {old}, without a mean, to {transforms[1].describe()}",
            )
        return Start(train, validation, transforms, notes)
    target = image_input(net)
    base = recorded if train.pictures else recorded.for_arrays(train.shape, target)
    plain, adapted = base.fit_to(train.shape, target, train.uniform)
    plain = dataclasses.replace(plain, white=white_of(train) or recorded.white)
    notes = (*notes, *adapted, *scale_notes(train, plain))
    return Start(train, validation, (augment(plain, train, target, settings), plain), notes)


def scale_notes(data: Dataset, plain: Transform) -> tuple[str, ...]:
    """A warning if images are on another scale than those of the previous training."""
    normalize = plain.normalize
    if normalize is None or not len(data):
        return ()
    sample = Subset(data, np.unique(np.linspace(0, len(data) - 1, 100).astype(np.int64)), data.part)
    mean, std = sample.statistics()
    if len(mean) != len(normalize.mean):
        return ()
    distance = max(
        abs(m - n) / max(s, t) for m, n, s, t in zip(mean, normalize.mean, std, normalize.std, strict=True)
    )
    wide = max(max(s / t, t / s) for s, t in zip(std, normalize.std, strict=True))
    if distance <= MAX_MEAN_DEVIATIONS and wide <= 10 * MAX_MEAN_DEVIATIONS:
        return ()
    return (
        f"the images have mean {_numbers(mean)} and standard deviation {_numbers(std)}; the model keeps the "
        f"values of its training, {_numbers(normalize.mean)} and {_numbers(normalize.std)}",
    )


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{value:.3g}" for value in values)
