"""Datasets for the training loop: transformation, seeded epochs, and the debug switches that shorten them."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from contextlib import suppress

import numpy as np

from striate.diagnostics import FormatError, LimitError, SourceError, TrainingError, plural, setting
from striate.engine.process_group import SINGLE_PROCESS, ProcessGroup
from striate.network import Network
from striate.train.adapt_network import image_input
from striate.train.data import Batch, Dataset, Transform
from striate.train.data.cached import with_cache
from striate.train.data.dataset import BadImage, Shape
from striate.train.data.several import OneInput
from striate.train.data.transforms import ByInput
from striate.train.mixing import Mixing
from striate.train.settings import Settings

ORDER, NOISE, MIX = 1, 2, 3
"""Random streams: one number per use, so that no two uses draw the same random numbers.

Every draw comes from (seed, stream, epoch, batch). So a checkpoint needs only the position.
"""


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset bound to one run's settings.

    limit: maximum batches per epoch, 0 = all. shuffled: a new order in every epoch. process_group: the processes that
    share every batch. Each reads its share of the images; sizes count the whole batch.
    """

    data: Dataset
    transform: Transform
    batch_size: int
    seed: int = 0
    limit: int = 0
    shuffled: bool = False
    drop_last: bool = False
    process_group: ProcessGroup = SINGLE_PROCESS

    @property
    def steps(self) -> int:
        """Batches in an epoch, before corrupt images are left out."""
        steps = self.data.steps(self.batch_size, self.drop_last)
        return min(steps, self.limit) if self.limit else steps

    @property
    def images(self) -> int:
        """Images in an epoch."""
        return min(len(self.data), self.steps * self.batch_size)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start`. Raises SourceError if a file is missing."""
        if start >= self.steps:
            return
        words = (self.seed, ORDER, number) if self.shuffled else None
        batches = self.data.batches(
            self.batch_size,
            rng=words,
            transform=self.transform,
            start=start,
            drop_last=self.drop_last,
            share=self.process_group.share if self.process_group.size > 1 else None,
        )
        try:
            for batch in batches:
                yield batch
                if batch.index + 1 >= self.steps:
                    break
        except OSError as error:
            raise SourceError(
                "the data can no longer be read",
                where=str(error.filename or self.data.source),
                why=error.strerror or str(error),
                fix=f"restore the file, then continue with {setting('resume', 'RUN')}",
            ) from None
        finally:
            if isinstance(batches, Generator):  # ends its threads now, not at garbage collection
                batches.close()


def make_transforms(net: Network, data: Dataset, settings: Settings) -> tuple[Transform, Transform]:
    """The transformations from stored images to the network's input: augmented for training, and without random steps.

    Mean and standard deviation are measured on the data. Raises FormatError.
    """
    if data.inputs:
        return _by_input(net, data, settings)
    mean, std = data.statistics()
    channels, height, width = image_input(net)
    target = channels, height, width
    plain = Transform.standard(data.shape, target, mean, std, uniform=data.uniform, white=white_of(data))
    return augment(plain, data, target, settings), plain


def _by_input(net: Network, data: Dataset, settings: Settings) -> tuple[Transform, Transform]:
    """The same for several inputs: each image input gets its own normalization, the others are unchanged."""
    inputs: list[tuple[str, Transform]] = []
    for name, shape in data.inputs.items():
        transform = Transform()
        if len(shape) == 3:
            one = OneInput(data, name)
            mean, std = one.statistics()
            transform = Transform.standard(one.shape, one.shape, mean, std, white=white_of(one))
        inputs.append((name, transform))
    plain = ByInput(inputs=tuple(inputs))
    return augment_by_input(plain, data, settings), plain


def augment_by_input(plain: ByInput, data: Dataset, settings: Settings) -> ByInput:
    """Add the augmentation of the settings to the image inputs."""
    return ByInput(
        inputs=tuple(
            (
                name,
                augment(transform, one := OneInput(data, name), one.shape, settings)
                if len(data.inputs[name]) == 3
                else transform,
            )
            for name, transform in plain.inputs
        )
    )


def augment(plain: Transform, data: Dataset, target: Shape, settings: Settings) -> Transform:
    """Add the augmentation of the settings to a transformation."""
    return plain.augmented(
        data.shape,
        target,
        pad_crop=settings.pad_crop,
        flip=settings.flip,
        resized_crop=settings.resized_crop,
        jitter=settings.jitter,
        erasing=settings.erasing,
    )


def white_of(data: Dataset) -> int:
    """The integer that this data reads as 1; 0 if its pixels are floats."""
    if data.white is not None:
        return data.white
    for index in range(min(len(data), 100)):  # the first may be unreadable
        with suppress(FormatError, LimitError):
            return 255 if data.image(index).dtype == np.uint8 else 0
    return 0


def sources(
    train: Dataset,
    validation: Dataset | None,
    transforms: tuple[Transform, Transform],
    settings: Settings,
    process_group: ProcessGroup = SINGLE_PROCESS,
) -> tuple[Source, Source | None]:
    """Training and validation data under the settings. The processes of `process_group` share the training data, unless
    batches are mixed, which needs all their images. Raises TrainingError if there is no training batch.
    """
    if Mixing(settings.mixup, settings.cutmix):
        process_group = SINGLE_PROCESS
    augmented, plain = transforms
    size, limit = settings.batch_size, int(settings.fast_dev_run)
    train = with_cache(train, augmented)
    validation = None if validation is None else with_cache(validation, plain)
    if settings.overfit_batches:
        same = Source(train, plain, size, settings.seed, settings.overfit_batches)
        _check_batches(same)
        return dataclasses.replace(same, process_group=process_group), same
    learn = Source(train, augmented, size, settings.seed, limit, True, settings.drop_last, process_group)
    _check_batches(learn)
    return learn, None if validation is None else Source(validation, plain, size, limit=limit)


def _check_batches(source: Source) -> None:
    if source.steps == 0:
        raise TrainingError(
            "there is no training batch",
            where=source.data.source,
            why=f"{plural(len(source.data), 'image')} do not fill a batch of {source.batch_size}"
            + (" because the last, partial batch is dropped" if source.drop_last else ""),
            fix="use a smaller batch_size, or more images" if len(source.data) else "give data with images",
        )


def gather_bad(data: Dataset, process_group: ProcessGroup) -> None:
    """Record in the data which images other processes could not read."""
    if process_group.size == 1:
        return
    mask = np.zeros(len(data))
    mask[list(data.bad)] = 1
    for index in np.flatnonzero(process_group.sum(mask)).tolist():
        data.bad.setdefault(index, BadImage(data.name(index), "reported by another process"))
