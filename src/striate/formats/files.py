"""Reading a text file within limits: every way it can fail is a StriateError.

Decides how much is read; refuses to know what is in it.
"""

from __future__ import annotations

from pathlib import Path

from striate.diagnostics import FormatError
from striate.files import check_file, opened
from striate.formats.tokens import MAX_TEXT


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """The text of a UTF-8 file of at most `limit` bytes. Raises SourceError, LimitError, FormatError."""
    check_file(
        path, limit, "a network description", "name the network's own file; weights are kept elsewhere"
    )
    with opened(path) as stream:
        data = stream.read(limit + 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is not text",
            where=f"{path}, byte {error.start}",
            why=f"byte {data[error.start]:#04x} is not UTF-8",
            fix="save it as UTF-8 text, or name the right file",
        ) from None
