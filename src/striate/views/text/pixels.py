"""Pixel use in the terminal: counts for a small map, shades for a large one, and how much the borders are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.pixel_record import block
from striate.views.text.number_format import count, shape, short
from striate.views.text.page import Column, Page, Row, Text

if TYPE_CHECKING:
    from striate.analysis import PixelUse
    from striate.views.schemas.networks import ComparedPixels, Mode, PixelMap, Pixels

SHADES = ("··", "░░", "▒▒", "▓▓", "██")
ASCII_SHADES = ("--", "..", "++", "**", "##")
"""Never used; then a quarter each of the most used pixel's paths."""
MAX_NUMBER_ROWS = 24
"""Maps up to this many rows are written as numbers, if these fit the width."""
MAX_BLOCK_ROWS = 32
MAX_WRITTEN_COUNT = 10**12
"""Counts from this one on are shortened: some have thousands of digits."""

Grid = list[list[int]]


def draw(page: Page, record: Pixels, use: PixelUse) -> None:
    """record: striate.pixels/1 of `use`."""
    sizes = "x".join(map(str, record["shape"]))
    page.line(
        [(record["name"], "bold"), f"  {sizes} pixels: number of paths from each to {record['to']}"],
        0,
        2,
    )
    page.line()
    picture(page, use)
    page.line()
    page.fields(facts(record))


def picture(page: Page, use: PixelUse, indent: int = 2) -> None:
    """The map itself: numbers, or shades of blocks; the middle slice of a volume."""
    grid, note = _plane(use)
    lines = numbers(grid) if grid and use.most < MAX_WRITTEN_COUNT else []
    if lines and len(lines[0]) + indent <= page.terminal.width:
        for row, line in zip(grid, lines):
            width = (len(line) + 1) // len(row)
            cells = [line[k * width : (k + 1) * width] for k in range(len(row))]
            page.line([(cell, "" if n else "red") for n, cell in zip(row, cells)], indent)
    else:
        _shades(page, use, indent)
    if note:
        page.line(note, indent)


def numbers(grid: Grid) -> list[str]:
    """Rows of right-aligned counts.

    >>> numbers([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    ['1 2 1', '2 4 2', '1 2 1']
    """
    width = max(len(str(n)) for row in grid for n in row)
    return [" ".join(str(n).rjust(width) for n in row) for row in grid]


def _plane(use: PixelUse) -> tuple[Grid, str]:
    """The map as rows of columns, with a note when it is a cut through a volume; empty when it is too large."""
    *outer, rows, columns = (1, *use.shape) if len(use.shape) == 1 else use.shape
    if rows > MAX_NUMBER_ROWS or columns > 4 * MAX_NUMBER_ROWS:
        return [], ""
    if len(use.shape) == 1:
        return [[use.at(k) for k in range(columns)]], ""
    middle = [n // 2 for n in outer]
    grid = [[use.at(*middle, y, x) for x in range(columns)] for y in range(rows)]
    return grid, f"(slice {middle[0]} of {outer[0]})" if outer else ""


def _shades(page: Page, use: PixelUse, indent: int) -> None:
    """Means over blocks of pixels, relative to the highest mean."""
    limit = min(MAX_BLOCK_ROWS, (page.terminal.width - indent) // 2)
    grid = _means(use, limit)
    shades = SHADES if page.terminal.unicode else ASCII_SHADES
    top = max((value for row in grid for value in row), default=Fraction(0))
    for row in grid:
        page.line([(shades[k], "" if k else "red") for k in (_level(v, top) for v in row)], indent)
    page.line()
    legend = [f"{shades[k]} {(k - 1) * 25}-{k * 25}%" for k in range(1, 5)]
    page.line(f"{shades[0]} never used  {'  '.join(legend)} of the most used", indent)


def _level(value: Fraction, top: Fraction) -> int:
    """0 for never used, then 1 to 4 by quarters."""
    return min(int(4 * value / top) + 1, 4) if value else 0


def _means(use: PixelUse, limit: int) -> list[list[Fraction]]:
    """Mean paths of the pixels of each block, at most `limit` blocks a side; the middle slice of a volume."""
    small = use.reduced(limit)
    spans = [[block(n, min(n, limit), k) for k in range(min(n, limit))] for n in use.shape]
    if len(use.shape) == 1:
        return [[Fraction(small.at(k), spans[0][k]) for k in range(small.shape[0])]]
    middle = tuple(n // 2 for n in small.shape[:-2])
    rows, columns = small.shape[-2:]
    return [
        [Fraction(small.at(*middle, y, x), spans[-2][y] * spans[-1][x]) for x in range(columns)]
        for y in range(rows)
    ]


def facts(record: PixelMap) -> Iterator[tuple[str, Text]]:
    """What a map says: label and text."""
    unread, pixels = record["unread"], record["pixels"]
    if unread:
        verb = "is" if unread == 1 else "are"
        yield "unread", [(f"{count(unread)} of {count(pixels)} pixels {verb} never read", "red")]
    else:
        yield "unread", "none: every pixel is used"
    if record["uniform"]:
        yield "equal", [("yes", "green"), f": every pixel is used {_times(record['most'])}"]
        return
    if record["centre"]:
        share = _share(record["corner"], record["centre"])
        yield "corner", f"{share} at the center = {record['corner_to_centre']:.3g}"
        yield "border", f"{record['border_to_centre']:.3g} of the center, on average"
    else:
        yield "center", "is never read"
    yield "most", _times(record["most"])


def _share(part: int, total: int) -> str:
    return f"{large(part)} of {large(total)}"


def _times(n: int) -> str:
    return plural(n, "time") if n < MAX_WRITTEN_COUNT else f"{large(n)} times"


def large(n: int) -> str:
    """All digits below 10**12, then three significant digits, rounded, and the power of ten.

    >>> large(9_616_253_250_768)
    '9.62e12'
    """
    if n < MAX_WRITTEN_COUNT:
        return count(n)
    power = (
        n.bit_length() * 30103 // 100000
    )  # the power of ten, perhaps one too high: 30103/100000 approximates log10(2)
    power -= 10**power > n
    digits = (n * 1000 // 10**power + 5) // 10
    if digits == 1000:
        digits, power = 100, power + 1
    return f"{digits // 100}.{digits % 100:02}e{power}"


# -- padding modes side by side -------------------------------------------------------------------------------


def draw_modes(page: Page, record: ComparedPixels) -> None:
    """record: striate.pixels-compare/1."""
    page.line([(record["name"], "bold"), "  pixel use under each padding mode (in every convolution)"], 0, 2)
    page.line()
    rows = []
    for mode in record["modes"]:
        if "problem" in mode:
            rows.append(Row((mode["mode"], "none", "", "", "", ""), [f"{mode['problem']}"]))
            continue
        ratio = mode["corner_to_centre"]
        rows.append(
            Row(
                (
                    mode["mode"],
                    shape(mode["output"]),
                    short(mode["unread"]),
                    _share(mode["corner"], mode["centre"]) if ratio is not None else "",
                    f"{mode['border_to_centre']:.3g}" if ratio is not None else "",
                    "yes" if mode["uniform"] else "no",
                )
            )
        )
    columns = (
        Column("padding"), Column("output", "right"), Column("unread", "right"), Column("corner/center", "right"),
        Column("border", "right"), Column("equal"),
    )  # fmt: skip
    page.table(columns, rows, indent=2)
    _side_by_side(page, [mode for mode in record["modes"] if "problem" not in mode and _small(mode)])


def _small(mode: Mode) -> bool:
    if not mode.get("counts") or mode["most"] >= MAX_WRITTEN_COUNT:
        return False
    return len(mode["shape"]) == 2 and max(mode["shape"]) <= MAX_NUMBER_ROWS // 2


def _side_by_side(page: Page, modes: Sequence[Mode]) -> None:
    """Count grids next to each other, as many to a line as fit."""
    blocks = []
    for mode in modes:
        lines = [mode["mode"], *numbers(mode["counts"] or [])]
        width = max(map(len, lines))
        blocks.append([line.ljust(width) for line in lines])
    while blocks:
        line = [blocks.pop(0)]
        while blocks and sum(len(b[0]) + 3 for b in (*line, blocks[0])) - 1 <= page.terminal.width:
            line.append(blocks.pop(0))
        page.line()
        for number, parts in enumerate(zip(*line)):
            text = "  " + "   ".join(parts)
            page.line([(text.rstrip(), "bold")] if not number else text.rstrip())
