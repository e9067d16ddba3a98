"""Sheet of the images to which units respond: the part of each image that the unit sees, cut out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.views.drawing import numbers, tiles
from striate.views.drawing.frame import MIN_WIDTH, finished, titled
from striate.views.drawing.picture import Picture
from striate.views.drawing.sheet import LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing

MAX_UNITS, MAX_MOST, MAX_LEAST = 32, 9, 3
"""Units of a sheet, and images of each in one row."""
SIDE, UNIT_SIDE = 56.0, 108.0
"""Pixels of the longer side of an image, in a sheet of all units and of one."""
MAX_SIDE_CELLS = 112
"""Cells along a side; of larger images the means of blocks."""
UNIT_COLUMNS = 3
BETWEEN = 28.0
"""Pixels between the images with the largest and the smallest responses."""
KINDS = {"most": "responds most", "least": "responds least"}


def picture(found: Any, unit: int | None = None, theme: str = "auto", scale: float = 1.0) -> Picture:
    """The picture of a `Nearest`: of all units, or of one."""
    record: Any = {**found.to_dict(unit), "name": found.network, "drawing": drawing(found, unit)}
    return Picture(record, theme, scale)


def drawing(found: Any, unit: int | None = None) -> Drawing:
    """A row for each unit, or all images of one unit with the part that it sees in a frame."""
    units = found.units if unit is None else (found[unit],)
    body, notes = Sheet(), [*_notes(found)]
    if unit is None:
        _rows(body, found, units[:MAX_UNITS])
        if len(units) > MAX_UNITS:
            notes.append(f"the first {MAX_UNITS} of {len(units)} units; --unit K shows another one")
        said = f"Images to which each unit of {found.node} responds most and least"
    else:
        _blocks(body, found, units[0])
        notes = [*units[0].notes, *notes]
        said = f"Images to which unit {unit} of {found.node} responds most and least"
    sheet = Sheet()
    room = max(body.right - body.left, MIN_WIDTH)
    top = titled(sheet, found.network, [f"{said}. {found.data}"], room)
    sheet.put(body, 0.0, top + 14)
    y = sheet.bottom + 12
    for note in notes:
        for line in lines(note, SMALL_FONT_SIZE, room):
            sheet.text(0, y + SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    return finished("nearest", sheet, found.network, f"{said}: {_words(units)}")


def _rows(body: Sheet, found: Any, units: Sequence[Any]) -> None:
    """A row for each unit: what it sees of the images to which it responds."""
    y = LINE * SIZE + 4
    most = min(max(len(unit.most) for unit in units), MAX_MOST)
    starts = {"most": 0.0, "least": most * (SIDE + tiles.GAP) + BETWEEN}
    for kind, x in starts.items():
        body.text(x, SIZE, KINDS[kind], SIZE, anchor="start", bold=True)
    for unit in units:
        bottom = y
        for kind, x in starts.items():
            for image in getattr(unit, kind)[: MAX_MOST if kind == "most" else MAX_LEAST]:
                tile = Sheet()
                _plane(tile, numbers.unit_range(found.pixels(image)), image, SIDE, cut=True)
                tiles.under(tile, (tile.left + tile.right) / 2, [(f"{image.response:.3g}", "muted")])
                wide = tile.right - tile.left
                body.put(tile, x + max(0.0, (SIDE - wide) / 2), y)
                bottom = max(bottom, y + tile.bottom - tile.top)
                x += SIDE + tiles.GAP
        tiles.before(body, 0.0, y + SIDE / 2, f"unit {unit.unit}")
        y = bottom + tiles.GAP


def _blocks(body: Sheet, found: Any, unit: Any) -> None:
    """The images of one unit, in two blocks: whole, with what the unit sees in a frame, and that cut out."""
    y = 0.0
    for kind, title in KINDS.items():
        body.text(0.0, y + SIZE, title, SIZE, anchor="start", bold=True)
        y += LINE * SIZE + 4
        made = [_tile(found, image) for image in getattr(unit, kind)]
        wide = max(tile.right - tile.left for tile in made)
        for start in range(0, len(made), UNIT_COLUMNS):
            row = made[start : start + UNIT_COLUMNS]
            for column, tile in enumerate(row):
                body.put(tile, column * (wide + 2 * tiles.GAP), y)
            y += max(tile.bottom - tile.top for tile in row) + tiles.GAP
        y += tiles.GAP


def _tile(found: Any, image: Any) -> Sheet:
    """An image, the part that the unit sees, and its response, class and name under both."""
    tile = Sheet()
    pixels = numbers.unit_range(found.pixels(image))
    wide, high = _plane(tile, pixels, image, UNIT_SIDE)
    if image.field is not None and image.field != _whole(pixels):
        _plane(tile, pixels, image, UNIT_SIDE, wide + tiles.GAP, cut=True)
    room = 2 * UNIT_SIDE + tiles.GAP
    said = [(f"{image.response:.4g}" + (f", {image.label}" if image.label is not None else ""), "ink")]
    said.append((image.name, "muted"))
    said = [(shortened(text, SMALL_FONT_SIZE, room), color) for text, color in said]
    tiles_y = max(tile.bottom, high) + 3
    tile.column(0.0, tiles_y, said, SMALL_FONT_SIZE, anchor="start")
    return tile


def _plane(
    sheet: Sheet, pixels: Any, image: Any, side: float, x: float = 0.0, *, cut: bool = False
) -> tuple[float, float]:
    """An image, with a frame around what the unit sees, or that alone. Returns its width and its height."""
    shown = pixels
    if cut and image.field is not None:
        (top, bottom), (left, right) = image.field["h"], image.field["w"]
        shown = pixels[:, top : bottom + 1, left : right + 1]
    levels, palette = numbers.image_levels(shown, MAX_SIDE_CELLS)
    cell = tiles.cell_of(levels, side)
    size = tiles.plane(sheet, x, 0.0, cell, levels, palette, image=True)
    if not cut and image.field is not None:
        (top, bottom), (left, right) = image.field["h"], image.field["w"]
        pixel = size[0] / shown.shape[2]
        sheet.rect(
            x + left * pixel, top * pixel, (right + 1 - left) * pixel, (bottom + 1 - top) * pixel, "", "window",
            thick=2,
        )  # fmt: skip
    return size


def _whole(pixels: Any) -> dict[str, tuple[int, int]]:
    """The field that is the whole image."""
    return {"h": (0, pixels.shape[1] - 1), "w": (0, pixels.shape[2] - 1)}


def _notes(found: Any) -> Iterator[str]:
    if found.weights != "as given":
        yield f"weights: {found.weights}"
    if found.value != found.node:
        yield f"responses are read at {found.value}"
    yield from found.notes


def _words(units: Sequence[Any]) -> str:
    """The pictures in words."""
    texts = [
        f"unit {unit.unit}: most {unit.most[0].name}, least {unit.least[0].name}"
        for unit in units[:MAX_UNITS]
    ]
    more = f"; {plural(len(units) - MAX_UNITS, 'more unit')}" if len(units) > MAX_UNITS else ""
    return "; ".join(texts) + more
