"""Read text files within a size limit. Every failure is a StriateError.

Decides how much is read; knows nothing about the content.
"""

from __future__ import annotations

from pathlib import Path

from striate.diagnostics import FormatError
from striate.files import check_file, opened
from striate.formats.tokens import MAX_TEXT


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """Read a UTF-8 text file of at most `limit` bytes. Raises SourceError, LimitError, FormatError."""
    check_file(
        path,
        limit,
        "a network description",
        "give the file that describes the network; weights go in another file",
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
            fix="save it as UTF-8 text, or give another file",
        ) from None
