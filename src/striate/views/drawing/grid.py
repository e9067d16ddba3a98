"""A plane of equal cells, one for each position, with its padding around it and its other channels behind it.

Every plane of a picture has the same scale, so that equal sizes are drawn equal. Cells that would be too small to be
seen are not drawn: the plane is drawn to scale, without lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from striate.views.drawing.sheet import Sheet

RULED = 5.0
"""The least side of a cell, in pixels, for which lines are drawn between cells."""
HATCHED = 10.0
"""The same for many rows and columns to be hatched: smaller ones are colored only."""
SHEETS = 4
"""Channels that are drawn behind each other; more are only told."""
BEHIND = 5.0
"""Pixels to the right and up from one channel to the next."""


@dataclasses.dataclass(frozen=True)
class Band:
    """Positions along one axis: `size` real ones after `before` of padding, with `after` of padding behind them."""

    size: int
    before: int = 0
    after: int = 0

    @property
    def padded(self) -> int:
        return self.before + self.size + self.after


@dataclasses.dataclass(frozen=True)
class Plane:
    """A plane whose padded upper left corner is at (x, y).

    side: of one cell, in pixels; tall: the least height of one, for a plane of a single row; channels: how many.
    """

    x: float
    y: float
    side: float
    rows: Band
    columns: Band
    channels: int = 1
    tall: float = 0.0

    @property
    def width(self) -> float:
        return self.columns.padded * self.side

    @property
    def height(self) -> float:
        return self.rows.padded * self.high

    @property
    def high(self) -> float:
        """Height of one cell."""
        return max(self.side, self.tall)

    @property
    def ruled(self) -> bool:
        return self.side >= RULED

    @property
    def sheets(self) -> int:
        return min(max(self.channels, 1), SHEETS)

    def box(
        self, row: int, column: int, rows: int = 1, columns: int = 1
    ) -> tuple[float, float, float, float]:
        """x, y, width and height of a block of cells; real positions count from 0, padding before them is negative."""
        return (
            self.x + (column + self.columns.before) * self.side,
            self.y + (row + self.rows.before) * self.high,
            columns * self.side,
            rows * self.high,
        )

    def ground(self, sheet: Sheet, family: str, fill: str = "") -> None:
        """What stands under the cells: the channels behind, the padding, the real positions. fill: another color."""
        for k in range(self.sheets - 1, 0, -1):
            sheet.rect(
                self.x + k * BEHIND, self.y - k * BEHIND, self.width, self.height, f"{family}-side", "line"
            )
        sheet.rect(self.x, self.y, self.width, self.height, "padding")
        sheet.rect(*self.box(0, 0, self.rows.size, self.columns.size), fill or family)

    def lines(self, sheet: Sheet) -> None:
        """The lines between cells, and the outlines of the padded and of the real positions."""
        if self.ruled:
            for k in range(1, self.columns.padded):
                x = self.x + k * self.side
                sheet.path([(x, self.y), (x, self.y + self.height)], "", "line", thick=0.6)
            for k in range(1, self.rows.padded):
                y = self.y + k * self.high
                sheet.path([(self.x, y), (self.x + self.width, y)], "", "line", thick=0.6)
        if self.rows.padded > self.rows.size or self.columns.padded > self.columns.size:
            sheet.rect(self.x, self.y, self.width, self.height, "", "line", dash=True)
        sheet.rect(*self.box(0, 0, self.rows.size, self.columns.size), "", "ink", thick=1.4)

    def mark(self, sheet: Sheet, rows: Sequence[Sequence[int]], columns: Sequence[Sequence[int]]) -> None:
        """Runs (first, last) of rows and of columns that no window reaches: colored; hatched where there is room."""
        bands = [(first, 0, last - first + 1, self.columns.size) for first, last in rows]
        bands += [(0, first, self.rows.size, last - first + 1) for first, last in columns]
        for row, column, high, wide in bands:
            x, y, width, height = self.box(row, column, high, wide)
            sheet.rect(x, y, width, height, "error-fill")
            if self.side >= HATCHED or (self.ruled and len(bands) <= 2):
                sheet.cells(x, y, self.side, [[None] * wide] * high, "counts")
