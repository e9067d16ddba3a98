"""A Keras file as plain data: configuration as JSON, weights as an HDF5 stream. Nothing is unpacked to disk.

Decides how much is read and what a file may hold; knows no layer. Source: Keras, saving_lib (config.json, metadata.json
and model.weights.h5 in a zip archive); legacy HDF5 files keep the configuration in the attribute model_config.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import json
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from striate.diagnostics import FormatError, LimitError, MissingExtraError
from striate.extras import install_command
from striate.files import opened as open_file
from striate.formats.keras.variables import Variables

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MAX_CONFIG = 16 * 1024**2
"""Maximum bytes of a configuration; the longest in keras.applications has about two million."""
MAX_DIRECTORY = 4 * 1024**2
"""Maximum bytes of a zip directory; Keras writes three entries."""
MAX_UNPACKED = 4 * 1024**3
RATIO = 100
"""Maximum ratio of unpacked to stored size of an entry; Keras itself does not compress."""

DAMAGE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError, EOFError, OSError,
    RecursionError, NotImplementedError, RuntimeError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""Exceptions that the libraries raise for a damaged file."""


def missing(what: str, why: str) -> MissingExtraError:
    """The error that names the one command to install h5py."""
    return MissingExtraError(
        what, why=f"{why}, which is an optional part of Striate", fix=install_command("keras")
    )


@dataclasses.dataclass
class Content:
    """Content of a file. variables: its weights, None if there are none; without: the file has weights, but h5py is
    missing.
    """

    config: Any
    version: str
    variables: Variables | None = None
    without: bool = False


class Part(io.RawIOBase):
    """Part of a file, presented as a file object."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream, self._start, self._size, self._at = stream, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(offset + (0, self._at, self._size)[whence], 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(min(len(view), self._size - self._at), 0)
        self._stream.seek(self._start + self._at)
        data = self._stream.read(count)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Content]:
    """Open a file; its weights stay readable inside the block. Raises a StriateError."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open_file(path))
        try:
            zipped = zipfile.is_zipfile(stream)
            stream.seek(0)
            content = _zip(stream, path, stack) if zipped else _legacy(stream, path, stack)
        except DAMAGE as error:
            raise broken(path, str(error) or type(error).__name__) from None
        yield content


def broken(path: Path | str, why: str) -> FormatError:
    """The error for a file with inconsistent content."""
    return FormatError(
        f"{path} is not a Keras file, or damaged",
        where=str(path),
        why=why[:200],
        fix="save it again: model.save('model.keras')",
    )


# ---------------------------------------------------------------------------------------------------- the zip archive


def _zip(stream: BinaryIO, path: Path, stack: contextlib.ExitStack) -> Content:
    size = path.stat().st_size
    stream.seek(max(size - 65_557, 0))
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and struct.unpack_from("<I", tail, at + 12)[0] > MAX_DIRECTORY:
        raise _too_much(path, "the list of its entries", MAX_DIRECTORY)
    archive = stack.enter_context(zipfile.ZipFile(stream))
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        _check_entry(info, path, entries)
        entries[info.filename] = info
    if CONFIG not in entries:
        raise ValueError(f"there is no {CONFIG} in it; its entries are {', '.join(entries)[:120] or 'none'}")
    config = json.loads(_member(archive, entries[CONFIG], MAX_CONFIG, path))
    version = ""
    if METADATA in entries:
        metadata = json.loads(_member(archive, entries[METADATA], MAX_CONFIG, path))
        version = str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
    if WEIGHTS not in entries:
        others = [name for name in entries if name.startswith("model.weights")]
        if others:
            raise FormatError(
                f"{path} keeps its weights as {others[0][:80]}",
                where=str(path),
                why=f"Striate reads {WEIGHTS}, a single HDF5 file",
                fix="save it in the standard form: model.save('model.keras')",
            )
        return Content(config, version)
    if importlib.util.find_spec("h5py") is None:
        return Content(config, version, without=True)
    weights = _weights(stream, archive, entries[WEIGHTS], path)
    return Content(config, version, stack.enter_context(Variables(weights, str(path))))


def _check_entry(info: zipfile.ZipInfo, path: Path, known: dict[str, zipfile.ZipInfo]) -> None:
    """Refuse names that point outside the archive, links, and duplicate names."""
    parts = info.filename.replace("\\", "/").split("/")
    why = ""
    if info.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        why = "the name of an entry points outside the archive"
    elif stat.S_ISLNK(info.external_attr >> 16):
        why = "an entry is a link"
    elif info.filename in known:
        why = "two entries have one name"
    if why:
        raise FormatError(
            f"{path} is refused",
            where=f"{path}: {info.filename[:80]!r}",
            why=f"{why}, which Keras never writes",
            fix="get the original file, or save it again: model.save('model.keras')",
        )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, path: Path) -> bytes:
    """Read the bytes of an entry within the limit, whatever size it declares."""
    with archive.open(info) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise _too_much(path, info.filename, limit)
    return data


def _weights(stream: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Any:
    """The weights as a seekable file: in place if stored uncompressed, else unpacked within limits."""
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        stream.seek(info.header_offset)
        header = stream.read(30)
        name, extra = struct.unpack_from("<HH", header, 26)
        start = info.header_offset + 30 + name + extra
        if not header.startswith(b"PK\3\4") or start + info.file_size > path.stat().st_size:
            raise ValueError(f"{info.filename} reaches past the end")
        return Part(stream, start, info.file_size)
    limit = min(MAX_UNPACKED, RATIO * info.compress_size + 1024**2)
    if info.file_size > limit:
        raise _too_much(path, info.filename, limit)
    return io.BytesIO(_member(archive, info, limit, path))


def _too_much(path: Path, what: str, limit: int) -> LimitError:
    return LimitError(
        f"{path} is too large when unpacked",
        where=f"{path}: {what}",
        why=f"it unpacks to more than {limit:,} bytes",
        fix="save it again with Keras, which does not compress: model.save('model.keras')",
    )


# ---------------------------------------------------------------------------------------------------- HDF5 alone


def _legacy(stream: BinaryIO, path: Path, stack: contextlib.ExitStack) -> Content:
    """A whole model in one HDF5 file, as Keras wrote it before `.keras`."""
    start = stream.read(8)
    if start != b"\x89HDF\r\n\x1a\n":
        raise ValueError("it is neither a zip archive nor an HDF5 file")
    if importlib.util.find_spec("h5py") is None:
        raise missing(f"{path} cannot be read", "HDF5 files need h5py")
    size = path.stat().st_size
    config, version = None, "2"
    for text in _heap(stream, size):
        if text.startswith(b"{") and config is None:
            entry = json.loads(text)
            config = entry if "class_name" in entry and "config" in entry else None
        elif re.fullmatch(rb"\d+\.\d+\.[\w.+-]+", text[:40]):
            version = text.decode("ascii")
    if config is None:
        raise FormatError(
            f"{path} holds weights without a network",
            where=str(path),
            why="it has no attribute model_config",
            fix="save the whole model: model.save('model.keras')",
        )
    return Content(config, version, stack.enter_context(Variables(Part(stream, 0, size), str(path))))


def _heap(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The variable-length strings of an HDF5 file, which is how Keras stores a configuration.

    Located by the signature of their collections, not by the library, which a damaged collection can hang forever.
    Source: HDF5 file format specification, global heap (GCOL, version 1, size; index, references, size of an object).
    """
    step, at = 1024**2, 0
    while at < size:
        stream.seek(at)
        offset = stream.read(step + 16).find(b"GCOL")
        if offset < 0 or offset > step:
            at += step
            continue
        at += offset
        stream.seek(at)
        _, version, length = struct.unpack("<4sB3xQ", stream.read(16).ljust(16, b"\0"))
        if version != 1 or not 16 < length <= min(size - at, MAX_CONFIG):
            at += 4
            continue
        block, place = stream.read(length - 16), 0
        while place + 16 <= len(block):
            index, count = struct.unpack_from("<H6xQ", block, place)
            place += 16
            if not index or count > len(block) - place:
                break
            yield block[place : place + count].rstrip(b"\0")
            place += -(-count // 8) * 8
        at += length
