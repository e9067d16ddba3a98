"""A graph whose long connections lie inside each other as a U: a row for each size of its images.

What comes before such a connection is the left half of a row, what comes after it the right half.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from math import prod

from striate.views.drawing.box_grid import Box, Grid
from striate.views.drawing.rows import halves
from striate.views.drawing.sheet import Point

MAX_BOXES = 100
"""A U of more boxes would not fit a page."""
ROW_GAP = 36.0
"""Pixels between two rows."""
BESIDE = 12.0
"""How far the lines between two rows run from boxes."""
SKIP_ROOM = 64.0
"""Pixels between the halves of a row."""
BEFORE, ACROSS = "\0before", "\0across"
"""Places in a half where the lines from another row and from the left half come in."""

Half = dict[str, Sequence[str]]
"""The boxes of a half, and its places, with what they read."""


@dataclasses.dataclass(frozen=True)
class _Row:
    """left, right: its halves; the bottom has no right one."""

    left: Grid
    right: Grid | None

    @property
    def last(self) -> Grid:
        """The half that ends it."""
        return self.right or self.left


def u_shape(
    reads: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[int]],
    boxes: Mapping[str, Box],
    right: bool,
) -> tuple[list[Grid], list[list[Point]]]:
    """The halves of all rows, and the lines between them; none where the graph is not a U.

    reads: see `wired`; shapes: of what leaves each box, channels first; right: the rows stand next to each other, and
    the flow inside them goes down.
    """
    places = {BEFORE: Box((), "", 0.0, 0.0), ACROSS: Box((), "", 0.0, 0.0)}

    def grid(half: Half) -> Grid:
        first = next(iter(half))
        return Grid(
            {key: places.get(key) or boxes[key] for key in half},
            half,
            not right,
            first if first in places else "",
        )

    rows = [_Row(grid(one), grid(other) if other else None) for one, other in _halves(reads, shapes)]
    if any(_exit(half) is None for row in rows for half in (row.left, row.last)):
        return [], []  # something else would stand where the line goes out
    bottoms = _put(rows)
    return [half for row in rows for half in (row.left, row.right) if half], list(_lines(rows, bottoms))


def _halves(
    reads: Mapping[str, Sequence[str]], shapes: Mapping[str, Sequence[int]]
) -> list[tuple[Half, Half]]:
    """The left and right half of each row; none where a connection fits in no U."""
    order = list(reads)
    if len(order) > MAX_BOXES:
        return []
    at = {key: k for k, key in enumerate(order)}
    spaces = [shapes[key][1:] for key in order]
    areas = [prod(space) for space in spaces]
    ways = [
        (at[source], k)
        for k, key in enumerate(order)
        for source in reads[key]
        if min(areas[at[source] : k]) < areas[at[source]]
    ]
    spans = halves(ways, spaces)
    side = {
        order[k]: (row, half)
        for row, pair in enumerate(spans)
        for half, span in enumerate(pair)
        for k in span
    }
    ends = {
        order[span[-1]]: (row, half)
        for row, pair in enumerate(spans)
        for half, span in enumerate(pair)
        if span
    }
    found: list[tuple[Half, Half]] = [({}, {}) for _ in spans]
    for key, (row, half) in side.items():
        goal = found[row][half]
        inside: list[str] = []
        for source in reads[key]:
            start = side[source]
            if start == (row, half):
                inside.append(source)
            elif source in ends and start == (row, 0):
                inside.append(ACROSS)
            elif source in ends and start in _before(row, half, len(spans)):
                inside.append(BEFORE)
            else:
                return []
        goal[key] = inside
    return [(_with_places(left), _with_places(right)) for left, right in found]


def _before(row: int, half: int, rows: int) -> set[tuple[int, int]]:
    """The half whose last box is read from another row: of the row above, or of the one below."""
    if not half:
        return {(row - 1, 0)}
    return {(row + 1, 0 if row + 1 == rows - 1 else 1)}


def _with_places(half: Half) -> Half:
    """The same, with the places that are read first; the straight column begins at the first of them."""
    read = {source for sources in half.values() for source in sources}
    return {place: () for place in (ACROSS, BEFORE) if place in read} | half


def _exit(grid: Grid) -> str | None:
    """The box at which a half ends, if it is in its last layer."""
    last = list(grid.reads)[-1]
    return last if grid.wiring.layer[last] == max(grid.wiring.layer.values()) else None


def _put(rows: Sequence[_Row]) -> list[float]:
    """Give every half its origin. Returns where each row ends across the flow."""
    start = max((row.left.length for row in rows[:-1]), default=0.0) + SKIP_ROOM
    under = 0.0
    bottoms: list[float] = []
    for row in rows:
        top = bottoms[-1] + ROW_GAP if bottoms else 0.0
        exit_ = row.left.across(list(row.left.reads)[-1])
        entry = row.right.across(next(iter(row.right.reads))) if row.right else 0.0
        base = top + max(exit_, entry)
        row.left.origin = (0.0 if row.right else under, base - exit_)
        if row.right:
            row.right.origin = (start, base - entry)
        under = row.left.length + 2 * BESIDE  # the bottom begins where the line to it comes straight down
        bottoms.append(max(half.origin[1] + half.breadth for half in (row.left, row.last)))
    return bottoms


def _lines(rows: Sequence[_Row], bottoms: Sequence[float]) -> Iterator[list[Point]]:
    """From the left half of each row to the right one, to the row below, and from that up."""
    for row, below, bottom in zip(rows, rows[1:], bottoms):
        if row.right is None:
            continue
        yield from _joined(row.left, row.right, ACROSS, [])
        yield from _joined(row.left, below.left, BEFORE, [bottom + ROW_GAP / 3])
        yield from _joined(below.last, row.right, BEFORE, [bottom + ROW_GAP * 2 / 3])


def _joined(one: Grid, other: Grid, place: str, over: Sequence[float]) -> Iterator[list[Point]]:
    """The lines from the last box of a half to those that read it in another, where they run between rows at `over`."""
    last = list(one.reads)[-1]
    for key, sources in other.reads.items():
        if place not in sources:
            continue
        out, into = one.origin[0] + one.behind(last), other.origin[0]
        points = [(one.origin[1] + one.across(last), out)]
        for across in over:
            points += [(points[0][0], out + BESIDE), (across, out + BESIDE), (across, into - BESIDE)]
            points += [(other.origin[1] + other.across(place), into - BESIDE)]
        ends = [(along, across) if one.right else (across, along) for across, along in points]
        yield _without_middles([*ends, *other.line(place, key)])


def _without_middles(points: Sequence[Point]) -> list[Point]:
    """A line without the points at which it goes straight on."""
    kept = [points[0]]
    for point, after in itertools.pairwise(points[1:]):
        if not any(kept[-1][k] == point[k] == after[k] for k in (0, 1)):
            kept.append(point)
    return [*kept, points[-1]]
