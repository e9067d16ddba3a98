"""Tuning curves of units in one chart: drive by the orientation of the bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.chart import Axis, panel, value_axis
from striate.views.drawing.frame import finished
from striate.views.drawing.sheet import LINE, SMALL_FONT_SIZE, Sheet

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing

WIDTH, HEIGHT = 420.0, 180.0
TICKS_DEG = (0, 45, 90, 135, 180)


def tuning_curves(
    title: str, orientations_deg: Sequence[float], curves: Mapping[str, Sequence[float] | None]
) -> Drawing:
    """The chart.

    curves: what is said of a curve to the drives at these orientations, None for a unit that does not respond, which
    is a line at 0.
    """
    sheet = Sheet()
    values = [0.0, *(value for curve in curves.values() for value in curve or ())]
    across = Axis(0, 180, 0, WIDTH, ticks=tuple((tick, f"{tick}°") for tick in TICKS_DEG))
    down = value_axis(values, HEIGHT, 0)
    panel(sheet, across, down)
    y = HEIGHT + 3 * LINE * SMALL_FONT_SIZE
    sheet.text(WIDTH / 2, y, "orientation of the bar", SMALL_FONT_SIZE, "muted")
    for number, (said, curve) in enumerate(curves.items(), 1):
        color, dash = f"series-{number}", number > 1
        drives = [0.0] * len(orientations_deg) if curve is None else list(curve)
        order = sorted(range(len(drives)), key=lambda k: orientations_deg[k] % 180)
        points = [(across.at(orientations_deg[k] % 180), down.at(drives[k])) for k in order]
        points.append((WIDTH, points[0][1]))  # half a turn is the same bar
        sheet.path(points, "", color, thick=2, dash=dash)
        y += LINE * SMALL_FONT_SIZE
        sheet.path([(0, y - 4), (28, y - 4)], "", color, thick=2, dash=dash)
        text = said + (": no response" if curve is None else "")
        sheet.text(36, y, text, SMALL_FONT_SIZE, anchor="start")
    words = f"Drive by orientation: {', '.join(curves)}"
    return finished("tuning", sheet, title, words)
