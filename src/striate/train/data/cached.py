"""Images that are read, decoded and resized once, and kept in memory if they fit.

The leading Resize stays in the transform; it is a no-op on the cached, already resized images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from striate.locks import fork_safe_lock
from striate.train.data.dataset import Array, Dataset, Labels, View, stack, to_float
from striate.train.data.image_transforms import Fit, ImageTransform, Resize
from striate.train.data.transforms import Transform

CACHE_MAX_BYTES = 256 << 20
"""Maximum bytes of a dataset that is cached in memory."""


class CachedDataset(View):
    """The images of another dataset at one size, resized if the transform begins with a resize; read on first use."""

    def __init__(self, base: Dataset, resize: ImageTransform | None = None) -> None:
        super().__init__(base, shape=resize.output(base.shape) if resize else base.shape, uniform=True)
        self.resize, self.bad = resize, base.bad
        self._present = np.zeros(len(base), bool)
        self._pixels: Array | None = None
        self._lock = fork_safe_lock()

    @property
    def source(self) -> str:
        return self.base.source

    def notes(self) -> tuple[str, ...]:
        return self.base.notes()

    def image(self, index: int) -> Array:
        pixels: Array = self._resize([self.base.image(index)])[0]
        return pixels

    def images(self, ids: Labels) -> tuple[Sequence[Array] | Array, Labels]:
        """Two threads that need the same image at once both compute it, with the same result."""
        new = ids[~self._present[ids]]
        read, good = self.base.images(new) if len(new) else ([], new)
        if len(good):
            pixels = self._resize(read)
            with self._lock:
                if self._pixels is None:
                    self._pixels = np.empty((len(self), *self.shape), pixels.dtype)
                elif self._pixels.dtype != pixels.dtype:  # pixels of 8 and of 16 bits
                    self._pixels, pixels = to_float(self._pixels), to_float(pixels)
            self._pixels[good] = pixels
            self._present[good] = True
        readable = ids[self._present[ids]]
        return ([] if self._pixels is None else self._pixels[readable]), readable

    def _resize(self, images: Sequence[Array] | Array) -> Array:
        if self.resize is None:
            return stack([*images, np.zeros(self.shape, np.uint8)])[:-1]  # which refuses another size
        none = np.empty((len(images), 0))
        if len({(image.shape, image.dtype) for image in images}) == 1:
            return self.resize(np.asarray(images), none)
        return stack([self.resize(image[None], none[:1])[0] for image in images])


def with_cache(data: Dataset, transform: Transform) -> Dataset:
    """The dataset, cached if it is small enough and the transformation gains from it."""
    resize = next((step for step in transform.steps[:1] if isinstance(step, Fit | Resize)), None)
    if data.inputs or (resize is None and not (data.streams and data.uniform)):
        return data
    shape = resize.output(data.shape) if resize else data.shape
    width = 1 if data.streams and not data.deep else 4
    return CachedDataset(data, resize) if width * len(data) * math.prod(shape) <= CACHE_MAX_BYTES else data
