"""What a trained network says to image files: found, read, transformed as in training, answered in their order.

Decides which files of a folder are images; an image that cannot be read is an answer too, and stops none of the others.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, LimitError, SourceError
from striate.engine.interface import Program
from striate.train.data import Transform
from striate.train.data.dataset import Array, BadImage, Shape
from striate.train.data.files import hidden, is_directory, printable, unreadable
from striate.train.data.images import MAX_BYTES, SUFFIXES, read_image
from striate.train.evaluation import main_output
from striate.train.losses import Loss
from striate.train.network import image_input

STDIN = "-"


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """probabilities: (classes,); notes: what had to be changed for the network to read the image."""

    name: str
    probabilities: Array
    notes: tuple[str, ...]

    def top(self, count: int) -> list[tuple[int, float]]:
        """Class numbers and probabilities, the most probable first; of equal ones the first class."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(int(k), float(self.probabilities[k])) for k in order]


def image_files(paths: Iterable[str]) -> Iterator[str]:
    """Every image that the names stand for: files, all images below a folder in sorted order, "-" for standard input.

    Raises SourceError where a path is missing or a folder has no image.
    """
    for text in paths:
        if text == STDIN or not is_directory(Path(text)):
            yield text
            continue
        empty = True
        for folder, inner, names in os.walk(text, onerror=_unreadable):
            inner[:] = sorted(name for name in inner if not hidden(name))
            for name in sorted(names):
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                    empty = False
                    yield os.path.join(folder, name)
        if empty:
            raise SourceError(
                f"{text} has no images",
                where=text,
                why=f"no file below it ends in one of {', '.join(sorted(SUFFIXES))}",
                fix="name a folder with images, or the files",
            )


def answers(
    program: Program, transform: dict[str, Any], loss: Loss, files: Iterable[str], *, batch: int = 64
) -> Iterator[Answer | BadImage]:
    """The answer to each file, in order; a BadImage where one cannot be read. Raises FormatError where the model
    does not say how images were transformed.
    """
    reader = _Reader(Transform.from_dict(transform), image_input(program.net))
    waiting: list[_Ready | BadImage] = []
    ready = 0
    for file in files:
        found = reader.read(file)
        waiting.append(found)
        ready += isinstance(found, _Ready)
        if ready == batch:
            yield from _answered(program, loss, waiting)
            waiting, ready = [], 0
    yield from _answered(program, loss, waiting)


@dataclasses.dataclass(frozen=True, eq=False)
class _Ready:
    """x: (C, H, W), as the network reads it."""

    name: str
    x: Array
    notes: tuple[str, ...]


class _Reader:
    """Reads images; remembers how those of one shape are brought to the network's."""

    def __init__(self, transform: Transform, target: Shape) -> None:
        self.transform, self.target = transform, target
        self.ways: dict[Shape, tuple[Transform, tuple[str, ...]]] = {}

    def read(self, file: str) -> _Ready | BadImage:
        try:
            image, changed = read_image(_stdin() if file == STDIN else Path(file), None, _shown(file))
        except (FormatError, LimitError, SourceError) as error:
            return BadImage(_shown(file), error.why or error.what)
        shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
        if shape not in self.ways:
            self.ways[shape] = self.transform.fit_to(shape, self.target)
        way, notes = self.ways[shape]
        return _Ready(_shown(file), way(image[None])[0], (*changed, *notes))


def _answered(program: Program, loss: Loss, waiting: list[_Ready | BadImage]) -> Iterator[Answer | BadImage]:
    ready = [one for one in waiting if isinstance(one, _Ready)]
    rows: Iterator[Array] = iter(())
    if ready:
        rows = iter(loss.probabilities(main_output(program, np.stack([one.x for one in ready]))))
    for one in waiting:
        yield Answer(one.name, next(rows), one.notes) if isinstance(one, _Ready) else one


def _stdin() -> bytes:
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise LimitError("standard input is too long", why=f"an image has at most {MAX_BYTES:,} bytes")
    return data


def _shown(file: str) -> str:
    return "standard input" if file == STDIN else printable(file)


def _unreadable(error: OSError) -> None:
    raise unreadable(error.filename or "a folder", error)
