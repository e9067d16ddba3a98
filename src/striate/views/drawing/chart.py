"""Axes of a chart: numbers to pixels, round ticks, and a panel with its grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from striate.views.drawing.sheet import ASCENT, LINE, SMALL_FONT_SIZE, Point, Sheet

LOG_MIN_RATIO = 20.0
"""An axis is logarithmic where its largest value is this many times the smallest."""
TICK_GAP = 6.0
"""Pixels between an axis and its numbers."""


@dataclass(frozen=True)
class Axis:
    """Values from low to high, on pixels from start to end; ticks: (value, text)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)


def value_axis(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    share: bool = False,
    log: bool | None = None,
    steps: int = 5,
) -> Axis:
    """An axis that holds all values, from tick to tick.

    share: values up to 1, written as percentages; log: a logarithmic axis, by default where the ratio of the values
    asks for one; steps: about how many.
    """
    values = list(values)
    low, high = min(values), max(values)
    if log is None:
        log = not share and low > 0 and high / low >= LOG_MIN_RATIO
    if log:
        return _log_axis(low, high, start, end)
    if not share and 0 <= low < 0.4 * high:
        low = 0.0
    if high - low < 1e-9 * max(abs(high), 1e-9):
        low, high = low - 0.05 * (abs(low) or 1), high + 0.05 * (abs(high) or 1)
    step = _step(low, high, steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if share:
        first, last = max(first, 0), min(last, round(1 / step))
    ticks = tuple(
        (k * step, _percent(k * step, step) if share else _plain(k * step, step))
        for k in range(first, last + 1)
    )
    return Axis(first * step, last * step, start, end, False, ticks)


def count_axis(count: int, start: float, end: float) -> Axis:
    """An axis of the whole numbers from 1 to count."""
    if count == 1:
        return Axis(0, 2, start, end, False, ((1, "1"),))
    step = max(1, round(_step(0, count, 8)))
    ticks = [1, *range(step, count + 1, step)] if step > 1 else [*range(1, count + 1)]
    return Axis(1, count, start, end, False, tuple((tick, f"{tick:,}") for tick in dict.fromkeys(ticks)))


def _step(low: float, high: float, count: int) -> float:
    """1, 2 or 5 times a power of ten, so that there are about `count` steps."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _log_axis(low: float, high: float, start: float, end: float) -> Axis:
    """From one of 1, 2 and 5 times a power of ten to another; of many powers, some have a tick."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = [
        (digit, power, value)
        for power in range(first, last + 1)
        for digit in (1, 2, 5)
        if 0 < (value := float(f"{digit}e{power}")) < math.inf
    ]
    below = max((value for _, _, value in marks if value <= low * (1 + 1e-9)), default=low)
    above = min((value for _, _, value in marks if value >= high * (1 - 1e-9)), default=high)
    decades = math.log10(above) - math.log10(below)
    digits, every = ((1, 2, 5) if decades < 2 else (1,)), max(1, math.ceil(decades / 6))
    values = [value for d, p, value in marks if d in digits and (p - last) % every == 0]
    ticks = [value for value in values if below * 0.999 <= value <= above * 1.001]
    return Axis(below, above, start, end, True, tuple((tick, f"{tick:.12g}") for tick in ticks))


def _plain(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}" if digits <= 6 and abs(value) < 1e7 else f"{value:.3g}"


def _percent(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
    return f"{value * 100:.{digits}f} %"


def panel(sheet: Sheet, across: Axis, down: Axis, *, numbered: bool = True) -> None:
    """The frame of a chart with lines at the ticks of its values; numbered: numbers under the axis across too."""
    left, right = across.start, across.end
    top, bottom = down.end, down.start
    for value, text in down.ticks:
        y = down.at(value)
        if top + 0.5 < y < bottom - 0.5:
            sheet.path([(left, y), (right, y)], "", "faint")
        middle = y + ASCENT * SMALL_FONT_SIZE / 2 - 0.5
        sheet.text(left - TICK_GAP, middle, text, SMALL_FONT_SIZE, "muted", anchor="end")
    sheet.rect(left, top, right - left, bottom - top, "", "line")
    for value, text in across.ticks:
        x = across.at(value)
        sheet.path([(x, bottom), (x, bottom + 4)], "", "line")
        if numbered:
            y = bottom + TICK_GAP + ASCENT * SMALL_FONT_SIZE
            sheet.text(x, y, text, SMALL_FONT_SIZE, "muted")


def apart(
    wished: Sequence[float], low: float, high: float, gap: float = LINE * SMALL_FONT_SIZE
) -> list[float]:
    """Positions near those wished, at least a gap from each other, from low to high where there is room."""
    order = sorted(range(len(wished)), key=lambda k: (wished[k], k))
    blocks: list[list[float]] = []  # [where its first one stands, how many]; blocks that meet become one
    for k in order:
        blocks.append([wished[k], 1])
        while True:
            first, count = blocks[-1]
            blocks[-1][0] = max(low, min(first, high - gap * (count - 1)))
            if len(blocks) == 1 or blocks[-2][0] + gap * blocks[-2][1] <= blocks[-1][0]:
                break
            (one, many), (other, more) = blocks[-2], blocks[-1]
            middle = (one + gap * (many - 1) / 2) * many + (other + gap * (more - 1) / 2) * more
            blocks[-2:] = [[middle / (many + more) - gap * (many + more - 1) / 2, many + more]]
    found = [0.0] * len(wished)
    places = iter(order)
    for first, count in blocks:
        for step in range(int(count)):
            found[next(places)] = first + gap * step
    return found


def thinned(points: Sequence[Point]) -> list[Point]:
    """A line with at most four points in a column of a pixel: the first, the lowest, the highest and the last."""
    columns: dict[int, list[int]] = {}
    for k, (x, _) in enumerate(points):
        columns.setdefault(int(x), []).append(k)
    kept: list[int] = []
    for places in columns.values():
        by_height = sorted(places, key=lambda k: points[k][1])
        kept += sorted({places[0], by_height[0], by_height[-1], places[-1]})
    return [points[k] for k in kept]
