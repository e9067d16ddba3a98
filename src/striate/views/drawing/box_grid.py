"""Boxes of a graph in layers and columns, and the lines between them, in pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from striate.views.drawing.sheet import Point
from striate.views.drawing.wiring import Tap, taps, wired

BESIDE = 22.0
"""Between two columns of boxes."""
LANE = 12.0
"""Width of a column that holds lines only."""
GAP, TRACK = 26.0, 9.0
"""Height between two layers with one line across, and of each further one."""
PORT = 12.0
"""A line from the side enters a box this far from its middle."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A box with lines of text; family: of its color."""

    lines: tuple[tuple[str, float, str, bool], ...]
    """Text, size, color, bold."""
    family: str
    width: float
    height: float
    about: str = ""
    """The part that it stands for, where that is another one."""

    def sides(self, right: bool) -> tuple[float, float]:
        """Along the flow and across it. right: the flow goes to the right."""
        return (self.width, self.height) if right else (self.height, self.width)


class Grid:
    """Pixels of layers and columns. `along` follows the flow, `across` goes over the columns.

    reads: every box with those that it reads; main: see `wired`; origin: along and across, of the first layer and
    column.
    """

    def __init__(
        self, boxes: Mapping[str, Box], reads: Mapping[str, Sequence[str]], right: bool, main: str = ""
    ) -> None:
        wiring = wired(reads, main)
        self.boxes, self.reads, self.wiring, self.right = boxes, reads, wiring, right
        self.origin = (0.0, 0.0)
        layers = 1 + max(wiring.layer.values())
        deep = [0.0] * layers
        wide = [LANE] * wiring.columns
        for key, box in boxes.items():
            along, across = box.sides(self.right)
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

    def point(self, across: float, along: float) -> Point:
        """Where something of the grid stands on the sheet."""
        along, across = along + self.origin[0], across + self.origin[1]
        return (along, across) if self.right else (across, along)

    def corner(self, key: str) -> Point:
        """Upper left corner of a box."""
        _, across = self.boxes[key].sides(self.right)
        return self.point(self.across(key) - across / 2, self.start[self.wiring.layer[key]])

    def across(self, key: str) -> float:
        """The middle of a box, across the flow."""
        return self.middle[self.wiring.column[key]]

    def behind(self, key: str) -> float:
        """Where a box ends along the flow."""
        return self.start[self.wiring.layer[key]] + self.boxes[key].sides(self.right)[0]

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
        return [self.point(across, along) for across, along in points]

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
