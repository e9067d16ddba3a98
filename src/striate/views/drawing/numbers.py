"""Numbers of a network for pictures: its weights, and what arrays become as levels of 8 bits.

Only the kinds that show numbers import this module: it loads numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.views.drawing import tiles
from striate.views.drawing.known import known

if TYPE_CHECKING:
    from striate.formats.loaded import Loaded
    from striate.network import Network
    from striate.views.schemas.facts import Plane

Array = NDArray[Any]

SEED = 0
"""Of fresh weights, which pictures say."""
ZERO = 128
"""Level of the number 0 on a scale with both signs."""


def with_numbers(net: Network, model: Any) -> Loaded:
    """The part of a network that has sizes, with weights: a model's or a file's own, else fresh ones, not `trained`.

    model: what the network was given as. Raises SourceError where the weights of a trained model are missing.
    """
    from striate.formats.loaded import Loaded
    from striate.formats.with_weights import with_weights
    from striate.model import Model

    if isinstance(model, Model):
        return Loaded.of(net, model.weights.current(), classes=model.classes, transform=model.transform)
    if not net.inference.problems:
        return with_weights(model if isinstance(model, Loaded) else net, seed=SEED)
    part = known(net)
    if not isinstance(model, Loaded) or model.weights is None:
        return with_weights(part, seed=SEED)
    kept = {name: array for name, array in model.weights.items() if name in part.parameters}
    return Loaded.of(part, kept, classes=model.classes, transform=model.transform)


def largest(array: Array) -> float:
    """The largest finite number without its sign; 0 without any."""
    finite = array[np.isfinite(array)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def signed_levels(plane: Array, most: float) -> list[list[int | None]]:
    """Levels of numbers from -most to most, 128 for 0; None for those that are not finite. plane: (rows, columns)."""
    return _levels(plane, ZERO, 127.0, most)


def share_levels(plane: Array, most: float) -> list[list[int | None]]:
    """Levels of numbers from 0 to most, 0 for 0; None for those that are not finite. plane: (rows, columns)."""
    return _levels(plane, 0, 255.0, most)


def unit_range(image: Array) -> Array:
    """Pixels from 0 to 1; of other numbers the least becomes black and the largest white."""
    low, high = float(image.min()), float(image.max())
    if low >= -1e-4 and high <= 1.0001:
        low, high = 0.0, 1.0
    result: Array = np.clip((image - low) / (high - low or 1.0), 0.0, 1.0)
    return result


def image_levels(image: Array, most_cells: int) -> tuple[list[list[int | None]], str]:
    """Levels of an image (C, H, W) from 0 to 1 and their palette; of other channels than three the first is shown.

    most_cells: along a side; of larger images the means of blocks.
    """
    planes = [
        share_levels(coarse(plane, most_cells)[0], 1.0) for plane in (image if len(image) == 3 else image[:1])
    ]
    return (tiles.in_color(*planes), "rgb") if len(planes) == 3 else (planes[0], "gray")


def _levels(plane: Array, zero: int, span: float, most: float) -> list[list[int | None]]:
    finite = np.isfinite(plane)
    numbers = np.where(finite, plane, 0).astype(np.float64)
    levels = zero + np.rint(numbers * (span / most if most else 0.0)).astype(int)
    return [
        [level if real else None for level, real in zip(row, reals, strict=True)]
        for row, reals in zip(levels.tolist(), finite.tolist(), strict=True)
    ]


def sampled(size: int, most: int) -> list[int]:
    """All indices of an axis, or `most` of them at equal distances from the first to the last."""
    if size <= most:
        return list(range(size))
    return [k * (size - 1) // max(most - 1, 1) for k in range(most)]


def coarse(plane: Array, side: int, axes: Sequence[int] = (0, 1)) -> tuple[Array, int]:
    """A plane as means over blocks along these axes, none of which is longer then than `side`; the side of a block."""
    block = max(1, math.ceil(max(plane.shape[axis] for axis in axes) / side))
    if block == 1:
        return plane, 1
    for axis in axes:
        size = plane.shape[axis]
        starts = np.arange(0, size, block)
        counts = np.diff([*starts, size]).reshape((-1, 1) if axis == 0 else (1, -1))
        plane = np.add.reduceat(plane.astype(np.float64), starts, axis=axis) / counts
    return plane, block


def planes(array: Array, channels: Sequence[int]) -> Iterator[tuple[Plane, Array]]:
    """The planes of an array (channels, space): records without levels, and their numbers.

    One for each channel; for one axis of space a single plane, a row for each channel; for three, one for each slice
    of each channel. channels: those to take.
    """
    if array.ndim == 2:
        yield {"channels": list(channels), "levels": []}, array[list(channels)]
        return
    for channel in channels:
        if array.ndim == 3:
            yield {"channels": [channel], "levels": []}, array[channel]
            continue
        for depth, plane in enumerate(array[channel]):
            yield {"channels": [channel], "slice": depth, "levels": []}, plane
