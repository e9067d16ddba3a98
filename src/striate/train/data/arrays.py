"""Images that are arrays: in memory, or from a file of arrays.

Decides how the axes of an array are read, and refuses ambiguous ones.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, LimitError, plural
from striate.engine.inputs import as_array
from striate.train.data.dataset import Array, Dataset, Labels, OnBad
from striate.train.data.splits import ALL

MAX_CLASSES = 100_000
ONE_TYPE = "give all parts the same type: uint8, or float32 in [0, 1]"
CHANNELS_LAST = "axes read as (N, H, W, C)"
IN_MEMORY = "arrays in memory"
CHANNELS = (1, 3, 4)  # what the last axis of an image stored (H, W, C) may be


class ArrayData(Dataset):
    """x: (N, C, H, W), (N, H, W, C) or (N, H, W), any number type; y: (N,) class numbers, or (N, K) one-hot.

    white: the integer that is read as 1, 255 or 65535, the same in every part of a set (`common_white`). Raises
    FormatError if x and y do not belong together.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        classes: Sequence[str] | None = None,
        *,
        kind: str = IN_MEMORY,
        part: str = "",
        remarks: Sequence[str] = (),
        on_bad: OnBad = "skip",
        naming: Callable[[int], str] | None = None,
        white: int | None = None,
    ) -> None:
        x = np.asarray(x)
        self._typed = not np.issubdtype(x.dtype, np.integer) or x.dtype == np.uint8
        self.white = common_white([x], kind) if white is None else white
        self.x, layout = as_images(x, kind, self.white)
        labels, names = as_labels(y, kind)
        if len(self.x) != len(labels):
            raise FormatError(
                f"{kind}: {plural(len(self.x), 'image')} but {plural(len(labels), 'label')}",
                where=kind,
                fix="give one label per image",
            )
        if classes is None:
            classes = names or numbered(labels, kind)
        check_labels(labels, len(classes), kind)
        shape = (int(self.x.shape[1]), int(self.x.shape[2]), int(self.x.shape[3]))
        super().__init__(labels, classes, shape, kind, part=part, remarks=(*remarks, *layout), on_bad=on_bad)
        self.pictures = self.x.dtype == np.uint8 and CHANNELS_LAST in layout
        self._naming = naming or (lambda index: f"{kind} {part}#{index}".replace("  ", " "))

    def image(self, index: int) -> Array:
        image: Array = self.x[index]
        return image

    def images(self, ids: Labels) -> tuple[Array, Labels]:
        return np.ascontiguousarray(self.x[ids]), np.asarray(ids, np.int64)

    def rescaled(self, white: int) -> Dataset:
        if self._typed or self.white is None or white == self.white:
            return self
        if self.white > white:
            raise FormatError(
                f"{self.kind}: pixels above {white:,}",
                where=self.kind,
                why=f"they are integers up to {self.white:,}; training read integers as 0..{white:,}",
                fix=ONE_TYPE,
            )
        again = copy.copy(self)
        again.x, again.white, again.bad = self.x.astype(np.float32) / np.float32(white), white, {}
        again.remarks = (*self.remarks, f"pixels 0..{white} read as [0, 1], as in training")
        return again

    def name(self, index: int) -> str:
        return self._naming(index)


def parts_of_arrays(
    pairs: Mapping[str, tuple[Any, Any]],
    kind: str,
    names: Sequence[str] | None = None,
    remarks: Sequence[str] = (),
    naming: Callable[[str, int], str] | None = None,
) -> dict[str, Dataset]:
    """The parts of one set from their images and labels, by name: with common classes and a common scale of pixels.

    names: of the classes; naming: an image's name from its part and number. Raises FormatError, LimitError.
    """
    every = [as_array(x) for x, _ in pairs.values()]
    white = common_white(every, kind)
    return parts_of(ArrayData, every, pairs, kind, names, remarks, naming, white=white)


def parts_of(
    make: Callable[..., Dataset],
    every: Sequence[Any],
    pairs: Mapping[str, tuple[Any, Any]],
    kind: str,
    names: Sequence[str] | None,
    remarks: Sequence[str],
    naming: Callable[[str, int], str] | None,
    **scale: Any,
) -> dict[str, Dataset]:
    """A dataset from `make` for each part: its arrays (`every`), and its labels (in `pairs`) with common numbers."""
    labels, classes = common_classes([y for _, y in pairs.values()], kind, names)
    return {
        part: make(
            x,
            y,
            classes,
            kind=kind,
            part="" if part == ALL else part,
            remarks=remarks,
            naming=functools.partial(naming, part) if naming else None,
            **scale,
        )
        for part, x, y in zip(pairs, every, labels)
    }


def common_white(parts: Sequence[Array], kind: str) -> int | None:
    """The integer that all parts of a set read as 1; None if they hold no integers. Raises FormatError.

    255 if no pixel of any part exceeds it, else 65535, so that all parts have the same scale.
    """
    integers = [x for x in parts if np.issubdtype(x.dtype, np.integer)]
    if not integers:
        return None
    low, high = _range(integers)
    if low < 0 or high > 65535:
        raise FormatError(
            f"{kind}: pixels from {low:,} to {high:,}",
            where=kind,
            why="integers are read as 0..255 or 0..65535",
            fix="give float32 in [0, 1]",
        )
    white = 255 if high <= 255 else 65535
    on_one_scale(parts, white, kind)
    return white


def on_one_scale(parts: Sequence[Array], white: int, kind: str) -> None:
    """Raise FormatError if parts whose integers are read as 0..white also hold pixels on another scale."""
    integers = [x for x in parts if np.issubdtype(x.dtype, np.integer)]
    _, brightest = _range([x for x in parts if np.issubdtype(x.dtype, np.floating)])
    other = ""
    if brightest > 1.01:
        other = f"fractions up to {brightest:.3g}"
    elif white > 255 and any(x.dtype == np.uint8 for x in integers):
        other = "uint8"
    if other:
        raise FormatError(
            f"{kind}: the parts have pixels on different scales",
            where=kind,
            why=f"one part is {other}; another has integers up to {_range(integers)[1]:,}",
            fix=ONE_TYPE,
        )


def _range(arrays: Sequence[Array]) -> tuple[Any, Any]:
    """The lowest and the highest value; 0 if there is none."""
    nonempty = [x for x in arrays if x.size]
    return min((x.min() for x in nonempty), default=0), max((x.max() for x in nonempty), default=0)


def _rows_as_images(x: Array) -> str:
    """The fix for rows of numbers, such as those of data frames: how to reshape them to images."""
    side = math.isqrt(x.shape[1]) if x.ndim == 2 else 0
    if side < 2 or side * side != x.shape[1]:
        return "reshape the array: x.reshape(-1, channels, height, width)"
    return f"reshape the array: np.asarray(x).reshape(-1, 1, {side}, {side})"


def as_images(x: Array, kind: str, white: int | None) -> tuple[Array, tuple[str, ...]]:
    """x as (N, C, H, W), uint8 or float32, and remarks; white: see `common_white`. Raises FormatError."""
    remarks = []
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and _channels_last(*x.shape[1:]):
        x = x.transpose(0, 3, 1, 2)
        remarks.append(CHANNELS_LAST)
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise FormatError(
            f"{kind}: the images have shape {x.shape}",
            where=kind,
            why="images must be (N, C, H, W), (N, H, W, C) or (N, H, W), without empty axes",
            fix=_rows_as_images(x),
        )
    if x.dtype == np.bool_:
        return x.astype(np.float32), (*remarks, "false and true read as 0 and 1")
    if np.issubdtype(x.dtype, np.integer):
        low, high = _range([x])
        if white is None or low < 0 or high > white or (x.dtype == np.uint8 and white > 255):
            raise FormatError(
                f"{kind}: pixels from {low:,} to {high:,} of type {x.dtype}",
                where=kind,
                why=f"the other pixels of the dataset are read as 0..{white}"
                if white
                else "the others are fractions",
                fix=ONE_TYPE,
            )
        if white == 255:
            return x.astype(np.uint8, copy=False), tuple(remarks)
        return x.astype(np.float32) / np.float32(white), (*remarks, f"pixels 0..{white} read as [0, 1]")
    if not np.issubdtype(x.dtype, np.floating):
        raise FormatError(
            f"{kind}: pixels of type {x.dtype} are not supported",
            where=kind,
            fix="uint8, or float32 in [0, 1]",
        )
    x = x.astype(np.float32, copy=False)
    finite = np.isfinite(x).all((1, 2, 3))
    if not finite.all():
        raise FormatError(
            f"{kind}: image {int(np.argmin(finite))} has a pixel that is not a finite number",
            where=kind,
            why=f"{int((~finite).sum()):,} of {plural(len(x), 'image')} have such pixels",
            fix="leave them out, or use np.nan_to_num",
        )
    if x.size and (x.min() < -0.01 or x.max() > 1.01):
        remarks.append(f"floating-point pixels from {x.min():.3g} to {x.max():.3g}, used as they are")
    return x, tuple(remarks)


def _channels_last(first: int, middle: int, last: int) -> bool:
    """True if an image of these axes is (H, W, C): only the last axis is a small number of channels."""
    at_front = first in CHANNELS and first <= min(middle, last)
    return last in CHANNELS and last < min(first, middle) and not at_front


def as_labels(y: Any, kind: str) -> tuple[Labels, tuple[str, ...] | None]:
    """y as (N,) class numbers, and the class names if y holds names. Raises FormatError."""
    try:
        y = np.asarray(y)
    except ValueError as error:
        raise FormatError(
            f"{kind}: the labels are not an array", why=str(error), fix="give one number per image"
        ) from None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.shape[1] > 1 and len(y) and np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all():
        return y.argmax(1).astype(np.int64), None
    if y.ndim != 1:
        raise FormatError(
            f"{kind}: the labels have shape {y.shape}",
            where=kind,
            fix="give one class index per image, or one-hot rows",
        )
    if y.dtype.kind in "US":
        names, numbers = np.unique(y.astype(str), return_inverse=True)
        return numbers.astype(np.int64), tuple(str(name) for name in names)
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.floor(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "iub":
        raise FormatError(
            f"{kind}: labels of type {y.dtype} are not class indices",
            where=kind,
            fix="use whole numbers from 0",
        )
    return y.astype(np.int64), None


def numbered(labels: Labels, kind: str) -> tuple[str, ...]:
    """Classes "0", "1", … up to the highest label. Raises LimitError if that is too high."""
    top = int(labels.max()) + 1 if len(labels) else 0
    if top > MAX_CLASSES:
        raise LimitError(
            f"{kind}: label {top - 1:,}",
            where=kind,
            why=f"at most {MAX_CLASSES:,} classes are supported, numbered from 0",
            fix="number the classes from 0",
        )
    return tuple(str(number) for number in range(top))


def common_classes(
    every: Sequence[Any], kind: str, names: Sequence[str] | None = None
) -> tuple[list[Labels], tuple[str, ...]]:
    """The labels of several parts as numbers of the same classes. Raises FormatError, LimitError."""
    parts = [as_labels(y, kind) for y in every]
    if names is None:
        all_names = [part_names for _, part_names in parts if part_names is not None]
        if not all_names:
            return [labels for labels, _ in parts], numbered(np.concatenate([y for y, _ in parts]), kind)
        names = sorted({name for part_names in all_names for name in part_names})
    place = {name: number for number, name in enumerate(names)}
    numbers = []
    for labels, part_names in parts:
        unknown = [name for name in part_names or () if name not in place]
        if unknown or (part_names is None) == any(other is not None for _, other in parts):
            why = f"{unknown[0]!r} is not a class" if unknown else "some labels are text, others numbers"
            raise FormatError(
                f"{kind}: the labels of the parts differ",
                where=kind,
                why=why,
                fix="use the same classes in every part",
            )
        numbers.append(
            labels if part_names is None else np.array([place[name] for name in part_names], np.int64)[labels]
        )
    return numbers, tuple(names)


def check_labels(labels: Labels, classes: int, kind: str) -> None:
    """Raise FormatError, with the place, if a label is not a class."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise FormatError(
            f"{kind}: label {int(labels[wrong[0]])} of image {int(wrong[0])} is not a class",
            where=kind,
            why=f"classes are numbered 0 to {classes - 1}; {len(wrong):,} of {plural(len(labels), 'label')} are not",
            fix="number the classes from 0",
        )
