"""Kind `pixels`: the number of paths from each pixel of an input to the output, as a map with numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import OpError
from striate.views.drawing.frame import MIN_WIDTH, finished, framed, numbered
from striate.views.drawing.known import known
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.theme import on_cell
from striate.views.drawing.widths import lines, width
from striate.views.text.pixels import facts as said
from striate.views.text.pixels import large

if TYPE_CHECKING:
    from striate.analysis import PixelUse
    from striate.network import Network
    from striate.views.schemas.facts import PixelFacts, PixelPanel
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

OPTIONS = ("nodes", "numbers", "compare")
MOST_CELLS, MAX_CELLS = 256, 1024
"""Cells along a side of a plane, and along a row that is a map of its own; larger maps are averaged over blocks."""
MAX_PROBLEM_LINES = 8
"""Of a mode in which the network has no output."""
ROOM, SHARED_ROOM = 448.0, 208.0
"""Pixels for a map that stands alone, and for one of several."""
LARGEST_CELL, NUMBER_CELL = 44.0, 20.0
"""A cell is at most this large, and with a number at least that."""
MAX_COUNT_CHARACTERS = 6
"""Counts of up to this many characters are written where nothing is asked for."""
WRITTEN = 4096
"""Counts are written into at most this many cells."""
GRID, MARKED = 9.0, 8.0
"""From this side on, cells have lines between them, and the center pixel an outline."""
STRIP, CURVE = 24.0, 72.0
"""Height of a long row, and of the curve over it."""
ROW = 1200.0
"""Maps stand next to each other up to this width."""
SWATCHES = 10
"""Up to this many different counts, the legend shows each of them."""
BAR, TICKS = 32, 4
"""Cells and intervals of the legend of other maps."""
LABEL = 56.0


def facts(net: Network, show: Show, request: Request) -> PixelFacts:
    """The maps. Raises OpError for an input without axes of space, LimitError for a map that is too large."""
    from striate.analysis import pixels
    from striate.views.json_records import images
    from striate.views.pixel_record import modes, shares, use_record

    net = known(net)
    node = request.node or None
    if node:
        net.node(node)
    panels: list[PixelPanel] = []

    def panel(name: str, use: PixelUse | str, mode: str = "", size: Sequence[int] = ()) -> None:
        head: dict[str, Any] = {"input": name} | ({"mode": mode} if mode else {})
        if isinstance(use, str):
            head["problem"] = use
        else:
            side = MAX_CELLS if len(use.shape) == 1 else MOST_CELLS
            head |= {"output": list(size), **use_record(use), "shares": shares(use, side)}
        panels.append(head)  # type: ignore[arg-type]

    for name in images(net):
        if request.compare:
            for mode, variant, target, use in modes(net, node, name):
                size = () if isinstance(use, str) else variant.specs[target].without_batch
                panel(name, use, mode, size)
        else:
            target = node or net.outputs[0]
            panel(name, pixels(net, node, name), size=net.specs[target].without_batch)
    return {"to": node or ", ".join(net.outputs), "maps": panels}


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    pixels: PixelFacts = record["facts"]  # type: ignore[assignment]
    panels = pixels["maps"]
    maps = [panel for panel in panels if "problem" not in panel]
    most = max((panel["most"] for panel in maps), default=0)
    body = Sheet()
    body.text(0, ASCENT * SIZE, f"in how many ways each pixel reaches {pixels['to']}", anchor="start")
    x, y = 0.0, body.bottom + 14
    for k, panel in enumerate(panels):
        part = _panel(panel, most, request, alone=len(panels) == 1, inputs=len(record["inputs"]))
        wide = part.right - part.left
        other = k and panel["input"] != panels[k - 1]["input"]
        if x and (x + wide > ROW or (request.compare and other)):
            x, y = 0.0, body.bottom + 22
        body.put(part, x, y)
        x += wide + 28
    if most:
        body.put(_legend(maps, most), 0, body.bottom + 16)
    body.right = max(body.right, MIN_WIDTH)  # what is narrower would stand in the middle, away from its title
    notes = list(_notes(panels))
    failed = bool(record["problems"])
    marks = numbered(record, []) if failed else {}
    if failed:
        notes.insert(0, f"the network has no output: paths are counted to {pixels['to']}")
    return framed("pixels", record, body, marks, notes, "; ".join(_words(pixels)))


def map_drawing(use: PixelUse) -> Drawing:
    """The picture of one map whose network is unknown. Raises LimitError for a map that is too large."""
    from striate.views.pixel_record import shares, use_record

    side = MAX_CELLS if len(use.shape) == 1 else MOST_CELLS
    panel: Any = {"input": "", "output": [], **use_record(use), "shares": shares(use, side)}
    body = _panel(panel, panel["most"], Request(), alone=True, inputs=1)
    if panel["most"]:
        body.put(_legend([panel], panel["most"]), 0, body.bottom + 16)
    found: PixelFacts = {"to": "the value", "maps": [panel]}
    return finished("pixels", body, "pixel use", "; ".join(_words(found)))


# -- one map ------------------------------------------------------------------------------------------------------


def _panel(panel: PixelPanel, most: int, request: Request, *, alone: bool, inputs: int) -> Sheet:
    """A map under its heading, over what it says."""
    sheet = Sheet()
    room = ROOM if alone else SHARED_ROOM
    y = 0.0
    for text, fill, bold in _heading(panel, inputs):
        sheet.text(0, y + ASCENT * SIZE, text, SIZE, fill, anchor="start", bold=bold)
        y += LINE * SIZE
    y += 4
    if "problem" in panel:
        texts = lines(panel["problem"], SIZE, room - 20)
        if len(texts) > MAX_PROBLEM_LINES:
            texts = [*texts[: MAX_PROBLEM_LINES - 1], "…"]
        high = max(room * 0.4, len(texts) * LINE * SIZE + 20)
        sheet.rect(0, y, room, high, "error-fill", "error", dash=True)
        sheet.column(10, y + 10, [(text, "error") for text in texts], anchor="start")
        return sheet
    if len(panel["shape"]) == 1 and len(panel["shares"][0]) * NUMBER_CELL > ROOM:
        y = _strip(sheet, y, panel, most)
    else:
        y = _grid(sheet, y, panel, most, request, room)
    y += 8
    for label, value in said(panel):
        plain = value if isinstance(value, str) else "".join(p if isinstance(p, str) else p[0] for p in value)
        fill = "error" if label == "unread" and panel["unread"] else "ink"
        sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, label, SMALL_FONT_SIZE, "muted", anchor="start")
        for line in lines(plain, SMALL_FONT_SIZE, max(room, sheet.right) - LABEL):
            sheet.text(LABEL, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, fill, anchor="start")
            y += LINE * SMALL_FONT_SIZE
    return sheet


def _heading(panel: PixelPanel, inputs: int) -> Iterator[tuple[str, str, bool]]:
    """Lines over a map: text, color, bold."""
    name = panel.get("mode") or (panel["input"] if inputs > 1 else "")
    if panel.get("mode") and inputs > 1:
        name = f"{panel['input']}, {name}"
    if name:
        yield name, "ink", True
    if "problem" in panel:
        yield "no output", "error", False
        return
    output = panel["output"]
    to = f", output {' x '.join(map(str, output[1:])) or output[0]}" if output else ""
    yield f"{_sizes(panel)} pixels{to}", "muted", False


def _sizes(panel: PixelPanel) -> str:
    return " x ".join(map(str, panel["shape"]))


def _grid(sheet: Sheet, y: float, panel: PixelPanel, most: int, request: Request, room: float) -> float:
    """The plane as squares, with their counts where they fit. Returns the y below it."""
    levels = _levels(panel, most)
    rows, columns = len(levels), len(levels[0])
    texts = _texts(panel, rows, columns, request.numbers)
    side = min(room / max(rows, columns), LARGEST_CELL)
    if texts:
        size = SIZE if side >= 30 else SMALL_FONT_SIZE
        least = max(NUMBER_CELL, *(width(text, size) + 6 for row in texts for text in row))
        if request.numbers:
            side = max(side, least)
        elif side < least:
            texts = []
    side = float(int(side)) if side >= 2 else _tenths(side)
    sheet.cells(0, y, side, levels, "counts")
    if side >= GRID:
        for k in range(1, columns):
            sheet.path([(k * side, y), (k * side, y + rows * side)], "", "paper")
        for k in range(1, rows):
            sheet.path([(0, y + k * side), (columns * side, y + k * side)], "", "paper")
    sheet.rect(0, y, columns * side, rows * side, "", "line")
    for k, line in enumerate(texts):
        for j, text in enumerate(line):
            if (level := levels[k][j]) is not None:
                place = (j + 0.5) * side, y + (k + 0.5) * side + size * 0.36
                sheet.text(*place, text, size, on_cell("counts", level))
    if side >= MARKED and rows * columns > 1 and _exact(panel, rows, columns):
        middle = rows // 2 if len(panel["shape"]) > 1 else 0
        sheet.rect(columns // 2 * side, y + middle * side, side, side, "", "window", thick=2)
    return y + rows * side


def _strip(sheet: Sheet, y: float, panel: PixelPanel, most: int) -> float:
    """A long row: a curve of its counts over a strip of their colors. Returns the y below it."""
    (levels,) = _levels(panel, most)
    side = _tenths(ROOM / len(levels))
    wide = side * len(levels)
    base = y + CURVE
    points = [((k + 0.5) * side, base - CURVE * (level or 0) / 255) for k, level in enumerate(levels)]
    sheet.rect(0, y, wide, CURVE, "", "faint")
    sheet.path(points, "", "filter", thick=1.5)
    high = max(1, round(STRIP / side))
    sheet.cells(0, base + 6, side, [levels] * high, "counts")
    sheet.rect(0, base + 6, wide, high * side, "", "line")
    return base + 6 + high * side


def _tenths(side: float) -> float:
    """The side of a cell as marks have it: in tenths of a pixel, so that cells end where their frame does."""
    return int(side * 10) / 10


def _levels(panel: PixelPanel, most: int) -> list[list[int | None]]:
    """Shares of the picture's most used pixel, 0 to 255."""
    own = panel["most"]
    return [
        [None if share is None else round(share * 10**6) * own * 255 // (10**6 * most) for share in row]
        for row in panel["shares"]
    ]


def _exact(panel: PixelPanel, rows: int, columns: int) -> bool:
    """Whether each cell is one pixel."""
    return [*([rows] if len(panel["shape"]) > 1 else []), columns] == panel["shape"][-2:]


def _plane(panel: PixelPanel) -> list[list[int]]:
    """The counts of the plane that is drawn: the middle one of a volume."""
    counts: Any = panel["counts"]
    if len(panel["shape"]) == 1:
        return [counts]
    for size in panel["shape"][:-2]:
        counts = counts[size // 2]
    return counts  # type: ignore[no-any-return]


def _texts(panel: PixelPanel, rows: int, columns: int, numbers: bool | None) -> list[list[str]]:
    """The counts as they are written into cells; none where they are not to be written."""
    possible = rows * columns <= WRITTEN and panel["counts"] is not None and _exact(panel, rows, columns)
    if numbers and not possible:
        raise OpError(
            f"the numbers of {_sizes(panel)} pixels do not fit",
            why=f"counts are written into at most {WRITTEN:,} cells",
            fix="leave out --numbers, or give a smaller --input",
        )
    if numbers is False or not possible:
        return []
    exact = [[str(n) for n in row] for row in _plane(panel)]
    if max(len(text) for row in exact for text in row) <= MAX_COUNT_CHARACTERS:
        return exact
    return [[large(n) for n in row] for row in _plane(panel)] if numbers else []


# -- around the maps ----------------------------------------------------------------------------------------------


def _legend(panels: Sequence[PixelPanel], most: int) -> Sheet:
    """The scale of colors with its numbers; what is hatched."""
    sheet = Sheet()
    counts = _different(panels)
    x = 0.0
    if counts:
        side = _tenths(max(NUMBER_CELL, *(width(large(n), SMALL_FONT_SIZE) + 8 for n in counts)))
        sheet.cells(0, 0, side, [[n * 255 // most for n in counts]], "counts")
        sheet.rect(0, 0, side * len(counts), side, "", "line")
        for k, n in enumerate(counts):
            fill = on_cell("counts", n * 255 // most)
            sheet.text((k + 0.5) * side, side / 2 + 0.36 * SMALL_FONT_SIZE, large(n), SMALL_FONT_SIZE, fill)
        x, high = side * len(counts), side
    else:
        high = 12.0
        step = max(72.0, *(width(large(most * k // TICKS), SMALL_FONT_SIZE) + 12 for k in range(TICKS + 1)))
        side = _tenths(step * TICKS / BAR)
        sheet.cells(0, 0, side, [[k * 255 // (BAR - 1) for k in range(BAR)]], "counts")
        x, high = side * BAR, side
        sheet.rect(0, 0, x, high, "", "line")
        for k in range(TICKS + 1) if most >= TICKS else (0, TICKS):
            n = most * k // TICKS
            at = x * (n * 10**6 // most) / 10**6
            sheet.path([(at, high), (at, high + 4)], "", "line")
            sheet.text(at, high + 5 + ASCENT * SMALL_FONT_SIZE, large(n), SMALL_FONT_SIZE)
    middle = high / 2 + 0.36 * SMALL_FONT_SIZE
    x += 10 + sheet.text(x + 10, middle, "ways", SMALL_FONT_SIZE, "muted", anchor="start") + 18
    if any(panel["unread"] for panel in panels):
        sheet.cells(x, (high - 14) / 2, 14, [[None]], "counts")
        sheet.rect(x, (high - 14) / 2, 14, 14, "", "line")
        sheet.text(x + 20, middle, "never read", SMALL_FONT_SIZE, "error", anchor="start")
    return sheet


def _different(panels: Sequence[PixelPanel]) -> list[int]:
    """The counts that maps show, ascending, where each cell is one pixel and they are few."""
    rows: set[int] = set()
    for panel in panels:
        if panel["counts"] is None or not _exact(panel, len(panel["shares"]), len(panel["shares"][0])):
            return []
        for row in _plane(panel):
            rows.update(row)
            if len(rows) > SWATCHES + 1:
                return []
    return sorted(rows - {0}) if len(rows - {0}) <= SWATCHES else []


def _notes(panels: Sequence[PixelPanel]) -> Iterator[str]:
    maps = [panel for panel in panels if "problem" not in panel]
    for panel in maps[:1]:
        if outer := panel["shape"][:-2]:
            axes = ", ".join(
                f"{a} = {n // 2} of 0 to {n - 1}" for a, n in zip(panel["axes"], outer, strict=False)
            )
            yield f"the slice through the middle: {axes}; the numbers below it are those of the whole volume"
    if any(not _exact(panel, len(panel["shares"]), len(panel["shares"][0])) for panel in maps):
        yield "a cell is the mean of a block of pixels"
    if len({panel["most"] for panel in maps}) > 1:
        yield "one scale of colors for all maps: equal colors are equal counts"
    if any(len(p["shares"]) * MARKED <= SHARED_ROOM and len(p["shape"]) > 1 for p in maps):
        yield "outlined: the center pixel, with which corner and border are compared"


def _words(pixels: PixelFacts) -> Iterator[str]:
    yield f"In how many ways each pixel reaches {pixels['to']}"
    for panel in pixels["maps"]:
        name = " ".join(filter(None, (panel["input"], panel.get("mode"))))
        if "problem" in panel:
            yield f"{name}: no output"
            continue
        text = f"{name}, {_sizes(panel)} pixels: {panel['unread']} never read, at most {large(panel['most'])} ways"
        if panel["counts"] is not None and len(panel["shape"]) <= 2 and max(panel["shape"]) <= 8:
            rows = (" ".join(map(str, row)) for row in _plane(panel))
            text += f", row by row {' / '.join(rows)}"
        yield text
