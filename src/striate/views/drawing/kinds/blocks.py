"""Kind `blocks`: the volumes of a network as blocks from left to right, with layers on the arrows between them.

Height, depth and width of a block are the height, width and channels of a volume, all by their square roots, so that
224 and 7, 3 and 512 fit into one picture; equal sizes are drawn equal. Branches next to the main path are arcs over it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.frame import Numbered, discs, framed, numbered
from striate.views.drawing.parts import Part, described, failed_facts, failing, parts_of, size_text
from striate.views.drawing.request import Request
from striate.views.drawing.rows import SLANT, Arc, Block, Row, Scale, arrow_lines, arrow_room, rows_of, scaled
from striate.views.drawing.sheet import ASCENT, DESCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened, width
from striate.views.text.number_format import short

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.facts import GraphFacts
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

OPTIONS = ("cost", "fold")
NAME_ROOM = 96.0
ARC, ARC_STEP = 18.0, 22.0
ROW_GAP = 30.0
"""Pixels between two rows, in which the line from one to the next runs."""
BESIDE = 12.0
"""How far that line runs from the blocks."""
SKIP_ROOM = 72.0
"""Pixels between the two halves of a row that a way over it joins."""
BAR, BAR_HIGH = 56.0, 5.0


def facts(net: Network, show: Show, request: Request) -> GraphFacts:
    """What the picture shows besides striate.show/1."""
    return {"failed": failed_facts(net)}


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    members = parts_of(record, fold=request.fold)
    members += failing(record["facts"], members)
    marks = numbered(record, members)
    notes = ["sides are drawn by the square roots of height, width and channels"]
    if request.cost:
        notes.append("bars: parameters (blue) and MACs (orange), as shares of the largest")
    body = layout(record, members, marks, cost=request.cost)
    return framed("blocks", record, body, marks, notes, "; ".join(described(members)))


def layout(record: Show, members: Sequence[Part], marks: Numbered, *, cost: bool = False) -> Sheet:
    """The picture of a network's parts. record: striate.show/1; cost: bars of parameters and MACs under the blocks."""
    sheet = Sheet()
    scale = scaled([*record["inputs"].values(), *(part.output for part in members if part.output)])
    most = (
        (max((p.params for p in members), default=0), max((p.macs for p in members), default=0))
        if cost
        else None
    )
    rows, arcs = rows_of(record, members, scale)
    right_start = max((_left_half(row, scale) for row in rows if row.right), default=0.0) + SKIP_ROOM
    spots: dict[str, _Spot] = {}
    pending: list[tuple[str, str]] = []
    top = 0.0
    for row in rows:
        here = {block.key for block in row.blocks}
        drawn = Sheet()
        loose = [a for a in arcs if (a.start in here) != (a.end in here)]
        own = _row(
            drawn, row.blocks, scale, marks, most, loose, {row.right: right_start} if row.right else {}
        )
        _arcs(drawn, [arc for arc in arcs if arc.start in here and arc.end in here], own)
        left = (sheet.right - drawn.right + drawn.left) / 2 if row.bottom else 0.0
        for key, spot in own.items():
            spots[key] = spot.moved(left - drawn.left, top - drawn.top)
        sheet.put(drawn, left, top)
        ways = [(row.before, row.blocks[0].key)] if row.before else []
        ways += [(source, target) for target, source in pending if source in here]
        for k, (source, target) in enumerate(ways):
            _turn(sheet, spots[source], spots[target], top - ROW_GAP * (1 - (k + 1) / (len(ways) + 1)))
        pending += [(row.right, row.below)] if row.right else []
        top = sheet.bottom + ROW_GAP
    return sheet


def _left_half(row: Row, scale: Scale) -> float:
    """How wide the blocks before the right half are."""
    keys = [block.key for block in row.blocks]
    spots = _row(Sheet(), row.blocks[: keys.index(row.right)], scale, {}, None, (), {})
    return max(spot.stop for spot in spots.values())


def _turn(sheet: Sheet, source: _Spot, target: _Spot, y: float) -> None:
    """The line from the last block of a row to the arrow of the first one of another, between the rows at y."""
    right, left = source.stop + BESIDE, target.start - BESIDE
    sheet.path(
        [
            (source.stop + 4, source.middle),
            (right, source.middle),
            (right, y),
            (left, y),
            (left, target.middle),
            (target.start + 4, target.middle),
        ],
        "", "line", bend=8, thick=1.5,
    )  # fmt: skip


# -- one row ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Spot:
    """Where a block stands: the box around its faces, and where its arrow starts and its labels stop in the row."""

    left: float
    top: float
    right: float
    bottom: float
    start: float
    stop: float

    @property
    def middle(self) -> float:
        """The y at which arrows run."""
        return (self.top + self.bottom) / 2

    def moved(self, dx: float, dy: float) -> _Spot:
        return _Spot(
            self.left + dx, self.top + dy, self.right + dx, self.bottom + dy, self.start + dx, self.stop + dx
        )


def _row(
    sheet: Sheet,
    line: Sequence[Block],
    scale: Scale,
    marks: Numbered,
    most: tuple[int, int] | None,
    loose: Sequence[Arc],
    jumps: Mapping[str, float],
) -> dict[str, _Spot]:
    """Blocks on one middle line, y = 0.

    loose: ways from another row or to one, which are told in words; jumps: key of a block to where it begins.
    """
    spots: dict[str, _Spot] = {}
    x = 0.0
    lowest = max((high + deep * SLANT[1]) / 2 for _, high, deep in (scale.sides(block.chw) for block in line))
    for block in line:
        wide, high, deep = scale.sides(block.chw)
        across, up = deep * SLANT[0], deep * SLANT[1]
        text = size_text(block.chw)
        name = block.part.names if block.part else block.key
        name_width = min(width(name, SMALL_FONT_SIZE), NAME_ROOM)
        far = _far(block.key, loose)
        texts = (width(text, SIZE), name_width, *(width(text, SMALL_FONT_SIZE) for text in far))
        half = max(wide + across, *texts, BAR if most and block.part else 0) / 2
        x = start = jumps.get(block.key, x)
        with sheet.about(block.key):
            if block.part is not None:
                room = arrow_room(block)
                _arrow(sheet, block, x, x + room)
                x += room
            middle = x + half
            left = middle - (wide + across) / 2
            top = -high / 2 + up / 2
            if block.chw:
                _volume(sheet, left, top, wide, high, across, up, block.family)
            else:
                sheet.rect(left, top, wide, high, "error-fill", "error", dash=True)
                sheet.text(left + wide / 2, top + high / 2 + 7, "?", 20, "error", bold=True)
            spots[block.key] = _Spot(left, top - up, left + wide + across, top + high, start, middle + half)
            y = lowest + 8
            y = sheet.column(middle, y, [(text, "ink")])
            y = sheet.column(
                middle,
                y,
                [(shortened(name, SMALL_FONT_SIZE, max(2 * half, NAME_ROOM)), "muted")],
                SMALL_FONT_SIZE,
            )
            y = sheet.column(middle, y, [(text, "muted") for text in far], SMALL_FONT_SIZE)
            if most and block.part:
                y = _bars(sheet, middle - BAR / 2, y + 4, block.part, most)
            discs(sheet, middle, y + 3, marks.get(block.key, ()))
        x = middle + half
    return spots


def _volume(
    sheet: Sheet, x: float, y: float, wide: float, high: float, across: float, up: float, family: str
) -> None:
    """A block: its front face with the upper left corner at (x, y), its top and its right side."""
    sheet.path(
        [(x, y), (x + across, y - up), (x + across + wide, y - up), (x + wide, y)],
        f"{family}-top",
        "line",
        closed=True,
    )
    right = x + wide
    sheet.path(
        [(right, y), (right + across, y - up), (right + across, y - up + high), (right, y + high)],
        f"{family}-side", "line", closed=True,
    )  # fmt: skip
    sheet.rect(x, y, wide, high, family, "line")


def _arrow(sheet: Sheet, block: Block, start: float, end: float) -> None:
    """The arrow to a block with what makes it: the layer above, the rest below."""
    sheet.path([(start + 4, 0), (end - 4, 0)], "", "line", thick=1.5, arrow=True)
    middle = (start + end) / 2
    (first, size, fill), *rest = arrow_lines(block)
    sheet.text(middle, -7, first, size, fill)
    if block.times > 1:
        sheet.text(middle, -7 - LINE * SIZE, f"x {block.times}", SIZE, "ink", bold=True)
    y = 7.0
    for text, size, fill in rest:
        sheet.text(middle, y + ASCENT * size, text, size, fill)
        y += LINE * size


def _far(key: str, loose: Sequence[Arc]) -> list[str]:
    """What a block reads from other rows and what in them reads it, in lines."""
    texts = []
    for word, names in (
        ("from", [arc.start for arc in loose if arc.end == key]),
        ("to", [arc.end for arc in loose if arc.start == key]),
    ):
        texts += (
            lines(f"{word} {', '.join(dict.fromkeys(names))}", SMALL_FONT_SIZE, NAME_ROOM) if names else []
        )
    return texts


def _bars(sheet: Sheet, x: float, y: float, part: Part, most: tuple[int, int]) -> float:
    """Parameters and MACs of a part, as shares of the largest in the picture. Returns the y below them."""
    at = y
    for k, (value, top, color) in enumerate(
        zip((part.params, part.macs), most, ("params", "macs"), strict=True)
    ):
        at = y + k * (SMALL_FONT_SIZE * LINE + BAR_HIGH + 3)
        sheet.rect(x, at, BAR, BAR_HIGH, "faint")
        if value:
            sheet.rect(x, at, max(BAR * value / top, 0.1), BAR_HIGH, color)
        sheet.text(x + BAR / 2, at + BAR_HIGH + SMALL_FONT_SIZE, short(value), SMALL_FONT_SIZE, "muted")
    return at + BAR_HIGH + LINE * SMALL_FONT_SIZE


# -- ways outside the row -----------------------------------------------------------------------------------------


def _arcs(sheet: Sheet, arcs: Sequence[Arc], spots: Mapping[str, _Spot]) -> None:
    """Ways over the row, short ones under long ones."""
    order = {key: place for place, key in enumerate(spots)}
    levels: list[list[tuple[int, int]]] = []
    lines: list[tuple[Arc, float, float, int]] = []
    base = sheet.top - 8
    for arc in sorted(arcs, key=lambda arc: (order[arc.end] - order[arc.start], order[arc.start])):
        first, last = order[arc.start], order[arc.end]
        level = next(
            (k for k, spans in enumerate(levels) if all(last <= a or b <= first for a, b in spans)),
            len(levels),
        )
        if level == len(levels):
            levels.append([])
        levels[level].append((first, last))
        start, end = spots[arc.start], spots[arc.end]
        lines.append((arc, (start.left + start.right) / 2 + 4, (end.left + end.right) / 2 - 4, level))
    for arc, x, to, level in lines:
        y = base - level * ARC_STEP
        sheet.path(
            [(x, spots[arc.start].top - 3), (x, y), (to, y), (to, spots[arc.end].top - 3)],
            "",
            "line",
            bend=8,
            thick=1.5,
            arrow=True,
        )
        # Longer ways come down through this one: its text stands where it is clear of them for longest.
        crossing = {at for _, *ends, above in lines if above > level for at in ends if x < at < to}
        stops = [x, *sorted(crossing), to]
        left, right = max(itertools.pairwise(stops), key=lambda gap: gap[1] - gap[0])
        room = min(12.0, (right - left) / 4)
        _through(sheet, arc, left + room, right - room, y - DESCENT * SMALL_FONT_SIZE - 2)


def _through(sheet: Sheet, arc: Arc, start: float, end: float, y: float) -> None:
    """What stands on a way, each part next to the one before."""
    if not arc.keys:
        return
    gap = width(" ", SMALL_FONT_SIZE)
    room = (end - start - gap * (len(arc.keys) - 1)) / len(arc.keys)
    texts = [f"{text}," for text in arc.through[:-1]] + [arc.through[-1]]
    if sum(width(text, SMALL_FONT_SIZE) + gap for text in texts) - gap > end - start:
        texts = [shortened(text, SMALL_FONT_SIZE, room) for text in texts]
    x = (start + end - sum(width(text, SMALL_FONT_SIZE) + gap for text in texts) + gap) / 2
    for key, text in zip(arc.keys, texts, strict=True):
        with sheet.about(key):
            x += sheet.text(x, y, text, SMALL_FONT_SIZE, "muted", anchor="start") + gap
