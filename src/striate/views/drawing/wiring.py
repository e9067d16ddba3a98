"""Layout of a graph: its boxes in layers across the flow, its lines in columns along it.

Every box is in the layer after the last one that it reads. The longest path from an input to an output is one straight
column; every other path, and every connection that skips layers, has a column next to it for its length. Lines
cross over between two layers only, where there are no boxes, so no line can run through a box. Time grows linearly
with boxes and lines, except for the number of columns side by side.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Lane:
    """A stretch of a column, first to last layer, both included: a way through boxes, or a line next to them.

    rank: the place of a branch among those that read the same box, from the one in the column of that box: branches
    listed before it stand to its left.
    """

    source: str
    first: int
    last: int
    boxes: tuple[str, ...] = ()
    rank: int = 0


@dataclasses.dataclass
class Wiring:
    """layer, column: of every box; lanes: the lines next to boxes, by their source, with their columns.

    straight: connections that follow the boxes of their column; columns: how many.
    """

    layer: dict[str, int]
    column: dict[str, int]
    lanes: dict[str, tuple[int, Lane]]
    straight: set[tuple[str, str]]
    columns: int


def wired(reads: Mapping[str, Sequence[str]], main: str = "") -> Wiring:
    """reads: every box, in the order of the flow, with those that it reads; main: one that reads nothing, with which
    the straight column begins, in the first layer.
    """
    layer = layers(reads, main)
    readers: dict[str, list[str]] = {key: [] for key in reads}
    for key, sources in reads.items():
        for source in sources:
            readers[source].append(key)
    ways = _ways(reads, readers, main)
    on_way = {(a, b) for way in ways for a, b in itertools.pairwise(way)}
    stretches: list[Lane] = []
    for way in ways:
        ends = [layer[r] for r in readers[way[-1]]]
        starts = [layer[s] for s in reads[way[0]]]
        # Room for the lines that lead to a way and away from it.
        first = min(layer[way[0]], max(starts, default=layer[way[0]]) + 1)
        last = max(layer[way[-1]], max(ends, default=0) - 1)
        anchor = max(reads[way[0]], key=lambda key: layer[key], default="")
        stretches.append(
            Lane(anchor, first, last, tuple(way), _rank(way[0], readers.get(anchor, ()), on_way, anchor))
        )
    tails = {way[-1] for way in ways}
    for key, targets in readers.items():
        far = [layer[t] for t in targets if (key, t) not in on_way and layer[t] > layer[key] + 1]
        if far and key not in tails:
            stretches.append(Lane(key, layer[key] + 1, max(far) - 1))
    return _place_lanes(layer, stretches, on_way)


def _rank(branch: str, siblings: Sequence[str], on_way: set[tuple[str, str]], source: str) -> int:
    """The place of a branch among those of its source, from the one that goes straight on; left of it below 0."""
    straight = next((k for k, key in enumerate(siblings) if (source, key) in on_way), None)
    return 0 if straight is None else siblings.index(branch) - straight


def layers(reads: Mapping[str, Sequence[str]], main: str = "") -> dict[str, int]:
    """The layer of every box. reads, main: see `wired`."""
    layer: dict[str, int] = {}
    for key, sources in reads.items():
        layer[key] = max((layer[s] + 1 for s in sources), default=0)
    nearest: dict[str, int] = {}
    for key, sources in reads.items():
        for source in sources:
            nearest[source] = min(nearest.get(source, layer[key]), layer[key])
    for key, sources in reads.items():
        if not sources and key in nearest and key != main:  # an input stands right before what reads it
            layer[key] = nearest[key] - 1
    return layer


def _ways(
    reads: Mapping[str, Sequence[str]], readers: Mapping[str, Sequence[str]], main: str
) -> list[list[str]]:
    """Every box in one way: the longest from a source first, then what is left, each as far as it goes."""
    ahead: dict[str, int] = {}
    for key in reversed(list(reads)):
        ahead[key] = 1 + max((ahead[r] for r in readers[key]), default=0)
    order = sorted(reads, key=lambda key: bool(reads[key]))  # the sources first, otherwise in order
    first = main or max((key for key in order if not reads[key]), key=lambda key: ahead[key])
    visited: set[str] = set()
    ways = []
    for start in [first, *order]:
        if start in visited:
            continue
        way = [start]
        visited.add(start)
        while free := [r for r in readers[way[-1]] if r not in visited]:
            most = max(ahead[key] for key in free)
            longest = [key for key in free if ahead[key] == most]
            way.append(longest[(len(longest) - 1) // 2])  # branches of equal length stand to both sides
            visited.add(way[-1])
        ways.append(way)
    return ways


# -- columns --------------------------------------------------------------------------------------------------------


class _Columns:
    """Columns from left to right; new ones are put in where there is no room."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.used: list[list[tuple[int, int]]] = []
        self.wide: list[bool] = []

    def free(self, column: int, lane: Lane) -> bool:
        # A layer between two stretches: their ends do not meet in one gap.
        return all(last + 1 < lane.first or lane.last + 1 < first for first, last in self.used[column])

    def take(self, column: int, lane: Lane) -> int:
        self.used[column].append((lane.first, lane.last))
        return column

    def new(self, place: int, wide: bool) -> int:
        self.used.append([])
        self.wide.append(wide)
        self.order.insert(place, len(self.used) - 1)
        return len(self.used) - 1

    def place(self, anchor: int | None, lane: Lane) -> int:
        """The column nearest to its anchor that is free for all of a lane; on the side where fewer are in the way."""
        wide = bool(lane.boxes)
        if anchor is None:
            return self.take(self.new(len(self.order), wide), lane)
        at = self.order.index(anchor)
        if self.free(anchor, lane):
            return self.take(anchor, lane)
        right = self._outward(range(at + 1, len(self.order)), lane, wide)
        left = self._outward(range(at - 1, -1, -1), lane, wide)
        if wide and (left[0], lane.rank >= 0) < (right[0], lane.rank < 0):
            return self.take(
                self.order[left[1]] if left[1] is not None else self.new(self._edge(at, -1, lane), wide), lane
            )
        return self.take(
            self.order[right[1]] if right[1] is not None else self.new(self._edge(at, 1, lane), wide), lane
        )

    def _outward(self, places: range, lane: Lane, wide: bool) -> tuple[int, int | None]:
        """How many columns with lines are in the way, and the place of the first that is free."""
        crossed = 0
        for place in places:
            column = self.order[place]
            if self.free(column, lane):
                if self.wide[column] == wide:
                    return crossed, place
            elif any(
                last + 1 >= lane.first and lane.last + 1 >= first and (first < lane.first or lane.last < last)
                for first, last in self.used[column]
            ):
                crossed += 1
        return crossed, None

    def _edge(self, at: int, step: int, lane: Lane) -> int:
        """Where a new column goes: beyond the last that is in the way."""
        last = at
        place = at
        while 0 <= place + step < len(self.order):
            place += step
            if not self.free(self.order[place], lane):
                last = place
        return last + 1 if step > 0 else last


def _place_lanes(layer: dict[str, int], stretches: Sequence[Lane], straight: set[tuple[str, str]]) -> Wiring:
    """Columns for all stretches: short ones first, so that long ones lie around them."""
    columns = _Columns()
    column: dict[str, int] = {}
    lanes: dict[str, tuple[int, Lane]] = {}
    waiting: dict[str, list[int]] = {}
    ready: list[tuple[bool, int, int, int]] = []

    def admit(index: int) -> None:
        lane = stretches[index]
        heapq.heappush(ready, (index > 0, lane.last - lane.first, abs(lane.rank), index))

    for index, lane in enumerate(stretches):
        if not lane.source:
            admit(index)
        else:
            waiting.setdefault(lane.source, []).append(index)
    while ready:
        index = heapq.heappop(ready)[3]
        lane = stretches[index]
        at = columns.place(column.get(lane.source), lane)
        if not lane.boxes:
            lanes[lane.source] = (at, lane)
        for key in lane.boxes:
            column[key] = at
            for other in waiting.pop(key, ()):
                admit(other)
    rank = {at: k for k, at in enumerate(columns.order)}
    return Wiring(
        layer,
        {key: rank[at] for key, at in column.items()},
        {key: (rank[at], lane) for key, (at, lane) in lanes.items()},
        straight,
        len(rank),
    )


# -- lines ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Tap:
    """A piece of a line between two layers: from one column to another, in the gap before a layer.

    net: the tap shares its height with taps of the same net; of_lane: whether it begins at a line next to boxes.
    """

    gap: int
    start: int
    end: int
    net: str
    source: str
    target: str


def taps(reads: Mapping[str, Sequence[str]], wiring: Wiring) -> Iterator[Tap]:
    """The pieces that cross over: into a lane next to its source, and out of a column into a box."""
    for source, (at, lane) in wiring.lanes.items():
        yield Tap(lane.first, wiring.column[source], at, f"<{source}", source, "")
    for key, sources in reads.items():
        many = len(sources) > 1
        for source in sources:
            gap = wiring.layer[key]
            skipping = wiring.lanes.get(source)
            near = wiring.layer[source] == gap - 1
            # A line that skips layers arrives in its lane, or in its column behind the last box.
            inside = near or skipping is None or (source, key) in wiring.straight
            start = wiring.column[source] if inside else skipping[0]  # type: ignore[index]
            yield Tap(gap, start, wiring.column[key], f">{key}" if many else f"<{source}", source, key)
