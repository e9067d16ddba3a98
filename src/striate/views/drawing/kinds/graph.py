"""Kind `graph`: every part of a network as a box, with a line for each value that a part reads."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.frame import Numbered, discs, discs_high, framed, numbered
from striate.views.drawing.parts import Part, described, failed_facts, failing, label, parts_of, size_text
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Point, Sheet
from striate.views.drawing.widths import shortened, width
from striate.views.drawing.wiring import Tap, Wiring, taps, wired

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.facts import GraphFacts
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

OPTIONS = ("right", "fold")
MAX_BOXES = 60
"""Modules are opened while the picture has at most this many boxes."""
ROOM = (110.0, 190.0)
"""Narrowest and widest text of a box."""
PAD = 8.0
BESIDE = 22.0
"""Between two columns of boxes."""
LANE = 12.0
"""Width of a column that holds lines only."""
GAP, TRACK = 26.0, 9.0
"""Height between two layers with one line across, and of each further one."""
MAX_PIXELS_ALONG = {"down": 1100.0, "right": 1500.0}
"""A graph that would be longer goes on next to itself, where it can be cut."""
BETWEEN = 40.0
"""Pixels between two pieces of a graph."""
TURN = 16.0
"""How far the line between two pieces runs from boxes."""
PORT = 12.0
"""A line from the side enters a box this far from its middle."""


@dataclasses.dataclass(frozen=True)
class State:
    """How a box stands out: colors by their names in the theme, and a word under its text."""

    fill: str
    outline: str
    word: str = ""
    thick: float = 1.0
    dash: bool = False


@dataclasses.dataclass(frozen=True)
class _Box:
    lines: tuple[tuple[str, float, str, bool], ...]
    """Text, size, color, bold."""
    family: str
    width: float
    height: float
    about: str = ""
    """The part that it stands for, where that is another one."""


def facts(net: Network, show: Show, request: Request) -> GraphFacts:
    """What the picture shows besides striate.show/1."""
    return {"failed": failed_facts(net)}


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    members = parts_of(record, most=MAX_BOXES, fold=request.fold)
    members += failing(record["facts"], members)
    marks = numbered(record, members)
    body = layout(record, members, marks, right=request.right, wrapped=True)
    return framed("graph", record, body, marks, words="; ".join(described(members)))


def layout(
    record: Show,
    members: Sequence[Part],
    marks: Numbered,
    *,
    right: bool = False,
    states: Mapping[str, State] | None = None,
    wrapped: bool = False,
) -> Sheet:
    """The picture of a network's parts.

    record: striate.show/1; right: the flow goes to the right instead of down; states: of the boxes that stand out, by
    key, where the picture is about them and not about the kinds of layers; wrapped: a long
    graph goes on next to itself.
    """
    states = states or {}
    boxes = {name: _input(name, sizes) for name, sizes in record["inputs"].items()}
    boxes |= {part.key: _box(part, len(marks.get(part.key, ())), states.get(part.key)) for part in members}
    even = max(box.width for box in boxes.values())
    boxes = {key: dataclasses.replace(box, width=even) for key, box in boxes.items()}
    reads: dict[str, Sequence[str]] = dict.fromkeys(record["inputs"], ())
    reads |= {part.key: part.reads for part in members}
    whole = _Grid(boxes, reads, wired(reads), right)
    pieces = _pieces(whole, reads) if wrapped else []
    names = {part.key: part.names for part in members} | {name: name for name in record["inputs"]}
    grids = []
    for piece, source, target in pieces:
        if target == AGAIN:
            boxes[AGAIN] = dataclasses.replace(
                _box_of_lines([(names[source], SMALL_FONT_SIZE, "ink", False)], "input"),
                width=even,
                about=source,
            )
        grids.append(_Grid({key: boxes[key] for key in piece}, piece, wired(piece), right))
    if any(target and grid.wiring.layer[target] for grid, (_, _, target) in zip(grids, pieces, strict=True)):
        grids = []  # something else would stand where the line comes in
    sheet = Sheet()
    if not grids:
        _draw(sheet, whole, reads, marks, states)
        return sheet
    placed: list[_Placed] = []
    for grid, (piece, _, _) in zip(grids, pieces, strict=True):
        part = Sheet()
        _draw(part, grid, piece, marks, states)
        edge = (sheet.bottom if right else sheet.right) + BETWEEN if placed else 0.0
        across, along = (edge - part.top, -part.left) if right else (edge - part.left, -part.top)
        sheet.put(part, *((0.0, edge) if right else (edge, 0.0)))
        placed.append(_Placed(grid, across, along, edge))
    for (one, other), (_, source, target) in zip(itertools.pairwise(placed), pieces[1:], strict=True):
        sheet.path(_turn(one, other, source, target), "", "line", bend=5, thick=1.4, arrow=True)
    return sheet


def _draw(
    sheet: Sheet,
    grid: _Grid,
    reads: Mapping[str, Sequence[str]],
    marks: Numbered,
    states: Mapping[str, State],
) -> None:
    """Lines, and the boxes over them."""
    for key, sources in reads.items():
        for source in sources:
            sheet.path(grid.line(source, key), "", "line", bend=5, thick=1.4, arrow=True)
    for key, box in grid.boxes.items():
        x, y = grid.corner(key)
        with sheet.about(box.about or key):
            lost = box.family == "error"
            style = states.get(key) or State(
                f"{box.family}-tint", "error" if lost else "line", dash=lost or key == AGAIN
            )
            sheet.rect(
                x,
                y,
                box.width,
                box.height,
                style.fill,
                style.outline,
                thick=style.thick,
                round=5,
                dash=style.dash,
            )
            at = y + PAD
            for text, size, fill, bold in box.lines:
                sheet.text(x + box.width / 2, at + ASCENT * size, text, size, fill, bold=bold)
                at += LINE * size
            discs(sheet, x + box.width / 2, at + 3, marks.get(key, ()))


@dataclasses.dataclass(frozen=True)
class _Placed:
    """A piece of a graph: how far it was moved across the flow and along it, and where it begins across."""

    grid: _Grid
    across: float
    along: float
    edge: float


# -- a long graph in pieces ---------------------------------------------------------------------------------------


Piece = tuple[dict[str, Sequence[str]], str, str]
"""Boxes with what they read in it, the last box of the piece before, and the one that the line from there leads to."""

AGAIN = "\0again"
"""The box that stands for the last one of the piece before, where several read it."""


def _pieces(grid: _Grid, reads: Mapping[str, Sequence[str]]) -> list[Piece]:
    """The pieces of a long graph; none where it is short, has more boxes than a page or cannot be cut evenly.

    It is cut between two layers where all lines between them come from one box of the first.
    """
    limit = max(
        MAX_PIXELS_ALONG["right" if grid.right else "down"], (grid.length * grid.breadth) ** 0.5 * 1.3
    )
    count = math.ceil(grid.length / limit)
    if count < 2 or len(reads) > MAX_BOXES:
        return []
    layer = grid.wiring.layer
    crossing = [0] * (len(grid.start) + 1)
    readers: Counter[str] = Counter()
    for key, sources in reads.items():
        for source in sources:
            crossing[layer[source] + 1] += 1
            crossing[layer[key] + 1] -= 1
            readers[source] += 1
    across = list(itertools.accumulate(crossing))
    last = {layer[key] + 1: key for key, number in readers.items() if number == across[layer[key] + 1]}
    cuts = sorted(last)
    places = [grid.start[at] for at in cuts]
    bounds = [0]
    for number in range(1, count):
        even = grid.length * number / count
        after = bisect.bisect(places, even)
        near = cuts[max(after - 1, 0) : after + 1]
        bounds.append(min(near, key=lambda at: abs(grid.start[at] - even), default=0))
    stops = [*(grid.start[at] for at in bounds), grid.length]
    lengths = [b - a for a, b in itertools.pairwise(stops)]
    if min(lengths) <= 0 or max(lengths) > grid.length / count * 1.4:
        return []
    pieces: list[Piece] = [({}, "", "")]
    for at in bounds[1:]:
        many = readers[last[at]] > 1
        pieces.append(({AGAIN: ()} if many else {}, last[at], AGAIN if many else ""))
    for key, sources in reads.items():
        number = bisect.bisect(bounds, layer[key]) - 1
        piece, before, target = pieces[number]
        piece[key] = [AGAIN if source == before else source for source in sources]
        if before in sources and target != AGAIN:
            piece[key] = ()
            pieces[number] = piece, before, key
    return pieces


def _turn(one: _Placed, other: _Placed, source: str, target: str) -> list[Point]:
    """The line from the last box of a piece to the first of the next: around the end, then between the two."""
    across, along = one.grid.middle[one.grid.wiring.column[source]], one.grid.behind(source)
    entry = other.grid.middle[other.grid.wiring.column[target]]
    between = other.edge - BETWEEN / 2
    points = [
        (across + one.across, along + one.along),
        (across + one.across, one.grid.length + TURN + one.along),
        (between, one.grid.length + TURN + one.along),
        (between, other.along - TURN),
        (entry + other.across, other.along - TURN),
        (entry + other.across, other.along),
    ]
    return [(b, a) if one.grid.right else (a, b) for a, b in points]


def _box(part: Part, findings: int, state: State | None = None) -> _Box:
    first, *rest = label(part)
    lines = [(f"{first} x {part.times}" if part.times > 1 else first, SIZE, "ink", True)]
    lines += [(text, SMALL_FONT_SIZE, "ink", False) for text in rest]
    lines += [] if part.scope and part.times == 1 else [(part.names, SMALL_FONT_SIZE, "ink", False)]
    lines += [(size_text(part.output), SMALL_FONT_SIZE, "ink", False)]
    lines += [(state.word, SMALL_FONT_SIZE, state.outline, True)] if state and state.word else []
    box = _box_of_lines(lines, part.family)
    return dataclasses.replace(box, height=box.height + discs_high(findings))


def _input(name: str, sizes: Sequence[int]) -> _Box:
    return _box_of_lines(
        [(name, SIZE, "ink", True), (size_text(sizes), SMALL_FONT_SIZE, "ink", False)], "input"
    )


def _box_of_lines(lines: Sequence[tuple[str, float, str, bool]], family: str) -> _Box:
    cut = tuple((shortened(text, size, ROOM[1], bold), size, fill, bold) for text, size, fill, bold in lines)
    wide = max(ROOM[0], *(width(text, size, bold) for text, size, _, bold in cut))
    return _Box(cut, family, wide + 2 * PAD, sum(LINE * size for _, size, _, _ in cut) + 2 * PAD)


class _Grid:
    """Pixels of layers and columns. `along` follows the flow, `across` goes over the columns."""

    def __init__(
        self, boxes: Mapping[str, _Box], reads: Mapping[str, Sequence[str]], wiring: Wiring, right: bool
    ) -> None:
        self.boxes, self.wiring, self.right = boxes, wiring, right
        layers = 1 + max(wiring.layer.values())
        deep = [0.0] * layers
        wide = [LANE] * wiring.columns
        for key, box in boxes.items():
            along, across = self._sides(box)
            deep[wiring.layer[key]] = max(deep[wiring.layer[key]], along)
            wide[wiring.column[key]] = max(wide[wiring.column[key]], across + BESIDE)
        self.middle: list[float] = []
        at = 0.0
        for room in wide:
            self.middle.append(at + room / 2)
            at += room
        every = list(taps(reads, wiring))
        self.tracks, counts = _tracks(every)
        self.deep, self.breadth = deep, at
        self.start: list[float] = []
        self.gap: list[float] = []
        at = 0.0
        for layer in range(layers):
            self.gap.append(at)
            at += GAP + TRACK * max(counts.get(layer, 1) - 1, 0) if layer else 0.0
            self.start.append(at)
            at += deep[layer]
        self.length = at

    def _sides(self, box: _Box) -> tuple[float, float]:
        return (box.width, box.height) if self.right else (box.height, box.width)

    def _point(self, across: float, along: float) -> Point:
        return (along, across) if self.right else (across, along)

    def corner(self, key: str) -> Point:
        """Upper left corner of a box."""
        _, across = self._sides(self.boxes[key])
        return self._point(
            self.middle[self.wiring.column[key]] - across / 2, self.start[self.wiring.layer[key]]
        )

    def behind(self, key: str) -> float:
        """Where a box ends along the flow."""
        return self.start[self.wiring.layer[key]] + self._sides(self.boxes[key])[0]

    def line(self, source: str, target: str) -> list[Point]:
        """The points of a line from one box to another."""
        wiring = self.wiring
        begin, end = wiring.column[source], wiring.column[target]
        x, to = self.middle[begin], self.middle[end]
        gap = wiring.layer[target]
        points = [(x, self.behind(source))]
        lane = wiring.lanes.get(source)
        if lane is not None and wiring.layer[source] < gap - 1 and not self._straight(source, target):
            x = self.middle[lane[0]]
            over = self._track(lane[1].first, f"<{source}")
            points += [(points[0][0], over), (x, over)]
            begin = lane[0]
        if begin != end:
            over = self._track(gap, self._net(source, target))
            to += PORT if begin > end else -PORT
            points += [(x, over), (to, over)]
        points.append((to, self.start[gap]))
        return [self._point(across, along) for across, along in points]

    def _straight(self, source: str, target: str) -> bool:
        return (source, target) in self.wiring.straight

    def _net(self, source: str, target: str) -> str:
        net = f">{target}"
        return net if (self.wiring.layer[target], net) in self.tracks else f"<{source}"

    def _track(self, gap: int, net: str) -> float:
        return self.gap[gap] + GAP / 2 - 3 + TRACK * self.tracks[gap, net]


def _tracks(every: Sequence[Tap]) -> tuple[dict[tuple[int, str], int], dict[int, int]]:
    """The height of each net in its gap, counted from the layer before; and how many heights a gap has."""
    spans: dict[tuple[int, str], tuple[int, int]] = {}
    for tap in every:
        if tap.start != tap.end:
            low, high = spans.get((tap.gap, tap.net), (tap.start, tap.start))
            spans[tap.gap, tap.net] = min(low, tap.start, tap.end), max(high, tap.start, tap.end)
    tracks: dict[tuple[int, str], int] = {}
    levels: dict[int, list[list[tuple[int, int]]]] = {}
    for (gap, net), (low, high) in sorted(
        spans.items(), key=lambda item: (item[0][0], item[1][1] - item[1][0], item[0][1])
    ):
        rows = levels.setdefault(gap, [])
        row = next(
            (k for k, spans_ in enumerate(rows) if all(high < a or b < low for a, b in spans_)), len(rows)
        )
        if row == len(rows):
            rows.append([])
        rows[row].append((low, high))
        tracks[gap, net] = row
    return tracks, {gap: len(rows) for gap, rows in levels.items()}
