"""Tuning curves of a unit: around a circle, and over an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.chart import TICK_GAP, Axis, panel, value_axis
from striate.views.drawing.sheet import ASCENT, LINE, SMALL_FONT_SIZE, Sheet

if TYPE_CHECKING:
    from striate.views.drawing.sheet import Point

CIRCLE_CORNERS = 48


def polar(
    sheet: Sheet, x: float, y: float, side: float, values: Sequence[float], degrees: Sequence[float]
) -> None:
    """A curve around the middle of a square: the radius is the value. Orientations repeat after half a turn."""
    middle, radius = (x + side / 2, y + side / 2), side / 2 - 2

    def at(angle: float, share: float) -> Point:
        return (
            middle[0] + radius * share * math.cos(math.radians(angle)),
            middle[1] - radius * share * math.sin(math.radians(angle)),
        )

    for share in (0.5, 1.0):
        corners = [at(360 * k / CIRCLE_CORNERS, share) for k in range(CIRCLE_CORNERS)]
        sheet.path(corners, "", "faint", closed=True)
    for angle in (0, 90):
        sheet.path([at(angle, 1.0), at(angle + 180, 1.0)], "", "faint")
    most = max(values)
    around = [at(d + turn, v / most) for turn in (0, 180) for d, v in zip(degrees, values, strict=True)]
    sheet.path(around, "window-fill", "window", closed=True, thick=1.5)


def curve(
    sheet: Sheet, left: float, top: float, size: tuple[float, float], points: Sequence[float],
    values: Sequence[float], axis: str, mark: float | None, period: float = 0.0, log: bool = False,
) -> None:  # fmt: skip
    """A curve over an axis with its name.

    mark: a place on the axis that is drawn as a dashed line; period: in degrees, of a curve that closes; log: of the
    axis across.
    """
    wide, high = size
    if period:
        ticks = tuple((period * k / 4, f"{period * k / 4:g}") for k in range(5))
        across = Axis(0.0, period, left, left + wide, False, ticks)
        points, values = [*points, period], [*values, values[0]]
    elif log:
        low, most = min(points), max(points)
        between = [low, math.sqrt(low * most), most] if most > low else [low]
        across = Axis(low, most, left, left + wide, True, tuple((v, f"{v:.2g}") for v in between))
    else:
        across = value_axis([0.0, *points], left, left + wide, log=False, steps=4)
    down = value_axis([0.0, *values], top + high, top, log=False, steps=4)
    panel(sheet, across, down)
    if mark is not None and across.low <= mark <= across.high:
        x = across.at(mark)
        sheet.path([(x, top), (x, top + high)], "", "series-2", dash=True)
    places = [(across.at(p), down.at(v)) for p, v in zip(points, values, strict=True)]
    sheet.path(places, "", "series-1", thick=2)
    for x, y in places:
        sheet.rect(x - 2, y - 2, 4, 4, "series-1", "", round=2)
    base = top + high + TICK_GAP + LINE * SMALL_FONT_SIZE + ASCENT * SMALL_FONT_SIZE + 3
    sheet.text(left + wide / 2, base, axis, SMALL_FONT_SIZE, "muted")
