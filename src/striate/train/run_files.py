"""Files of a run folder, written atomically by `striate.files.write_aside`: folders, text, JSON, and clean-up."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, SourceError
from striate.files import read_bytes, write_aside
from striate.jsontext import EVERY, json_text

_LEFT = re.compile(r"\..+\.[a-z0-9_]{8}")  # what tempfile names the file that write_aside renames


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step. Raises SourceError; the old file is then untouched."""
    write_aside(path, text.encode("utf-8"))


def write_json(path: Path, record: Any) -> None:
    """Replace a JSON file in one step."""
    write_text(path, json_text(record, EVERY, allow_nan=False))


def read_json(path: Path) -> Any:
    """The content of a JSON file, of finite numbers, as `write_json` writes. Raises SourceError, FormatError."""
    content = read_bytes(path)
    try:
        return json.loads(content, parse_float=_finite, parse_int=_whole, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is not valid JSON", where=str(path), why=str(error)) from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files that a killed process has left."""
    for path in folder.glob(".*"):
        if _LEFT.fullmatch(path.name) and path.is_file():
            with contextlib.suppress(OSError):
                path.unlink()


def make_folder(path: Path) -> None:
    """Create a folder and its parents, and check that it can be written. Raises SourceError."""
    probe = path / ".writable"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        fixes = {
            errno.ENOSPC: "free disk space",
            errno.EEXIST: "give a folder, not a file",
            errno.ENOTDIR: "give a folder, not a file",
        }
        raise SourceError(
            f"{path} cannot be written",
            where=str(path),
            why=os.strerror(error.errno) if error.errno else str(error),
            fix=fixes.get(error.errno or 0, "choose a writable folder, or check its permissions"),
        ) from None
