"""Files replaced in one step: a reader, or a crash, sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import os
import stat

from striate.diagnostics import SourceError


def write_aside(path: str | os.PathLike[str], *content: bytes | memoryview) -> None:
    """Write a file aside, flush it to the disk, then rename it over the old one, whose permissions it keeps.

    A link stays a link; a device or a pipe is written as it is. Raises SourceError; the old file is then untouched.
    """
    import tempfile

    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not os.path.isfile(target):  # a device or a pipe; a folder fails
            with open(target, "wb") as stream:
                stream.writelines(content)
            return
        handle, aside = tempfile.mkstemp(dir=os.path.dirname(target), prefix=f".{os.path.basename(target)}.")
        try:
            with open(handle, "wb") as stream:
                stream.writelines(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(aside, _mode(target))
            os.replace(aside, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # an interruption may come after the renaming
                os.unlink(aside)
            raise
    except OSError as error:
        raise SourceError(
            f"{os.fspath(path)} cannot be written",
            where=str(path),
            why=error.strerror or str(error),
            fix="name a file in a folder that can be written and has room",
        ) from None


def _mode(target: str) -> int:
    """Permissions of the old file, or those that a new one gets here."""
    if os.path.exists(target):
        return stat.S_IMODE(os.stat(target).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
