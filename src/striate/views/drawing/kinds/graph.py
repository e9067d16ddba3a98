"""Kind `graph`: every part of a network as a box, with a line for each value that a part reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.views.drawing.frame import Numbered, discs, discs_high, framed, numbered
from striate.views.drawing.parts import Part, described, failed_facts, failing, label, parts_of, size_text
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Point, Sheet
from striate.views.drawing.widths import shortened, width
from striate.views.drawing.wiring import Tap, Wiring, taps, wired

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

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


def facts(net: Network, show: Show, request: Request) -> dict[str, Any]:
    """What the picture shows besides striate.show/1."""
    return {"failed": failed_facts(net)}


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    members = parts_of(record, most=MAX_BOXES, fold=request.fold)
    members += failing(record["facts"], members)
    marks = numbered(record, members)
    body = layout(record, members, marks, right=request.right)
    return framed("graph", record, body, marks, words="; ".join(described(members)))


def layout(
    record: Show,
    members: Sequence[Part],
    marks: Numbered,
    *,
    right: bool = False,
    states: Mapping[str, State] | None = None,
) -> Sheet:
    """The picture of a network's parts.

    record: striate.show/1; right: the flow goes to the right instead of down; states: of the boxes that stand out, by
    key, where the picture is about them and not about the kinds of layers.
    """
    states = states or {}
    boxes = {name: _input(name, sizes) for name, sizes in record["inputs"].items()}
    boxes |= {part.key: _box(part, len(marks.get(part.key, ())), states.get(part.key)) for part in members}
    even = max(box.width for box in boxes.values())
    boxes = {key: dataclasses.replace(box, width=even) for key, box in boxes.items()}
    reads: dict[str, Sequence[str]] = dict.fromkeys(record["inputs"], ())
    reads |= {part.key: part.reads for part in members}
    wiring = wired(reads)
    grid = _Grid(boxes, reads, wiring, right)
    sheet = Sheet()
    for key, sources in reads.items():
        for source in sources:
            sheet.path(grid.line(source, key), "", "line", bend=5, thick=1.4, arrow=True)
    for key, box in boxes.items():
        x, y = grid.corner(key)
        with sheet.about(key):
            lost = box.family == "error"
            style = states.get(key) or State(f"{box.family}-tint", "error" if lost else "line", dash=lost)
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
    return sheet


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
        self.start: list[float] = []
        self.gap: list[float] = []
        at = 0.0
        for layer in range(layers):
            self.gap.append(at)
            at += GAP + TRACK * max(counts.get(layer, 1) - 1, 0) if layer else 0.0
            self.start.append(at)
            at += deep[layer]

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

    def line(self, source: str, target: str) -> list[Point]:
        """The points of a line from one box to another."""
        wiring = self.wiring
        begin, end = wiring.column[source], wiring.column[target]
        x, to = self.middle[begin], self.middle[end]
        gap = wiring.layer[target]
        points = [(x, self.start[wiring.layer[source]] + self._sides(self.boxes[source])[0])]
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
