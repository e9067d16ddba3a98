"""Safetensors files: arrays by name, and metadata, without a pickle.

A file is read into memory once, and its arrays are views of that memory; writing goes array by array.
Source: the format of the safetensors package, https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from striate.diagnostics import FormatError, SourceError
from striate.files import aside
from striate.weights import Array, Weights, seal

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
MAX_HEADER = 100_000_000
"""Maximum bytes of a header; the same limit as in the safetensors package."""
HUGE_PAGE_MIN_BYTES = 4 << 20
"""Minimum file size for pages of 2 MB: faults of small pages take longer than copying the content."""


def save(
    path: str | os.PathLike[str], weights: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file: aside first, flushed to the disk, then renamed over the old one.

    Equal arguments give equal bytes (the safetensors package would write the metadata in a random order).
    """
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # every tensor stays aligned
    words = {np.dtype(kind): word for word, kind in _DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        dtype = words[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with aside(path) as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            stream.write(raw_bytes(arrays[name]))


def raw_bytes(array: Array) -> memoryview:
    """The bytes of an array, little-endian and row-major; copied only if its memory has another layout."""
    contiguous = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return contiguous.reshape(-1).view(np.uint8).data


def load(path: str | os.PathLike[str]) -> tuple[Weights, dict[str, str]]:
    """Read the weights and metadata of a file; half and double precision become float32. Arrays may be read-only.

    Raises SourceError when it cannot be read, FormatError when its content is inconsistent.
    """
    with _told(Path(path)):
        return _parse(_content(Path(path)))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a file, whose weights are not read. Raises as `load` does."""
    with _told(Path(path)), open(path, "rb") as file:
        start = file.read(8)
        head = file.read(min(int.from_bytes(start, "little"), MAX_HEADER))
        return _header(start + head)[2]


@contextlib.contextmanager
def _told(target: Path) -> Iterator[None]:
    """Errors in reading a file as a user is told."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{target} cannot be read", why=error.strerror or str(error), fix="check the path"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{target} is not a safetensors file, or damaged",
            why=str(error)[:200] or type(error).__name__,
            fix="save or download it again",
        ) from None


def _content(path: Path) -> bytes | memoryview:
    """Read a file into memory, so that later changes to it do not matter."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < HUGE_PAGE_MIN_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
            return file.readall()
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a system without them
            room.madvise(mmap.MADV_HUGEPAGE)
        view, at = memoryview(room), 0
        while at < size and (count := file.readinto(view[at:])):
            at += count
        return seal(np.frombuffer(room, np.uint8, at)).data


def _parse(content: Any) -> tuple[Weights, dict[str, str]]:
    """Parse arrays, which are views of `content`, and metadata. A wrong header raises ValueError and similar."""
    start, header, metadata = _header(content)
    spans = sorted((*entry["data_offsets"], name) for name, entry in header.items())
    end = 0
    for begin, stop, name in spans:
        if begin != end or stop < begin:
            raise ValueError(f"the numbers of {name} do not begin where those before them end")
        end = stop
    if start + end != len(content):
        raise ValueError(f"it has {len(content) - start} bytes of numbers, the header says {end}")
    weights = {}
    for name, entry in header.items():
        begin, stop = entry["data_offsets"]
        weights[name] = _array(entry["dtype"], entry["shape"], content, start + begin, stop - begin)
    return weights, metadata


def _header(content: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Where the numbers begin, the entry of each array, and the metadata."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise ValueError("it is shorter than its header says")
    if start > MAX_HEADER:
        raise ValueError(f"its header has more than {MAX_HEADER:,} bytes")
    header = json.loads(bytes(content[8:start]))
    metadata = {str(key): str(value) for key, value in header.pop("__metadata__", {}).items()}
    return start, header, metadata


def _array(kind: str, shape: list[int], content: Any, start: int, size: int) -> Array:
    if kind not in _DTYPES and kind != "BF16":
        raise ValueError(f"it has numbers of type {kind}, read are BF16, {', '.join(_DTYPES)}")
    dtype = np.dtype("<u2" if kind == "BF16" else _DTYPES[kind])
    if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{size} bytes are not an array {shape} of {kind}")
    array = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
    if kind == "BF16":
        return seal((array.astype("<u4") << 16).view("<f4"))
    return seal(array.astype(np.float32, copy=False)) if kind.startswith("F") else array
