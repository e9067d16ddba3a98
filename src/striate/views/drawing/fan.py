"""Receptive fields as marks: rows of units over the pixels that they see, planes, and branches that differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import shortened, width

if TYPE_CHECKING:
    from striate.views.schemas.facts import FieldFacts, Misaligned, SeenAxis, SeenInput

NAMES = 250.0
"""Room for what stands left of a row."""
FAN_WIDTH = 560.0
"""Width of the fan."""
HIGH, PITCH = 14.0, 40.0
"""Height of a row, and from one row to the next."""
BARS = 110.0
"""Length of the bar of the largest field."""
CELL, MAX_CELL_SIZE = 5.0, 26.0
"""From this width on, units have lines between them; the largest width of an input pixel."""
REACH, LEAST_REACH = 0.25, 4
"""Padding is drawn up to this share of a value's size on each side, or this many units, whichever is more."""
PLANE, MAP = 240.0, 132.0
"""Longest side of the image's plane and of the feature map's."""
RUNS = 24
"""Runs of rows and columns that are drawn one by one."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer or an input in the fan. reads: keys of the rows that it reads; seen: by axis; an input has none."""

    key: str
    name: str
    text: str
    family: str
    reads: tuple[str, ...]
    seen: Mapping[str, SeenAxis]


@dataclasses.dataclass(frozen=True)
class _Line:
    """A row along one axis, in pixels of the input: ends of the value and of what is read.

    touched: with the padding that the next layer reads; span: with that of all layers.
    """

    ends: tuple[float, float]
    runs: tuple[tuple[float, float], ...]
    touched: tuple[float, float]
    span: tuple[float, float]
    step: float
    """Width of a unit; 0 where each sees all."""

    @property
    def room(self) -> float:
        """How much padding is drawn on each side."""
        return max(REACH * (self.ends[1] - self.ends[0]), LEAST_REACH * self.step)

    @property
    def read(self) -> tuple[float, float]:
        return (self.runs[0][0], self.runs[-1][1]) if self.runs else self.ends


def fan(rows: Sequence[Row], axes: Sequence[str], field: FieldFacts) -> Sheet:
    """Rows of the layers along one axis, the unit at the top and the image at the bottom.

    axes: those along which the fan is the same.
    """
    axis = axes[0]
    images = {name: image[axis] for name, image in field["inputs"].items() if axis in image}
    lines = {row.key: _line(row, axis, images) for row in rows}
    low, high = _reach(list(lines.values()), images)
    scale = min(FAN_WIDTH / (high - low), MAX_CELL_SIZE)
    sheet = Sheet()
    x0 = NAMES + 16 - low * scale
    head = f"units that are read, along {' and '.join(axes)}"
    right = NAMES + 16 + max((high - low) * scale, width(head, SMALL_FONT_SIZE)) + 20
    for x, text in ((0.0, "layer"), (NAMES + 16, head), (right, "one unit sees")):
        sheet.text(x, ASCENT * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE, "muted", anchor="start")
    tops = {row.key: 26.0 + k * PITCH for k, row in enumerate(rows)}
    for row, below in pairwise(rows):
        if below.key in row.reads:
            _beam(sheet, lines[row.key], tops[row.key] + HIGH, lines[below.key], tops[below.key], x0, scale)
    most = max((row.seen[axis]["size"] for row in rows if axis in row.seen), default=1)
    for k, row in enumerate(rows):
        y = tops[row.key]
        with sheet.about(row.key):
            sheet.text(0, y + 6, shortened(row.name, SIZE, NAMES), SIZE, anchor="start")
            text = row.text
            others = [
                key for key in row.reads if key in tops and (k + 1 == len(rows) or key != rows[k + 1].key)
            ]
            if others:
                text = f"reads {', '.join(others)} · {text}"
            sheet.text(
                0,
                y + 6 + LINE * SMALL_FONT_SIZE,
                shortened(text, SMALL_FONT_SIZE, NAMES),
                SMALL_FONT_SIZE,
                "muted",
                anchor="start",
            )
            _units(sheet, lines[row.key], y, x0, scale, row.family)
            if axis in row.seen:
                _size(sheet, right, y, row.seen[axis], most)
            elif row.key in images:
                _pixels(sheet, right, y, images[row.key])
                _bracket(sheet, images[row.key], y + HIGH + 5, x0, scale, (low, high))
    return sheet


def _line(row: Row, axis: str, images: Mapping[str, SeenInput]) -> _Line:
    if row.key in images and not row.seen:
        image = images[row.key]
        runs = tuple((a - 0.5, b + 0.5) for a, b in image["runs"])
        reach, span = ((a - 0.5, b + 0.5) for a, b in (image["touched"], image["span"]))
        return _Line((-0.5, image["size"] - 0.5), runs, reach, span, 1.0)
    axis_field = row.seen.get(axis)
    if axis_field is None or not axis_field["jump"]:
        size = max((image["size"] for image in images.values()), default=1)
        ends = (-0.5, size - 0.5)
        return _Line(ends, (ends,), ends, ends, 0.0)
    jump = axis_field["jump"]

    def edges(first: int, last: int) -> tuple[float, float]:
        return axis_field["center"] + (first - 0.5) * jump, axis_field["center"] + (last + 0.5) * jump

    span = edges(*axis_field["span"])
    return _Line(
        edges(0, axis_field["units"] - 1), tuple(edges(a, b) for a, b in axis_field["runs"]), span, span, jump
    )


def _reach(lines: Sequence[_Line], images: Mapping[str, SeenInput]) -> tuple[float, float]:
    """Coordinates of the input that the fan shows."""
    low = min(-0.5, *(line.ends[0] for line in lines))
    high = max(0.5, *(line.ends[1] for line in lines))
    for line in lines:
        low = min(low, max(line.span[0], line.ends[0] - line.room))
        high = max(high, min(line.span[1], line.ends[1] + line.room))
    return low, high


def _beam(
    sheet: Sheet, upper: _Line, top: float, lower: _Line, bottom: float, x0: float, scale: float
) -> None:
    """What the units of one row read of the next."""
    a, b = upper.read
    c, d = (
        max(lower.touched[0], lower.ends[0] - lower.room),
        min(lower.touched[1], lower.ends[1] + lower.room),
    )
    points = [(a, top), (b, top), (d, bottom), (c, bottom)]
    sheet.path([(x0 + x * scale, y) for x, y in points], "window-fill", "", closed=True)


def _units(sheet: Sheet, line: _Line, y: float, x0: float, scale: float, family: str) -> None:
    """A value as a bar: what is read of it in color, the padding that is touched dashed."""
    start, end = line.ends
    left = x0 + start * scale
    sheet.rect(left, y, (end - start) * scale, HIGH, "faint")
    for a, b in line.runs:
        sheet.rect(
            x0 + a * scale, y, (b - a) * scale, HIGH, "window" if family == "input" else f"{family}-mark"
        )
    step = line.step * scale
    if step >= CELL:
        for k in range(1, round((end - start) / line.step)):
            sheet.path([(left + k * step, y), (left + k * step, y + HIGH)], "", "paper")
    sheet.rect(left, y, (end - start) * scale, HIGH, "", "line")
    low, high = line.span
    room = line.room
    for a, b in ((max(low, start - room), min(start, high)), (max(end, low), min(high, end + room))):
        if b - a > 1e-6:
            sheet.rect(x0 + a * scale, y, (b - a) * scale, HIGH, "padding", "window", dash=True)


def _size(sheet: Sheet, x: float, y: float, axis_field: SeenAxis, most: int) -> None:
    """The field of one unit as a bar, and its numbers."""
    sheet.rect(x, y + 2, BARS * axis_field["size"] / most, HIGH - 4, "window")
    jump = f"jump {axis_field['jump']:g}" if axis_field["jump"] else "the whole axis"
    text = f"{plural(axis_field['size'], 'pixel')}, {jump}"
    sheet.text(x + BARS + 8, y + HIGH / 2 + 0.36 * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE, anchor="start")


def _pixels(sheet: Sheet, x: float, y: float, image: SeenInput) -> None:
    first, last = image["runs"][0][0], image["runs"][-1][1]
    read = sum(b - a + 1 for a, b in image["runs"])
    text = f"pixels {first} to {last}: {read:,} of {image['size']:,}"
    sheet.text(x, y + HIGH / 2 + 0.36 * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE, anchor="start")


def _bracket(
    sheet: Sheet, image: SeenInput, y: float, x0: float, scale: float, room: tuple[float, float]
) -> None:
    """The field's length under the image; where it leaves the picture, it has an arrow."""
    first, last = image["span"]
    low, high = max(first - 0.5, room[0]), min(last + 0.5, room[1])
    a, b = x0 + low * scale, x0 + high * scale
    size = last - first + 1
    outside = size - sum(y - x + 1 for x, y in [(max(first, 0), min(last, image["size"] - 1))] if x <= y)
    sheet.path([((a + b) / 2, y), (a, y)], "", "window", thick=1.5, arrow=low > first - 0.5)
    sheet.path([((a + b) / 2, y), (b, y)], "", "window", thick=1.5, arrow=high < last + 0.5)
    for x, cut in ((a, low > first - 0.5), (b, high < last + 0.5)):
        if not cut:
            sheet.path([(x, y - 3), (x, y + 3)], "", "window", thick=1.5)
    text = f"field of {plural(size, 'pixel')}" + (f", {outside:,} of them padding" if outside else "")
    half = width(text, SMALL_FONT_SIZE) / 2
    middle = max((a + b) / 2, NAMES + 16 + half)
    sheet.text(middle, y + 6 + ASCENT * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE)


# -- planes -------------------------------------------------------------------------------------------------------


def planes(field: FieldFacts) -> Sheet | None:
    """The feature map with the unit, and the image with its field; None where there are fewer than two axes."""
    images = {name: list(image.items())[-2:] for name, image in field["inputs"].items() if len(image) > 1}
    if len(field["unit"]) < 2 or not images:
        return None
    sheet = Sheet()
    sheet.put(_map(field), 0, 0)
    for name, ((_, rows), (_, columns)) in images.items():
        part = _image(name if len(images) > 1 else "", rows, columns)
        sheet.put(part, sheet.right + 56, 0)
    return sheet


def _map(field: FieldFacts) -> Sheet:
    """The feature map with its unit."""
    high, wide = field["shape"][-2:]
    y, x = field["unit"][-2:]
    sheet = Sheet()
    side = min(MAP / max(high, wide), MAX_CELL_SIZE)
    sheet.text(0, 0, shortened(field["to"], SIZE, NAMES), SIZE, anchor="start", bold=True)
    top = 10.0
    sheet.rect(0, top, wide * side, high * side, "conv-tint")
    _lattice(sheet, 0, top, wide, high, side)
    sheet.rect(0, top, wide * side, high * side, "", "line")
    mark = max(side, 3.0)
    left, upper = min(x * side, wide * side - mark), min(y * side, high * side - mark)
    sheet.rect(left, top + upper, mark, mark, "window")
    text = f"unit {y}, {x} of {high} x {wide}"
    sheet.text(
        0, top + high * side + 6 + ASCENT * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE, "muted", anchor="start"
    )
    return sheet


def _image(name: str, rows: SeenInput, columns: SeenInput) -> Sheet:
    """The image with the field, at scale."""
    low = [min(0, axis["span"][0]) for axis in (rows, columns)]
    size = [
        max(axis["size"], axis["span"][1] + 1) - first
        for axis, first in zip((rows, columns), low, strict=True)
    ]
    side = min(PLANE / max(size), MAX_CELL_SIZE)
    sheet = Sheet()
    sheet.text(0, 0, name or "input", SIZE, anchor="start", bold=True)
    y0, x0 = (10.0 - first * side for first in low)
    x0 -= 10.0
    top, left = y0 + rows["span"][0] * side, x0 + columns["span"][0] * side
    high, wide = ((axis["span"][1] - axis["span"][0] + 1) * side for axis in (rows, columns))
    outside = any(a["span"][0] < 0 or a["span"][1] >= a["size"] for a in (rows, columns))
    if outside:
        sheet.rect(left, top, wide, high, "padding", "window", dash=True)
    sheet.rect(x0, y0, columns["size"] * side, rows["size"] * side, "input-tint")
    for a, b in _runs_to_draw(rows["runs"]):
        for c, d in _runs_to_draw(columns["runs"]):
            sheet.rect(x0 + c * side, y0 + a * side, (d - c + 1) * side, (b - a + 1) * side, "window-fill")
    _lattice(sheet, x0, y0, columns["size"], rows["size"], side)
    sheet.rect(x0, y0, columns["size"] * side, rows["size"] * side, "", "line")
    west, east = max(left, x0), min(left + wide, x0 + columns["size"] * side)
    north, south = max(top, y0), min(top + high, y0 + rows["size"] * side)
    if west < east and north < south:
        sheet.rect(west, north, east - west, south - north, "", "window", thick=2)
    y = sheet.bottom + 6
    for line in _read_summary(rows, columns):
        sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
        y += LINE * SMALL_FONT_SIZE
    return sheet


def _read_summary(rows: SeenInput, columns: SeenInput) -> list[str]:
    ends = [(axis["runs"][0][0], axis["runs"][-1][1]) for axis in (rows, columns)]
    read = [sum(b - a + 1 for a, b in axis["runs"]) for axis in (rows, columns)]
    size = [axis["span"][1] - axis["span"][0] + 1 for axis in (rows, columns)]
    share = 100 * read[0] * read[1] / (rows["size"] * columns["size"])
    return [
        f"rows {ends[0][0]} to {ends[0][1]}, columns {ends[1][0]} to {ends[1][1]}",
        f"{share:.3g} % of {rows['size']} x {columns['size']} pixels are read",
        f"field {size[0]} x {size[1]}",
    ]


def _runs_to_draw(runs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    if len(runs) > RUNS:
        return [(runs[0][0], runs[-1][1])]
    return [(first, last) for first, last in runs]


def _lattice(sheet: Sheet, x: float, y: float, wide: int, high: int, side: float) -> None:
    """Lines between cells that are large enough."""
    if side >= CELL:
        for k in range(1, wide):
            sheet.path([(x + k * side, y), (x + k * side, y + high * side)], "", "paper")
        for k in range(1, high):
            sheet.path([(x, y + k * side), (x + wide * side, y + k * side)], "", "paper")


# -- branches -----------------------------------------------------------------------------------------------------


def branches(fault: Misaligned, axes: Sequence[str]) -> Sheet:
    """The fields that the branches of a merge give to one unit, with their centers. axes: along which they do."""
    sheet = Sheet()
    apart = fault["apart"]
    distance = "their jumps differ" if apart is None else f"{apart:g} pixels apart"
    head = f"{fault['node']}, unit {fault['unit']} along {' and '.join(axes)}: its branches look at different places"
    sheet.text(
        0, ASCENT * SIZE, shortened(head, SIZE, NAMES + FAN_WIDTH), SIZE, "warning", anchor="start", bold=True
    )
    low = min(branch["span"][0] for branch in fault["branches"]) - 0.5
    high = max(branch["span"][1] for branch in fault["branches"]) + 0.5
    scale = min(FAN_WIDTH / (high - low), MAX_CELL_SIZE)
    x0 = NAMES + 16 - low * scale
    right = NAMES + 16 + (high - low) * scale + 20
    y = 28.0
    for branch in fault["branches"]:
        first, last = branch["span"]
        text = shortened(branch["value"], SIZE, NAMES)
        sheet.text(0, y + HIGH / 2 + 0.36 * SIZE, text, SIZE, anchor="start")
        sheet.rect(x0 + (first - 0.5) * scale, y, (last - first + 1) * scale, HIGH, "window-fill", "window")
        at = x0 + branch["center"] * scale
        sheet.path([(at, y - 4), (at, y + HIGH + 4)], "", "warning", thick=2)
        text = f"{first} to {last}, center {branch['center']:g}, jump {branch['jump']:g}"
        sheet.text(right, y + HIGH / 2 + 0.36 * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE, anchor="start")
        y += HIGH + 16
    sheet.text(NAMES + 16, y + ASCENT * SMALL_FONT_SIZE, distance, SMALL_FONT_SIZE, "muted", anchor="start")
    return sheet
