"""Datasets of Hugging Face `datasets`, recognized by their methods: the package is not imported.

Needed: `features` (a mapping), `len()`, `data[i]` (a dict) and `data["label"]`. An image is a Pillow image, an array,
or {"bytes": ..., "path": ...}.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, StriateError, plural, printable
from striate.train.data import images
from striate.train.data.arrays import as_images, as_labels, check_labels, common_classes, common_white
from striate.train.data.dataset import Array, Dataset, Labels, OnBad
from striate.train.data.encoded import SAMPLED_HEADERS, EncodedData, survey
from striate.train.data.images import Look
from striate.train.data.splits import ALL, SPELLINGS

IMAGES = ("image", "img", "picture", "pixel_values")
LABELS = ("label", "labels", "fine_label", "target", "class")


def is_huggingface(source: Any) -> bool:
    """True if this looks like a `datasets.Dataset`."""
    return isinstance(getattr(source, "features", None), Mapping) and hasattr(source, "__getitem__")


def is_huggingface_splits(source: Any) -> bool:
    """True if this looks like a `datasets.DatasetDict`."""
    return (
        isinstance(source, Mapping) and bool(source) and all(is_huggingface(part) for part in source.values())
    )


class _Table:
    """Rows of a Hugging Face dataset, and the columns of its images and labels."""

    def __init__(self, rows: Any) -> None:
        dataset = getattr(getattr(rows, "info", None), "dataset_name", None) or ""
        self.kind = f"Hugging Face dataset {dataset}".strip()
        if not hasattr(rows, "__len__"):
            raise FormatError(
                f"{self.kind} is a stream",
                why="it has no length, so it cannot be shuffled or resumed",
                fix="load it without streaming=True",
            )
        self.rows, self._lock = (
            rows,
            threading.Lock(),
        )  # one reader at a time: its cache may not be thread-safe
        self.images = _key(rows, IMAGES, "image", self.kind)
        self.labels = _key(rows, LABELS, "label", self.kind)

    def value(self, index: int, name: str) -> Any:
        """The image of a row, as stored. Raises FormatError."""
        try:
            with self._lock:
                return self.rows[index][self.images]
        except (StriateError, MemoryError):
            raise
        except Exception as error:  # a foreign decoder: whatever it raises concerns this row
            raise FormatError(
                f"{name} cannot be read",
                where=name,
                why=(str(error) or type(error).__name__).splitlines()[0][:200],
                fix="leave the row out",
            ) from None

    def arrays(self) -> Iterator[Array]:
        """The images that are arrays, among a sample of rows spread evenly."""
        for index in np.unique(
            np.linspace(0, len(self.rows) - 1, min(SAMPLED_HEADERS, len(self.rows))).astype(int)
        ).tolist():
            try:
                value = self.value(index, "")
                if _is_array(value):
                    yield np.asarray(value)
            except (FormatError, ValueError):
                continue


def _is_array(value: Any) -> bool:
    return not isinstance(value, Mapping) and not (hasattr(value, "mode") and hasattr(value, "size"))


class ForeignData(EncodedData):
    """Rows of a Hugging Face dataset, decoded when they are read."""

    def __init__(
        self,
        table: _Table,
        labels: Labels,
        names: Sequence[str],
        part: str,
        on_bad: OnBad,
        channels: int | None,
        white: int | None,
    ) -> None:
        rows, kind = table.rows, table.kind
        self.table, self.white = table, white
        check_labels(labels, len(names), kind)
        self.prefix = part or "row"
        shape, uniform, formats, self.deep = survey(len(rows), self._look, kind)
        self.channels = channels or shape[0]
        super().__init__(
            labels,
            [printable(str(name)) for name in names],
            (self.channels, *shape[1:]),
            f"{kind} ({formats})",
            part=part,
            uniform=uniform,
            remarks=(f"images in {table.images!r}, classes in {table.labels!r}",),
            on_bad=on_bad,
        )

    def _look(self, index: int) -> Look:
        pixels, _ = self._pixels(self.table.value(index, self.name(index)), index, None)
        return Look((pixels.shape[1], pixels.shape[2]), pixels.shape[0], "decoded", pixels.dtype != np.uint8)

    def decode(self, index: int) -> tuple[Array, tuple[str, ...]]:
        return self._pixels(self.table.value(index, self.name(index)), index, self.channels)

    def _pixels(self, value: Any, index: int, channels: int | None) -> tuple[Array, tuple[str, ...]]:
        name = self.name(index)
        if isinstance(value, Mapping):
            data = value.get("bytes")
            return images.read_image(data if data is not None else str(value.get("path")), channels, name)
        if not _is_array(value):
            try:
                return images.convert(value, channels, name)
            except OSError as error:
                raise FormatError(
                    f"{name} cannot be decoded", where=name, why=str(error), fix="leave the row out"
                ) from None
        pixels = np.asarray(value)
        if pixels.ndim == 2:
            pixels = pixels[None]
        batch, notes = as_images(pixels[None], name, self.white)
        if channels and batch.shape[1] != channels:
            raise FormatError(
                f"{name} has {plural(batch.shape[1], 'channel')} instead of {channels}",
                where=name,
                fix="leave it out",
            )
        return batch[0], notes

    def name(self, index: int) -> str:
        return f"{self.prefix}#{index}"


def read_huggingface(source: Any, on_bad: OnBad) -> dict[str, Dataset]:
    """The parts of a Hugging Face dataset or of a mapping of them. Raises FormatError."""
    splits = dict(source) if is_huggingface_splits(source) else {ALL: source}
    if len(splits) == 1:
        name, rows = splits.popitem()
        splits = {SPELLINGS.get(name.lower(), ALL): rows}
    parts = {SPELLINGS.get(name.lower(), name): rows for name, rows in splits.items()}
    unknown = [name for name in parts if name not in (*SPELLINGS.values(), ALL)]
    datasets: dict[str, Dataset] = {}
    channels: int | None = None
    tables = {
        part: _Table(parts[part])
        for part in sorted(parts, key=lambda part: part != "train")
        if part not in unknown
    }
    for (part, table), labels, names, white in zip(tables.items(), *_common(list(tables.values()))):
        data = ForeignData(table, labels, names, "" if part == ALL else part, on_bad, channels, white)
        if unknown:
            data.remarks += (f"parts not read: {', '.join(unknown)}",)
        channels = data.channels
        datasets[part] = data
    if not datasets:
        raise FormatError(
            f"unknown parts {', '.join(unknown)}",
            where=", ".join(unknown),
            fix="use train, validation and test",
        )
    return datasets


def _common(tables: Sequence[_Table]) -> tuple[list[Labels], list[Sequence[str]], list[int | None]]:
    """Labels, class names and the scale of pixels, common to all parts; class names are those of the features if all
    parts have them.
    """
    if not tables:
        return [], [], []
    kind = tables[0].kind
    columns = [list(table.rows[table.labels]) for table in tables]
    names = [getattr(table.rows.features[table.labels], "names", None) or () for table in tables]
    if all(names):
        labels = [as_labels(column, kind)[0] for column in columns]
    else:
        labels, common = common_classes(columns, kind)
        names = [common for _ in tables]
    white = common_white([array for table in tables for array in table.arrays()], kind)
    return labels, names, [white for _ in tables]


def _key(rows: Any, names: tuple[str, ...], kind: str, what: str) -> str:
    """The column of this kind: by the type that its features declare, then by name."""
    typed = [
        key
        for key, feature in rows.features.items()
        if type(feature).__name__ == {"image": "Image", "label": "ClassLabel"}[kind]
    ]
    for key in (*names, *typed):
        if key in rows.features and (key in typed or not typed):
            return str(key)
    raise FormatError(
        f"{what} has no column of {kind}s",
        why=f"its columns are {', '.join(map(str, rows.features))}",
        fix=f"rename one to {kind!r}",
    )
