"""Small data sets of every format, made by the formats' own definitions and by other people's writers."""

import gzip
import importlib.util
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.diagnostics import StriateError, render


def needs(package: str) -> None:
    """Skip the test where the samples' package is missing; importing it would take a second or more."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"not installed: {package}")


def picture(number: int, size=(8, 8), channels: int = 3) -> np.ndarray:
    """(H, W, C) or (H, W) uint8, different for every number."""
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def encoded(pixels: np.ndarray, format: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def image_folder(
    root: Path, per_class: dict[str, int], size=(8, 8), channels: int = 3, seed: int = 0
) -> Path:
    """root/<class>/<number>.png"""
    number = seed * 1000
    for name, count in per_class.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (root / name / f"{index:04d}.png").write_bytes(encoded(picture(number, size, channels)))
            number += 1
    return root


def cifar_records(count: int, classes: int = 10, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, 3072 + (1 if classes == 10 else 2)), dtype=np.uint8)
    rows[:, -3073] = np.arange(count) % classes
    return rows.tobytes()


def cifar_batch(
    count: int, classes: int = 10, seed: int = 0, protocol: int = 2, names_as_bytes: bool = True
) -> bytes:
    rng = np.random.default_rng(seed)
    labels = [index % classes for index in range(count)]
    content = {
        "batch_label": "a batch",
        "labels" if classes == 10 else "fine_labels": labels,
        "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        "filenames": [f"{index}.png" for index in range(count)],
    }
    if names_as_bytes:  # as Python 2 wrote them
        content = {key.encode(): value for key, value in content.items()}
    return pickle.dumps(content, protocol)


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mnist(root: Path, train: int = 30, test: int = 10, zipped: bool = True) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        for what, array in (
            ("images-idx3", picture(count, (count, 28), 28)),
            ("labels-idx1", (np.arange(count) % 10).astype(np.uint8)),
        ):
            data, name = idx(array), f"{part}-{what}-ubyte"
            (root / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    return root


def tar_of(files: dict[str, bytes], format=tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def shard(count: int, start: int = 0, classes: int = 3) -> dict[str, bytes]:
    files = {}
    for number in range(start, start + count):
        files[f"{number:06d}.png"] = encoded(picture(number))
        files[f"{number:06d}.cls"] = str(number % classes).encode()
    return files


class Runs:
    """Unpickling this would leave a file after."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def five_parts(error: StriateError) -> str:
    """The rendered error; what failed, where or why, and a fix have to be there."""
    assert error.what and (error.where or error.why) and error.fix and error.code.startswith("I0")
    text = render(error.diagnostic)
    assert text.isprintable() or "\n" in text
    return text
