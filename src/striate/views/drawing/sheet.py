"""A canvas that layouts put marks on. It grows with what is put on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from striate.views.drawing.widths import width as width_of

if TYPE_CHECKING:
    from striate.views.schemas.scene import CellsMark, Mark, PathMark, RectMark, TextMark

Point = tuple[float, float]

SIZE = 12.0
"""Of a label, in pixels."""
SMALL_FONT_SIZE = 10.5
TITLE_FONT_SIZE = 16.0
LINE = 1.3
"""Line height in font sizes."""
ASCENT, DESCENT = 0.8, 0.25
"""How far letters reach above and below the baseline, in font sizes."""
MARGIN = 16.0


class Sheet:
    """Marks, and the box (left, top, right, bottom) that holds them."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.left = self.top = float("inf")
        self.right = self.bottom = float("-inf")
        self._about = ""
        self._steps: list[int] = []

    @contextmanager
    def about(self, name: str) -> Iterator[None]:
        """Marks made inside belong to this node."""
        before, self._about = self._about, name
        yield
        self._about = before

    @contextmanager
    def during(self, first: int | None = None, last: int | None = None) -> Iterator[None]:
        """Marks made inside are seen in these steps of a moving picture; in all of them without a first and a last."""
        before, self._steps = self._steps, [] if first is None or last is None else [first, last]
        yield
        self._steps = before

    # -- marks ------------------------------------------------------------------------------------------------

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "",
        stroke: str = "",
        *,
        thick: float = 1.0,
        round: float = 0.0,
        dash: bool = False,
    ) -> None:
        """x, y: the upper left corner."""
        mark: RectMark = {
            "mark": "rect",
            "x": _tidy(x),
            "y": _tidy(y),
            "width": _tidy(width),
            "height": _tidy(height),
            "fill": fill,
            "stroke": stroke,
        }
        if thick != 1:
            mark["thick"] = thick
        if round:
            mark["round"] = round
        if dash:
            mark["dash"] = True
        self._add(mark, x, y, x + width, y + height)

    def path(
        self,
        points: Sequence[Point],
        fill: str = "",
        stroke: str = "",
        *,
        closed: bool = False,
        bend: float = 0.0,
        thick: float = 1.0,
        dash: bool = False,
        arrow: bool = False,
    ) -> None:
        """A line through points, or a polygon."""
        mark: PathMark = {
            "mark": "path",
            "points": [[_tidy(x), _tidy(y)] for x, y in points],
            "fill": fill,
            "stroke": stroke,
        }
        if closed:
            mark["closed"] = True
        if bend:
            mark["bend"] = bend
        if thick != 1:
            mark["thick"] = thick
        if dash:
            mark["dash"] = True
        if arrow:
            mark["arrow"] = True
        across, down = [x for x, _ in points], [y for _, y in points]
        self._add(mark, min(across), min(down), max(across), max(down))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = SIZE,
        fill: str = "ink",
        *,
        anchor: str = "middle",
        bold: bool = False,
    ) -> float:
        """One line on the baseline y. Returns how wide it may be."""
        mark: TextMark = {
            "mark": "text",
            "x": _tidy(x),
            "y": _tidy(y),
            "text": text,
            "size": size,
            "fill": fill,
            "anchor": anchor,
        }
        if bold:
            mark["bold"] = True
        wide = width_of(text, size, bold)
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        self._add(mark, left, y - ASCENT * size, left + wide, y + DESCENT * size)
        return wide

    def cells(
        self,
        x: float,
        y: float,
        side: float,
        levels: Sequence[Sequence[int | None]],
        palette: str,
        *,
        image: bool = False,
    ) -> None:
        """A grid of squares: levels 0 to 255 of a palette; None is hatched. image: an image also where it is small."""
        mark: CellsMark = {
            "mark": "cells",
            "x": _tidy(x),
            "y": _tidy(y),
            "side": _tidy(side),
            "levels": [list(row) for row in levels],
            "palette": palette,
        }
        if image:
            mark["image"] = True
        self._add(mark, x, y, x + side * max(map(len, levels)), y + side * len(levels))

    def _add(self, mark: Mark, left: float, top: float, right: float, bottom: float) -> None:
        if self._about:
            mark["about"] = self._about
        if self._steps:
            mark["steps"] = self._steps
        self.marks.append(mark)
        self.left, self.top = min(self.left, left), min(self.top, top)
        self.right, self.bottom = max(self.right, right), max(self.bottom, bottom)

    # -- several lines ----------------------------------------------------------------------------------------

    def column(
        self,
        x: float,
        y: float,
        lines: Sequence[tuple[str, str]],
        size: float = SIZE,
        *,
        anchor: str = "middle",
    ) -> float:
        """Lines (text, color) below each other, the first one's top at y. Returns the y below the last."""
        for text, fill in lines:
            self.text(x, y + ASCENT * size, text, size, fill, anchor=anchor)
            y += LINE * size
        return y

    def put(self, other: Sheet, x: float, y: float) -> None:
        """All marks of another sheet, its upper left corner at (x, y)."""
        dx, dy = x - other.left, y - other.top
        for mark in other.marks:
            self.marks.append(moved(mark, dx, dy))
        self.left, self.top = min(self.left, x), min(self.top, y)
        self.right = max(self.right, x + other.right - other.left)
        self.bottom = max(self.bottom, y + other.bottom - other.top)


def moved(mark: Mark, dx: float, dy: float) -> Mark:
    """The same mark elsewhere."""
    if mark["mark"] == "path":
        path = mark.copy()
        path["points"] = [[_tidy(x + dx), _tidy(y + dy)] for x, y in mark["points"]]
        return path
    copy = mark.copy()
    copy["x"], copy["y"] = _tidy(mark["x"] + dx), _tidy(mark["y"] + dy)
    return copy


def _tidy(value: float) -> float:
    """Rounded to a tenth of a pixel, so that files are small and the same everywhere."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
