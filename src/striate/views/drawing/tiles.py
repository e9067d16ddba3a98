"""Planes of numbers as small images: each in its frame, many in rows, and the scale of their colors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.sheet import ASCENT, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.theme import on_cell

if TYPE_CHECKING:
    from striate.views.schemas.facts import Plane

Levels = Sequence[Sequence[int | None]]

GAP = 8.0
"""Pixels between planes."""
LEGEND_CELLS, LEGEND_CELL = 31, 8.0
"""Cells of the scale, and the side of one in pixels."""
MIN_CELL = 0.5
"""A cell is at least this large, in pixels: one of an image at scale 1."""


def cell_of(levels: Levels, room: float, least: float = MIN_CELL) -> float:
    """Side of a cell of a plane whose longer side has `room` pixels: whole pixels where there are several."""
    side = room / max(len(levels), max(map(len, levels)))
    side = float(int(side)) if side >= 4 else int(side * 10) / 10
    return max(side, least)


def plane(
    sheet: Sheet, x: float, y: float, cell: float, levels: Levels, palette: str, *, image: bool
) -> tuple[float, float]:
    """A plane in its frame, its upper left corner at (x, y). Returns its width and its height."""
    sheet.cells(x, y, cell, levels, palette, image=image)
    wide, high = cell * max(map(len, levels)), cell * len(levels)
    sheet.rect(x, y, wide, high, "", "line")
    return wide, high


def in_color(red: Levels, green: Levels, blue: Levels) -> list[list[int | None]]:
    """Three planes as the red, green and blue of one; a cell that one of them lacks is missing."""
    return [
        [
            None if r is None or g is None or b is None else r << 16 | g << 8 | b
            for r, g, b in zip(*row, strict=True)
        ]
        for row in zip(red, green, blue, strict=True)
    ]


def cells(found: Sequence[Plane]) -> int:
    """Cells of all planes."""
    return sum(len(row) for one in found for row in one["levels"])


def number(value: float) -> str:
    """A number of the scale: three digits."""
    if not value:
        return "0"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"


def block(side: int, axes: int) -> str:
    """How many numbers a cell is the mean of, along one or two axes."""
    return str(side) if axes == 1 else f"{side} x {side}"


def short(value: float, most: float) -> str:
    """A number in a cell: two or three digits of the largest one, no zeros at its end.

    >>> short(-0.314, 1.2), short(0.00028, 0.5), short(0.0314, 0.05), short(2.0, 2.0)
    ('-0.31', '0', '0.031', '2')
    """
    if not math.isfinite(value) or not most:
        return "0" if value == 0 else ""
    order = math.floor(math.log10(most))
    text = f"{value:.{max(0, 2 - max(order, 0) - min(order + 1, 0))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def legend(palette: str, low: float, high: float, words: str) -> Sheet:
    """The scale of colors from low to high with its numbers, and what they are."""
    sheet = Sheet()
    first = 1 if low < 0 else 0
    steps = [first + k * (255 - first) // (LEGEND_CELLS - 1) for k in range(LEGEND_CELLS)]
    sheet.cells(0, 0, LEGEND_CELL, [steps], palette)
    wide = LEGEND_CELLS * LEGEND_CELL
    sheet.rect(0, 0, wide, LEGEND_CELL, "", "line")
    ticks = ((0.0, low, "start"), (wide / 2, (low + high) / 2, "middle"), (wide, high, "end"))
    for at, value, anchor in ticks if high > low else ticks[:1]:
        sheet.path([(at, LEGEND_CELL), (at, LEGEND_CELL + 4)], "", "line")
        y = LEGEND_CELL + 5 + ASCENT * SMALL_FONT_SIZE
        sheet.text(at, y, number(value), SMALL_FONT_SIZE, anchor=anchor)
    y = LEGEND_CELL / 2 + 0.36 * SMALL_FONT_SIZE
    sheet.text(wide + 10, y, words, SMALL_FONT_SIZE, "muted", anchor="start")
    return sheet


def written(
    sheet: Sheet,
    x: float,
    y: float,
    cell: float,
    levels: Levels,
    palette: str,
    texts: Sequence[Sequence[str]],
) -> None:
    """Texts in the cells of a plane."""
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            if (level := levels[i][j]) is not None:
                place = x + (j + 0.5) * cell, y + (i + 0.5) * cell + 0.36 * SMALL_FONT_SIZE
                sheet.text(*place, text, SMALL_FONT_SIZE, on_cell(palette, level))


def rows(
    sheet: Sheet, tiles: Sequence[Sheet], room: float, left: float = 0.0, names: Sequence[str] = ()
) -> None:
    """Tiles of one size in rows, as many in each as `room` takes, below what the sheet holds.

    names: those of the tiles, the first one of a row stands before it; empty: none does.
    """
    if not tiles:
        return
    wide = max(tile.right - tile.left for tile in tiles)
    high = max(tile.bottom - tile.top for tile in tiles)
    columns = max(1, int((room + GAP) // (wide + GAP)))
    columns = math.ceil(len(tiles) / math.ceil(len(tiles) / columns))  # rows of one length
    top = sheet.bottom
    for k, tile in enumerate(tiles):
        row, column = divmod(k, columns)
        x, y = left + column * (wide + GAP), top + row * (high + GAP)
        sheet.put(tile, x + (wide - (tile.right - tile.left)) / 2, y)
        if names and not column:
            before(sheet, left, y + high / 2, names[k])


def before(sheet: Sheet, left: float, middle: float, said: str) -> None:
    """A text on the left of what begins at x = left."""
    sheet.text(left - 6, middle + 0.36 * SMALL_FONT_SIZE, said, SMALL_FONT_SIZE, "muted", anchor="end")


def under(sheet: Sheet, middle: float, said: Sequence[tuple[str, str]]) -> None:
    """Lines (text, color) below what a tile holds."""
    sheet.column(middle, sheet.bottom + 2, said, SMALL_FONT_SIZE)
