"""Images that are decoded when they are read: from files, from tar shards, from a Hugging Face dataset.

Only labels, names and offsets are kept, so that memory is bounded by the batches in progress.
"""

from __future__ import annotations

import abc
import collections
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, LimitError, plural
from striate.train.data.dataset import Array, BadImage, Dataset, Labels, OnBad, Shape
from striate.train.data.images import Look

SAMPLED_HEADERS = 64  # headers read when a set is opened, spread evenly


class EncodedData(Dataset):
    """Base of datasets that decode one image at a time; all images get the same number of channels."""

    streams = True

    def __init__(self, *facts: Any, **more: Any) -> None:
        super().__init__(*facts, **more)
        self._changes: dict[str, NDArray[np.bool_]] = {}

    @abc.abstractmethod
    def decode(self, index: int) -> tuple[Array, tuple[str, ...]]:
        """Image (C, H, W) as `images.read_image` gives it, and notes about changes."""

    def image(self, index: int) -> Array:
        pixels, notes = self.decode(index)
        for note in notes:
            # setdefault and the item assignment are each atomic under the interpreter's lock
            self._changes.setdefault(note, np.zeros(len(self), bool))[index] = True
        return pixels

    def change_counts(self, ids: Labels | None = None) -> dict[str, int]:
        """Number of images changed so far, by note, among `ids`."""
        rows = slice(None) if ids is None else ids
        counts = {note: int(np.count_nonzero(mask[rows])) for note, mask in sorted(self._changes.items())}
        return {note: count for note, count in counts.items() if count}

    def notes(self) -> tuple[str, ...]:
        return (*super().notes(), *sentences(self.change_counts()))


def sentences(change_counts: dict[str, int]) -> tuple[str, ...]:
    """Notes with the number of images each."""
    return tuple(f"{plural(count, 'image')}: {note}" for note, count in change_counts.items())


def survey(count: int, look: Callable[[int], Look], kind: str) -> tuple[Shape, bool, str, bool]:
    """Shape, whether it is that of all images, the formats, and whether some have more than 8 bits: from the headers
    of some images, spread evenly.

    Raises FormatError if no header of all `count` can be read.
    """
    sample = dict.fromkeys(np.linspace(0, count - 1, min(SAMPLED_HEADERS, count)).astype(int).tolist())
    headers: list[Look] = []
    problem: FormatError | LimitError | None = None
    for index in itertools.chain(sample, (index for index in range(count) if index not in sample)):
        if len(headers) >= 1 and index not in sample:
            break  # images outside the sample are tried only until one can be read
        try:
            headers.append(look(index))
        except (FormatError, LimitError) as error:
            problem = problem or error
    if not headers:
        raise FormatError(
            f"{kind}: none of the {plural(count, 'image')} can be read",
            where=problem.where if problem else "",
            why=problem.why if problem else "there is none",
            fix="`striate data check` lists them",
        )
    sizes = collections.Counter(header.size for header in headers)
    counts = collections.Counter(header.channels for header in headers)
    channels = 3 if counts.keys() == {1, 3} else counts.most_common(1)[0][0]  # gray can become color
    formats = "/".join(sorted({header.format for header in headers}))
    deep = any(header.deep for header in headers)
    return (channels, *sizes.most_common(1)[0][0]), len(sizes) == 1, formats, deep


def refuse_or_remark(
    problems: Sequence[BadImage], what: str, total: int, on_bad: OnBad, kind: str
) -> tuple[str, ...]:
    """Samples without an image or a label: an error with on_bad="refuse", else a remark that names them."""
    if not problems:
        return ()
    names = "; ".join(f"{name} ({why})" for name, why in problems[:3])
    more = f"; and {len(problems) - 3:,} more" if len(problems) > 3 else ""
    text = f"{len(problems):,} of {total:,} {what} left out: {names}{more}"
    if on_bad == "refuse":
        raise FormatError(f"{kind}: {text}", where=problems[0].name, fix='repair them, or use on_bad="skip"')
    return (text,)


def ignored_files(suffixes: Iterable[Any]) -> tuple[str, ...]:
    """A remark about files that are not images, by suffix."""
    counts = collections.Counter(suffixes)
    if not counts:
        return ()
    kinds = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in counts.most_common(4))
    return (f"{plural(sum(counts.values()), 'other file')} not read ({kinds})",)
