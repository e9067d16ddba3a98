"""Parts of a dataset: those of the source, or drawn by a seed from the names of the images.

Names, not numbers, decide the part: one more file moves at most a few images at a boundary, so that training images of
a resumed or repeated run do not become test images.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from striate.diagnostics import SourceError, UsageError, suggest
from striate.train.data.dataset import Dataset, Joined, Labels, Shape, Subset

TRAIN, VALIDATION, TEST, ALL = "train", "validation", "test", "all"
#: Spellings of the parts in folders, files and keys.
SPELLINGS: Mapping[str, str] = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}


@dataclasses.dataclass(frozen=True, eq=False)
class DataSplits:
    """The parts for training, model selection and test; `found` describes where each comes from."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    found: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def shape(self) -> Shape:
        return self.train.shape

    def parts(self) -> dict[str, Dataset]:
        """The existing parts, by name."""
        every = {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test}
        return {name: data for name, data in every.items() if data is not None}


def complete(parts: Mapping[str, Dataset], holdout: float, seed: int) -> dict[str, Dataset]:
    """Draw missing parts from the existing ones: {"all"} becomes three, {"train", "test"} too.

    `holdout` is the share of each class drawn for each missing part; 0 draws nothing. Raises UsageError.
    """
    if not 0 <= holdout < 0.5:
        raise UsageError(
            f"holdout {holdout} is not allowed",
            why="it is a share of each class",
            fix="use a number from 0 to below 0.5",
        )
    share = f"{holdout * 100:.4g} % of each class"
    drawn_by = f"drawn by seed {seed}"
    if ALL in parts:
        data = parts[ALL]
        if not holdout:
            return {TRAIN: Subset(data, np.arange(len(data)), TRAIN)}
        origins = ("the rest", f"{share}, {drawn_by}", f"{share}, {drawn_by}")
        places = draw_holdout(data, (holdout, holdout), seed)
        names = (TRAIN, VALIDATION, TEST)
        return {name: Subset(data, at, f"{name}: {text}") for name, at, text in zip(names, places, origins)}
    result = dict(parts)
    if TRAIN in parts and VALIDATION not in parts and holdout:
        data = parts[TRAIN]
        train_places, validation_places = draw_holdout(data, (holdout,), seed)
        if len(validation_places):
            result[TRAIN] = Subset(data, train_places, f"{TRAIN}: without {VALIDATION}")
            result[VALIDATION] = Subset(
                data, validation_places, f"{VALIDATION}: {share} of {TRAIN}, {drawn_by}"
            )
    return result


def draw_holdout(data: Dataset, shares: tuple[float, ...], seed: int) -> list[Labels]:
    """Indices of the remaining images, then of each share: drawn in every class by the hash of names and seed.

    A class of more images than there are shares gives each at least one, and keeps at least one.
    """
    rank = np.array([_hash(data.name(index), seed) for index in range(len(data))], np.uint64)
    part = np.zeros(len(data), np.int64)
    for label in range(len(data.classes)):
        members = np.flatnonzero(data.labels == label)
        members = members[np.argsort(rank[members], kind="stable")]
        at = 0
        for number, share in enumerate(shares, 1):
            least = 1 if len(members) > len(shares) else 0
            count = max(least, round(share * len(members))) if share else 0
            count = max(0, min(count, len(members) - 1 - at))
            part[members[at : at + count]] = number
            at += count
    return [np.flatnonzero(part == number) for number in range(len(shares) + 1)]


def choose(parts: Mapping[str, Dataset], split: str, where: str) -> Dataset:
    """The part called `split` in any spelling; "all" joins all parts. Raises SourceError, UsageError."""
    name = ALL if split == ALL else SPELLINGS.get(split.lower())
    if name is None:
        nearest = suggest(split, [*SPELLINGS, ALL])
        raise UsageError(
            f"there is no part {split!r}",
            why="parts are train, validation, test and all",
            fix=f"did you mean {nearest}?" if nearest else "use one of these",
        )
    if name in parts:
        return parts[name]
    if name == ALL:
        every = list(parts.values())
        return every[0] if len(every) == 1 else Joined(every, " + ".join(parts))
    raise SourceError(
        f"{where} has no {name} part",
        where=where,
        why=f"it has {', '.join(parts)}",
        fix=f"add one, or use {next(iter(parts))}",
    )


def _hash(name: str, seed: int) -> int:
    return int.from_bytes(
        hashlib.blake2b(f"{seed}/{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    )
