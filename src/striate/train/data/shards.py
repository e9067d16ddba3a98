"""Tar shards as webdataset lays them out: files that share a name up to its first dot are one sample.

000017.jpg and 000017.cls (a class number, or its name), or 000017.json with "label". The shards are indexed when
they are opened; an image is then read at its offset, so that any order is possible, as with a folder.
Source: github.com/webdataset/webdataset, "The WebDataset Format".
"""

from __future__ import annotations

import glob
import io
import itertools
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from striate.diagnostics import FormatError, LimitError, SourceError, plural, printable
from striate.files import opened, unreadable
from striate.train.data import images
from striate.train.data.arrays import MAX_CLASSES, check_labels
from striate.train.data.bounded_reads import read_head
from striate.train.data.dataset import Array, BadImage, Dataset, OnBad
from striate.train.data.encoded import EncodedData, ignored_files, refuse_or_remark, survey
from striate.train.data.splits import ALL, SPELLINGS
from striate.train.data.tars import Member, members, unzip

LABELS = ("cls", "json", "txt")  # in this order
MAX_LABEL = 1 << 16
KEYS = ("label", "cls", "class", "class_name")
MAX_SHARDS = 100_000


class Sample(NamedTuple):
    """Location of an image, and its label as text."""

    shard: int
    image: Member
    label: str


class ShardData(EncodedData):
    """Images in tar files, read at their offsets."""

    def __init__(
        self,
        shards: Sequence[Path],
        samples: Sequence[Sample],
        labels: Array,
        classes: Sequence[str],
        *,
        kind: str,
        part: str,
        remarks: Sequence[str],
        on_bad: OnBad,
        channels: int | None,
        spooled: dict[int, BinaryIO],
    ) -> None:
        self.shards = tuple(shards)
        self.places = np.array([(s.shard, s.image.offset, s.image.size) for s in samples], np.int64).reshape(
            -1, 3
        )
        self.names = tuple(sample.image.name for sample in samples)
        self.spooled, self._lock = spooled, threading.Lock()
        shape, uniform, formats, self.deep = survey(len(samples), self._look, kind)
        self.channels = channels or shape[0]
        super().__init__(
            labels,
            classes,
            (self.channels, *shape[1:]),
            f"{kind} ({formats})",
            part=part,
            uniform=uniform,
            remarks=remarks,
            on_bad=on_bad,
        )

    def _bytes(self, index: int) -> bytes:
        shard, offset, size = self.places[index].tolist()
        if size > images.MAX_BYTES:
            raise LimitError(
                f"{self.name(index)} has {size:,} bytes",
                where=self.name(index),
                why=f"an image has at most {images.MAX_BYTES:,}",
                fix="remove it",
            )
        if shard in self.spooled:
            with self._lock:
                return _read(self.spooled[shard], offset, size)
        with opened(self.shards[shard]) as stream:
            data = _read(stream, offset, size)
        if len(data) < size:
            raise SourceError(
                f"{self.shards[shard]} was truncated while it was read",
                where=self.name(index),
                fix="restore the file",
            )
        return data

    def _look(self, index: int) -> images.Look:
        return images.look(io.BytesIO(self._bytes(index)), self.name(index))

    def decode(self, index: int) -> tuple[Array, tuple[str, ...]]:
        return images.read_image(self._bytes(index), self.channels, self.name(index))

    def name(self, index: int) -> str:
        return f"{self.shards[int(self.places[index, 0])].name}/{self.names[index]}"


def _read(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)


def read_shards(parts: dict[str, list[Path]], where: str, on_bad: OnBad) -> dict[str, Dataset]:
    """The parts in tar files. Raises FormatError, SourceError, LimitError."""
    kind = f"tar shards {where}"
    indexes: dict[str, tuple[list[Sample], tuple[str, ...], dict[int, BinaryIO]]] = {}
    for part, shards in parts.items():
        indexes[part] = _index(shards, kind, on_bad)
    texts = [sample.label for samples, _, _ in indexes.values() for sample in samples]
    classes, numbers = _classes(texts, next(iter(parts.values()))[0].parent, kind)
    data: dict[str, Dataset] = {}
    channels: int | None = None
    for part in sorted(parts, key=lambda part: part != "train"):
        samples, remarks, spooled = indexes[part]
        labels = np.array([numbers[sample.label] for sample in samples], np.int64)
        check_labels(labels, len(classes), kind)
        dataset = ShardData(
            parts[part],
            samples,
            labels,
            classes,
            kind=kind,
            part="" if part == ALL else part,
            remarks=remarks,
            on_bad=on_bad,
            channels=channels,
            spooled=spooled,
        )
        channels = dataset.channels
        data[part] = dataset
    return data


def _index(
    shards: Sequence[Path], kind: str, on_bad: OnBad
) -> tuple[list[Sample], tuple[str, ...], dict[int, BinaryIO]]:
    samples: list[Sample] = []
    bad: list[BadImage] = []
    skipped: list[str] = []
    others: list[str] = []
    unclosed: list[str] = []
    spooled: dict[int, BinaryIO] = {}
    total = 0
    for number, path in enumerate(shards):
        if read_head(path, 2) == b"\x1f\x8b":
            spooled[number] = unzip(path)
            total += _shard(path, number, spooled[number], samples, bad, skipped, others, unclosed)
        else:
            with opened(path) as stream:
                total += _shard(path, number, stream, samples, bad, skipped, others, unclosed)
    if not samples:
        raise FormatError(
            f"{kind}: no images with labels",
            where=str(shards[0]),
            why="; ".join(ignored_files(others)) or "it contains no files"
            if not bad
            else f"{bad[0].name}: {bad[0].why}",
            fix="store 000017.jpg next to 000017.cls, for each image",
        )
    remarks = list(refuse_or_remark(bad, "samples", total, on_bad, kind))
    if skipped:
        remarks.append(
            f"{len(skipped):,} members that are not plain files are skipped: {', '.join(skipped[:3])}"
        )
    if unclosed:
        more = f" and {len(unclosed) - 3:,} more" if len(unclosed) > 3 else ""
        remarks.append(f"possibly truncated, because there is no end marker: {', '.join(unclosed[:3])}{more}")
    return samples, (*remarks, *ignored_files(others)), spooled


def _shard(
    path: Path,
    number: int,
    stream: BinaryIO,
    samples: list[Sample],
    bad: list[BadImage],
    skipped: list[str],
    others: list[str],
    unclosed: list[str],
) -> int:
    """Append the samples of one shard; return their number, complete or not."""
    total = 0
    entries = members(path, stream, skipped, unclosed)
    for key, group in itertools.groupby(entries, key=lambda member: _key(member.name)):
        total += 1
        name = f"{path.name}/{key}"
        files: dict[str, Member] = {}
        twice = False
        for member in group:
            suffix = member.name[len(key) + 1 :].lower()
            twice = twice or suffix in files
            files[suffix] = member
        pictures = [suffix for suffix in files if f".{suffix.rpartition('.')[2]}" in images.SUFFIXES]
        label = next((suffix for suffix in LABELS if suffix in files), None)
        others.extend(f".{suffix}" for suffix in files if suffix not in pictures and suffix != label)
        if len(pictures) != 1 or label is None or twice:
            if pictures or label:
                bad.append(BadImage(name, _lacks(pictures, label, twice)))
            continue
        try:
            samples.append(Sample(number, files[pictures[0]], _label(stream, files[label], label)))
        except FormatError as error:
            bad.append(BadImage(name, error.what))
    return total


def _lacks(pictures: Sequence[str], label: str | None, twice: bool) -> str:
    if twice:
        return "its name occurs twice"
    if len(pictures) > 1:
        return f"{plural(len(pictures), 'image')} in one sample"
    return "no image" if not pictures else "no label" if label is None else ""


def _key(name: str) -> str:
    folder, _, file = name.rpartition("/")
    stem = file.split(".")[0] if not file.startswith(".") else file
    return f"{folder}/{stem}" if folder else stem


def _label(stream: BinaryIO, member: Member, kind: str) -> str:
    """The class as text. Raises FormatError."""
    if member.size > MAX_LABEL:
        raise FormatError(f"a label of {member.size:,} bytes")
    text = _read(stream, member.offset, member.size).decode("utf-8", "replace").strip()
    if kind == "json":
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise FormatError("its json cannot be read") from None
        value = (
            next((content[key] for key in KEYS if key in content), None)
            if isinstance(content, dict)
            else content
        )
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise FormatError('its json has no "label"')
        text = str(value).strip()
    if not text or len(text) > 200 or "\n" in text:
        raise FormatError("its label is empty" if not text else "its label is not a single word or number")
    return printable(text)


def _classes(texts: Iterable[str], folder: Path, kind: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Class names, and the class number of each label: numbers are kept, names are sorted."""
    every = set(texts)
    if all(re.fullmatch(r"\d{1,9}", text) for text in every):
        top = max(map(int, every)) + 1
        if top > MAX_CLASSES:
            raise LimitError(
                f"{kind}: label {top - 1:,}",
                why=f"at most {MAX_CLASSES:,} classes",
                fix="number the classes from 0",
            )
        names = tuple(str(number) for number in range(top))
        file_names = _read_class_names(folder)
        return (file_names if len(file_names) >= top else names), {text: int(text) for text in every}
    order = _read_class_names(folder)
    if not every <= set(order):
        order = tuple(sorted(every))
    return order, {name: number for number, name in enumerate(order)}


def _read_class_names(folder: Path) -> tuple[str, ...]:
    path = folder / "classes.txt"
    if not path.is_file():
        return ()
    with opened(path) as stream:
        lines = stream.read(1 << 20).decode("utf-8", "replace").splitlines()
    return tuple(printable(line.strip()) for line in lines if line.strip())


def find(folder: Path) -> dict[str, list[Path]]:
    """The tar files of a folder, and of folders named like parts in it, by part. Raises SourceError."""
    parts: dict[str, list[Path]] = {}
    try:
        for base, _, files in ((folder, 0, sorted(os.listdir(folder))), *_part_folders(folder)):
            for name in files:
                if re.search(r"\.(tar|tgz|tar\.gz)$", name.lower()):
                    parts.setdefault(part_of(base / name, folder), []).append(base / name)
    except OSError as error:
        raise unreadable(folder, error) from None
    return parts


def _part_folders(folder: Path) -> Iterator[tuple[Path, int, list[str]]]:
    for name in sorted(os.listdir(folder)):
        if name.lower() in SPELLINGS and (folder / name).is_dir():
            yield folder / name, 0, sorted(os.listdir(folder / name))


def part_of(path: Path, root: Path) -> str:
    """The part a shard belongs to: by its folder's name, or by a word in its name."""
    if path.parent != root and path.parent.name.lower() in SPELLINGS:
        return SPELLINGS[path.parent.name.lower()]
    words = re.split(r"[-_.\d]+", path.name.lower())
    return next((SPELLINGS[word] for word in words if word in SPELLINGS), ALL)


def expand(pattern: str) -> list[Path]:
    """The files of a pattern with {000..009}, * or ?. Raises SourceError, LimitError."""
    texts = [pattern]
    while any("{" in text for text in texts):
        match = re.search(r"\{(\d+)\.\.(\d+)\}", texts[0])
        if not match:
            break
        low, high = int(match[1]), int(match[2])
        if not 0 < (high - low + 1) * len(texts) <= MAX_SHARDS:
            raise LimitError(
                f"{pattern} matches {high - low + 1:,} files", why=f"1 to {MAX_SHARDS:,}", fix="fewer"
            )
        numbers = [f"{n:0{len(match[1])}d}" for n in range(low, high + 1)]
        texts = [text.replace(match[0], number, 1) for text in texts for number in numbers]
    paths = [
        Path(name) for text in texts for name in (sorted(glob.glob(text)) if glob.has_magic(text) else [text])
    ]
    if not paths:
        raise SourceError(
            f"no file matches {pattern}", where=pattern, fix="check the spelling, and quote the pattern"
        )
    return paths
