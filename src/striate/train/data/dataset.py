"""Datasets: labeled images by number, and batches of them in a seeded order.

A batch is a function of (key, ids) alone. So the order of threads does not matter, and an epoch continues
bit-exactly from any batch without the ones before it being read.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, LimitError, UsageError, plural
from striate.engine.inputs import part as part_of
from striate.train.data import splitmix
from striate.train.data.streaming import default_workers, in_order

Array = NDArray[Any]
Labels = NDArray[np.int64]
Shape = tuple[int, int, int]  # (C, H, W)
OnBad = Literal["skip", "refuse"]
Share = Callable[[int], slice]
"""Maps the number of images in a batch to the slice that this process reads."""


class Item(NamedTuple):
    """One image as stored: (C, H, W), uint8 or float32 in [0, 1]; its class number; its name."""

    image: Array
    label: int
    name: str


class BadImage(NamedTuple):
    """An image that could not be read, and why."""

    name: str
    why: str


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """x: (N, C, H, W) float32, or such arrays by input; y: (N,) class numbers; ids: (N,) indices in the dataset.

    `index` is the batch's place in its epoch: pass `index + 1` as the next `start` to continue after it.
    """

    x: Any
    y: Labels
    ids: Labels
    index: int


# Maps images and their keys to one float32 array: see transforms.Transform.
TransformLike = Callable[[Any, splitmix.Keys], Any]


class Dataset(abc.ABC):
    """Labeled images. A reader fills the fields and implements access to image number `i`."""

    #: True if images are decoded when read, which takes several threads; arrays in memory need one for the transform.
    streams: bool = False
    #: True if some images are float32 because they have more than 8 bits.
    deep: bool = False
    #: Class folders without images in any part; they are not classes.
    left_out: tuple[str, ...] = ()
    #: True for image files, which go through the whole transformation; False for arrays.
    pictures: bool = True
    #: The integer that is read as 1, if the pixels are integers in an array.
    white: int | None = None
    #: The same by input, if a row has several arrays.
    whites: Mapping[str, int] = MappingProxyType({})

    def __init__(
        self,
        labels: Array,
        classes: Sequence[str],
        shape: Shape,
        kind: str,
        *,
        part: str = "",
        uniform: bool = True,
        remarks: Sequence[str] = (),
        on_bad: OnBad = "skip",
    ) -> None:
        self.labels: Labels = np.asarray(labels, np.int64)
        #: Names by class number; none: the images have no labels.
        self.classes = tuple(classes)
        #: (C, H, W) of every image, or of the most common one if `uniform` is False.
        self.shape = shape
        self.uniform = uniform
        self.kind, self.part, self.remarks, self.on_bad = kind, part, tuple(remarks), on_bad
        #: Images read so far that are unreadable, by index.
        self.bad: dict[int, BadImage] = {}

    @abc.abstractmethod
    def image(self, index: int) -> Array:
        """Image (C, H, W), uint8 or float32. Raises FormatError or LimitError if it cannot be read."""

    def rescaled(self, white: int) -> Dataset:
        """The same images with integers read on the scale of other data; uint8 and floats stay as they are.

        white: the integer that is read as 1 there. Raises FormatError if a pixel exceeds it.
        """
        return self

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """A name by which a user can find the image."""

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each input by name, if a row has several arrays; empty if it is one image."""
        return {}

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.source}>"

    @property
    def source(self) -> str:
        """Description: format, part, number and size of the images, classes, remarks."""
        part = f" ({self.part})" if self.part else ""
        text = f"{self.kind}{part}: {plural(len(self), self.noun)} {self.size}"
        if self.classes:
            text += f" in {plural(len(self.classes), 'class', 'classes')}"
        return "; ".join((text, *self.remarks))

    @property
    def noun(self) -> str:
        """ "row" for data of several inputs, else "image"."""
        return "row" if self.inputs else "image"

    @property
    def size(self) -> str:
        """The size of an image or row, in words."""
        if self.inputs:
            sizes = (f"{name} {'x'.join(map(str, shape))}" for name, shape in self.inputs.items())
            return f"of {', '.join(sizes)}"
        channels, height, width = self.shape
        size = (
            f"{height}x{width}x{channels}"
            if self.uniform
            else f"of several sizes, most often {height}x{width}"
        )
        return size

    def item(self, index: int) -> Item:
        """Image, class number and name. Raises FormatError or LimitError if the image cannot be read."""
        return Item(self.image(index), int(self.labels[index]), self.name(index))

    def counts(self) -> dict[str, int]:
        """Images per class."""
        per_class = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, per_class.tolist()))

    def steps(self, batch_size: int, drop_last: bool = False) -> int:
        """Batches in an epoch."""
        return len(self) // batch_size if drop_last else -(-len(self) // batch_size)

    def batches(
        self,
        batch_size: int,
        *,
        rng: splitmix.Seed = None,
        transform: TransformLike | None = None,
        start: int = 0,
        drop_last: bool = False,
        workers: int | None = None,
        share: Share | None = None,
    ) -> Iterator[Batch]:
        """The batches of one epoch, from batch `start`, made ahead in `workers` threads (0: none).

        rng: None for the stored order, else a generator or seed words such as (seed, epoch): equal words give
        bit-identical batches. Corrupt images are left out, so that a batch can be shorter; a batch of only corrupt
        images is skipped. share: the part of every batch to read, from its number of images; parts are yielded
        even if they are empty, so that all processes count the same batches.
        Raises UsageError at once; SourceError, FormatError, LimitError while reading.
        """
        if batch_size < 1 or start < 0:
            raise UsageError(
                f"batch_size {batch_size}, start {start} is not allowed",
                where="batches",
                fix="batch_size must be at least 1, start at least 0",
            )
        key = splitmix.key_of(rng)
        ids = np.arange(len(self)) if rng is None else splitmix.order(splitmix.key_of((key, 0)), len(self))
        make = functools.partial(self._make, ids, batch_size, transform, splitmix.key_of((key, 1)), share)
        if workers is None:
            workers = default_workers() if self.streams else int(transform is not None)
        return self._epoch(make, range(start, self.steps(batch_size, drop_last)), workers)

    def _epoch(self, make: Callable[[int], Batch | None], indices: range, workers: int) -> Iterator[Batch]:
        empty = True
        for batch in in_order(make, indices, workers):
            if batch is not None:
                empty = False
                yield batch
        if empty and self.bad and indices:
            name, why = next(iter(self.bad.values()))
            raise FormatError(
                f"none of the {plural(len(self), 'image')} can be read",
                where=name,
                why=why,
                fix="`striate data check` lists them",
            )

    def _make(
        self,
        order: Labels,
        batch_size: int,
        transform: TransformLike | None,
        key: int,
        share: Share | None,
        index: int,
    ) -> Batch | None:
        ids = order[index * batch_size : (index + 1) * batch_size]
        images, readable = self.images(ids if share is None else ids[share(len(ids))])
        if not len(readable):
            return None if share is None else self._empty_batch(transform, index)
        x = to_float(images) if transform is None else transform(images, splitmix.keys(key, readable))
        return Batch(x, self.labels[readable], readable, index)

    def _empty_batch(self, transform: TransformLike | None, index: int) -> Batch:
        """A batch without images, with the shape and type of the others."""
        blank: Any = np.zeros((1, *self.shape), np.uint8)
        if self.inputs:
            blank = {name: np.zeros((1, *shape), np.float32) for name, shape in self.inputs.items()}
        x: Any = to_float(blank) if transform is None else transform(blank, splitmix.keys(0, np.zeros(1)))
        none = np.empty(0, np.int64)
        return Batch(part_of(x, slice(0)), none, none, index)

    def images(self, ids: Labels) -> tuple[Sequence[Array] | Array, Labels]:
        """The readable images and their ids; the others are recorded in `bad`, or refused."""
        images, readable = [], []
        for index in ids.tolist():
            try:
                images.append(self.image(index))
                readable.append(index)
            except (FormatError, LimitError) as error:
                if self.on_bad == "refuse":
                    error.where = error.where or self.name(index)
                    raise
                self.bad[index] = BadImage(self.name(index), ": ".join(filter(None, (error.what, error.why))))
        return images, np.asarray(readable, np.int64)

    def notes(self) -> tuple[str, ...]:
        """Notes on images so far: skipped, converted."""
        return (skipped_note(self.bad, len(self)),) if self.bad else ()

    def statistics(self, limit: int = 2000) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel of the pixels in [0, 1], over at most `limit` images.

        A constant channel gets the deviation 1.
        """
        ids = np.unique(np.linspace(0, len(self) - 1, min(limit, len(self))).astype(np.int64))
        total = np.zeros((3, self.shape[0]))  # pixels, their sum, the sum of their squares
        for chunk in np.array_split(ids, -(-len(ids) // 64) or 1):
            for image in self.images(chunk)[0]:
                pixels = to_float(image).astype(np.float64).reshape(len(image), -1)
                total[0] += pixels.shape[1]
                total[1:] += pixels.sum(1), (pixels**2).sum(1)
        count, mean = total[0], total[1] / np.maximum(total[0], 1)
        deviation = np.sqrt(np.maximum(total[2] / np.maximum(count, 1) - mean**2, 0))
        deviation = np.where(deviation < 1e-6, 1.0, deviation)
        return tuple(round(float(m), 6) for m in mean), tuple(round(float(s), 6) for s in deviation)


def skipped_note(bad: dict[int, BadImage], count: int) -> str:
    """A sentence about the images that could not be read."""
    first = "; ".join(f"{name} ({why})" for name, why in list(bad.values())[:3])
    more = f"; and {len(bad) - 3:,} more" if len(bad) > 3 else ""
    return f"{len(bad):,} of {plural(count, 'image')} could not be read and were skipped: {first}{more}"


def to_float(images: Sequence[Array] | Array) -> NDArray[np.float32]:
    """Images as one float32 array; 0..255 becomes [0, 1]. Raises FormatError if sizes differ."""
    if not isinstance(images, np.ndarray):
        images = stack(images)
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    return images.astype(np.float32, copy=False)


def stack(images: Sequence[Array]) -> Array:
    """(N, C, H, W) of images (C, H, W); of several types all become float32. Raises FormatError if sizes differ."""
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        sizes = " and ".join(" x ".join(map(str, shape)) for shape in sorted(shapes)[:2])
        raise FormatError(
            "the images of a batch differ in size",
            where="batch",
            why=f"channels x height x width: {sizes}",
            fix='resize them with Transform([Resize((32, 32))]), or "resize" in the configuration',
        )
    return np.stack(images if len({image.dtype for image in images}) < 2 else [*map(to_float, images)])


class View(Dataset):
    """A view of another dataset: everything is taken from `base`, except what is given here."""

    #: Attributes that a view takes from its base, besides the arguments of a dataset.
    FACTS = ("streams", "deep", "pictures", "white", "whites", "left_out")

    def __init__(
        self,
        base: Dataset,
        *,
        labels: Array | None = None,
        classes: Sequence[str] | None = None,
        shape: Shape | None = None,
        part: str | None = None,
        uniform: bool | None = None,
        remarks: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            base.labels if labels is None else labels,
            base.classes if classes is None else classes,
            base.shape if shape is None else shape,
            base.kind,
            part=base.part if part is None else part,
            uniform=base.uniform if uniform is None else uniform,
            remarks=base.remarks if remarks is None else remarks,
            on_bad=base.on_bad,
        )
        self.base = base
        for fact in self.FACTS:
            setattr(self, fact, getattr(base, fact))

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        return self.base.inputs

    def image(self, index: int) -> Array:
        return self.base.image(index)

    def name(self, index: int) -> str:
        return self.base.name(index)


class Subset(View):
    """Some images of another dataset, renumbered."""

    def __init__(self, base: Dataset, indices: Labels, part: str, remarks: Sequence[str] = ()) -> None:
        super().__init__(base, labels=base.labels[indices], part=part, remarks=(*base.remarks, *remarks))
        self.indices = indices

    def image(self, index: int) -> Array:
        return self.base.image(int(self.indices[index]))

    def name(self, index: int) -> str:
        return self.base.name(int(self.indices[index]))


class Joined(View):
    """Several parts of one source, one after the other."""

    def __init__(self, parts: Sequence[Dataset], part: str) -> None:
        first = parts[0]
        super().__init__(
            first,
            labels=np.concatenate([data.labels for data in parts]),
            part=part,
            uniform=all(data.uniform and data.shape == first.shape for data in parts),
            remarks=tuple(dict.fromkeys(remark for data in parts for remark in data.remarks)),
        )
        self.parts = tuple(parts)
        self.starts = np.cumsum([0, *(len(data) for data in parts)])

    def _place(self, index: int) -> tuple[Dataset, int]:
        place = int(np.searchsorted(self.starts, index, "right")) - 1
        return self.parts[place], index - int(self.starts[place])

    def image(self, index: int) -> Array:
        data, inner = self._place(index)
        return data.image(inner)

    def name(self, index: int) -> str:
        data, inner = self._place(index)
        return data.name(inner)
