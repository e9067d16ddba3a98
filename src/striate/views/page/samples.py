"""Images of a run's data to try in the page: a few of each class, in the network's size."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.diagnostics import FormatError, StriateError
from striate.formats.folder import RUN_CONFIG
from striate.train.config import Config
from striate.train.data.dataset import Array
from striate.train.data.image_transforms import Channels, Normalize
from striate.train.data.splits import VALIDATION
from striate.train.data.transforms import Transform
from striate.train.evaluate_model import unseen

if TYPE_CHECKING:
    from striate.formats.loaded import Loaded
    from striate.train.data.dataset import Dataset
    from striate.views.schemas.forward import SampleImage

MAX_SAMPLES = 10
MAX_BYTES = 60_000
"""Bytes of all samples together."""


def run_samples(folder: Path, net: Loaded, channels: int) -> list[SampleImage]:
    """Images of the data that a run was validated on, one class after the other; empty where they cannot be read.

    net: the run's network; channels: those of a drawing, 1 or 3.
    """
    try:
        config = Config.read(folder / RUN_CONFIG)
        if not config.job.data:
            return []
        data = unseen(config, split=VALIDATION)
        return [] if data.inputs else [*_samples(data, net, channels)]
    except (StriateError, OSError):
        return []


def _samples(data: Dataset, net: Loaded, channels: int) -> Iterator[SampleImage]:
    transform = Transform.from_dict(net.transform)
    height, width = net.input.spatial
    count = min(MAX_SAMPLES, MAX_BYTES // (height * width * channels))
    for index in _spread(data, count):
        pixels = _resized(data.image(index), transform, (height, width), channels)
        if pixels is not None:
            yield {
                "name": data.name(index),
                "label": data.classes[data.labels[index]],
                "pixels": base64.b64encode(
                    np.ascontiguousarray(pixels.transpose(1, 2, 0)).tobytes()
                ).decode(),
            }


def _spread(data: Dataset, count: int) -> list[int]:
    """Numbers of images: the first of every class, then the second ones, as long as there is room."""
    rows: dict[int, list[int]] = {}
    for index, label in enumerate(data.labels.tolist()):
        rows.setdefault(label, []).append(index)
    turns = max(map(len, rows.values()), default=0)
    order = (rows[label][turn] for turn in range(turns) for label in sorted(rows) if turn < len(rows[label]))
    return [index for index, _ in zip(order, range(count))]


def _resized(image: Array, transform: Transform, size: tuple[int, int], channels: int) -> Array | None:
    """The image (C, H, W) in the network's size as bytes, as its transformation resizes it; None if it is not one."""
    places = tuple(step for step in transform.steps if not isinstance(step, Normalize | Channels))
    resize: Any = dataclasses.replace(transform, steps=(*places, Channels(channels)))
    try:
        x = resize(image[None])[0]
    except FormatError:
        return None
    if x.shape != (channels, *size) or not (float(x.min()) >= 0 and float(x.max()) <= 1):
        return None
    return np.asarray(np.rint(x * 255), np.uint8)
