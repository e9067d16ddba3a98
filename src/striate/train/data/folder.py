"""Folders of images: PATH/train/<class>/<image> and the like, or PATH/<class>/<image> without parts.

A class is a folder's name; classes are numbered in sorted order. Files are listed when the folder is opened and
decoded when they are read.
"""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from striate.diagnostics import FormatError, LimitError, SourceError, plural, printable
from striate.files import opened, unreadable
from striate.train.data import images
from striate.train.data.bounded_reads import is_hidden
from striate.train.data.dataset import Array, Dataset, OnBad
from striate.train.data.encoded import EncodedData, ignored_files, survey
from striate.train.data.splits import ALL, SPELLINGS

MAX_DEPTH = 64  # folders inside a class
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
        about: str = "",
    ) -> None:
        self.root, self.files = root, tuple(files)
        shape, uniform, formats, self.deep = survey(len(files), self._look, f"{root}")
        self.channels = channels or shape[0]
        super().__init__(
            np.array(labels, np.int64),
            classes,
            (self.channels, *shape[1:]),
            f"{about or f'{KIND} {root}'} ({formats})",
            part=part,
            uniform=uniform,
            remarks=remarks,
            on_bad=on_bad,
        )

    @contextlib.contextmanager
    def _open(self, index: int) -> Iterator[BinaryIO]:
        """Open the file. One that cannot be opened is a bad image; a missing one stops the reader."""
        path = self.root / self.files[index]
        if os.path.lexists(path) and (why := _unopenable(path)):
            raise FormatError(
                f"{self.name(index)} cannot be opened",
                where=self.name(index),
                why=why,
                fix="replace or remove it",
            )
        with opened(path) as stream:
            yield stream

    def _look(self, index: int) -> images.Look:
        with self._open(index) as stream:
            return images.look(stream, self.name(index))

    def decode(self, index: int) -> tuple[Array, tuple[str, ...]]:
        with self._open(index) as stream:
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
    # A folder "train" that holds images, not folders, is a class (the vehicle).
    part_folders = [name for name in inside if name.lower() in SPELLINGS and folders(root / name)]
    parts = {SPELLINGS[name.lower()]: name for name in part_folders}
    if not parts:
        parts = {ALL: ""}
    elif len(parts) < len(part_folders):
        raise FormatError(
            f"{root} has the same part twice",
            where=str(root),
            why=f"folders {', '.join(part_folders)}",
            fix="rename one",
        )
    others = [name for name in inside if name not in parts.values()] if ALL not in parts else []
    remarks = [f"folders next to the parts not read: {', '.join(others[:4])}"] if others else []
    listings = {part: _Listing(root, folder) for part, folder in parts.items()}
    classes, empty = _classes(root, parts, listings)
    if empty:
        more = f" and {len(empty) - 4:,} more" if len(empty) > 4 else ""
        names = ", ".join(map(printable, empty[:4]))
        remarks.append(f"class folders without images left out: {names}{more}")
    datasets: dict[str, Dataset] = {}
    channels: int | None = None
    for part, listing in sorted(
        listings.items(), key=lambda item: ("train", "all").count(item[0]), reverse=True
    ):
        numbered = [
            (file, label) for label, name in enumerate(classes) for file in listing.files.get(name, ())
        ]
        if not numbered:
            raise _no_images(root / listing.folder, listing.others)
        data = FolderData(
            root,
            [file for file, _ in numbered],
            [label for _, label in numbered],
            [printable(name) for name in classes],
            part="" if part == ALL else part,
            remarks=(*remarks, *listing.remarks()),
            on_bad=on_bad,
            channels=channels,
        )
        data.left_out = tuple(map(printable, empty))
        channels = data.channels  # the other parts get the number of channels of the training part
        datasets[part] = data
    return datasets


def read_loose(root: Path, on_bad: OnBad) -> Dataset | None:
    """The images of a folder that has none in class folders; None if it has, or no images. Raises as `read_folder`."""
    names = sorted(_loose(root))
    loose = [name for name in names if is_image(name)]
    if not loose or any(_Listing(root, "").files.values()):
        return None
    others = ignored_files([Path(name).suffix.lower() for name in names if not is_image(name)])
    return unlabeled_files(root, loose, on_bad, remarks=others)


def unlabeled_files(root: Path, files: Sequence[str], on_bad: OnBad, **more: Any) -> Dataset:
    """Image files without labels: data of no class."""
    return FolderData(root, files, [0] * len(files), (), on_bad=on_bad, **more)


def is_image(path: str) -> bool:
    """True for the name of an image file that is not hidden."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix in images.SUFFIXES and not os.path.basename(path).startswith(".")


def _is(kind: Callable[[os.DirEntry[str]], bool], entry: os.DirEntry[str]) -> bool:
    """True if an entry is of a kind; a link to itself is of none."""
    try:
        return kind(entry)
    except OSError:
        return False


def folders(root: Path) -> list[str]:
    """Names of the folders in `root`, sorted, without hidden ones. Raises SourceError."""
    try:
        with os.scandir(root) as entries:
            return sorted(
                entry.name
                for entry in entries
                if _is(os.DirEntry.is_dir, entry) and not is_hidden(entry.name)
            )
    except OSError as error:
        raise unreadable(root, error) from None


def _classes(
    root: Path, parts: Mapping[str, str], listings: Mapping[str, _Listing]
) -> tuple[list[str], list[str]]:
    """The class folders with images in some part, and those without images in any. Raises FormatError."""
    first = "train" if "train" in listings else next(iter(listings))
    nonempty = {name for listing in listings.values() for name, files in listing.files.items() if files}
    for part, listing in listings.items():
        unknown = sorted(set(listing.files) & nonempty - set(listings[first].files))
        if unknown:
            raise FormatError(
                f"{root / parts[part]} has classes that {first} lacks",
                where=str(root),
                why=", ".join(unknown[:5]),
                fix=f"use the same class folders in each part, or remove {unknown[0]}",
            )
    every = {name for listing in listings.values() for name in listing.files}
    return sorted(nonempty), sorted(every - nonempty)


class _Listing:
    """The files of one part: images by class folder, and the suffixes of other files."""

    def __init__(self, root: Path, folder: str) -> None:
        self.root, self.folder = root, folder
        self.files: dict[str, list[str]] = {}
        self.others = [Path(entry).suffix.lower() for entry in _loose(root / folder)]
        self.hidden: collections.Counter[str] = collections.Counter()
        count = 0
        for name in folders(root / folder):
            self.files[name] = self._images(os.path.join(folder, name), count)
            count += len(self.files[name])
            if not count and len(self.others) > MAX_OTHERS:
                return  # the root of a disk, not of a dataset
        with contextlib.suppress(OSError), os.scandir(root / folder) as entries:
            self.hidden.update(
                entry.name for entry in entries if is_hidden(entry.name) and _is(os.DirEntry.is_dir, entry)
            )

    def _images(self, top: str, before: int) -> list[str]:
        """Image files below root/top, sorted."""
        image_files = []
        for path in sorted(self._walk(top)):
            if not is_image(path):
                self.others.append(os.path.splitext(path)[1].lower())
            else:
                image_files.append(path)
            if not (before or image_files) and len(self.others) > MAX_OTHERS:
                break
        if before + len(image_files) > MAX_FILES:
            raise LimitError(
                f"{self.root} has more than {MAX_FILES:,} files", where=str(self.root), fix="tar shards"
            )
        return image_files

    def _walk(self, top: str) -> Iterator[str]:
        """All files below root/top; follows links, and visits each folder once."""
        visited: set[tuple[int, int]] = set()
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise LimitError(
                    f"{self.root / top} has folders nested more than {MAX_DEPTH} deep",
                    where=printable(folder)[:200],
                    why="images of a class belong in its folder, or at most a few levels below",
                    fix="move them up, or remove folders without data",
                )
            try:
                status = os.stat(self.root / folder)
                if (status.st_dev, status.st_ino) in visited:
                    continue
                visited.add((status.st_dev, status.st_ino))
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        path = os.path.join(folder, entry.name)
                        if not _is(os.DirEntry.is_dir, entry):
                            yield path
                        elif is_hidden(entry.name):
                            self.hidden[entry.name] += 1
                        else:
                            waiting.append((path, depth + 1))
            except OSError as error:
                raise unreadable(self.root / folder, error) from None

    def remarks(self) -> tuple[str, ...]:
        """Remarks about folders and files that are not read."""
        kinds = ", ".join(f"{count:,} {printable(name)}" for name, count in self.hidden.most_common(4))
        notes = (f"{plural(sum(self.hidden.values()), 'hidden folder')} not read ({kinds})",) if kinds else ()
        return (*notes, *ignored_files(self.others))


def _unopenable(path: Path) -> str:
    """Why an existing path cannot be read as a file, or an empty string."""
    if not os.path.exists(path):
        return "a broken link"
    if not os.path.isfile(path):
        return "not a regular file"
    return "" if os.access(path, os.R_OK) else "its permissions do not allow reading"


def _loose(path: Path) -> Iterator[str]:
    """Files next to the class folders, such as a README."""
    try:
        with os.scandir(path) as entries:
            yield from (entry.name for entry in entries if _is(os.DirEntry.is_file, entry))
    except OSError as error:
        raise unreadable(path, error) from None


def _no_images(path: Path, others: Sequence[str]) -> SourceError:
    loose = [suffix for suffix in others if suffix in images.SUFFIXES]
    if loose:
        return SourceError(
            f"{path} has images, but no class folders",
            where=str(path),
            why=f"{plural(len(loose), 'image')} outside of class folders, without a label",
            fix="use one folder per class: train/<class>/<image>",
        )
    contents = "; ".join(ignored_files(others)) or "it is empty"
    return SourceError(
        f"{path} has no images in class folders",
        where=str(path),
        why=contents,
        fix="use train/<class>/<image>, or another format: CIFAR, IDX, .npz, tar shards",
    )
