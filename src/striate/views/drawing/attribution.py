"""Picture of an attribution: the image, and the numbers that belong to its pixels, over their scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from striate.views.drawing import numbers, tiles
from striate.views.drawing.frame import finished, titled
from striate.views.drawing.picture import Picture
from striate.views.drawing.sheet import LINE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing

SIDE, GAP = 300.0, 24.0
"""Pixels of the longer side of the image, and between it and its attribution."""
MAX_SIDE_CELLS = 256
"""Cells along a side; of larger images the means of blocks."""


def picture(found: Any, theme: str = "auto", scale: float = 1.0) -> Picture:
    """The picture of an `Attribution`."""
    record: Any = {**found.to_dict(), "name": found.network, "drawing": drawing(found)}
    return Picture(record, theme, scale)


def drawing(found: Any) -> Drawing:
    """The image, and next to it its attribution: blue is against the score and orange for it."""
    heat, signed = found.heat, bool((found.heat < 0).any())
    most = numbers.largest(heat)
    small, block = numbers.coarse(heat, MAX_SIDE_CELLS)
    turn, palette = (numbers.signed_levels, "signed") if signed else (numbers.share_levels, "counts")
    body = Sheet()
    levels, colors = numbers.image_levels(numbers.unit_range(found.image), MAX_SIDE_CELLS)
    cell = tiles.cell_of(levels, SIDE)
    wide, high = tiles.plane(body, 0, 0, cell, levels, colors, image=True)
    tiles.plane(body, wide + GAP, 0, cell, turn(small, most), palette, image=True)
    body.put(tiles.legend(palette, -most if signed else 0.0, most, found.method), wide + GAP, high + 10)
    body.text(0, high + 10 + SMALL_FONT_SIZE, found.name, SMALL_FONT_SIZE, "muted", anchor="start")
    sheet = Sheet()
    room = max(body.right - body.left, 2 * SIDE)
    said = [f"{found.method} of {found.target}: score {found.score:.4g}"]
    top = titled(sheet, found.network, said, room)
    sheet.put(body, 0.0, top + 14)
    y = sheet.bottom + 12
    for note in _notes(found, block):
        for line in lines(note, SMALL_FONT_SIZE, room):
            sheet.text(0, y + SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    words = f"{said[0]}. {'. '.join(_notes(found, block))}"
    return finished("attribution", sheet, found.network, words)


def _notes(found: Any, block: int) -> Iterator[str]:
    yield from found.notes
    for name, value in found.settings.items():
        yield f"{name} {value:g}"
    if len(found.image) not in (1, 3):
        yield f"of the image, channel 0 of {len(found.image)} is shown"
    if block > 1:
        yield f"a cell is the mean of {tiles.block(block, 2)} pixels"
