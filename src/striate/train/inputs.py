"""Inputs of a prediction for the network: arrays, image files, folders, Pillow images.

Arrays of the network's size are normalized as in training, images go through the whole transformation. Decides which
of the two an input is, and refuses ambiguous ones.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate.diagnostics import (
    FormatError,
    LimitError,
    SourceError,
    StriateError,
    UsageError,
    by_reader,
    printable,
    warn,
)
from striate.engine.inputs import as_array
from striate.files import exists, is_directory, refuse_address, unreadable
from striate.train.data import Transform
from striate.train.data.bounded_reads import is_hidden
from striate.train.data.dataset import Array, BadImage, Shape
from striate.train.data.image_transforms import Normalize
from striate.train.data.images import MAX_BYTES, SUFFIXES, convert, read_image

STDIN = "-"
IMAGENET = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
"""Mean and standard deviation with which most published weights were trained."""
MAX_RANGE_DEVIATIONS = 30.0
"""Deviation from the training mean, in its standard deviations, that causes a warning: 0..255 differs by hundreds, a
dark or bright image by a few.
"""
Image = tuple[str, Any]
"""A name, and a path, "-" for standard input, a Pillow image or an array (C, H, W) of uint8."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ready:
    """An image for the network. x: (C, H, W) float32; notes: changes to the image."""

    name: str
    x: Array
    notes: tuple[str, ...]


class ImageReader:
    """Reads and transforms images; keeps the adapted transformation for each shape."""

    def __init__(self, transform: Transform, target: Shape) -> None:
        self.transform, self.target = transform, target
        self._ways: dict[Shape, tuple[Transform, tuple[str, ...]]] = {}

    def read(self, image: Image) -> Ready | BadImage:
        """The image for the network, or why it cannot be read. Raises FormatError without mean and std."""
        name, source = image
        try:
            pixels, changes = _pixels(name, source)
        except (FormatError, LimitError, SourceError) as error:
            return BadImage(name, error.why or error.what)
        shape: Shape = (pixels.shape[0], pixels.shape[1], pixels.shape[2])
        if not all(shape):
            return BadImage(name, f"it has no pixels: {shape[1]} x {shape[2]}")
        if shape not in self._ways:
            self._ways[shape] = self.transform.fit_to(shape, self.target)
        way, notes = self._ways[shape]
        return Ready(name, way(pixels[None])[0], (*changes, *notes))

    def batches(self, images: Iterable[Image], size: int) -> Iterator[list[Ready | BadImage]]:
        """The images in order, in lists with at most `size` readable ones."""
        waiting: list[Ready | BadImage] = []
        count = 0
        for image in images:
            result = self.read(image)
            waiting.append(result)
            count += isinstance(result, Ready)
            if count == size:
                yield waiting
                waiting, count = [], 0
        if waiting:
            yield waiting


def batches(
    x: Any, transform: Transform, target: Shape | None, reader: Callable[[], ImageReader], size: int
) -> Iterator[Array]:
    """Inputs in batches of at most `size`, for a network of input `target` (C, H, W).

    reader: creates the reader of images. Raises FormatError for an unreadable image, UsageError for an ambiguous array.
    """
    images = images_of(x, channels_of(transform, target) if target else ())
    if images is not None and not images and target:
        yield np.zeros((0, *target), np.float32)
        return
    if images is not None:
        for results in reader().batches(images, size):
            bad = next((one for one in results if isinstance(one, BadImage)), None)
            if bad:
                fix = "remove it, or replace it"
                raise FormatError(f"{bad.name} cannot be read", where=bad.name, why=bad.why, fix=fix)
            yield np.stack([one.x for one in results if isinstance(one, Ready)])
        return
    x = as_array(x)
    pair = as_in_training(x, transform, target) if target and transform.steps else None
    if pair is None:
        yield unit(x)
        return
    x, way = pair
    for start in range(0, max(len(x), 1), size):
        yield way(x[start : start + size])


def unit(x: Array) -> Array:
    """Pixels for a model that records no transformation: uint8 divided by 255, others unchanged."""
    return x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x


def images_of(x: Any, channels: Iterable[int]) -> list[Image] | None:
    """The images in `x`; None if it is an array of batches.

    channels: the numbers of channels that the model takes. Raises UsageError for integers with ambiguous axes, and what
    `image_files` raises.
    """
    if isinstance(x, str | os.PathLike):
        return [(file_label(file), file) for file in image_files([os.fspath(x)])]
    if _is_picture(x):
        return [(str(getattr(x, "filename", "") or "image"), x)]
    if isinstance(x, np.ndarray):
        pictures = _pictures(x, set(channels))
        return None if pictures is None else [(f"image {n}", one) for n, one in enumerate(pictures)]
    if isinstance(x, list | tuple) and all(map(_is_image, x)):
        inside = [images_of(one, channels) for one in x]
        if all(pictures is not None for pictures in inside):
            images = [image for pictures in inside for image in pictures or ()]
            has_names = [isinstance(source, str | os.PathLike) for _, source in images]
            return [
                (name if has_name else f"image {n}", source)
                for n, ((name, source), has_name) in enumerate(zip(images, has_names, strict=True))
            ]
        if any(pictures is not None for pictures in inside):
            raise UsageError(
                "the list mixes images and arrays",
                why="images go through the whole transformation, arrays only through the normalization",
                fix="predict them in separate calls",
            )
    return None


@functools.lru_cache(maxsize=256)
def way_of(transform: Transform, shape: Shape, target: Shape) -> Transform | None:
    """The transformation of arrays of images (C, H, W) for a network of input `target`; None if there is none."""
    way = transform.for_arrays(shape, target)
    return way if way.takes(shape, target) else None


@functools.lru_cache(maxsize=256)
def channels_of(transform: Transform, target: Shape) -> tuple[int, ...]:
    """Numbers of channels that an array of the network's size may have: the network's, and those of the training."""
    return target[0], *(c for c in (1, 3, 4) if transform.pixelwise.takes((c, *target[1:]), target))


def as_in_training(x: Array, transform: Transform, target: Shape) -> tuple[Array, Transform] | None:
    """A batch of arrays as (N, C, H, W), and its transformation; None if training took no such shape.

    Raises UsageError for integers of unknown scale, or an array that training would not have accepted.
    """
    x = _lay_out(x, transform, target)
    if x.ndim != 4:
        return None
    shape = (x.shape[1], x.shape[2], x.shape[3])
    way = way_of(transform, shape, target)
    if way is not None:
        x = scale_integers(x, transform.white)
        if way.normalize is not None and x.dtype.kind == "f":
            _warn_of_range(x, way.normalize)
        return x, way
    if shape != target:
        return None
    counts = " or ".join(map(str, dict.fromkeys(channels_of(transform, target)[1:]))) or "other"
    raise UsageError(
        f"the model was trained on arrays with {counts} channels; these have {shape[0]}",
        why=transform.describe(),
        fix="give images with the channels of the training data; the transformation converts them",
    )


def _warn_of_range(x: Array, normalize: Normalize) -> None:
    """Warn of floats (N, C, H, W) on another scale than in training, such as 0..255 instead of 0..1."""
    sample = x[np.unique(np.linspace(0, len(x) - 1, 16).astype(np.int64))] if len(x) else x
    if not sample.size or x.shape[1] != len(normalize.mean):
        return
    mean, std = np.array(normalize.mean), np.array(normalize.std)
    off = np.abs(sample.mean((0, 2, 3), dtype=np.float64) - mean)
    wide = sample.std((0, 2, 3), dtype=np.float64)
    if (np.maximum(off, wide) > MAX_RANGE_DEVIATIONS * std).any():
        low, high = float(sample.min()), float(sample.max())
        warn(
            f"the values lie between {low:.3g} and {high:.3g}; the model was trained on values of mean "
            f"{','.join(f'{m:.3g}' for m in mean)} and standard deviation {','.join(f'{s:.3g}' for s in std)}: "
            "give them in the range of the training (divide 0..255 by 255, or give uint8)"
        )


def _lay_out(x: Array, transform: Transform, target: Shape) -> Array:
    """Reorder axes to (N, C, H, W), as in training: from (N, H, W) of gray images, or channels last."""
    if x.ndim == 3 and x.shape[1:] == target[1:] and transform.pixelwise.takes((1, *target[1:]), target):
        return x[:, None]
    if x.ndim == 4 and not _fits(x, transform, target):
        turned = x.transpose(0, 3, 1, 2)
        if turned.shape[2:] == target[1:] and _fits(turned, transform, target):
            return turned
    return x


def scale_integers(x: Array, white: int) -> Array:
    """Divide integers by the one that training has read as 1; uint8 and floats are unchanged. Raises UsageError."""
    if x.dtype == np.uint8 or x.dtype.kind not in "iu":
        return x
    low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
    if not white or low < 0 or high > white:
        raise UsageError(
            f"integers from {low:,} to {high:,} of type {x.dtype}",
            why=f"the model was trained on integers from 0 to {white:,}"
            if white
            else "their white level is unknown",
            fix=f"give values in this range, or x.astype('float32') / {white}"
            if white
            else "uint8, or x.astype('float32') divided by the white level",
        )
    return x.astype(np.float32) / np.float32(white)


def image_files(paths: Iterable[str]) -> Iterator[str]:
    """Every image file of the paths: files, all images below a folder in sorted order, "-" for standard input.

    Raises SourceError if a path is missing or a folder has no image.
    """
    for text in paths:
        if text == STDIN:
            yield text
            continue
        text = os.path.expanduser(text)  # as the paths of data
        refuse_address(text)
        if any(mark in text for mark in "*?[") and not exists(Path(text)):
            raise SourceError(
                f"there is no file {text}",
                where=text,
                why="a pattern is not a file; the shell lists its files where it has no quotes",
                fix=f"give the folder {Path(text).parent}, or "
                + by_reader(f"sorted(glob.glob({text!r}))", "leave out the quotes"),
            )
        if not is_directory(Path(text)):
            yield text
            continue
        empty = True
        waiting = [text]
        while waiting:  # no recursion: folders may be nested deeper than its limit
            folder = waiting.pop()
            inner, names = _list_folder(folder)
            waiting += [os.path.join(folder, name) for name in reversed(inner)]
            for name in names:
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                    empty = False
                    yield os.path.join(folder, name)
        if empty:
            raise SourceError(
                f"{text} has no images",
                where=text,
                why=f"no file in it has a suffix of {', '.join(sorted(SUFFIXES))}",
                fix="give a folder with images, or the files",
            )


def _list_folder(folder: str) -> tuple[list[str], list[str]]:
    """Names of the folders in a folder, except hidden ones and links, and of its files, including links to files."""
    try:
        with os.scandir(folder) as entries:
            items = [
                (entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in entries
            ]
    except OSError as error:
        raise unreadable(folder, error) from None
    inner = sorted(name for name, is_folder, _ in items if is_folder and not is_hidden(name))
    linked = {name for name, _, is_link in items if is_link and os.path.isdir(os.path.join(folder, name))}
    return inner, sorted(name for name, is_folder, _ in items if not is_folder and name not in linked)


def file_label(file: str) -> str:
    """The name of a file in messages."""
    return "standard input" if file == STDIN else printable(file)


def no_transformation(model: str) -> UsageError:
    """The error for images if a model records no transformation."""
    flags = " ".join(f"--{word} {numbers}" for word, numbers in IMAGENET.items())
    plain = ", ".join(f"'{word}': [{numbers.replace(',', ', ')}]" for word, numbers in IMAGENET.items())
    return UsageError(
        f"{model} has no image transformation",
        why="networks are trained on normalized pixels, but this one records no mean and standard deviation",
        fix=by_reader(
            f"model.transform = {{'steps': [{{'step': 'normalize', {plain}}}]}} for ImageNet weights",
            f"{flags} for ImageNet weights; --mean 0 --std 1 for pixels from 0 to 1",
        ),
    )


def _fits(x: Array, transform: Transform, target: Shape) -> bool:
    return way_of(transform, (x.shape[1], x.shape[2], x.shape[3]), target) is not None


def _is_image(x: Any) -> bool:
    """True if this can be one image of a list."""
    single = isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 3
    return isinstance(x, str | os.PathLike) or _is_picture(x) or single


def _is_picture(x: Any) -> bool:
    """True for a Pillow image; Pillow is not imported for the check."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(x, module.Image)


def _pictures(x: Array, channels: set[int]) -> Sequence[Array] | None:
    """The images (C, H, W) in an array of uint8 images H x W x C; None if it is a batch."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        return None
    first, last = x.shape[-3] in channels, x.shape[-1] in channels
    if first and last:
        count = " or ".join(map(str, sorted(channels)))
        raise UsageError(
            f"an array of shape {x.shape} can be read in two ways",
            why=f"both its first and its last axis have the model's number of channels ({count})",
            fix="give float32 in [0, 1] for (N, C, H, W), or Pillow images",
        )
    if first or not last:
        return None
    images = x[None] if x.ndim == 3 else x
    return [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in images]


def _pixels(name: str, source: Any) -> tuple[Array, tuple[str, ...]]:
    if isinstance(source, np.ndarray):
        return source, ()
    if _is_picture(source):
        try:
            return convert(source, None, name)
        except (StriateError, MemoryError):
            raise
        except Exception as error:  # hostile bytes: Pillow decodes an image on first access
            why = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise FormatError(f"{name} cannot be decoded", where=name, why=why, fix="replace it") from None
    return read_image(_stdin() if source == STDIN else Path(source), None, name)


def _stdin() -> bytes:
    if sys.stdin is None:  # closed by the parent process
        raise SourceError("standard input is closed", fix="give a file, or redirect an image: < image.png")
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise LimitError("standard input is too long", why=f"an image has at most {MAX_BYTES:,} bytes")
    return data
