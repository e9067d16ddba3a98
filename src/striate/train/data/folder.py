"""Folders of images: PATH/train/<class>/<image> and the like, or PATH/<class>/<image> without parts.

A class is a folder's name; classes are numbered in sorted order. Files are listed when the folder is opened and
decoded when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from striate.diagnostics import FormatError, LimitError, SourceError
from striate.train.data import images
from striate.train.data.dataset import Array, Dataset, OnBad
from striate.train.data.encoded import EncodedData, ignored_files, survey
from striate.train.data.files import opened, printable, unreadable
from striate.train.data.splits import ALL, SPELLINGS

MAX_FILES = 20_000_000
MAX_OTHERS = 50_000  # files met before the first image
KIND = "folder of images"


class FolderData(EncodedData):
    """Image files (name relative to `root`, class number)."""

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        labels: Sequence[int],
        classes: Sequence[str],
        *,
        part: str = "",
        remarks: Sequence[str] = (),
        on_bad: OnBad = "skip",
        channels: int | None = None,
    ) -> None:
        self.root, self.files = root, tuple(files)
        shape, uniform, formats = survey(len(files), self._look, f"{root}")
        self.channels = channels or shape[0]
        super().__init__(
            np.array(labels, np.int64),
            classes,
            (self.channels, *shape[1:]),
            f"{KIND} {root} ({formats})",
            part=part,
            uniform=uniform,
            remarks=remarks,
            on_bad=on_bad,
        )

    def _look(self, index: int) -> images.Look:
        with opened(self.root / self.files[index]) as stream:
            return images.look(stream, self.name(index))

    def decode(self, index: int) -> tuple[Array, tuple[str, ...]]:
        with opened(self.root / self.files[index]) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > images.MAX_BYTES:
                raise LimitError(
                    f"{self.name(index)} has {size:,} bytes",
                    where=self.name(index),
                    why=f"an image file has at most {images.MAX_BYTES:,}",
                    fix="remove it",
                )
            return images.decode(stream, self.name(index), self.channels)

    def name(self, index: int) -> str:
        return printable(self.files[index])


def read_folder(root: Path, on_bad: OnBad) -> dict[str, Dataset]:
    """The parts of a folder of class folders. Raises SourceError, FormatError."""
    inside = folders(root)
    # A folder "train" that holds images, not folders, is a class: the vehicle.
    spelt = [name for name in inside if name.lower() in SPELLINGS and folders(root / name)]
    parts = {SPELLINGS[name.lower()]: name for name in spelt}
    if not parts:
        parts = {ALL: ""}
    elif len(parts) < len(spelt):
        raise FormatError(
            f"{root} has one part twice", where=str(root), why=f"folders {', '.join(spelt)}", fix="rename one"
        )
    beside = [name for name in inside if name not in parts.values()] if ALL not in parts else []
    remarks = (f"folders beside the parts not read: {', '.join(beside[:4])}",) if beside else ()
    classes = _classes(root, parts)
    found: dict[str, Dataset] = {}
    channels: int | None = None
    for part, folder in sorted(parts.items(), key=lambda item: ("train", "all").count(item[0]), reverse=True):
        files, labels, others = _images(root, folder, classes)
        if not files:
            raise _no_images(root / folder, others)
        data = FolderData(
            root,
            files,
            labels,
            [printable(name) for name in classes],
            part="" if part == ALL else part,
            remarks=(*remarks, *ignored_files(others)),
            on_bad=on_bad,
            channels=channels,
        )
        channels = data.channels  # what training sees, the other parts become
        found[part] = data
    return found


def folders(root: Path) -> list[str]:
    """Names of the folders in `root`, sorted, without hidden ones. Raises SourceError."""
    try:
        with os.scandir(root) as entries:
            return sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except OSError as error:
        raise unreadable(root, error) from None


def _classes(root: Path, parts: Mapping[str, str]) -> tuple[str, ...]:
    of = {part: folders(root / folder) for part, folder in parts.items()}
    first = "train" if "train" in of else next(iter(of))
    for part, names in of.items():
        unknown = sorted(set(names) - set(of[first]))
        if unknown:
            raise FormatError(
                f"{root / parts[part]} has classes that {first} has not",
                where=str(root),
                why=", ".join(unknown[:5]),
                fix=f"the same class folders in each part, or remove {unknown[0]}",
            )
    return tuple(of[first])


def _images(root: Path, folder: str, classes: Sequence[str]) -> tuple[list[str], list[int], list[str]]:
    """Image files below root/folder/<class>, their class numbers, and the suffixes of the files left out."""
    files: list[str] = []
    labels: list[int] = []
    others = [Path(entry).suffix.lower() for entry in _loose(root / folder)]
    for label, name in enumerate(classes):
        top = os.path.join(folder, name)
        if not (root / top).is_dir():
            continue
        for file in sorted(_walk(root, top, set())):
            suffix = os.path.splitext(file)[1].lower()
            if suffix in images.SUFFIXES and not os.path.basename(file).startswith("."):
                files.append(file)
                labels.append(label)
            else:
                others.append(suffix)
            if not files and len(others) > MAX_OTHERS:
                return files, labels, others  # the root of a disk, and not of a data set
        if len(files) > MAX_FILES:
            raise LimitError(f"{root} has more than {MAX_FILES:,} files", where=str(root), fix="tar shards")
    return files, labels, others


def _loose(path: Path) -> Iterator[str]:
    """Files beside the class folders: a README does not matter, but is counted."""
    try:
        with os.scandir(path) as entries:
            yield from (entry.name for entry in entries if entry.is_file())
    except OSError as error:
        raise unreadable(path, error) from None


def _walk(root: Path, folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Files below root/folder, through links too, no folder twice."""
    try:
        status = os.stat(root / folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(root / folder) as entries:
            inside = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError as error:
        raise unreadable(root / folder, error) from None
    for name, is_folder in inside:
        path = os.path.join(folder, name)
        if is_folder:
            yield from _walk(root, path, seen)
        else:
            yield path


def _no_images(path: Path, others: Sequence[str]) -> SourceError:
    loose = [suffix for suffix in others if suffix in images.SUFFIXES]
    if loose:
        return SourceError(
            f"{path} has images, but no class folders",
            where=str(path),
            why=f"{len(loose):,} images lie beside each other, and nothing says what they show",
            fix="one folder per class: train/<class>/<image>",
        )
    met = "; ".join(ignored_files(others)) or "it is empty"
    return SourceError(
        f"{path} has no images in class folders",
        where=str(path),
        why=met,
        fix="train/<class>/<image>, or another format: CIFAR, IDX, .npz, tar shards",
    )
