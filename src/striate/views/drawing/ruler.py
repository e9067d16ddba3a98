"""A ruler of input sizes: those that fit stand out, and bars say how many pixels the others have left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.drawing.frame import finished, titled
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, width
from striate.views.text.node import AXES

if TYPE_CHECKING:
    from striate.analysis import Sizes
    from striate.analysis.fitting import AxisSizes
    from striate.views.schemas.scene import Drawing

WIDTH = 600.0
"""Of a ruler, in pixels."""
HEIGHT = 44.0
"""Of a size that fits, in pixels; the most left over is a little lower."""
MIN_REACH, MAX_REACH = 8, 40
"""Sizes that a ruler shows on either side of the wish."""
LABEL_GAP = 6.0
"""Pixels between two numbers."""


def ruler_drawing(sizes: Sizes) -> Drawing | None:
    """The picture of `striate.sizes`; None if no size fits any axis."""
    groups: list[tuple[list[str], AxisSizes]] = []
    for letter, axis in sizes.axes.items():
        same = next((names for names, other in groups if other == axis), None)
        if same is None:
            groups.append(([AXES[letter][0]], axis))
        else:
            same.append(AXES[letter][0])
    if not any(axis.residues for _, axis in groups):
        return None
    sheet, words = Sheet(), []
    y = titled(
        sheet,
        "input sizes that fit exactly",
        ["full: the size fits; bar: pixels more than the next smaller size that fits"],
        WIDTH,
    )
    for names, axis in groups:
        label, y = " and ".join(names), y + 12
        for text, fill in _told(label, axis, sizes.near):
            for line in lines(text, SIZE, WIDTH):
                sheet.text(0, y + ASCENT * SIZE, line, SIZE, fill, anchor="start", bold=fill == "ink")
                y += LINE * SIZE
            words.append(text)
        if axis.residues:
            y = _ruler(sheet, y + 6, axis, sizes.near)
    return finished("sizes", sheet, "input sizes that fit exactly", ". ".join(words))


def _told(label: str, axis: AxisSizes, near: int) -> Iterator[tuple[str, str]]:
    """Lines about an axis, each with its color."""
    yield f"{label}: {axis.rule}", "ink"
    if axis.conflict:
        yield axis.conflict, "error"
    elif axis.fits(near):
        yield f"{near:,} fits", "good"
    else:
        below, above = _below(axis, near), _above(axis, near)
        said = [f"{plural(near - below, 'pixel')} more than {below:,}"] if below is not None else []
        said += [f"{plural(above - near, 'pixel')} less than {above:,}"] if above is not None else []
        yield f"{near:,} does not fit: {', '.join(said)}", "warning"


def _ruler(sheet: Sheet, y: float, axis: AxisSizes, near: int) -> float:
    """The sizes around the wish as columns, their numbers below. Returns the y below them."""
    reach = min(max(MIN_REACH, axis.modulus + axis.modulus // 4), MAX_REACH)
    first = max(near - reach, 1)
    shown = range(first, first + 2 * reach + 1)
    column = WIDTH / len(shown)
    bottom = y + HEIGHT
    over, below = [], _below(axis, first)
    for n in shown:
        below = n if axis.fits(n) else below
        over.append(None if below is None else n - below)
    most = max([left for left in over if left], default=1)
    for k, left in enumerate(over):
        x = k * column
        if left == 0:
            sheet.rect(x + 1, y, column - 2, HEIGHT, "good-fill", "good")
        elif left:
            high = (HEIGHT - 8) * left / most
            sheet.rect(x + 1, bottom - high, column - 2, high, "window-fill", "window")
    sheet.path([(0, bottom), (WIDTH, bottom)], "", "line")
    x = (near - first + 0.5) * column
    sheet.path([(x, bottom + 2), (x - 4, bottom + 9), (x + 4, bottom + 9)], "ink", "paper", closed=True)
    taken: list[tuple[float, float]] = []
    for n in [near, *(n for n, left in zip(shown, over, strict=True) if left == 0), shown[0], shown[-1]]:
        wide = width(f"{n:,}", SMALL_FONT_SIZE, n == near)
        middle = (n - first + 0.5) * column
        middle = min(max(middle, wide / 2), WIDTH - wide / 2)
        start, end = middle - wide / 2, middle + wide / 2
        if all(end + LABEL_GAP <= a or start >= b + LABEL_GAP for a, b in taken):
            taken.append((start, end))
            fill = "ink" if n == near else "good" if axis.fits(n) else "muted"
            baseline = bottom + 11 + ASCENT * SMALL_FONT_SIZE
            sheet.text(middle, baseline, f"{n:,}", SMALL_FONT_SIZE, fill, bold=n == near)
    return bottom + 11 + LINE * SMALL_FONT_SIZE


def _below(axis: AxisSizes, n: int) -> int | None:
    """The largest size up to `n` that fits."""
    found = [
        n - (n - c.residue) % c.modulus if c.modulus else c.smallest
        for c in axis.conditions
        if n >= c.smallest
    ]
    return max((m for m in found if axis.fits(m)), default=None)


def _above(axis: AxisSizes, n: int) -> int | None:
    """The smallest size from `n` on that fits."""
    found = [
        max(n + (c.residue - n) % c.modulus, c.smallest) if c.modulus else c.smallest for c in axis.conditions
    ]
    return min((m for m in found if m >= n), default=None)
