"""Statistics and problems of a dataset; every image is decoded once and not kept.

Decides what counts as a problem; refuses to change anything. Duplicates are images with equal pixels after decoding,
whatever their files look like.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, LimitError, Severity, UsageError, plural
from striate.train.data.dataset import BadImage, Dataset
from striate.train.data.encoded import EncodedData
from striate.train.data.readers import describe_parts, read_parts
from striate.train.data.streaming import default_workers, in_order

MAX_CLASS_RATIO = 10  # times more images in the largest class than in the smallest: worth a warning
MAX_NAMED_IMAGES = 100  # names listed with each finding; counts are complete
CHUNK_IMAGES = 32


@dataclasses.dataclass(frozen=True)
class Finding:
    """One problem: its kind, severity, message, and images (the first MAX_NAMED_IMAGES)."""

    kind: str
    severity: Severity
    message: str
    names: tuple[str, ...] = ()
    count: int = 0


@dataclasses.dataclass(frozen=True)
class PartReport:
    """One part. classes: images per class; sizes: images per (H, W); converted: images per conversion."""

    name: str
    images: int
    readable: int
    classes: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    channels: int
    converted: Mapping[str, int]
    unreadable: tuple[BadImage, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class DataReport:
    """Statistics of all parts, and the findings. `ok`: no finding is an error."""

    source: str
    classes: tuple[str, ...]
    parts: tuple[PartReport, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; sizes are spelled "HxW"."""
        data = dataclasses.asdict(self)
        for part, plain in zip(self.parts, data["parts"]):
            plain["sizes"] = {f"{height}x{width}": count for (height, width), count in part.sizes.items()}
            plain["unreadable"] = [bad._asdict() for bad in part.unreadable]
        return {"schema": "striate.data/1", "ok": self.ok, **data}


def check_data(
    source: Any, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> DataReport:
    """Read every image once. source: as for open_data. progress(done, total) is called after every chunk.

    Raises StriateError if the data cannot be opened; problems inside it are findings.
    """
    parts = read_parts(source)
    if any(data.inputs for data in parts.values()):
        raise UsageError(
            "data of several inputs cannot be checked",
            where=next(iter(parts.values())).source,
            why="data check examines images of a single input",
            fix="striate train checks shapes and values when it reads them",
        )
    total, done = sum(map(len, parts.values())), 0
    places_by_digest: dict[bytes, list[tuple[str, int]]] = {}  # digest -> (part, image) that have it
    reports = []
    for name, data in parts.items():
        scan = _Scan(data)
        many = range(0, len(data), CHUNK_IMAGES)
        threads = workers if workers is not None else default_workers() if data.streams else 0
        for start, chunk in zip(many, in_order(scan.read, many, threads)):
            for index, result in enumerate(chunk, start):
                scan.count(index, result)
                if not isinstance(result, BadImage):
                    places_by_digest.setdefault(result[0], []).append((name, index))
            done += len(chunk)
            if progress:
                progress(done, total)
        reports.append(scan.report(name))
    twins = [places for places in places_by_digest.values() if len(places) > 1]
    return DataReport(
        describe_parts(parts),
        next(iter(parts.values())).classes,
        tuple(reports),
        (
            *_left_out(next(iter(parts.values())).left_out),
            *_part_findings(reports),
            *_twin_findings(twins, parts),
        ),
    )


Read = tuple[bytes, tuple[int, int, int], np.ndarray[Any, Any]]  # digest, shape, sums per channel


class _Scan:
    """One pass over one part."""

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self.sizes: collections.Counter[tuple[int, int]] = collections.Counter()
        self.labels: collections.Counter[int] = collections.Counter()
        self.bad: list[BadImage] = []
        self.sums = np.zeros((3, data.shape[0]))

    def read(self, start: int) -> list[Read | BadImage]:
        return [self._one(index) for index in range(start, min(start + CHUNK_IMAGES, len(self.data)))]

    def _one(self, index: int) -> Read | BadImage:
        try:
            image = np.ascontiguousarray(self.data.image(index))
        except (FormatError, LimitError) as error:
            return BadImage(self.data.name(index), error.why or error.what)
        shape = (int(image.shape[0]), int(image.shape[1]), int(image.shape[2]))
        head = f"{shape} {image.dtype}".encode()
        digest = hashlib.blake2b(head + image.tobytes(), digest_size=16).digest()
        pixels = image.reshape(len(image), -1).astype(np.float64) / (255 if image.dtype == np.uint8 else 1)
        sums = np.stack([np.full(len(image), pixels.shape[1]), pixels.sum(1), (pixels**2).sum(1)])
        return digest, shape, sums

    def count(self, index: int, result: Read | BadImage) -> None:
        if isinstance(result, BadImage):
            self.bad.append(result)
            return
        self.sizes[result[1][1:]] += 1
        self.labels[int(self.data.labels[index])] += 1
        self.sums += result[2]

    def report(self, name: str) -> PartReport:
        count = np.maximum(self.sums[0], 1)
        mean = self.sums[1] / count
        std = np.sqrt(np.maximum(self.sums[2] / count - mean**2, 0))
        return PartReport(
            name,
            len(self.data),
            len(self.data) - len(self.bad),
            {text: self.labels[number] for number, text in enumerate(self.data.classes)},
            dict(self.sizes.most_common()),
            self.data.shape[0],
            self.data.change_counts() if isinstance(self.data, EncodedData) else {},
            tuple(self.bad),
            tuple(round(float(m), 4) for m in mean),
            tuple(round(float(s), 4) for s in std),
        )


def _left_out(folders: tuple[str, ...]) -> list[Finding]:
    if not folders:
        return []
    text = f"{plural(len(folders), 'class folder')} without images left out: {', '.join(folders[:5])}"
    return [Finding("empty-class", Severity.WARNING, text, folders[:MAX_NAMED_IMAGES], len(folders))]


def _part_findings(reports: list[PartReport]) -> list[Finding]:
    findings = []
    for part in reports:
        at = f"in {part.name}"
        if part.unreadable:
            names = tuple(f"{bad.name}: {bad.why}" for bad in part.unreadable[:MAX_NAMED_IMAGES])
            text = f"{len(part.unreadable):,} of {plural(part.images, 'image')} {at} cannot be read"
            findings.append(Finding("unreadable", Severity.ERROR, text, names, len(part.unreadable)))
        empty = tuple(name for name, count in part.classes.items() if not count)
        if empty:
            verb, many = "has" if len(empty) == 1 else "have", plural(len(part.classes), "class", "classes")
            text = f"{len(empty)} of {many} {verb} no image {at}: {', '.join(empty[:5])}"
            findings.append(
                Finding("empty-class", Severity.WARNING, text, empty[:MAX_NAMED_IMAGES], len(empty))
            )
        counts = [count for count in part.classes.values() if count]
        if counts and max(counts) > MAX_CLASS_RATIO * min(counts):
            high = max(part.classes, key=lambda name: part.classes[name])
            low = min(
                (name for name in part.classes if part.classes[name]), key=lambda name: part.classes[name]
            )
            text = f"{plural(max(counts), 'image')} of {high} but {min(counts):,} of {low} {at}: consider class weights"
            findings.append(Finding("imbalance", Severity.WARNING, text, (high, low), 2))
        if len(part.sizes) > 1:
            sizes = ", ".join(f"{height}x{width}" for height, width in list(part.sizes)[:4])
            text = f"{plural(len(part.sizes), 'size')} of images {at}: {sizes}; they will be resized"
            findings.append(Finding("sizes", Severity.INFO, text, (), len(part.sizes)))
        for note, count in part.converted.items():
            findings.append(
                Finding("converted", Severity.INFO, f"{plural(count, 'image')} {at}: {note}", (), count)
            )
    if len(next(iter(reports)).classes) < 2:
        findings.append(Finding("one-class", Severity.ERROR, "there is only one class"))
    return findings


def _twin_findings(twins: list[list[tuple[str, int]]], parts: Mapping[str, Dataset]) -> list[Finding]:
    """Equal images: across parts (leaks), under different classes (one label is wrong), and within one part."""
    leaks, disputed, repeated = [], [], []
    extra = 0
    for places in twins:
        names = " = ".join(f"{part}: {parts[part].name(index)}" for part, index in places[:4])
        if len({part for part, _ in places}) > 1:
            leaks.append(names)
        else:
            repeated.append(names)
            extra += len(places) - 1
        if len({int(parts[part].labels[index]) for part, index in places}) > 1:
            disputed.append(names)
    findings = []
    if leaks:
        text = f"{_images(leaks, 'is', 'are')} in more than one part (leakage), which makes test results too good"
        findings.append(Finding("leak", Severity.ERROR, text, tuple(leaks[:MAX_NAMED_IMAGES]), len(leaks)))
    if disputed:
        text = f"{_images(disputed, 'has a twin', 'have twins')} with another class: one label is wrong"
        findings.append(
            Finding("disputed", Severity.ERROR, text, tuple(disputed[:MAX_NAMED_IMAGES]), len(disputed))
        )
    if repeated:
        text = (
            f"{plural(extra, 'image')} {'repeats' if extra == 1 else 'repeat'} another of the same part"
            + ("; a random split may put them in different parts" if "all" in parts else "")
        )
        findings.append(
            Finding("duplicate", Severity.WARNING, text, tuple(repeated[:MAX_NAMED_IMAGES]), extra)
        )
    return findings


def _images(names: list[str], one: str, many: str) -> str:
    """The number of images, followed by the verb in singular or plural."""
    return f"{plural(len(names), 'image')} {one if len(names) == 1 else many}"
