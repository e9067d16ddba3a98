"""Counts, bytes and durations, as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from striate.diagnostics import FormatError

COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
BYTE_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def parse_count(value: Any) -> int:
    """A number of parameters or MACs: 5000000, "5M", "1.2G". Raises FormatError.

    >>> parse_count("5M"), parse_count("0.5k")
    (5000000, 500)
    """
    return _quantity(value, COUNT_UNITS, "a count", '"5M"')


def parse_bytes(value: Any) -> int:
    """A number of bytes: 65536, "64 KiB", "1.5GB". Raises FormatError.

    >>> parse_bytes("64MiB")
    67108864
    """
    return _quantity(value, BYTE_UNITS, "an amount of memory", '"64MiB"')


def _quantity(value: Any, units: Mapping[str, int], kind: str, example: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = (
        re.fullmatch(r"\s*(\d[\d_]*(?:\.\d+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    )
    unit = units.get(match[2].lower()) if match else None
    if match is None or unit is None:
        spellings = " ".join(sorted((unit for unit in units if unit), key=lambda unit: (units[unit], unit)))
        raise FormatError(
            f"not {kind}: {value!r}",
            why=f"expected a number with one of {spellings}, or without a unit",
            fix=f"write {example}",
        )
    return int(Fraction(match[1].replace("_", "")) * unit)


def format_bytes(size: int) -> str:
    """Bytes rounded up, in the form that `parse_bytes` takes.

    >>> format_bytes(5_123_456_789), format_bytes(9_000)
    ('5124MB', '9KB')
    """
    return f"{-(-size // 10**6)}MB" if size >= 10**7 else f"{-(-size // 10**3)}KB"


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(0.3), duration(12), duration(185), duration(7800)
    ('0.3 s', '12 s', '3 min 5 s', '2 h 10 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


def clock(seconds: float) -> str:
    """A time in digits, never longer than 8 characters below 100 hours.

    >>> clock(0.3), clock(12), clock(185), clock(7800)
    ('0.3 s', '12 s', '3:05', '2:10:00')
    """
    if seconds < 59.5:
        return duration(seconds)
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
