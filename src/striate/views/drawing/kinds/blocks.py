"""Kind `blocks`: the volumes of a network as blocks from left to right, with layers on the arrows between them.

Height, depth and width of a block are the height, width and channels of a volume, all by their square roots, so that
224 and 7, 3 and 512 fit into one picture; equal sizes are drawn equal. Branches next to the main path are arcs over it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.views.drawing.frame import Numbered, discs, framed, numbered
from striate.views.drawing.parts import Part, described, failed_facts, failing, label, parts_of, size_text
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, DESCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened, width
from striate.views.text.number_format import short

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

TALL, MIN_BLOCK_SIDE = 132.0, 5.0
"""Height of the highest block, and the least of any side of a block, in pixels."""
THICK = 44.0
"""Width of the block with the most channels."""
SLANT = (0.5, 0.4)
"""Right and up for one pixel of depth: the edges that run away from the reader."""
VECTOR, TALLEST_VECTOR = 8.0, 96.0
"""Width of a vector, which stands upright, and the height of the longest."""
MISSING = (40.0, 56.0, 0.0)
"""The place of a volume that there is not."""
ARROW, PAD = 26.0, 10.0
"""The least arrow, and room on both sides of its label."""
TEXT_ROOM, NAME_ROOM = 150.0, 96.0
ARC, ARC_STEP = 18.0, 22.0
TOLD = 3
"""Parts that the label of a way can tell."""
WIDEST = 1500.0
"""A row that would be wider goes on below."""
BAR, BAR_HIGH = 56.0, 5.0


@dataclasses.dataclass(frozen=True)
class _Scale:
    """Pixels for the square root of a size, and of a number of channels."""

    space: float
    channels: float
    vector: float

    def sides(self, chw: Sequence[int]) -> tuple[float, float, float]:
        """Width, height and depth of the block of a shape; missing axes are one wide."""
        if not chw:
            return MISSING
        if len(chw) == 1:
            return VECTOR, max(self.vector * chw[0] ** 0.5, MIN_BLOCK_SIDE * 2), VECTOR
        high, deep = (chw[-2], chw[-1]) if len(chw) > 2 else (1, chw[-1])
        return (
            max(self.channels * chw[0] ** 0.5, MIN_BLOCK_SIDE),
            max(self.space * high**0.5, MIN_BLOCK_SIDE),
            max(self.space * deep**0.5, MIN_BLOCK_SIDE),
        )


@dataclasses.dataclass(frozen=True)
class _Block:
    """A volume in its row: key of the part that makes it (an input's name), shape, family, label of the arrow to it."""

    key: str
    chw: Sequence[int]
    family: str
    arrow: tuple[str, ...] = ()
    part: Part | None = None
    times: int = 1


def _scale(shapes: Sequence[Sequence[int]]) -> _Scale:
    volumes = [chw for chw in shapes if len(chw) > 1]
    space = max((max(chw[1:]) for chw in volumes), default=1)
    return _Scale(
        TALL / space**0.5,
        THICK / max((chw[0] for chw in volumes), default=1) ** 0.5,
        TALLEST_VECTOR / max((chw[0] for chw in shapes if len(chw) == 1), default=1) ** 0.5,
    )


def facts(net: Network, show: Show, request: Request) -> dict[str, Any]:
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
    scale = _scale([*record["inputs"].values(), *(part.output for part in members if part.output)])
    most = (
        (max((p.params for p in members), default=0), max((p.macs for p in members), default=0))
        if cost
        else None
    )
    rows, arcs = _rows(record, members, scale)
    top = 0.0
    for line in rows:
        here = {block.key for block in line}
        row = Sheet()
        spots = _row(row, line, scale, marks, most, [a for a in arcs if (a.start in here) != (a.end in here)])
        _arcs(row, [arc for arc in arcs if arc.start in here and arc.end in here], spots)
        sheet.put(row, 0.0, top)
        top = sheet.bottom + 24
    return sheet


# -- what stands in which row -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Arc:
    """A way outside the rows: from one block to another, through the parts that its label names."""

    start: str
    end: str
    through: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def _rows(record: Show, members: Sequence[Part], scale: _Scale) -> tuple[list[list[_Block]], list[_Arc]]:
    """The rows of the picture, and the ways outside them. What stands on a long way, or between two rows, is a row."""
    chains, ways = _chains(record, members)
    rows = [line for chain in chains for line in _wrapped(chain, scale)]
    place = {block.key: number for number, line in enumerate(rows) for block in line}
    parts = {part.key: part for part in members}
    arcs: list[_Arc] = []
    for way in ways:
        if len(way.keys) > TOLD or (way.keys and place[way.start] != place[way.end]):
            rows += _wrapped([_block(key, record, parts) for key in way.keys], scale)
            arcs += [_Arc(way.start, way.keys[0]), _Arc(way.keys[-1], way.end)]
        else:
            arcs.append(way)
    return rows, arcs


def _chains(record: Show, members: Sequence[Part]) -> tuple[list[list[_Block]], list[_Arc]]:
    """The longest way from an input to the end, then what it leaves over; and the ways outside them."""
    parts = {part.key: part for part in members}
    left: dict[str, None] = dict.fromkeys([*record["inputs"], *parts])
    chains: list[list[str]] = []
    arcs: list[_Arc] = []
    while left:
        chain = _longest(left, parts)
        for key in chain:
            del left[key]
        chains.append(chain)
        sides, left = _sides(left, parts, set(chain))
        arcs += sides
    outside = {key for arc in arcs for key in arc.keys}
    for chain in chains:
        for before, key in zip(["", *chain], chain):
            if key in parts:
                arcs += [_Arc(r, key) for r in parts[key].reads if r != before and r not in outside]
    return [[_block(key, record, parts) for key in chain] for chain in chains], arcs


def _longest(keys: Mapping[str, None], parts: Mapping[str, Part]) -> list[str]:
    """The way with the most parts among `keys`, which are in the order of the network; an input begins it if it can."""
    best: dict[str, tuple[int, str]] = {}
    for key in keys:
        sources = [r for r in parts[key].reads if r in best] if key in parts else []
        length, before = max(((best[s][0], s) for s in sources), key=lambda item: item[0], default=(0, ""))
        best[key] = (length + 1, before)
    end = max(best, key=lambda key: best[key][0])
    chain = []
    while end:
        chain.append(end)
        end = best[end][1]
    return chain[::-1]


def _sides(
    left: Mapping[str, None], parts: Mapping[str, Part], inside: set[str]
) -> tuple[list[_Arc], dict[str, None]]:
    """Ways next to a chain through parts that stand in no row, and what cannot be told so: it gets a row of its own."""
    readers: dict[str, list[str]] = {}
    for part in parts.values():
        for key in part.reads:
            readers.setdefault(key, []).append(part.key)
    arcs: list[_Arc] = []
    rest = dict(left)
    for key in left:
        if key not in rest or key not in parts:
            continue
        way = [key]
        while (after := readers.get(way[-1], [])) and len(after) == 1 and after[0] in rest:
            if len(parts[after[0]].reads) != 1:
                break
            way.append(after[0])
        starts = parts[key].reads
        ends = readers.get(way[-1], [])
        if len(starts) == 1 and starts[0] in inside and len(ends) == 1 and ends[0] in inside:
            arcs.append(_Arc(starts[0], ends[0], tuple(label(parts[k])[0] for k in way), tuple(way)))
            for k in way:
                del rest[k]
    return arcs, rest


def _block(key: str, record: Show, parts: Mapping[str, Part]) -> _Block:
    if key not in parts:
        return _Block(key, record["inputs"][key], "input")
    part = parts[key]
    return _Block(key, part.output, part.family, tuple(label(part)), part, part.times)


def _wrapped(chain: Sequence[_Block], scale: _Scale) -> Iterator[list[_Block]]:
    """A chain in rows of about the same width."""
    spans = [_span(block, scale) for block in chain]
    rows = max(1, -(-int(sum(spans)) // int(WIDEST)))
    share = sum(spans) / rows
    line: list[_Block] = []
    length = 0.0
    for block, span in zip(chain, spans, strict=True):
        if line and length + span / 2 > share:
            yield line
            line, length = [], 0.0
        line.append(block)
        length += span
    yield line


def _span(block: _Block, scale: _Scale) -> float:
    wide, _, deep = scale.sides(block.chw)
    return max(wide + deep * SLANT[0], width(size_text(block.chw), SIZE)) + _arrow_room(block) + 16


def _arrow_room(block: _Block) -> float:
    if block.part is None:
        return 0.0
    return max(ARROW, *(width(text, size) for text, size, _ in _arrow_lines(block))) + 2 * PAD


def _arrow_lines(block: _Block) -> list[tuple[str, float, str]]:
    """Text, size and color of the lines at an arrow."""
    first, *rest = block.arrow
    texts = [(shortened(first, SIZE, TEXT_ROOM), SIZE, "ink")]
    texts += [(shortened(text, SMALL_FONT_SIZE, TEXT_ROOM), SMALL_FONT_SIZE, "muted") for text in rest]
    return texts


# -- one row ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Spot:
    """Where a block stands: its front face, and its upper left and right ends with the slanted edges."""

    left: float
    top: float
    right: float
    bottom: float


def _row(
    sheet: Sheet,
    line: Sequence[_Block],
    scale: _Scale,
    marks: Numbered,
    most: tuple[int, int] | None,
    loose: Sequence[_Arc],
) -> dict[str, _Spot]:
    """Blocks on one middle line, y = 0. loose: ways from another row or to one, which are told in words."""
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
        with sheet.about(block.key):
            if block.part is not None:
                room = _arrow_room(block)
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
            spots[block.key] = _Spot(left, top - up, left + wide + across, top + high)
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


def _arrow(sheet: Sheet, block: _Block, start: float, end: float) -> None:
    """The arrow to a block with what makes it: the layer above, the rest below."""
    sheet.path([(start + 4, 0), (end - 4, 0)], "", "line", thick=1.5, arrow=True)
    middle = (start + end) / 2
    (first, size, fill), *rest = _arrow_lines(block)
    sheet.text(middle, -7, first, size, fill)
    if block.times > 1:
        sheet.text(middle, -7 - LINE * SIZE, f"x {block.times}", SIZE, "ink", bold=True)
    y = 7.0
    for text, size, fill in rest:
        sheet.text(middle, y + ASCENT * size, text, size, fill)
        y += LINE * size


def _far(key: str, loose: Sequence[_Arc]) -> list[str]:
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


def _arcs(sheet: Sheet, arcs: Sequence[_Arc], spots: Mapping[str, _Spot]) -> None:
    """Ways over the row, short ones under long ones."""
    order = {key: place for place, key in enumerate(spots)}
    levels: list[list[tuple[int, int]]] = []
    lines: list[tuple[_Arc, float, float, int]] = []
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


def _through(sheet: Sheet, arc: _Arc, start: float, end: float, y: float) -> None:
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
