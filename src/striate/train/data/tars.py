"""Index of a tar file, without unpacking it: names, offsets and sizes of its plain files.

Nothing is written to disk under a name from the archive. An archive with a member outside of it (../x, /etc/x), or with
more bytes than the archive has, is refused.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from striate.diagnostics import FormatError, LimitError, printable
from striate.files import opened, unreadable
from striate.train.data.bounded_reads import CHUNK_BYTES

MAX_MEMBERS = 20_000_000
MAX_UNZIPPED = 64 << 30
MAX_HEAD = 1 << 20  # bytes of one extended header: a name or a comment


class Member(NamedTuple):
    """A plain file in a tar."""

    name: str
    offset: int
    size: int


class _Bounded(io.RawIOBase):
    """A stream that returns at most MAX_HEAD bytes at once, so that a header cannot make it allocate more."""

    def __init__(self, inner: BinaryIO) -> None:
        super().__init__()
        self.inner = inner

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEAD:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self.inner.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.inner.seek(offset, whence)

    def tell(self) -> int:
        return self.inner.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def members(path: Path, stream: BinaryIO, skipped: list[str], unclosed: list[str]) -> Iterator[Member]:
    """The plain files, in order; names of links, devices and sparse files are appended to `skipped`.

    An archive without the zero block at its end may have lost files after the last one: its name is appended to
    `unclosed`. Raises FormatError if the archive is truncated, damaged or points outside; LimitError.
    """
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if not length:
        raise FormatError(f"{path} is empty", where=str(path), why="0 bytes", fix="download it again")
    try:
        with tarfile.open(fileobj=cast(BinaryIO, _Bounded(stream)), mode="r:") as archive:
            count = 0
            while (entry := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every member in memory
                count += 1
                if count > MAX_MEMBERS:
                    raise LimitError(
                        f"{path} has more than {MAX_MEMBERS:,} files", where=str(path), fix="split it"
                    )
                name = _inside(path, entry.name)
                if entry.isdir():
                    continue
                if not entry.isreg() or entry.issparse():
                    skipped.append(name)
                    continue
                if entry.size < 0 or entry.offset_data + entry.size > length:
                    raise FormatError(
                        f"{path} is truncated",
                        where=f"{path}, {name}",
                        why=f"it declares {entry.size:,} bytes, but {max(0, length - entry.offset_data):,} follow",
                        fix="download it again",
                    )
                yield Member(name, entry.offset_data, entry.size)
            if _zeros_to_the_end(path, stream, archive.offset) < tarfile.BLOCKSIZE:
                unclosed.append(path.name)
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError, EOFError) as error:
        raise FormatError(
            f"{path} is not a complete tar file",
            where=str(path),
            why=str(error) or type(error).__name__,
            fix="download it again",
        ) from None


def _zeros_to_the_end(path: Path, stream: BinaryIO, offset: int) -> int:
    """Number of zeros after the last file. Raises FormatError for other bytes: tarfile takes a damaged header for the
    end.
    """
    stream.seek(offset)
    count = 0
    while chunk := stream.read(CHUNK_BYTES):
        if chunk.strip(b"\0"):
            raise FormatError(
                f"{path} is damaged",
                where=f"{path}, byte {offset:,}",
                why="the header of the next file is missing",
                fix="download it again",
            )
        count += len(chunk)
    return count


def _inside(path: Path, name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or (parts[0][1:2] == ":" and len(parts[0]) == 2):
        raise FormatError(
            f"{path} has a file that points outside of it",
            where=f"{path}, {printable(name)[:200]}",
            why="an archive of images needs no such names; nothing was unpacked",
            fix="use it only if you trust its source; pack it again without such names",
        )
    return printable("/".join(part for part in parts if part not in ("", ".")))


def unzip(path: Path) -> BinaryIO:
    """Decompress a tar into an unnamed temporary file, to read at any offset. Raises FormatError, LimitError."""
    spool = tempfile.TemporaryFile(prefix="striate-")  # noqa: SIM115  # closed by the caller
    try:
        with opened(path) as stream, gzip.GzipFile(fileobj=stream) as inner:
            total = 0
            while chunk := inner.read(CHUNK_BYTES):
                total += len(chunk)
                if total > MAX_UNZIPPED:
                    raise LimitError(
                        f"{path} expands to more than {MAX_UNZIPPED:,} bytes",
                        where=str(path),
                        fix="decompress it with gunzip",
                    )
                spool.write(chunk)
        spool.flush()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        spool.close()
        why = "it is truncated" if isinstance(error, EOFError) else str(error)
        raise FormatError(
            f"{path} cannot be decompressed", where=str(path), why=why, fix="download it again"
        ) from None
    except OSError as error:
        spool.close()
        raise unreadable(path, error) from None
    except BaseException:
        spool.close()
        raise
    return cast(BinaryIO, spool)
