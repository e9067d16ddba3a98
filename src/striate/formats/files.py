"""Reading a text file within limits: every way it can fail is a StriateError.

Decides how much is read; refuses to know what is in it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from striate.diagnostics import FormatError, LimitError, SourceError, suggest
from striate.formats.tokens import MAX_TEXT


def check_file(path: Path, limit: int | None = None) -> None:
    """Raise SourceError if `path` is not a readable file, LimitError if it has more than `limit` bytes."""
    try:
        status = path.stat()
    except FileNotFoundError:
        nearest = _nearest(path)
        fix = f"did you mean {nearest}?" if nearest else "look at the spelling and the current directory"
        raise SourceError(f"there is no file {path}", where=str(path), why="no such path", fix=fix) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = (error.strerror or "") if isinstance(error, OSError) else str(error)
        raise SourceError(f"cannot read {_short(path)}", why=why, fix="name an existing file") from None
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise SourceError(
            f"{path} is {what}", where=str(path), why="a network is read from a file", fix="name a file"
        )
    if limit is not None and status.st_size > limit:
        raise LimitError(
            f"{path} has {status.st_size:,} bytes",
            where=str(path),
            why=f"a network description has at most {limit:,}",
            fix="name the network's own file; weights are kept elsewhere",
        )


def exists(path: Path) -> bool:
    """Whether there is anything at `path`, which may be any text."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, a zero byte
        return False


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """The text of a UTF-8 file of at most `limit` bytes. Raises SourceError, LimitError, FormatError."""
    check_file(path, limit)
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise SourceError(
            f"cannot read {path}",
            where=str(path),
            why=error.strerror or str(error),
            fix="look at its permissions",
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is not text",
            where=f"{path}, byte {error.start}",
            why=f"byte {data[error.start]:#04x} is not UTF-8",
            fix="save it as UTF-8 text, or name the right file",
        ) from None


def _nearest(path: Path) -> str:
    try:
        known = [name for _, name in zip(range(1000), os.listdir(path.parent), strict=False)]
    except OSError:
        return ""
    nearest = suggest(path.name, known)
    return str(path.parent / nearest) if nearest else ""


def _short(path: Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 60 else text[:57] + "...")
