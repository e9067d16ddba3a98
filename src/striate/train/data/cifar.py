"""CIFAR-10 and CIFAR-100 as their authors publish them: binary records, and pickled Python batches.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the layout described at
www.cs.toronto.edu/~kriz/cifar.html: a record is one label byte (CIFAR-100: coarse, then fine) and 3 x 32 x 32 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from striate.diagnostics import FormatError
from striate.files import opened
from striate.train.data.arrays import ArrayData
from striate.train.data.bounded_reads import read_whole
from striate.train.data.dataset import Array, Dataset, Labels
from striate.train.data.splits import TEST, TRAIN
from striate.train.data.unpickle import read_pickle

PIXELS = 3 * 32 * 32
MAX_FILE = 1 << 30
NAMES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BINARY = re.compile(r"(data_batch_\d+|test_batch|train|test)\.bin")
PYTHON = re.compile(r"data_batch_\d+|test_batch|train|test")


def read_binary(files: Iterable[Path]) -> dict[str, Dataset]:
    """The parts in binary files. Raises SourceError, FormatError, LimitError."""
    parts: dict[str, list[tuple[Path, Array]]] = {}
    for path in sorted(files, key=_number):
        parts.setdefault(_part(path), []).append(
            (path, np.frombuffer(read_whole(path, MAX_FILE, "a CIFAR file"), np.uint8))
        )
    first = next(path for datasets in parts.values() for path, _ in datasets)
    every = [(path, len(data)) for datasets in parts.values() for path, data in datasets]
    classes = 10 if all(size % (PIXELS + 1) == 0 for _, size in every) else 100
    if classes == 100 and not all(size % (PIXELS + 2) == 0 for _, size in every):
        classes = 100 if any(path.stem in ("train", "test") for path, _ in every) else 10
    names = _names(first.parent, "batches.meta.txt" if classes == 10 else "fine_label_names.txt", classes)
    datasets: dict[str, Dataset] = {}
    for part, members in parts.items():
        rows = [_records(path, data, classes) for path, data in members]
        data = np.concatenate(rows)
        labels, x = data[:, -PIXELS - 1], data[:, -PIXELS:].reshape(-1, 3, 32, 32)
        datasets[part] = _data(x, labels, names, f"CIFAR-{classes} binary {first.parent}", part)
    return datasets


def _records(path: Path, data: Array, classes: int) -> Array:
    length = PIXELS + (1 if classes == 10 else 2)
    if not len(data) or len(data) % length:
        raise FormatError(
            f"{path} is not a complete CIFAR-{classes} file",
            where=str(path),
            why=f"{len(data):,} bytes: {len(data) // length:,} records of {length:,} and {len(data) % length:,} "
            "left over",
            fix="download it again" if len(data) else "it is empty: download it again",
        )
    records = data.reshape(-1, length)
    wrong = np.flatnonzero(records[:, -PIXELS - 1] >= classes)
    if len(wrong):
        raise FormatError(
            f"{path} is not a CIFAR-{classes} file",
            where=f"{path}, record {int(wrong[0])}",
            why=f"its label is {int(records[wrong[0], -PIXELS - 1])}, but classes are 0 to {classes - 1}",
            fix="give a CIFAR binary file",
        )
    return records


def read_python(files: Iterable[Path]) -> dict[str, Dataset]:
    """The parts in pickled batches, read without executing anything. Raises SourceError, FormatError."""
    parts: dict[str, list[tuple[Array, Labels, int]]] = {}
    folder = Path()
    for path in sorted(files, key=_number):
        folder = path.parent
        parts.setdefault(_part(path), []).append(_batch(path))
    counts = {classes for batches in parts.values() for *_, classes in batches}
    if len(counts) > 1:
        raise FormatError(
            f"{folder} mixes CIFAR-10 and CIFAR-100", where=str(folder), fix="use one folder for each"
        )
    classes = counts.pop()
    names = (
        _meta(folder, "batches.meta", "label_names", classes)
        if classes == 10
        else _meta(folder, "meta", "fine_label_names", classes)
    )
    return {
        part: _data(
            np.concatenate([x for x, _, _ in batches]),
            np.concatenate([y for _, y, _ in batches]),
            names,
            f"CIFAR-{classes} python {folder}",
            part,
        )
        for part, batches in parts.items()
    }


def _batch(path: Path) -> tuple[Array, Labels, int]:
    content = read_pickle(read_whole(path, MAX_FILE, "a CIFAR batch"), str(path))
    data = content.get("data") if isinstance(content, Mapping) else None
    classes = 10 if isinstance(content, Mapping) and "labels" in content else 100
    labels = (
        content.get("labels" if classes == 10 else "fine_labels") if isinstance(content, Mapping) else None
    )
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != PIXELS
    ):
        raise _no_batch(path, f"'data' is not an array (N, {PIXELS}) of bytes")
    if (
        not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(type(label) is int for label in labels)
    ):
        raise _no_batch(path, f"'labels' is not a list of {len(data):,} whole numbers")
    wrong = [place for place, label in enumerate(labels) if not 0 <= label < classes]
    if wrong or not labels:
        why = (
            f"label {labels[wrong[0]]} of image {wrong[0]}; classes are 0 to {classes - 1}"
            if wrong
            else "no images"
        )
        raise _no_batch(path, why)
    return data.reshape(-1, 3, 32, 32), np.array(labels, np.int64), classes


def _no_batch(path: Path, why: str) -> FormatError:
    return FormatError(
        f"{path} is not a CIFAR batch", where=str(path), why=why, fix="give the unpacked files of CIFAR"
    )


def _data(x: Array, labels: Any, names: tuple[str, ...], kind: str, part: str) -> ArrayData:
    fine = ("fine labels",) if len(names) == 100 else ()
    return ArrayData(
        x, labels, names, kind=kind, part=part, remarks=fine, naming=lambda index: f"{part}#{index}"
    )


def _names(folder: Path, file: str, classes: int) -> tuple[str, ...]:
    """Class names from the text file next to the data; if it is missing, the published names or numbers."""
    path = folder / file
    if path.is_file():
        with opened(path) as stream:
            lines = stream.read(1 << 16).decode("utf-8", "replace").split("\n")
        names = tuple(line.strip() for line in lines if line.strip())
        if len(names) == classes:
            return names
    return NAMES_10 if classes == 10 else tuple(str(number) for number in range(classes))


def _meta(folder: Path, file: str, key: str, classes: int) -> tuple[str, ...]:
    path = folder / file
    if path.is_file():
        content = read_pickle(read_whole(path, 1 << 20, "a list of class names"), str(path))
        names = content.get(key) if isinstance(content, Mapping) else None
        if isinstance(names, list) and len(names) == classes and all(isinstance(name, str) for name in names):
            return tuple(names)
        raise _no_batch(path, f"{key!r} is not a list of {classes} names")
    return _names(folder, "", classes)


def _part(path: Path) -> str:
    return TEST if path.name.startswith("test") else TRAIN


def _number(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else 0, path.name)
