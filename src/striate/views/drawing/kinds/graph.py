"""Kind `graph`: every part of a network as a box, with a line for each value that a part reads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.box_grid import Box, Grid
from striate.views.drawing.frame import Numbered, discs, discs_high, framed, numbered
from striate.views.drawing.parts import Part, described, failed_facts, failing, label, parts_of, size_text
from striate.views.drawing.pieces import Piece, pieces
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Point, Sheet
from striate.views.drawing.u_shape import u_shape
from striate.views.drawing.widths import shortened, width

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
MAX_PIXELS_ALONG = {"down": 1100.0, "right": 1500.0}
"""A graph that would be longer goes on next to itself."""
BETWEEN = 40.0
"""Pixels between two pieces of a graph."""
TURN = 16.0
"""How far the line between two pieces runs from boxes."""


@dataclasses.dataclass(frozen=True)
class State:
    """How a box stands out: colors by their names in the theme, and a word under its text."""

    fill: str
    outline: str
    word: str = ""
    thick: float = 1.0
    dash: bool = False


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
    names = {part.key: part.names for part in members} | {name: name for name in record["inputs"]}
    sheet = Sheet()
    most = MAX_PIXELS_ALONG["right" if right else "down"] if wrapped else math.inf
    found = pieces(reads, {key: box.sides(right) for key, box in boxes.items()}, most)
    if len(found) > 1:
        shapes = {**record["inputs"], **{part.key: part.output for part in members}}
        halves, lines = u_shape(reads, shapes, boxes, right)
        for line in lines:
            sheet.path(line, "", "line", bend=5, thick=1.4, arrow=True)
        for half in halves:
            _draw(sheet, half, marks, states)
        if halves:
            return sheet
    before: Grid | None = None
    for piece in found:
        grid = Grid(
            {key: _again(names[piece.again[key]], piece.again[key], even) if key in piece.again else boxes[key]
             for key in piece.reads},
            piece.reads, right, piece.target,
        )  # fmt: skip
        part = Sheet()
        _draw(part, grid, marks, states)
        edge = (sheet.bottom if right else sheet.right) + BETWEEN if before else 0.0
        grid.origin = (-part.left, edge - part.top) if right else (-part.top, edge - part.left)
        sheet.put(part, *((0.0, edge) if right else (edge, 0.0)))
        if before and piece.source:
            points = _turn(before, grid, piece, edge - BETWEEN / 2 - grid.origin[1])
            sheet.path(points, "", "line", bend=5, thick=1.4, arrow=True)
        before = grid
    return sheet


def _draw(sheet: Sheet, grid: Grid, marks: Numbered, states: Mapping[str, State]) -> None:
    """Lines, and the boxes over them."""
    for key, sources in grid.reads.items():
        for source in sources:
            if grid.boxes[source].lines:
                sheet.path(grid.line(source, key), "", "line", bend=5, thick=1.4, arrow=True)
    for key, box in grid.boxes.items():
        if not box.lines:
            continue
        x, y = grid.corner(key)
        with sheet.about(box.about or key):
            lost = box.family == "error"
            style = states.get(key) or State(
                f"{box.family}-tint", "error" if lost else "line", dash=lost or bool(box.about)
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


def _turn(one: Grid, other: Grid, piece: Piece, between: float) -> list[Point]:
    """The line to a piece from the one before: around its end, then between the two, across at `between`."""
    across, end = one.across(piece.source), one.length + TURN
    return [
        one.point(across, one.behind(piece.source)),
        one.point(across, end),
        one.point(between + other.origin[1] - one.origin[1], end),
        other.point(between, -TURN),
        other.point(other.across(piece.target), -TURN),
        other.point(other.across(piece.target), 0),
    ]


def _again(name: str, key: str, wide: float) -> Box:
    """The box that stands for one of another piece."""
    box = _box_of_lines([(name, SMALL_FONT_SIZE, "ink", False)], "input")
    return dataclasses.replace(box, width=wide, about=key)


def _box(part: Part, findings: int, state: State | None = None) -> Box:
    first, *rest = label(part)
    lines = [(f"{first} x {part.times}" if part.times > 1 else first, SIZE, "ink", True)]
    lines += [(text, SMALL_FONT_SIZE, "ink", False) for text in rest]
    lines += [] if part.scope and part.times == 1 else [(part.names, SMALL_FONT_SIZE, "ink", False)]
    lines += [(size_text(part.output), SMALL_FONT_SIZE, "ink", False)]
    lines += [(state.word, SMALL_FONT_SIZE, state.outline, True)] if state and state.word else []
    box = _box_of_lines(lines, part.family)
    return dataclasses.replace(box, height=box.height + discs_high(findings))


def _input(name: str, sizes: Sequence[int]) -> Box:
    return _box_of_lines(
        [(name, SIZE, "ink", True), (size_text(sizes), SMALL_FONT_SIZE, "ink", False)], "input"
    )


def _box_of_lines(lines: Sequence[tuple[str, float, str, bool]], family: str) -> Box:
    cut = tuple((shortened(text, size, ROOM[1], bold), size, fill, bold) for text, size, fill, bold in lines)
    wide = max(ROOM[0], *(width(text, size, bold) for text, size, _, bold in cut))
    return Box(cut, family, wide + 2 * PAD, sum(LINE * size for _, size, _, _ in cut) + 2 * PAD)
