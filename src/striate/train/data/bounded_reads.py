"""Reads bytes within limits: a missing, unreadable, too large or truncated file is a StriateError, never an OSError."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from striate.diagnostics import FormatError, LimitError
from striate.files import check_file, opened

MAX_ARRAY = 8 << 30  # bytes of one array in memory; larger sets belong in folders or shards, which stream
DEFLATE = (
    1032  # zlib cannot shrink further than to 1/1032: a claim beyond that is false (zlib.net/zlib_tech.html)
)
CHUNK_BYTES = 1 << 20
HIDDEN = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)
"""Folders that file systems, archivers and network storage add, besides those that begin with a dot."""


def read_head(path: Path, count: int = 512) -> bytes:
    """The first bytes of a file."""
    with opened(path) as stream:
        return stream.read(count)


def read_whole(path: Path, limit: int, what: str) -> bytes:
    """All bytes of a file of at most `limit`. Raises LimitError, SourceError."""
    size = check_file(path, limit, what)
    with opened(path) as stream:
        return stream.read(size)  # and not `limit`: that much memory would be allocated at once


@contextlib.contextmanager
def open_unzipped(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file, decompressed if it is gzipped, and the most bytes it can hold."""
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(2) != b"\x1f\x8b":
            stream.seek(0)
            yield stream, size
            return
        stream.seek(0)
        try:
            with gzip.GzipFile(fileobj=stream) as inner:
                yield cast(BinaryIO, inner), size * DEFLATE
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(
                f"{path} cannot be decompressed",
                where=str(path),
                why="it is truncated" if isinstance(error, EOFError) else str(error),
                fix="download it again",
            ) from None


def read_into(stream: BinaryIO, count: int) -> bytearray:
    """Up to `count` bytes, read in chunks: memory grows with the data, not with the declared size."""
    data = bytearray()
    while len(data) < count:
        chunk = stream.read(min(CHUNK_BYTES, count - len(data)))
        if not chunk:
            break
        data += chunk
    return data


def is_hidden(name: str) -> bool:
    """True if a folder of this name holds system files, not images."""
    return name.startswith(".") or name.lower() in HIDDEN


def check_size(size: int, where: Path | str, what: str, limit: int = MAX_ARRAY) -> None:
    """Raise LimitError if `what` declares more bytes than one array may have."""
    if size > limit:
        raise LimitError(
            f"{where}: {what} declares {size:,} bytes",
            where=str(where),
            why=f"at most {limit:,} are read into memory",
            fix="use a folder of images or tar shards, which are streamed, or split the file",
        )
