"""A curve in text: columns of half blocks, so that every line holds two heights. For any numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from striate.views.text.page import Page

LABEL_COLUMNS = 10
"""Columns for the numbers at the side."""


def draw_curve(
    page: Page, xs: Sequence[float], ys: Sequence[float], *, mark: float | None = None, height: int = 12
) -> None:
    """ys over xs, with xs on a logarithmic axis; `mark` is an x to point at. Values must be finite, xs positive."""
    if len(xs) < 2:
        return
    width = min(max(page.terminal.width - LABEL_COLUMNS - 2, 8), 72)
    low, high = math.log10(xs[0]), math.log10(xs[-1])
    place = [_column(math.log10(x), low, high, width) for x in xs]
    columns = _means(place, ys, width)
    top, bottom = max(columns), min(columns)
    span = (top - bottom) or 1.0
    levels = [round((y - bottom) / span * (2 * height - 1)) for y in columns]
    for row in reversed(range(height)):
        side = (
            f"{bottom + span * (2 * row + 1) / (2 * height - 1):.3g}"
            if row % 4 == height % 4 - 1 or row == 0
            else ""
        )
        cells = "".join(_cell(level - 2 * row) for level in levels)
        page.line([f"{side:>{LABEL_COLUMNS - 2}}  ", (cells.rstrip(), "cyan")])
    if mark is not None:
        page.line([" " * (LABEL_COLUMNS + _column(math.log10(mark), low, high, width)), ("^", "bold green")])
    first, last = f"{xs[0]:.0e}", f"{xs[-1]:.0e}"
    page.line([" " * LABEL_COLUMNS, (first + last.rjust(width - len(first)), "dim")])


def _column(value: float, low: float, high: float, width: int) -> int:
    return min(max(round((value - low) / ((high - low) or 1.0) * (width - 1)), 0), width - 1)


def _means(place: Sequence[int], ys: Sequence[float], width: int) -> list[float]:
    """The mean of each column's values; a column without any lies on the line between its neighbors."""
    sums: dict[int, list[float]] = {}
    for column, y in zip(place, ys):
        sums.setdefault(column, []).append(y)
    means = {column: sum(values) / len(values) for column, values in sums.items()}
    order = sorted(means)
    line = []
    for column in range(width):
        before = max((k for k in order if k <= column), default=order[0])
        after = min((k for k in order if k >= column), default=order[-1])
        share = (column - before) / (after - before) if after > before else 0.0
        line.append(means[before] + share * (means[after] - means[before]))
    return line


def _cell(level: int) -> str:
    """One cell of the curve: its level is in the lower half (0), in the upper half (1), or elsewhere."""
    return {0: "▄", 1: "▀"}.get(level, " ")
