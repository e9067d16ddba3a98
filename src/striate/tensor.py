"""Shapes with named axes; no data.

Axis letters: N batch, C channel, then space: L (one dimension), H W (two), D H W (three).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from striate.diagnostics import UsageError, warn
from striate.signatures import ExplainMisuse

SPATIAL: dict[int, tuple[str, ...]] = {0: (), 1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
MAX_SIZE = 10**12
"""Maximum size of an axis."""
STATISTICS = ("mean", "variance")
"""Kinds of parameters that batches update without gradients."""
ITEM_BYTES = {"float32": 4, "float64": 8, "float16": 2}


@dataclasses.dataclass(frozen=True, slots=True)
class TensorSpec(metaclass=ExplainMisuse):
    """Shape, axis names and dtype of one tensor, batch axis first: (N, C, H, W).

    shape: sizes; axes: one letter for each, N batch, C channels, D, H, W or L for space; dtype: "float32", "float64" or
    "float16". Raises nothing; `image` raises UsageError for a shape that is not one.

    >>> import striate as st
    >>> str(st.TensorSpec.image((3, 32, 32)))
    '32x32x3'
    """

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    dtype: str = "float32"

    @classmethod
    def image(cls, shape: Sequence[int], batch: int = 1) -> TensorSpec:
        """Spec of images from a shape (C, H, W), (C,), (C, L) or (C, D, H, W) without its batch axis.

        batch: number of images.
        Raises UsageError if `shape` is not one.
        """
        if (
            not isinstance(shape, list | tuple)
            or len(shape) - 1 not in SPATIAL
            or not all(type(size) is int and 0 < size <= MAX_SIZE for size in shape)
        ):
            raise UsageError(
                f"{str(shape)[:40]} is not the shape of an image",
                where="a shape without its batch axis: (C,), (C, L), (C, H, W) or (C, D, H, W)",
                why=f"every size is a whole number from 1 to {MAX_SIZE}",
                fix="give a shape such as (3, 224, 224)",
            )
        return cls((batch, *shape), ("N", "C", *SPATIAL[len(shape) - 1]))

    @property
    def channels(self) -> int:
        """Size of the axis C."""
        return self.size("C")

    @property
    def spatial(self) -> tuple[int, ...]:
        """Sizes of the spatial axes, empty after flatten."""
        return self.shape[2:] if self.axes[2:] == self.spatial_axes else ()

    @property
    def spatial_axes(self) -> tuple[str, ...]:
        """Letters of the axes of space, in their order."""
        return tuple(axis for axis in self.axes if axis in "DHWL")

    @property
    def spatial_sizes(self) -> tuple[int, ...]:
        """Sizes of the spatial axes, in any axis order."""
        return tuple(self.size(axis) for axis in self.spatial_axes)

    @property
    def without_batch(self) -> tuple[int, ...]:
        """The shape without the batch axis: (C, H, W)."""
        return self.shape[1:]

    @property
    def elements(self) -> int:
        """Numbers per image (the batch axis not counted)."""
        return math.prod(self.shape[1:])

    @property
    def bytes(self) -> int:
        """Bytes per image."""
        return self.elements * ITEM_BYTES[self.dtype]

    def size(self, axis: str) -> int:
        """Size of an axis by its letter. Raises ValueError for an unknown letter."""
        return self.shape[self.axes.index(axis)]

    def resized(self, *, channels: int | None = None, spatial: Sequence[int] | None = None) -> TensorSpec:
        """The same axes with other channels, or other sizes of the spatial axes: (H, W)."""
        c = self.shape[1] if channels is None else channels
        s = self.shape[2:] if spatial is None else tuple(spatial)
        return dataclasses.replace(self, shape=(self.shape[0], c, *s))

    def __str__(self) -> str:
        """Height x width x channels, as papers write it."""
        if self.axes[:2] == ("N", "C"):
            return "x".join(map(str, (*self.shape[2:], self.shape[1])))
        return "x".join(map(str, self.shape[1:]))


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """Spec of a learned tensor; `trainable=False` for running statistics and constants, which do not count.

    initial: the starting value of every element; None if it is random. frozen: not trained, but
    counted. shared: another node's tensor, which counts there.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "weight"
    trainable: bool = True
    initial: float | None = None
    frozen: bool = False
    shared: bool = False

    @property
    def constant(self) -> bool:
        """Whether training leaves it as it is; running statistics change."""
        return not self.trainable and self.kind not in STATISTICS

    @property
    def counted(self) -> bool:
        """Whether its numbers count as parameters here."""
        return (self.trainable or self.frozen) and not self.shared

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def warn_of_axes(shape: Sequence[int], in_notation: bool) -> None:
    """Warn if the sizes of an image (C, H, W) look as if they were meant in another order.

    in_notation: they were written as HxWxC, else as a tuple.
    """
    if len(shape) != 3:
        return
    channels, height, width = shape
    few, (one, other) = (height, (channels, width)) if in_notation else (width, (channels, height))
    if min(one, other) < 5 or not ((few == 3 and min(one, other) >= 16) or (few == 1 and one == other)):
        return
    if in_notation:
        text = f"{height}x{width}x{channels} is read as height x width x channels, {channels} channels"
        text += (
            f" of {height}x{width}; write {width}x{channels}x{height} if {height} is the number of channels"
        )
    else:
        text = f"{tuple(shape)} is read as channels, height, width; "
        text += f"write ({width}, {channels}, {height}) if {width} is the number of channels"
    warn(text)
