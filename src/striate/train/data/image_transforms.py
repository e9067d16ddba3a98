"""Image transforms; each is a frozen dataclass of its settings.

A step works on a batch (N, C, H, W) and, if it is random, on `draws` numbers in [0, 1) per image: the result for an
image depends on its own draws only, never on its batch. uint8 stays uint8 until a step needs fractions. numpy and
Pillow only.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, plural
from striate.formats.recorded_steps import LUMA
from striate.signatures import ExplainMisuse
from striate.train.data.dataset import Array, Shape, to_float

Draws = NDArray[np.float64]
Size = tuple[int, int]  # (H, W)
CHUNK_PIXELS = 1 << 16
"""Pixels that are resampled per call, because calls for single small images cost more than their work."""


@dataclasses.dataclass(frozen=True)
class ImageTransform(metaclass=ExplainMisuse):
    """One step of a transformation; subclasses add fields. `word` is its name in a recorded transformation."""

    word: ClassVar[str]
    draws: ClassVar[int] = 0

    def __call__(self, x: Array, u: Draws) -> Array:
        """x: (N, C, H, W); u: (N, draws). Never changes x in place."""
        raise NotImplementedError

    def output(self, shape: Shape) -> Shape:
        """The shape of an image after this step. Raises FormatError if the step cannot take it."""
        return shape

    def __str__(self) -> str:
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return " ".join([self.word, *(_plain(value) for value in values)])


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        numbers = all(isinstance(part, int) for part in value)
        return ("x" if numbers else ",").join(_plain(part) for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def demand(condition: bool, what: str, fix: str) -> None:
    """Raise FormatError if a setting is out of range."""
    if not condition:
        raise FormatError(what, where="transform", fix=fix)


@dataclasses.dataclass(frozen=True)
class Resize(ImageTransform):
    """Resampled to exactly `size` (H, W), antialiased; the aspect ratio may change (see Fit)."""

    word = "resize"
    size: Size

    def __post_init__(self) -> None:
        demand(min(self.size) >= 1, f"resize to {self.size}", "use sizes of at least 1 pixel")

    def __call__(self, x: Array, u: Draws) -> Array:
        return resample(x, self.size)

    def output(self, shape: Shape) -> Shape:
        return shape[0], *self.size


@dataclasses.dataclass(frozen=True)
class Fit(ImageTransform):
    """Resampled so that `size` (H, W) is just covered, then the center is cut out: nothing is distorted."""

    word = "fit"
    size: Size

    def __post_init__(self) -> None:
        demand(min(self.size) >= 1, f"fit to {self.size}", "use sizes of at least 1 pixel")

    def __call__(self, x: Array, u: Draws) -> Array:
        height, width = x.shape[2:]
        if (height, width) == self.size:
            return x
        scale = max(self.size[0] / height, self.size[1] / width)
        covering = max(self.size[0], round(height * scale)), max(self.size[1], round(width * scale))
        return CenterCrop(self.size)(Resize(covering)(x, u), u)

    def output(self, shape: Shape) -> Shape:
        return shape[0], *self.size


@dataclasses.dataclass(frozen=True)
class CenterCrop(ImageTransform):
    """The middle `size` (H, W) of an image at least as large."""

    word = "center_crop"
    size: Size

    def __call__(self, x: Array, u: Draws) -> Array:
        self.output((x.shape[1], x.shape[2], x.shape[3]))
        top, left = ((have - want) // 2 for have, want in zip(x.shape[2:], self.size))
        return x[:, :, top : top + self.size[0], left : left + self.size[1]]

    def output(self, shape: Shape) -> Shape:
        if shape[1] < self.size[0] or shape[2] < self.size[1]:
            raise FormatError(
                f"a center crop of {self.size[0]}x{self.size[1]} is larger than the image of {shape[1]}x{shape[2]}",
                where="transform",
                fix=f'use "fit" to {self.size[0]}x{self.size[1]} instead',
            )
        return shape[0], *self.size


@dataclasses.dataclass(frozen=True)
class PadCrop(ImageTransform):
    """Zeros on every side, `padding` pixels, then a random window of the image's own size: a random shift."""

    word, draws = "pad_crop", 2
    padding: int = 4

    def __post_init__(self) -> None:
        demand(self.padding >= 0, f"pad_crop by {self.padding}", "use at least 0 pixels")

    def __call__(self, x: Array, u: Draws) -> Array:
        p, (height, width) = self.padding, x.shape[2:]
        padded = np.zeros((*x.shape[:2], height + 2 * p, width + 2 * p), x.dtype)
        padded[:, :, p : p + height, p : p + width] = x
        top, left = (u * (2 * p + 1)).astype(int).T
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))
        return windows[np.arange(len(x)), :, top, left]


@dataclasses.dataclass(frozen=True)
class Flip(ImageTransform):
    """Mirrored left to right with this probability; `axis` "h" mirrors top to bottom."""

    word, draws = "flip", 1
    probability: float = 0.5
    axis: str = "w"

    def __post_init__(self) -> None:
        demand(0 <= self.probability <= 1, f"flip with probability {self.probability}", "0 to 1")
        demand(self.axis in ("w", "h"), f"flip along {self.axis!r}", '"w" (left to right) or "h"')

    def __call__(self, x: Array, u: Draws) -> Array:
        mirrored = x[..., ::-1] if self.axis == "w" else x[..., ::-1, :]
        return np.where((u[:, 0] < self.probability)[:, None, None, None], mirrored, x)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop(ImageTransform):
    """A random window of `scale` of the area and an aspect ratio within `ratio`, resampled to `size` (H, W).

    Szegedy et al. 2015 (GoogLeNet), section 6. One draw: a window that would stand out is cut to the image.
    """

    word, draws = "random_resized_crop", 4
    size: Size
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        demand(min(self.size) >= 1, f"random_resized_crop to {self.size}", "use sizes of at least 1 pixel")
        demand(0 < self.scale[0] <= self.scale[1] <= 1, f"scale {self.scale}", "0 < lowest <= highest <= 1")
        demand(0 < self.ratio[0] <= self.ratio[1], f"ratio {self.ratio}", "0 < lowest <= highest")

    def __call__(self, x: Array, u: Draws) -> Array:
        out = np.empty((*x.shape[:2], *self.size), x.dtype)
        for n, image in enumerate(x):
            y0, y1, x0, x1 = window(x.shape[2], x.shape[3], self.scale, self.ratio, u[n])
            out[n] = resample(image[None, :, y0:y1, x0:x1], self.size)[0]
        return out

    def output(self, shape: Shape) -> Shape:
        return shape[0], *self.size


@dataclasses.dataclass(frozen=True)
class ColorJitter(ImageTransform):
    """Random brightness, contrast, saturation and hue, always in this order.

    brightness, contrast, saturation: times a factor within 1 ± the setting, 0 to 1; hue: turned by at most this many
    turns, 0 to 0.5. Hue turns the color plane of YIQ; an image with one channel has neither saturation nor hue.
    """

    word, draws = "color_jitter", 4
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        demand(
            all(0 <= v <= 1 for v in (self.brightness, self.contrast, self.saturation))
            and 0 <= self.hue <= 0.5,
            f"{self}",
            "strengths from 0 to 1, hue from 0 to 0.5",
        )

    def __call__(self, x: Array, u: Draws) -> Array:
        x = to_float(x)
        color = x.shape[1] == 3
        b, c, s, h = (np.float32(2) * u.astype(np.float32) - 1).T[:, :, None, None, None]
        x = np.clip(x * (1 + self.brightness * b), 0, 1)
        mean = (gray(x) if color else x).reshape(len(x), -1).mean(1)[:, None, None, None]
        x = np.clip(mean + (x - mean) * (1 + self.contrast * c), 0, 1)
        if color and self.saturation:
            y = gray(x)
            x = np.clip(y + (x - y) * (1 + self.saturation * s), 0, 1)
        if color and self.hue:
            x = np.clip(_turn(x, (2 * math.pi * self.hue) * h[:, :, :, 0]), 0, 1)
        return x.astype(np.float32, copy=False)

    def output(self, shape: Shape) -> Shape:
        if shape[0] not in (1, 3):
            raise FormatError(
                f"colors of {plural(shape[0], 'channel')} cannot be jittered",
                where="transform",
                fix="leave out the step",
            )
        return shape


@dataclasses.dataclass(frozen=True)
class RandomErasing(ImageTransform):
    """A random window of `scale` of the area becomes `value`, with a `probability` for each image.

    ratio: bounds of the window's height to its width. Source: Zhong et al., arXiv 1708.04896.
    """

    word, draws = "random_erasing", 5
    probability: float = 0.5
    scale: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float = 0.0

    def __post_init__(self) -> None:
        demand(0 <= self.probability <= 1, f"random_erasing with probability {self.probability}", "0 to 1")
        demand(0 < self.scale[0] <= self.scale[1] <= 1, f"scale {self.scale}", "0 < lowest <= highest <= 1")
        demand(0 < self.ratio[0] <= self.ratio[1], f"ratio {self.ratio}", "0 < lowest <= highest")

    def __call__(self, x: Array, u: Draws) -> Array:
        x = to_float(x).copy()
        for n in np.flatnonzero(u[:, 4] < self.probability):
            y0, y1, x0, x1 = window(x.shape[2], x.shape[3], self.scale, self.ratio, u[n])
            x[n, :, y0:y1, x0:x1] = self.value
        return x


@dataclasses.dataclass(frozen=True)
class Channels(ImageTransform):
    """An image of `count` channels, 1 or 3: gray is repeated, color becomes its luma (Rec. 601)."""

    word = "channels"
    count: int

    def __call__(self, x: Array, u: Draws) -> Array:
        self.output((x.shape[1], x.shape[2], x.shape[3]))
        if x.shape[1] == self.count:
            return x
        if x.shape[1] == 1:
            return np.repeat(x, self.count, axis=1)
        y = gray(x if x.dtype != np.uint8 else x.astype(np.float32))
        return np.rint(y).astype(np.uint8) if x.dtype == np.uint8 else y

    def output(self, shape: Shape) -> Shape:
        if shape[0] != self.count and (shape[0], self.count) != (3, 1) and (shape[0] != 1 or self.count < 1):
            raise FormatError(
                f"images of {plural(shape[0], 'channel')} cannot become {self.count}",
                where="transform",
                why="1 channel can be repeated, and 3 channels can become gray; no other conversion is defined",
                fix=f"use a network with {shape[0]} input channels",
            )
        return self.count, *shape[1:]


@dataclasses.dataclass(frozen=True)
class Normalize(ImageTransform):
    """(pixel - mean) / std per channel, of pixels in [0, 1]."""

    word = "normalize"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        values = (*self.mean, *self.std)
        demand(
            len(self.mean) == len(self.std) > 0
            and all(math.isfinite(v) for v in values)
            and min(self.std) > 0,
            f"normalize by mean {self.mean} and std {self.std}",
            "give one finite value per channel for each, and every std above 0",
        )

    def __call__(self, x: Array, u: Draws) -> Array:
        self.output((x.shape[1], x.shape[2], x.shape[3]))
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (self.mean, self.std))
        return (to_float(x) - mean) / std

    def output(self, shape: Shape) -> Shape:
        if shape[0] != len(self.mean):
            raise FormatError(
                f"mean and std have {plural(len(self.mean), 'channel')}, the images {shape[0]}",
                where="transform",
                fix=f"{plural(shape[0], 'number')} in each, or a channels step before",
            )
        return shape


def window(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float], u: Draws
) -> tuple[int, int, int, int]:
    """Rows and columns (from, to, from, to) of a random window: u gives its area, side ratio and place."""
    area = height * width * (scale[0] + (scale[1] - scale[0]) * u[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    sides = math.exp(low + (high - low) * u[1])
    w = min(width, max(1, round(math.sqrt(area * sides))))
    h = min(height, max(1, round(math.sqrt(area / sides))))
    top, left = int(u[2] * (height - h + 1)), int(u[3] * (width - w + 1))
    return top, top + h, left, left + w


def resample(x: Array, size: Size) -> Array:
    """x (N, C, H, W) as (N, C, *size), bilinear and antialiased, columns before rows. uint8 stays uint8."""
    if x.shape[2:] == size:
        return x
    kind = x.dtype if x.dtype == np.uint8 else np.dtype(np.float32)
    planes = x.reshape(-1, *x.shape[2:]).astype(kind, copy=False)
    out = np.empty((len(planes), *size), kind)
    together = max(1, CHUNK_PIXELS // math.prod(map(max, x.shape[2:], size)))
    for start in range(0, len(planes), together):
        part = _wider(planes[start : start + together], size[1])
        out[start : start + together] = _taller(part, size[0])
    return out.reshape(*x.shape[:2], *size)


def _wider(planes: Array, width: int) -> Array:
    """(P, H, W) as (P, H, width): the planes below each other are one picture, resized in one call of Pillow."""
    count, height, old = planes.shape
    return _pillow(planes.reshape(-1, old), (count * height, width)).reshape(count, height, width)


def _taller(planes: Array, height: int) -> Array:
    """(P, H, W) as (P, height, W): the planes next to each other are one picture, as in `_wider`."""
    count, old, width = planes.shape
    row = planes.swapaxes(0, 1).reshape(old, -1)
    return _pillow(row, (height, count * width)).reshape(height, count, width).swapaxes(0, 1)


def _pillow(picture: Array, size: Size) -> Array:
    from PIL import Image

    if picture.shape == size:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))


def gray(x: Array) -> Array:
    """The luma of colors. x: (N, 3, H, W) -> (N, 1, H, W) float32."""
    return np.asarray((x * np.array(LUMA, np.float32)[:, None, None]).sum(1, keepdims=True), np.float32)


def _turn(x: Array, angle: Array) -> Array:
    """Colors turned by `angle` (N, 1, 1) radians around the gray axis, in YIQ."""
    to_yiq = np.array([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)], np.float32)
    y, i, q = (np.asarray((x * row[:, None, None]).sum(1), np.float32) for row in to_yiq)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = (y, cos * i - sin * q, sin * i + cos * q)
    back = np.linalg.inv(to_yiq.astype(np.float64)).astype(np.float32)
    planes = [sum((weight * part for weight, part in zip(row, turned)), np.zeros_like(y)) for row in back]
    return np.stack(planes, axis=1)
