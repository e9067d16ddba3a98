"""Files: opened with errors that a user understands, and replaced in one step.

A reader sees the old content or the new, never half of it, also after a crash.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from striate.diagnostics import FormatError, LimitError, SourceError, suggest

MAX_SUGGESTED = 1000
"""Maximum names of a folder to search for a near match."""


def status(path: Path, noun: str = "") -> os.stat_result:
    """The status of a file or folder. Raises SourceError, with the nearest name if there is none.

    noun: what is missing, such as "file".
    """
    try:
        return path.stat()
    except FileNotFoundError:
        near = ""
        with contextlib.suppress(OSError):
            near = suggest(
                path.name, [name for _, name in zip(range(MAX_SUGGESTED), os.listdir(path.parent))]
            )
        raise SourceError(
            f"there is no {f'{noun} ' if noun else ''}{path}",
            where=str(path),
            why="no such path",
            fix=f"did you mean {path.parent / near}?"
            if near
            else "check the spelling and the current directory",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise unreadable(path, error) from None


def refuse_address(text: str) -> None:
    """Raise SourceError for an address on the network."""
    if "://" in text:
        raise SourceError(
            f"{text} is not on this machine",
            where=text,
            why="Striate downloads nothing",
            fix="download it, then give its path",
        )


def is_directory(path: Path) -> bool:
    """Whether an existing path is a folder. Raises SourceError if there is none."""
    return stat.S_ISDIR(status(path).st_mode)


def exists(path: Path) -> bool:
    """Whether there is anything at `path`, which may be any text."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, a zero byte
        return False


def unreadable(path: Path | str, error: Exception) -> SourceError:
    """The SourceError for an OSError."""
    text = str(path)
    return SourceError(
        f"cannot read {text if len(text) <= 200 else text[:197] + '...'}",
        where=text[:200],
        why=getattr(error, "strerror", None) or str(error),
        fix="check its permissions, and whether it still exists",
    )


def check_file(path: Path, limit: int | None = None, what: str = "it", fix: str = "give another file") -> int:
    """The size of a readable file. Raises SourceError, or LimitError above `limit` bytes.

    what: the thing with that limit, in the message.
    """
    info = status(path, "file")
    if not stat.S_ISREG(info.st_mode):
        kind = "a directory" if stat.S_ISDIR(info.st_mode) else "not a regular file"
        raise SourceError(f"{path} is {kind}", where=str(path), why="a file is expected", fix="give a file")
    if limit is not None and info.st_size > limit:
        raise LimitError(
            f"{path} has {info.st_size:,} bytes",
            where=str(path),
            why=f"{what} has at most {limit:,}",
            fix=fix,
        )
    return info.st_size


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file for reading; an OSError inside becomes a SourceError."""
    check_file(path)
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise unreadable(path, error) from None


def read_bytes(path: Path) -> bytes:
    """All that a file or a pipe holds. Raises SourceError."""
    status(path, "file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def parse_toml(content: bytes, path: Path) -> dict[str, Any]:
    """The document of a TOML file. Raises FormatError."""
    import tomllib  # start-up counts

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path.name} is not valid TOML", where=str(path), why=str(error), fix="correct that line"
        ) from None


class _NoName(ValueError):
    """A text that cannot be the name of a file."""


@contextlib.contextmanager
def aside(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A temporary file to write piece by piece; at the end it is flushed to disk and renamed over the old one.

    The file keeps the permissions of the old one, and a link stays a link; a device or a pipe is written directly.
    Raises SourceError if the file cannot be written; after this and any other exception the old file is untouched.
    """
    import tempfile

    try:
        if "\0" in os.fspath(path):
            raise _NoName("a zero byte is in its name")
        target = os.path.realpath(path)
        if os.path.exists(target) and not os.path.isfile(target):  # a device or a pipe; a folder fails
            with open(target, "wb") as stream:
                yield stream
            return
        handle, temporary = tempfile.mkstemp(
            dir=os.path.dirname(target), prefix=f".{os.path.basename(target)}."
        )
        try:
            with open(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, _mode(target))
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # an interruption may come after the renaming
                os.unlink(temporary)
            raise
    except (OSError, _NoName) as error:
        raise SourceError(
            f"{os.fspath(path)} cannot be written",
            where=str(path),
            why=getattr(error, "strerror", None) or str(error),
            fix="choose a file in a writable folder with enough free space",
        ) from None


def write_aside(path: str | os.PathLike[str], *content: bytes | memoryview) -> None:
    """Write a file as `aside` does. Raises SourceError; the old file is then untouched."""
    with aside(path) as stream:
        stream.writelines(content)


def _mode(target: str) -> int:
    """Permissions of the old file, or those that a new one gets here."""
    if os.path.exists(target):
        return stat.S_IMODE(os.stat(target).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
