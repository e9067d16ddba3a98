"""JSON as Striate writes it, for people and programs: keys and rows on separate lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

EVERY = sys.maxsize
"""A depth: every object is spread over lines."""


def json_text(value: Any, depth: int = 1, allow_nan: bool = True) -> str:
    """JSON with one line for each key of the outer `depth` objects, and one for each row of a list of rows.

    >>> print(json_text({"a": [[1, 2], [3, 4]], "b": {"c": 5}}), end="")
    {
      "a": [
        [1, 2],
        [3, 4]
      ],
      "b": {"c": 5}
    }
    """
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)  # counts of paths may have thousands of digits
    try:
        text = _block(value, depth, "", allow_nan) + "\n"
        return text.encode(errors="backslashreplace").decode()  # of broken UTF-8; JSON escapes it alike
    finally:
        sys.set_int_max_str_digits(limit)


def _block(value: Any, depth: int, margin: str, allow_nan: bool) -> str:
    inner = margin + "  "
    if isinstance(value, Mapping) and value and depth > 0:
        rows = [
            f"{json.dumps(str(key))}: {_block(item, depth - 1, inner, allow_nan)}"
            for key, item in value.items()
        ]
    elif isinstance(value, list | tuple) and depth >= 0 and any(map(_has_entries, value)):
        rows = [_block(item, depth - 1, inner, allow_nan) for item in value]
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=allow_nan, default=_plain)
    start, end = "{}" if isinstance(value, Mapping) else "[]"
    return f"{start}\n" + ",\n".join(inner + row for row in rows) + f"\n{margin}{end}"


def _has_entries(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return number(value)
    raise TypeError(f"{value!r} has no plain form")


def number(value: int | Fraction) -> int | float:
    """A whole number as it is; a fraction as the nearest double."""
    return int(value) if value == int(value) else float(value)
