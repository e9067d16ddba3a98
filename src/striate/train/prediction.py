"""Predicted classes and probabilities for images, from a network's outputs.

An image that cannot be read gives an answer too, and does not stop the others.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from striate.diagnostics import OpError, warn
from striate.network import Network
from striate.train.data.dataset import Array, BadImage
from striate.train.evaluation import logits
from striate.train.inputs import Image, ImageReader, Ready
from striate.train.losses import Loss

Run = Callable[[Array], "Array | tuple[Array, ...]"]
"""Returns a network's outputs for a batch of its inputs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """Prediction for one image. probabilities: (classes,); notes: changes to the image."""

    name: str
    probabilities: Array
    notes: tuple[str, ...] = ()

    def top(self, count: int) -> list[tuple[int, float]]:
        """Class numbers and probabilities, the most probable first; of equal ones the first class."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(int(k), float(self.probabilities[k])) for k in order]


def probabilities(net: Network, loss: Loss, outputs: Array | tuple[Array, ...]) -> Array:
    """Probabilities (N, classes). Raises OpError if the network does not classify images."""
    values = logits(net, outputs)
    if values.ndim != 2:
        raise OpError(
            f"{net.name} does not classify images",
            where=f"its output {net.outputs[0]} is {net.specs[net.outputs[0]]}",
            why="classification needs one value per class for each image",
            fix="use predict, which returns the outputs",
        )
    return loss.probabilities(values)


def readable(
    folder: str, files: Iterable[str], results: Iterable[Answer | BadImage]
) -> Iterator[tuple[str, Answer]]:
    """Answers with the names of their files, relative to a folder; images that cannot be read are warned of."""
    for file, answer in zip(files, results, strict=True):
        if isinstance(answer, BadImage):
            warn(f"{answer.name} cannot be read and is left out: {answer.why}")
        else:
            yield Path(os.path.relpath(file, folder)).as_posix(), answer


def answers(
    net: Network, run: Run, reader: ImageReader, loss: Loss, images: Iterable[Image], batch: int
) -> Iterator[Answer | BadImage]:
    """The answer to each image, in order; a BadImage for an unreadable one. Raises FormatError if the model records no
    transformation.
    """
    for waiting in reader.batches(images, batch):
        ready = [one for one in waiting if isinstance(one, Ready)]
        rows: Iterator[Array] = iter(())
        if ready:
            rows = iter(probabilities(net, loss, run(np.stack([one.x for one in ready]))))
        for one in waiting:
            yield Answer(one.name, next(rows), one.notes) if isinstance(one, Ready) else one
