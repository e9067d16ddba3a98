"""Width of a text before it is drawn: in the widest of the fonts that systems have.

A drawing is laid out once and shown in the sans-serif font of the reader's system. DejaVu Sans and Verdana are the
widest of the usual ones: what fits in them fits in Segoe UI, Roboto, Helvetica and San Francisco.
"""

from __future__ import annotations

import unicodedata

PLAIN = (
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79, 61, 79, 70, 64, 62, 74, 69, 99, 69, 62,
    69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64, 60,
    82, 60, 60, 53, 64, 34, 64, 84,
)  # fmt: skip
"""Advance of the characters 32 to 126, in hundredths of the font size (DejaVu Sans)."""
BOLD = 1.27
"""No bold character is wider than this many times the plain one."""
WIDE_EM, OTHER_EM = 1.05, 0.9
"""An ideograph or an emoji, and any other character without an entry, in font sizes."""


def width(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text in pixels; size: that of the font, in pixels.

    >>> width("28 x 28 x 6", 10)
    58.4
    """
    total = 0.0
    for character in text:
        code = ord(character)
        if 32 <= code < 127:
            total += PLAIN[code - 32] / 100
        elif unicodedata.combining(character) or unicodedata.category(character) == "Cf":
            continue
        else:
            total += WIDE_EM if unicodedata.east_asian_width(character) in "WF" else OTHER_EM
    return round(total * size * (BOLD if bold else 1), 2)


def shortened(text: str, size: float, room: float, bold: bool = False) -> str:
    """`text`, or as much of its beginning and end as fits in `room` pixels around an ellipsis."""
    if width(text, size, bold) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        keep = (low + high + 1) // 2
        if width(_cut(text, keep), size, bold) <= room:
            low = keep
        else:
            high = keep - 1
    return _cut(text, low)


def _cut(text: str, keep: int) -> str:
    """`keep` characters of a text: two thirds from its beginning."""
    tail = keep // 3
    return f"{text[: keep - tail].rstrip()}…{text[len(text) - tail :].lstrip() if tail else ''}"


def lines(text: str, size: float, room: float, bold: bool = False) -> list[str]:
    """`text` in lines of at most `room` pixels, broken at spaces; a word that is too long is shortened."""
    rows: list[str] = []
    for word in text.split():
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and width(longer, size, bold) <= room:
            rows[-1] = longer
        else:
            rows.append(shortened(word, size, room, bold))
    return rows or [""]
