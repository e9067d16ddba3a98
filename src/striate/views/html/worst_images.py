"""The images that a run predicted worst, from its data: where these have moved, why there is no picture."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.diagnostics import FormatError, SourceError
from striate.train.config import Config
from striate.train.data.splits import VALIDATION
from striate.train.evaluate_model import unseen
from striate.views.html.figure import Missing, told

if TYPE_CHECKING:
    from striate.train.data import Dataset
    from striate.train.data.dataset import Array

MAX_SIDE_PIXELS = 160
"""Larger images are reduced to this."""
MIN_SHOWN_PIXELS = 112
"""Smaller images are enlarged, pixel by pixel, to about this."""
JPEG_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """uri: the image as data; width, height: pixels at which it is shown; note: what was changed to show it."""

    uri: str
    width: int
    height: int
    note: str = ""


def worst_images(config: Config, worst: Sequence[Mapping[str, Any]]) -> list[Thumbnail | Missing]:
    """A picture of each image of an evaluation on the validation data, or why there is none. worst: its entries."""
    data = told(lambda: unseen(config, split=VALIDATION)) if config.job.data else _ARRAYS
    if isinstance(data, Missing):
        return [data] * len(worst)
    find = _finder(data)
    return [told(lambda entry=entry: thumbnail(find(entry))) for entry in worst]  # type: ignore[misc]


_ARRAYS = Missing("the run was trained on arrays, which have no path")


def _finder(data: Dataset) -> Callable[[Mapping[str, Any]], Array]:
    """Gives the image (C, H, W) of an entry; raises SourceError where the data hold another one under its name."""
    numbers: dict[str, int] = {}

    def find(entry: Mapping[str, Any]) -> Array:
        index, name = entry["id"], entry["name"]
        if not (0 <= index < len(data) and data.name(index) == name):
            if not numbers:
                numbers.update((data.name(k), k) for k in range(len(data)))
            index = numbers.get(name, -1)
        if index < 0:
            raise SourceError("the image is no longer in the validation data")
        if data.classes[data.labels[index]] != entry["label"]:
            raise SourceError(f"the image now has the class {data.classes[data.labels[index]]}")
        if data.inputs:
            raise FormatError("a row of several inputs is not one picture")
        try:
            return data.image(index)
        except OSError as error:
            raise SourceError("the image cannot be read", why=error.strerror or str(error)) from None

    return find


def thumbnail(image: Array) -> Thumbnail:
    """A picture of an image (C, H, W), uint8 or float32. Raises FormatError for channels that are no colors."""
    from PIL import Image

    if image.ndim != 3 or len(image) not in (1, 3):
        raise FormatError(f"an image of {len(image)} channels is not one picture")
    pixels, note = _bytes(image)
    picture = Image.fromarray(
        pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    )
    side = max(picture.size)
    if side <= MAX_SIDE_PIXELS:
        times = max(1, MIN_SHOWN_PIXELS // side)
        uri = _uri(picture, "PNG", optimize=True)
        return Thumbnail(uri, picture.width * times, picture.height * times, note)
    small = picture.copy()
    small.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    reduced = f"reduced from {picture.width} x {picture.height} pixels"
    uri = _uri(small, "JPEG", quality=JPEG_QUALITY)
    return Thumbnail(uri, small.width, small.height, "; ".join(filter(None, (reduced, note))))


def _bytes(image: Array) -> tuple[Array, str]:
    """The same as uint8; of other numbers than 0 to 1 the least becomes black and the largest white."""
    if image.dtype == np.uint8:
        return image, ""
    values = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    note = ""
    if low < 0 or high > 1:
        values = (values - low) / (high - low or 1)
        note = f"black is {low:.4g}, white {high:.4g}"
    return np.round(values * 255).astype(np.uint8), note


def _uri(picture: Any, form: str, **options: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
