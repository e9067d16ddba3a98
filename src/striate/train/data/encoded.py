"""Images that are decoded when they are asked for: from files, from tar shards, from a Hugging Face dataset.

Nothing is kept but labels, names and places; so memory is bounded by the batches under way.
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
    """Subclasses say how one image is decoded; all become one number of channels, which is said."""

    streams = True

    def __init__(self, *facts: Any, **more: Any) -> None:
        super().__init__(*facts, **more)
        self._noted: dict[str, NDArray[np.bool_]] = {}

    @abc.abstractmethod
    def decode(self, index: int) -> tuple[Array, tuple[str, ...]]:
        """Image (C, H, W) as `images.read_image` gives it, and what was changed."""

    def image(self, index: int) -> Array:
        pixels, notes = self.decode(index)
        for note in notes:
            # setdefault and one item assignment: both whole under the interpreter's lock
            self._noted.setdefault(note, np.zeros(len(self), bool))[index] = True
        return pixels

    def noted(self, ids: Labels | None = None) -> dict[str, int]:
        """How many images were changed in which way so far, among `ids`."""
        rows = slice(None) if ids is None else ids
        counts = {note: int(np.count_nonzero(seen[rows])) for note, seen in sorted(self._noted.items())}
        return {note: count for note, count in counts.items() if count}

    def notes(self) -> tuple[str, ...]:
        return (*super().notes(), *sentences(self.noted()))


def sentences(noted: dict[str, int]) -> tuple[str, ...]:
    """Counted notes in words."""
    return tuple(f"{plural(count, 'image')}: {note}" for note, count in noted.items())


def survey(count: int, look: Callable[[int], Look], kind: str) -> tuple[Shape, bool, str, bool]:
    """Shape, whether all have it, the formats met, and whether some have more than 8 bits: from the headers of some
    images, spread evenly.

    Raises FormatError where no header of all `count` can be read.
    """
    spread = dict.fromkeys(np.linspace(0, count - 1, min(SAMPLED_HEADERS, count)).astype(int).tolist())
    seen: list[Look] = []
    problem: FormatError | LimitError | None = None
    for index in itertools.chain(spread, (index for index in range(count) if index not in spread)):
        if len(seen) >= 1 and index not in spread:
            break  # beyond the spread only until one can be read
        try:
            seen.append(look(index))
        except (FormatError, LimitError) as error:
            problem = problem or error
    if not seen:
        raise FormatError(
            f"{kind}: none of the {plural(count, 'image')} can be read",
            where=problem.where if problem else "",
            why=problem.why if problem else "there is none",
            fix="`striate data check` lists them",
        )
    sizes = collections.Counter(found.size for found in seen)
    counts = collections.Counter(found.channels for found in seen)
    channels = 3 if counts.keys() == {1, 3} else counts.most_common(1)[0][0]  # gray can become color
    formats = "/".join(sorted({found.format for found in seen}))
    deep = any(found.deep for found in seen)
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
    """A remark on files that are no images, by suffix."""
    counts = collections.Counter(suffixes)
    if not counts:
        return ()
    kinds = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in counts.most_common(4))
    return (f"{plural(sum(counts.values()), 'other file')} not read ({kinds})",)
