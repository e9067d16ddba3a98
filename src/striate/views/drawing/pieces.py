"""A long graph in pieces that stand next to each other, cut where few lines cross over."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from striate.views.drawing.box_grid import BESIDE, GAP
from striate.views.drawing.wiring import layers

MAX_CROSSING = 6
"""Values that reach over a cut, at most: each is repeated by its name behind it."""
UNEVEN = 0.3
"""Share of a piece by which a cut may stand before or behind its even place."""


@dataclasses.dataclass
class Piece:
    """reads: its boxes with what they read in it; again: boxes that stand for those of other pieces, with their keys.

    source, target: ends of the line to it from the piece before; empty for the first.
    """

    reads: dict[str, Sequence[str]]
    again: dict[str, str] = dataclasses.field(default_factory=dict)
    source: str = ""
    target: str = ""


def again(key: str) -> str:
    """The key of a box that stands for another one."""
    return f"\0{key}"


def pieces(
    reads: Mapping[str, Sequence[str]], sides: Mapping[str, tuple[float, float]], most: float
) -> list[Piece]:
    """The pieces of a graph; one where it is short or cannot be cut.

    sides: of every box, along the flow and across it, in pixels; most: a graph that is longer is cut. What a piece
    reads of others is repeated in it, save the value at the cut if one box reads that alone: a line leads to it.
    """
    layer = layers(reads)
    bounds = _bounds(reads, sides, layer, most)
    found = [Piece({}) for _ in range(len(bounds) + 1)]
    place = {key: bisect.bisect(bounds, at) for key, at in layer.items()}
    entries: list[Counter[str]] = [Counter() for _ in found]
    for key, sources in reads.items():
        piece = found[place[key]]
        far = [source for source in sources if place[source] != place[key]]
        entries[place[key]].update(far)
        for source in far:
            piece.again[again(source)] = source
            piece.reads.setdefault(again(source), ())
        piece.reads[key] = [again(source) if source in far else source for source in sources]
        at = layer[key]
        if far and not piece.source and at in bounds:
            piece.source = next((source for source in far if layer[source] == at - 1), "")
            piece.target = again(piece.source) if piece.source else ""
    for piece, entry in zip(found, entries, strict=True):
        alone = [key for key, sources in piece.reads.items() if [*sources] == [piece.target]]
        if entry[piece.source] == 1 and alone:
            del piece.again[piece.target], piece.reads[piece.target]
            piece.reads[alone[0]], piece.target = (), alone[0]
    return found


def _bounds(
    reads: Mapping[str, Sequence[str]],
    sides: Mapping[str, tuple[float, float]],
    layer: Mapping[str, int],
    most: float,
) -> list[int]:
    """The layers that begin a piece, without the first."""
    deep = [0.0] * (1 + max(layer.values()))
    for key, at in layer.items():
        deep[at] = max(deep[at], sides[key][0])
    start = [0.0, *itertools.accumulate(room + GAP for room in deep)]
    length = start.pop()
    breadth = max(Counter(layer.values()).values()) * (max(side for _, side in sides.values()) + BESIDE)
    count = math.ceil(length / max(most, (length * breadth) ** 0.5 * 1.3))
    cost = _cost(reads, layer, len(deep))
    bounds: list[int] = []
    for number in range(1, count):
        even, slack = length * number / count, length / count * UNEVEN
        first = max(bisect.bisect_left(start, even - slack), 1, *(at + 1 for at in bounds[-1:]))
        near = range(first, bisect.bisect_right(start, even + slack))
        cuts = [at for at in near if cost[at] <= MAX_CROSSING]
        if cuts:
            bounds.append(min(cuts, key=lambda at: (cost[at] + abs(start[at] - even) / slack, at)))
    return bounds


def _cost(reads: Mapping[str, Sequence[str]], layer: Mapping[str, int], count: int) -> list[float]:
    """Of the cut before each layer: how many values reach over it, and half of one where a single value has several
    readers behind it, for which its box is repeated.
    """
    last: dict[str, int] = {}
    lines = [0] * (count + 1)
    values = [0] * (count + 1)
    for key, sources in reads.items():
        for source in sources:
            last[source] = max(last.get(source, 0), layer[key])
            lines[layer[source] + 1] += 1
            lines[layer[key] + 1] -= 1
    for source, end in last.items():
        values[layer[source] + 1] += 1
        values[end + 1] -= 1
    over = zip(itertools.accumulate(values), itertools.accumulate(lines), strict=True)
    return [value + (0.5 if value == 1 < line else 0) for value, line in over]
