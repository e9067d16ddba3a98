"""Pictures of a recording: the contact sheet of all units of a node, and everything about one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.views.drawing import numbers, tiles
from striate.views.drawing.frame import finished, titled
from striate.views.drawing.picture import Picture
from striate.views.drawing.recording_curves import curve, polar
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines
from striate.views.text.probe import number, orientation, why

if TYPE_CHECKING:
    from striate.views.schemas.probe import Probe, ProbedUnit
    from striate.views.schemas.scene import Drawing

SQUARE, LARGE_SQUARE, GAP = 64.0, 124.0, 10.0
"""Pixels of the side of a small picture on the sheet, of one of a single unit, and between two."""
LABEL = 78.0
"""Pixels for the numbers of a unit on the sheet."""
MAX_CELLS = 64
"""Cells along a side of a small picture; of larger ones the means of blocks."""
MAX_UNITS = 64
"""Units on a sheet; of more, this many at equal distances."""
ONE_COLUMN_UNITS = 4
"""This many units stand below each other, more of them in two columns."""
CHART = 176.0, 112.0
"""Width and height of a chart of one unit, in pixels."""
MEANINGS = {
    "filter": "filter: the weights, as they are stored",
    "tuning": "tuning: response by orientation of the bar, far from the middle where it is large; 0° is horizontal",
    "best grating": "best grating, best bar: the stimuli that drive the unit most, in its field",
    "noise map": "noise map: the mean of random patterns, weighted by the response",
    "gradient": "gradient: how the response to the best grating changes with the light in each pixel",
    "Gabor fit": "Gabor fit: the Gabor function that is fitted to the map",
}
"""Small picture -> how it is read; "best bar" shares a line."""
SIGNS = "orange: light raises the response; blue: it lowers it"


def picture(found: Any, unit: int | None = None, theme: str = "auto", scale: float = 1.0) -> Picture:
    """The picture of a `Recording`: of all units, or of one."""
    record: Any = found.to_dict(unit)
    drawn = _sheet(found, record) if unit is None else _unit(found, record)
    scene: Any = {**record, "name": found.network, "drawing": drawn}
    return Picture(scene, theme, scale)


# -- the contact sheet ------------------------------------------------------------------------------------------


def _sheet(found: Any, record: Probe) -> Drawing:
    """A row for each unit: its numbers, and its small pictures under their names."""
    shown = numbers.sampled(len(found.units), MAX_UNITS)
    names = [name for name in _squares(found, found.units[0]) if name != "Gabor fit"]
    columns = 1 if len(shown) <= ONE_COLUMN_UNITS else 2
    wide = LABEL + len(names) * (SQUARE + GAP)
    rows = math.ceil(len(shown) / columns)
    body = Sheet()
    for k, channel in enumerate(shown):
        column, row = divmod(k, rows)
        x, y = column * (wide + 3 * GAP), row * (SQUARE + GAP) + LINE * SMALL_FONT_SIZE + 4
        if not row:
            for n, name in enumerate(names):
                middle = x + LABEL + n * (SQUARE + GAP) + SQUARE / 2
                body.text(middle, ASCENT * SMALL_FONT_SIZE, name, SMALL_FONT_SIZE, "muted")
        body.column(x, y, _label(record["units"][channel]), SMALL_FONT_SIZE, anchor="start")
        _squares_of(body, found, found.units[channel], names, x + LABEL, y, SQUARE)
    responding = sum(one.type != "none" for one in found.units)
    said = [f"{plural(len(found.units), 'unit')}, {responding} with a response. {_where(record)}"]
    if len(shown) < len(found.units):
        said.append(f"{len(shown)} of them are shown")
    return _framed(f"{record['network']}: {record['node']}", said, body, _notes(record, names))


def _label(unit: ProbedUnit) -> list[tuple[str, str]]:
    """Lines (text, color) that stand before a unit's pictures."""
    head = [(f"unit {unit['unit']}", "ink")]
    if unit["type"] == "none":
        return [*head, ("no response", "muted")]
    tilt = (
        "no orientation" if unit["orientation_deg"] is None else f"bar {orientation(unit['orientation_deg'])}"
    )
    return [
        *head, (unit["type"], "muted"), (tilt, "ink"), (f"CV {number(unit['cv'], '', 2)}", "ink"),
        (f"F1/F0 {number(unit['f1_f0'], '', 2)}", "ink"),
    ]  # fmt: skip


# -- one unit ---------------------------------------------------------------------------------------------------


def _unit(found: Any, record: Probe) -> Drawing:
    """The pictures of a unit in a row, its curves under them."""
    (told,) = record["units"]
    unit = found[told["unit"]]
    names = [*_squares(found, unit)]
    body = Sheet()
    room = 4 * (CHART[0] + 48.0)
    if unit.type == "none":
        body.text(0, SIZE, "no response: no stimulus drives the unit", SIZE, anchor="start")
    side = min(LARGE_SQUARE, (room - GAP * len(names)) / len(names))
    for n, name in enumerate(names):
        middle = n * (side + GAP) + side / 2
        body.text(middle, 2.6 * SIZE + ASCENT * SMALL_FONT_SIZE, name, SMALL_FONT_SIZE, "muted")
    top = 2.6 * SIZE + LINE * SMALL_FONT_SIZE + 4
    _squares_of(body, found, unit, names, 0.0, top, side)
    for n, name in enumerate(names):
        for k, text in enumerate(_under(told, name)):
            y = top + side + (LINE * k + 1.2) * SMALL_FONT_SIZE
            body.text(n * (side + GAP) + side / 2, y, text, SMALL_FONT_SIZE)
    if told["curves"] is not None:
        down = body.bottom + 2 * SIZE
        for k, (title, *drawn) in enumerate(_curves(record, told)):
            left = k * (CHART[0] + 48.0) + 34
            body.text(left, down + ASCENT * SIZE, title, SIZE, anchor="start")
            curve(body, left, down + LINE * SIZE + 4, CHART, *drawn)
    said = [f"{_said(told)}. {_where(record)}"]
    title = f"{record['network']}: {record['node']}, unit {told['unit']}"
    return _framed(title, said, body, _notes(record, names))


def _said(unit: ProbedUnit) -> str:
    if unit["type"] == "none":
        return "no response"
    tilt = why(unit, "orientation_deg") or f"bars at {orientation(unit['orientation_deg'])}"
    kinds = {"none": "neither simple nor complex"}
    return f"{kinds.get(unit['type'], unit['type'])}, {tilt}, CV {number(unit['cv'], '', 2)}"


def _under(unit: ProbedUnit, name: str) -> Iterator[str]:
    """What stands under a small picture of one unit."""
    bar, fit = unit["best_bar"], unit["gabor"]
    if name == "best grating" and unit["best_orientation_deg"] is not None:
        yield orientation(unit["best_orientation_deg"])
    elif name == "best bar" and bar is not None:
        yield f"{bar['polarity']}, {orientation(bar['orientation_deg'])}"
    elif name == "Gabor fit":
        yield "none" if fit is None else f"R² {fit['r2']:.2f}"
    elif name == "tuning" and unit["cv"] is not None:
        yield f"OSI {number(unit['osi'], '', 2)}"


def _curves(record: Probe, unit: ProbedUnit) -> Iterator[tuple[Any, ...]]:
    """Title of each curve, and what `curve` takes: points, values, the axis, what is marked, its period, whether it
    is logarithmic."""
    held = unit["curves"]
    assert held is not None
    turns, rates = record["orientations_deg"], record["frequencies_cpp"]
    yield (
        "drive by orientation",
        turns,
        held["orientation"],
        "of the bar, degrees",
        unit["orientation_deg"],
        180.0,
    )
    yield "drive by frequency", rates, held["frequency"], "cycles per pixel", unit["frequency_cpp"], 0.0, True
    yield (
        "response by phase",
        record["phases_deg"],
        held["phase"],
        "of the best grating, degrees",
        None,
        360.0,
    )
    yield "drive by size", record["sizes_px"], held["size"], "diameter in pixels", unit["preferred_size_px"]


# -- small pictures ---------------------------------------------------------------------------------------------


def _squares(found: Any, unit: Any) -> dict[str, Any]:
    """Small picture -> its numbers (H, W), None if there are none; a filter has channels, the tuning a curve."""
    field = unit.map
    held = {} if found.units[0].filter is None else {"filter": unit.filter}
    return {
        **held,
        "tuning": None if unit.curves is None else unit.curves.orientation,
        "best grating": found.best_grating(unit),
        "best bar": found.best_bar(unit),
        "noise map": None if field is None else field.weighted,
        "gradient": None if field is None else field.gradient,
        "Gabor fit": found.fitted_gabor(unit),
    }


def _squares_of(
    sheet: Sheet, found: Any, unit: Any, names: Sequence[str], x: float, y: float, side: float
) -> None:
    """The small pictures of a unit in a row; an empty frame if there is none."""
    held = _squares(found, unit)
    for n, name in enumerate(names):
        left, values = x + n * (side + GAP), held[name]
        if values is None:
            sheet.rect(left, y, side, side, "", "faint", dash=True)
        elif name == "tuning":
            polar(sheet, left, y, side, values, found.orientations_deg)
        elif name in ("best grating", "best bar"):
            small = numbers.coarse(values, MAX_CELLS)[0]
            _placed(sheet, left, y, side, numbers.share_levels((small + 1) / 2, 1.0), "gray")
        elif name == "filter" and len(values) == 3:
            most = numbers.largest(values)
            colors = [numbers.share_levels(plane + most, 2 * most) for plane in values]
            _placed(sheet, left, y, side, tiles.in_color(*colors), "rgb")
        else:
            plane = values.mean(0) if name == "filter" else values
            small = numbers.coarse(plane, MAX_CELLS)[0]
            _placed(sheet, left, y, side, numbers.signed_levels(small, numbers.largest(small)), "signed")


def _placed(
    sheet: Sheet, x: float, y: float, side: float, levels: Sequence[Sequence[int | None]], palette: str
) -> None:
    """A plane in the middle of a square."""
    cell = side / max(len(levels), max(map(len, levels)))
    wide, high = cell * max(map(len, levels)), cell * len(levels)
    tiles.plane(sheet, x + (side - wide) / 2, y + (side - high) / 2, cell, levels, palette, image=True)


# -- what is said -----------------------------------------------------------------------------------------------


def _where(record: Probe) -> str:
    (top, bottom), (left, right) = record["field"]["h"], record["field"]["w"]
    return f"Field: {bottom - top + 1} x {right - left + 1} pixels"


def _notes(record: Probe, names: Sequence[str]) -> Iterator[str]:
    for name, meaning in MEANINGS.items():
        if name in names:
            yield meaning
    yield SIGNS
    yield from record["notes"]


def _framed(title: str, said: Sequence[str], body: Sheet, notes: Iterator[str]) -> Drawing:
    """Title and sentence over the body, notes under it."""
    sheet = Sheet()
    room = body.right - body.left
    top = titled(sheet, title, said, room)
    sheet.put(body, 0.0, top + 12)
    y = sheet.bottom + 14
    for note in notes:
        for line in lines(note, SMALL_FONT_SIZE, room):
            sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    return finished("recording", sheet, title, f"{title}. {' '.join(said)}.")
