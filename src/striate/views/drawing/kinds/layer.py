"""Kind `layer`: one layer as a teacher draws it: the input with its padding, the filter, the output, the formula.

The window slides over the input; that of a transposed convolution over the output. Bars below and next to that side are
the windows along each axis, each where it stands. Rows and columns that no window reaches are hatched and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import plural
from striate.views.drawing.example import example
from striate.views.drawing.frame import finished
from striate.views.drawing.grid import Band, Plane
from striate.views.drawing.motion import sampled
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.windowed import layer_of, layer_record
from striate.views.drawing.wording import color, described, filter_lines, head, sums
from striate.views.text.number_format import per_axis, shape

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.facts import LayerFacts
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Layer, LayerAxis, Scene

OPTIONS = ("nodes", "numbers", "animate", "speed")
CELL, ROOM, WIDE_ROOM, TALL = 26.0, 340.0, 560.0, 14.0
"""The largest cell, the room for the longest side of a plane, that of a layer with one axis, and
the least height of its only row, in pixels."""
MIN_WIDTH = 560.0
"""A picture is at least this wide, so that its lines of text are not broken."""
BETWEEN = 20.0
"""Pixels on both sides of a sign between planes."""
BAR, TRACK = 5.0, 9.0
"""Thickness of a bar, and from one to the next."""
BARS = 7
"""Windows along an axis that get a bar: beyond, the first ones and the last."""


def facts(net: Network, show: Show, request: Request) -> LayerFacts:
    """What the picture shows besides striate.show/1: `layer`, and with numbers `example`."""
    node = layer_of(net, request.node, "layer")
    layer = layer_record(net, node, show)
    result: LayerFacts = {"layer": layer}
    if request.numbers:
        result["example"] = example(layer)
    return result


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    layer: Layer = record["facts"]["layer"]
    numbers = record["facts"].get("example")
    board = _Board(layer, numbers is not None)
    sheet = Sheet()
    moving = (
        sampled(board.small.rows.size, board.small.columns.size) if request.animate and board.works else []
    )
    _planes(sheet, board, numbers, moving)
    page = Sheet()
    room = max(sheet.right - sheet.left, MIN_WIDTH)
    y = head(page, layer, room) + 14
    page.put(sheet, max(0.0, (room - (sheet.right - sheet.left)) / 2), y)
    places = board.small.rows.size * board.small.columns.size
    shown = f"{len(moving):,} of {places:,} positions" if moving and len(moving) < places else ""
    sums(page, page.bottom + 18, layer, room, numbers is not None, board.big.ruled, shown)
    result = finished("layer", page, f"{layer['name']}: {layer['text']}", " ".join(described(layer)))
    if moving:
        result["motion"] = {"steps": len(moving), "speed": request.speed, "hold": 2.0}
    return result


# -- geometry -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Tile:
    """What `_Board` needs of one drawn axis; a missing axis is one cell."""

    over: int = 1
    before: int = 0
    after: int = 0
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    extent: int = 1
    positions: int = 1
    unread: Sequence[Sequence[int]] = ()
    next: int | None = None
    """Where the window would stand for which no room is left, if the stride leaves one over."""

    @property
    def starts(self) -> range:
        """First position of each window."""
        return range(-self.before, -self.before + self.positions * self.stride, self.stride)


def _tile(axis: LayerAxis | None, size: int) -> _Tile:
    if axis is None:
        return _Tile(over=size, positions=size)
    before, after = axis["pad"] if axis["over"] else (0, 0)  # nothing is left to crop
    positions = axis["positions"]
    short = (axis["remainder"] and not axis["overhang"]) or not positions
    follows = positions * axis["stride"] - before if short and not axis["transposed"] else None
    keys = ("over", "kernel", "stride", "dilation", "extent", "positions", "unread")
    fields: dict[str, Any] = {key: axis[key] for key in keys}  # type: ignore[literal-required]
    if not positions:
        fields["unread"] = []
    return _Tile(before=before, after=after, next=follows, **fields)


class _Board:
    """The planes of a layer at one scale. big: over which the window slides; small: a cell for each window."""

    def __init__(self, layer: Layer, numbers: bool) -> None:
        self.layer = layer
        self.transposed = any(axis["transposed"] for axis in layer["axes"])
        self.works = bool(layer["output"] and layer["axes"])
        axes = {axis["axis"]: axis for axis in layer["axes"]}
        source, target = layer["input"], layer["output"] or [1] * len(layer["input"])
        over = target if self.transposed else source
        flat = len(over) < 3
        across = over[-1] if len(over) > 1 else 1
        self.row = _Tile() if flat else _tile(axes.get("h"), over[-2])
        self.column = _tile(axes.get("w") or axes.get("l"), across)
        tiles = (self.row, self.column)
        room = WIDE_ROOM if flat else ROOM
        least = 30.0 if numbers else CELL
        longest = max(
            max(t.before + t.over + t.after, t.positions, t.kernel, _end(t) + t.before) for t in tiles
        )
        side = room / longest
        side = min(least, float(int(side)) if side >= 5 else round(side, 1) or side)
        filters = layer["filters"]
        bands = [Band(t.over, t.before, t.after) for t in tiles]
        taps = [Band(t.kernel) for t in tiles]
        columns = [Band(t.positions) for t in tiles]
        big, small = (target, source) if self.transposed else (source, target)
        tall = TALL if flat else 0.0
        self.big = _plane(bands, side, big[0], tall)
        self.small = _plane(columns, side, small[0], tall)
        self.filter = _plane(taps, side, filters["shape"][0] if filters else 1, tall)

    @property
    def planes(self) -> Iterator[tuple[str, Plane]]:
        """What stands from left to right."""
        sides = ("input", self.small), ("output", self.big)
        first, last = sides if self.transposed else (("input", self.big), ("output", self.small))
        yield first
        yield "filter" if self.layer["filters"] else "window", self.filter
        yield last


def _end(tile: _Tile) -> int:
    """One behind the last position that a window reaches, also the one that does not fit."""
    starts = [*tile.starts[-1:], *([] if tile.next is None else [tile.next])]
    return max((start + tile.extent for start in starts), default=0)


def _plane(bands: Sequence[Band], side: float, channels: int, tall: float) -> Plane:
    rows, columns = bands
    return Plane(0.0, round(-rows.padded * max(side, tall) / 2, 1), side, rows, columns, channels, tall)


# -- planes -------------------------------------------------------------------------------------------------------


def _planes(
    sheet: Sheet, board: _Board, numbers: Mapping[str, Any] | None, moving: Sequence[tuple[int, int]]
) -> None:
    """Input, filter and output from left to right on one middle line, y = 0."""
    layer = board.layer
    x = 0.0
    caption = {"input": layer["input"], "output": layer["output"]}
    for k, (what, plane) in enumerate(board.planes):
        part = Sheet()
        values = (numbers or {}).get(what, [])
        if what in caption and not caption[what]:
            part.rect(0, -26, 52, 52, "error-fill", "error", dash=True)
            part.text(26, 8, "?", 22, "error", bold=True)
        elif plane is board.big:
            border = (numbers or {}).get("padded", [])
            _draw_window_side(part, board, values, border, moving)
        elif plane is board.small:
            _draw_other_side(part, board, values, moving)
        else:
            _taps(part, board, values)
        _draw_title(part, plane, what, layer, caption.get(what))
        sheet.put(part, x, part.top)
        x = sheet.right + BETWEEN
        if layer["filters"] and k < 2:
            x += sheet.text(x, 8, "*="[k], 24, "muted", anchor="start") + BETWEEN
        elif k == 1:
            sheet.path([(x, 0), (x + 28, 0)], "", "muted", thick=1.5, arrow=True)
            x += 28 + BETWEEN


def _draw_title(sheet: Sheet, plane: Plane, what: str, layer: Layer, sizes: Sequence[int] | None) -> None:
    """What a plane is, over it."""
    if sizes is None:
        texts = filter_lines(layer)
    else:
        padded = plane.rows.padded > plane.rows.size or plane.columns.padded > plane.columns.size
        pads = [axis["pad"] for axis in layer["axes"]]
        texts = [shape(sizes).replace("x", " x ") if sizes else "no output"]
        if padded:
            word = "cropped" if plane is not None and layer["axes"][0]["transposed"] else "padding"
            text = per_axis([str(b) if b == a else f"{b}+{a}" for b, a in pads], " x ")
            mode = layer["axes"][0]["mode"]
            texts.append(f"{word} {text}" + (f", {mode}" if word == "padding" and mode != "zeros" else ""))
    middle = plane.width / 2 if sizes != [] else 26.0
    y = sheet.top - 8 - LINE * (SIZE + SMALL_FONT_SIZE * (len(texts) - 1))
    y -= LINE * SIZE
    sheet.text(middle, y + ASCENT * SIZE, what, SIZE, bold=True)
    y += LINE * SIZE
    y = sheet.column(middle, y, [(texts[0], "ink")])
    sheet.column(middle, y, [(text, "muted") for text in texts[1:]], SMALL_FONT_SIZE)


def _draw_window_side(
    sheet: Sheet,
    board: _Board,
    values: Sequence[Sequence[float]],
    border: Sequence[Sequence[float]],
    moving: Sequence[tuple[int, int]],
) -> None:
    """The side over which the window slides, with its bars."""
    plane, row, column = board.big, board.row, board.column
    family = "conv" if board.transposed else "input"
    plane.ground(sheet, family)
    if board.works:
        plane.mark(sheet, row.unread, column.unread)
    places: list[tuple[int, int]] = list(moving) or ([(0, 0)] if board.works else [])
    for k, (i, j) in enumerate(places):
        with sheet.during(*((k, k) if moving else ())):
            for u, v in _tap_cells(row, column):
                sheet.rect(
                    *plane.box(row.starts[i] + u, column.starts[j] + v, *_block(row, column)), "window-fill"
                )
    plane.lines(sheet)
    if not board.transposed:
        _values(sheet, plane, values)
        _border(sheet, plane, border)
    for k, (i, j) in enumerate(places):
        with sheet.during(*((k, k) if moving else ())):
            box = plane.box(row.starts[i], column.starts[j], row.extent, column.extent)
            sheet.rect(*box, "", "window", thick=2.4)
    if board.transposed:
        _values(sheet, plane, values)
    if not board.works and board.layer["axes"]:
        sheet.rect(
            *plane.box(-row.before, -column.before, row.extent, column.extent),
            "",
            "error",
            thick=2,
            dash=True,
        )
    if board.layer["axes"]:
        missing = color(board.layer)
        past = (
            0.0 if board.works else max(row.extent - row.before - plane.rows.size - row.after, 0) * plane.high
        )
        _bars(sheet, plane, column, moving, 1, missing, past)
        if row.over > 1 or row.positions != 1:
            _bars(sheet, plane, row, moving, 0, missing)
        _bar_words(sheet, plane, column, missing)


def _tap_cells(row: _Tile, column: _Tile) -> list[tuple[int, int]]:
    """Upper left cells of what a window reads: the taps, or one block where they lie side by side."""
    if row.dilation == column.dilation == 1:
        return [(0, 0)]
    return [(u * row.dilation, v * column.dilation) for u in range(row.kernel) for v in range(column.kernel)]


def _block(row: _Tile, column: _Tile) -> tuple[int, int]:
    """Rows and columns of one such cell."""
    return (row.kernel, column.kernel) if row.dilation == column.dilation == 1 else (1, 1)


def _bars(
    sheet: Sheet,
    plane: Plane,
    tile: _Tile,
    moving: Sequence[tuple[int, int]],
    along: int,
    missing: str,
    past: float = 0.0,
) -> None:
    """A bar for each window along an axis, where it stands. along: 0 for rows, left of the plane; 1 for columns, below.

    missing: color of the one that does not fit.
    """
    tracks = max(-(-tile.extent // tile.stride), 1)
    positions = list(range(tile.positions))
    if tile.positions > BARS:
        positions = [*positions[: BARS - 1], positions[-1]]
    depth = min(tracks, BARS)

    def bar(start: int, track: int, fill: str, stroke: str = "paper", dash: bool = False) -> None:
        x, y, wide, high = plane.box(
            start if along == 0 else 0, start if along else 0, tile.extent, tile.extent
        )
        away = 8 + track * TRACK
        if along:
            sheet.rect(x, plane.y + plane.height + past + away, max(wide, 1.0), BAR, fill, stroke, dash=dash)
        else:
            sheet.rect(plane.x - away - BAR, y, BAR, max(high, 1.0), fill, stroke, dash=dash)

    for i in positions:
        bar(tile.starts[i], i % depth, "line" if moving or i else "window")
    for k, place in enumerate(moving):
        if place[along] in positions:
            with sheet.during(k, k):
                bar(tile.starts[place[along]], place[along] % depth, "window")
    if tile.next is not None:
        bar(tile.next, tile.positions % depth, "", missing, True)


def _bar_words(sheet: Sheet, plane: Plane, tile: _Tile, missing: str) -> None:
    """How many windows there are along the columns, and how far the next would reach out."""
    y = sheet.bottom + 6
    middle = plane.x + plane.width / 2
    texts = [(f"{plural(tile.positions, 'position')}, stride {tile.stride}", "muted")]
    if tile.next is not None:
        out = tile.next + tile.extent - tile.over - tile.after
        texts.append((f"the {'next' if tile.positions else 'first'} would reach {out} past the end", missing))
    sheet.column(middle, y, texts, SMALL_FONT_SIZE)


def _draw_other_side(
    sheet: Sheet, board: _Board, values: Sequence[Sequence[float]], moving: Sequence[tuple[int, int]]
) -> None:
    """The side with a cell for each window."""
    plane = board.small
    family = "input" if board.transposed else "conv"
    plane.ground(sheet, family, "paper" if moving and not board.transposed else "")
    last = len(moving) - 1
    if moving and not board.transposed:
        first = [_since([place[axis] for place in moving]) for axis in (0, 1)]
        for k, (i, j) in enumerate(moving):
            with sheet.during(k, last):  # with the positions that the animation leaves out before it
                above, before = first[0][i], first[1][j]
                sheet.rect(*plane.box(above, before, i - above + 1, j - before + 1), family)
    places = list(moving) or ([(0, 0)] if board.works else [])
    for k, (i, j) in enumerate(places):
        with sheet.during(*((k, k) if moving else ())):
            sheet.rect(*plane.box(i, j), "window-fill")
    plane.lines(sheet)
    for k, (i, j) in enumerate(places):
        with sheet.during(*((k, k) if moving else ())):
            sheet.rect(*plane.box(i, j), "", "window", thick=2.4)
    _values(sheet, plane, values, () if board.transposed else moving)
    if moving:
        for k, (i, j) in enumerate(moving):
            with sheet.during(k, k):
                where = f"row {i}, column {j}" if board.row.positions > 1 else f"position {j}"
                sheet.text(plane.width / 2, plane.y + plane.height + 20, where, SMALL_FONT_SIZE, "muted")


def _since(places: Sequence[int]) -> dict[int, int]:
    """For each place along an axis the first one that is not before an earlier place.

    >>> _since([0, 0, 2, 5])
    {0: 0, 2: 1, 5: 3}
    """
    every = sorted(set(places))
    return {place: before + 1 for before, place in zip([-1, *every], every, strict=False)}


def _taps(sheet: Sheet, board: _Board, values: Sequence[Sequence[float]]) -> None:
    """The filter, or the window of a pool."""
    plane = board.filter
    plane.ground(sheet, "pool" if board.layer["filters"] else "other", "window-fill")
    plane.lines(sheet)
    sheet.rect(0, plane.y, plane.width, plane.height, "", "window", thick=2.4)
    _values(sheet, plane, values)


def _values(
    sheet: Sheet,
    plane: Plane,
    values: Sequence[Sequence[float | None]],
    moving: Sequence[tuple[int, int]] = (),
) -> None:
    """Numbers in the cells; moving: each appears in its step."""
    when = {place: k for k, place in enumerate(moving)}
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            x, y, side, high = plane.box(i, j)
            with sheet.during(*((when[i, j], len(when) - 1) if when else ())):
                sheet.text(
                    x + side / 2, y + high / 2 + 4, "-" if value is None else f"{value:.3g}", SMALL_FONT_SIZE
                )


def _border(sheet: Sheet, plane: Plane, values: Sequence[Sequence[float]]) -> None:
    """What is read in the padding. values: of the padded plane."""
    rows, columns = plane.rows, plane.columns
    for i, line in enumerate(values, -rows.before):
        for j, value in enumerate(line, -columns.before):
            if not (0 <= i < rows.size and 0 <= j < columns.size):
                x, y, side, high = plane.box(i, j)
                sheet.text(x + side / 2, y + high / 2 + 4, f"{value:.3g}", SMALL_FONT_SIZE, "muted")
