"""Reading bytes within limits: what is missing, unreadable, too large or cut off is a StriateError, never an OSError.

Decides how much may be read; refuses to know what the bytes mean.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from striate.diagnostics import FormatError, LimitError, SourceError, suggest

MAX_ARRAY = (
    8 << 30
)  # bytes of one array in memory; more than that is a matter for folders or shards, which stream
DEFLATE = (
    1032  # zlib cannot shrink further than to 1/1032: a claim beyond that is false (zlib.net/zlib_tech.html)
)
CHUNK = 1 << 20
HIDDEN = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)
"""Folders that file systems, archivers and network storage add; and all that begin with a dot."""


def status(path: Path) -> os.stat_result:
    """The status of a file or directory. Raises SourceError with the nearest name."""
    try:
        return path.stat()
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            near = suggest(path.name, [name for _, name in zip(range(1000), os.listdir(path.parent))])
            if near:
                raise SourceError(
                    f"there is no {path}",
                    where=str(path),
                    why="no such path",
                    fix=f"did you mean {path.parent / near}?",
                ) from None
        raise SourceError(
            f"there is no {path}", where=str(path), why="no such path", fix="look at the spelling"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise unreadable(path, error) from None


def is_directory(path: Path) -> bool:
    """Whether an existing path is a directory. Raises SourceError if there is none."""
    return stat.S_ISDIR(status(path).st_mode)


def unreadable(path: Path | str, error: Exception) -> SourceError:
    """An OSError in the words of its user."""
    text = str(path)
    return SourceError(
        f"cannot read {text if len(text) <= 200 else text[:197] + '...'}",
        where=text[:200],
        why=getattr(error, "strerror", None) or str(error),
        fix="look at its permissions, and whether it is still there",
    )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file for reading; an OSError inside becomes a SourceError."""
    if not stat.S_ISREG(status(path).st_mode):
        raise SourceError(f"{path} is not a regular file", where=str(path), fix="name a file")
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise unreadable(path, error) from None


def head(path: Path, count: int = 512) -> bytes:
    """The first bytes of a file."""
    with opened(path) as stream:
        return stream.read(count)


def whole(path: Path, limit: int, what: str) -> bytes:
    """All bytes of a file of at most `limit`. Raises LimitError, SourceError."""
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise LimitError(
                f"{path} has {size:,} bytes",
                where=str(path),
                why=f"{what} has at most {limit:,}",
                fix="name the right file",
            )
        return stream.read(size)  # and not `limit`: that much memory would be allocated at once


@contextlib.contextmanager
def unzipped(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file, gunzipped where it is gzipped, and the most bytes it can hold."""
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
                f"{path} cannot be gunzipped",
                where=str(path),
                why="it is cut off" if isinstance(error, EOFError) else str(error),
                fix="fetch it again",
            ) from None


def read_into(stream: BinaryIO, count: int) -> bytearray:
    """Up to `count` bytes, read in chunks: memory grows with what is there, not with what is claimed."""
    data = bytearray()
    while len(data) < count:
        chunk = stream.read(min(CHUNK, count - len(data)))
        if not chunk:
            break
        data += chunk
    return data


def printable(text: str) -> str:
    """A name out of a file or folder, safe to print: no control characters, no broken UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def hidden(name: str) -> bool:
    """Whether a folder of this name holds system files, not images."""
    return name.startswith(".") or name.lower() in HIDDEN


def allow(size: int, where: Path | str, what: str, limit: int = MAX_ARRAY) -> None:
    """Raise LimitError where `what` claims more bytes than one array may have."""
    if size > limit:
        raise LimitError(
            f"{where}: {what} claims {size:,} bytes",
            where=str(where),
            why=f"at most {limit:,} are read into memory",
            fix="folders of images and tar shards stream; or split the file",
        )
