"""Maximum and mean over windows of every channel: sliding, dilated, overhanging the map's edge, or adaptive bins.

Small regular windows have code of their own, for each number of taps along the height; others are

    for block: for row: for tile of pixels in the even stretch: reduce rows × columns of taps, T pixels at a time
                        for every other pixel: reduce its own taps

A mean over the whole map takes several blocks at a time, so that their sums do not wait for each other.

Padding is never read: tables hold the first tap on the map and the number of taps of each output row and column.
Columns whose windows have equally many taps at equal distances are the even stretch; they share loops and addresses.

NaN must win a maximum, which Arm's instruction grants and x86's does not. There the fast loops add up all that they
read, next to the maxima: a sum that is NaN (rare: a NaN, or both infinities) sends the whole row through the
NaN-safe loop.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Size, Variable
from striate.engine.kernels.argument_record import Location, Record, record, table
from striate.engine.kernels.row_walk import Tiles, Walk
from striate.engine.layout import Layout
from striate.engine.target import Target
from striate.geometry import Adaptive, AxisMap, Window

IN, IN_IMAGE, IN_BLOCK, IN_ROW, IN_PIXEL = 0, 8, 16, 24, 32
"""Address of the first pixel; bytes to the next image, channel block, row and pixel of the input."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 40, 48, 56, 64
ROWS, COLUMNS = 72, 80
"""Output rows of one image, output pixels of one row."""
ROW_TAPS, COLUMN_TAPS = 88, 96
"""Addresses of the tables of output rows and columns (`taps`)."""
TAP_ROW, TAP_COLUMN = 104, 112
"""Bytes between neighboring taps of a window."""
FIRST, EVEN, ADVANCE = 120, 128, 136
"""First column of the even stretch, its length, bytes from one of its windows to the next."""
ARGUMENTS = 144

START, COUNT, COUNTED, ENTRY_SIZE = 0, 4, 8, 12
"""A table's entry, 32 bits each: position of the first tap on the map, number of taps, number that a mean counts."""

MAX_TILE_PIXELS = 8
"""Pixels of a tile: enough to hide the latency of a reduction."""
MAX_UNROLLED_TAPS, MAX_SHARED_TAPS = 9, 6
"""Maximum taps of a window that has unrolled code, and of those that it shares with the next one: they wait in
registers."""
WHOLE_BLOCKS = 4
"""Blocks whose whole maps are added up side by side."""

Maps = tuple[AxisMap, AxisMap]
Kept = list[dict[int, Any]]


class Regular(NamedTuple):
    """Windows of an axis that read `taps` neighbors and lie `stride` apart. The first one lacks `left` taps, the last
    one `right`, because they overhang the map; at least one lacks none."""

    taps: int
    stride: int
    left: int
    right: int

    @property
    def overlap(self) -> int:
        """Taps that a window shares with the next one."""
        return max(self.taps - self.stride, 0)

    def before(self) -> list[tuple[int, int]]:
        """Taps [begin, end) of the windows that overhang the map's start."""
        return [(lacking, self.taps) for lacking in range(self.left, 0, -self.stride)]

    def after(self) -> list[tuple[int, int]]:
        """Taps [begin, end) of the windows that overhang the map's end."""
        return [(0, self.taps - lacking) for lacking in range(self.right, 0, -self.stride)][::-1]


def regular(axis: AxisMap) -> Regular | None:
    """The windows of an axis, if they are regular."""
    if isinstance(axis, Adaptive) and axis.input % axis.output == 0:
        axis = Window(axis.input, axis.input // axis.output, axis.input // axis.output)
    if not isinstance(axis, Window) or axis.mode != "zeros" or axis.before < 0:
        return None
    reach = (axis.output - 1) * axis.stride - axis.before + axis.kernel
    stride = axis.stride if axis.output > 1 else axis.kernel  # a single window has no next one
    found = Regular(axis.kernel, stride, axis.before, max(reach - axis.input, 0))
    whole = axis.output - len(found.before()) - len(found.after())
    near = axis.dilation == 1 or axis.kernel == 1
    return found if near and whole > 0 and max(found.left, found.right) < found.taps else None


def small(maps: Maps) -> tuple[Regular, Regular] | None:
    """The windows of both axes, if they are regular and small enough for code of their own."""
    down, across = (regular(axis) for axis in maps)
    if not down or not across or down.taps * across.taps > MAX_UNROLLED_TAPS:
        return None
    return (down, across) if down.taps * across.overlap <= MAX_SHARED_TAPS else None


def emit(
    target: Target, reduce: str, stride: int, tall: int = 0, wide: int = 0, left: int = 0, right: int = 0
) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch).

    reduce: "max", "mean", or "whole" for a mean over windows with a single output; stride: pixels between windows of
    the even stretch, or 0 for any at run time. tall, wide, left, right: of small `Regular` windows, else 0.
    """
    if reduce == "whole":
        return _whole(target)
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    rows, first = a.int(ROWS), row % a.int(ROWS)
    tiles = Tiles(a.int(EVEN), min(MAX_TILE_PIXELS, target.registers // target.pieces // 2 - 1))
    source = Walk(a.pointer(IN), a.int(IN_IMAGE), code.int(0), rows, row)
    y = Walk(a.pointer(OUT), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, row)
    line = code.variable(first)
    advance = code.int(stride * code.bytes) if stride else a.int(ADVANCE)

    with code.loop(part, end_part) as p:
        source.at.set(source.start + p * a.int(IN_BLOCK))
        y.at.set(y.start + p * a.int(OUT_BLOCK))
        line.set(first)
        with code.loop(row, end_row):
            down = a.pointer(ROW_TAPS) + line.get() * ENTRY_SIZE
            x = source.at.get() + down.short(START) * a.int(IN_ROW)
            with code.wide(target.width if wide else code.lanes):
                nan_check = code.variable(code.broadcast(0.0))

            if wide:
                for deep in code.cases(down.short(COUNT), range(1, tall + 1)):
                    shape = Regular(wide, stride, left, right)
                    _strip(a, reduce, shape, deep, x, y.at.get(), down.short(COUNTED), nan_check)
                done = a.int(COLUMNS)
            else:
                even = a.pointer(COLUMN_TAPS) + a.int(FIRST) * ENTRY_SIZE
                at = code.variable(x + even.short(START) * a.int(IN_PIXEL))
                out = code.variable(y.at.get() + a.int(FIRST) * code.bytes)
                divisor = _number(code, down.short(COUNTED) * even.short(COUNTED))
                for t in tiles.walk():
                    counts = down.short(COUNT), even.short(COUNT)
                    offsets = [advance * k for k in range(t)]
                    values = _stretch(a, reduce, at.get(), counts, offsets, tiles.most // 2, nan_check)
                    for k, value in enumerate(values):
                        result = value if reduce == "max" else code.div(value, divisor)
                        out.get().store(result, k * code.bytes)
                    at.set(at.get() + advance * t)
                    out.set(out.get() + t * code.bytes)
                done = a.int(EVEN)

            has_nan = code.any(code.unordered(nan_check.get(), nan_check.get()))
            skipped = code.select(has_nan, code.int(0), done)
            with code.loop(0, a.int(COLUMNS) - skipped) as number:
                column = number + code.select(number < a.int(FIRST), code.int(0), skipped)
                across = a.pointer(COLUMN_TAPS) + column * ENTRY_SIZE
                counts = down.short(COUNT), across.short(COUNT)
                value = _nan_safe(a, reduce, x + across.short(START) * a.int(IN_PIXEL), counts)
                if reduce == "mean":
                    value = code.div(value, _number(code, down.short(COUNTED) * across.short(COUNTED)))
                y.at.get().store(value, column * code.bytes)

            following = line.get() + 1
            last = code.select(following.equals(rows), code.int(1), code.int(0))
            source.next(last)
            y.next(last)
            line.set(following - last * rows)
    return code.finish()


def _whole(target: Target) -> str:
    """Means over windows with a single output: rows are images."""
    code = Code(target, "piiiip")
    a, image, end_image, part, end_part, _ = code.arguments
    down, across = a.pointer(ROW_TAPS), a.pointer(COLUMN_TAPS)
    counts = down.short(COUNT), across.short(COUNT)
    divisor = _number(code, down.short(COUNTED) * across.short(COUNTED))
    first = a.pointer(IN) + (down.short(START) * a.int(IN_ROW) + across.short(START) * a.int(IN_PIXEL))
    blocks = Tiles(end_part - part, WHOLE_BLOCKS)
    with code.loop(image, end_image) as n:
        x = code.variable(first + (n * a.int(IN_IMAGE) + part * a.int(IN_BLOCK)))
        y = code.variable(a.pointer(OUT) + (n * a.int(OUT_IMAGE) + part * a.int(OUT_BLOCK)))
        for count in blocks.walk():
            offsets = [a.int(IN_BLOCK) * k for k in range(count)]
            for value in _stretch(a, "mean", x.get(), counts, offsets, 0, None):
                y.get().store(code.div(value, divisor))
                y.set(y.get() + a.int(OUT_BLOCK))
            x.set(x.get() + a.int(IN_BLOCK) * count)
    return code.finish()


def _strip(
    a: Pointer,
    reduce: str,
    shape: Regular,
    deep: int,
    x: Pointer,
    y: Pointer,
    counted: Int,
    nan_check: Variable,
) -> None:
    """A row of regular windows with `deep` taps along the height. A pixel is loaded once for all windows that read it;
    each is reduced row by row."""
    code = a.code
    size, target, before, after = code.bytes, code.target, shape.before(), shape.after()
    checked = reduce == "max" and target.name != "neon"
    larger = code.most if checked else code.maximum
    columns = a.int(COLUMNS)
    with code.loop(0, target.pieces) as piece, code.wide(target.width):
        at = code.variable(x + (piece * code.bytes - shape.left * size))
        out = code.variable(y + piece * code.bytes)

        def load(u: int, v: int) -> Any:
            return (at.get() + a.int(TAP_ROW) * u).vector(v * size)

        def check(values: list[Any]) -> None:
            while len(values) > 1:
                pairs = [code.add(*values[k : k + 2]) for k in range(0, len(values) - 1, 2)]
                values = pairs + values[len(pairs) * 2 :]
            if checked and values:
                nan_check.set(code.add(nan_check.get(), values[0]))

        def divisor(column: Size) -> Any:
            entry = a.pointer(COLUMN_TAPS) + code.int(column) * ENTRY_SIZE
            return _number(code, counted * entry.short(COUNTED))

        def window(reads: tuple[int, int], kept: Kept, number: Any) -> Kept:
            """Reduce a window; kept: pixels of each row by tap, before and after."""
            rows, new = [dict(row) for row in kept], []
            total = code.broadcast(0.0) if reduce == "mean" else None
            for u, v in itertools.product(range(deep), range(*reads)):
                if v not in rows[u]:
                    rows[u][v] = load(u, v)
                    new.append(rows[u][v])
                if reduce == "mean":
                    total = code.add(total, rows[u][v])
            if reduce == "max":
                lines = [functools.reduce(larger, (row[v] for v in range(*reads))) for row in rows]
                total = functools.reduce(larger, lines)
                check(new)
            out.get().store(total if reduce == "max" else code.div(total, number))
            at.set(at.get() + shape.stride * size)
            out.set(out.get() + size)
            return [
                {v - shape.stride: row[v] for v in range(max(reads[0], shape.stride), reads[1])}
                for row in rows
            ]

        kept: Kept = [{} for _ in range(deep)]
        for column, reads in enumerate(before):
            kept = window(reads, kept, divisor(column))
        if not before:
            kept = [{v: load(u, v) for v in range(shape.overlap)} for u in range(deep)]
            check([value for row in kept for value in row.values()])
        loop = [{v: code.variable(row[v]) for v in range(shape.overlap)} for row in kept]
        number = divisor(len(before))
        with code.repeat(columns - (len(before) + len(after))):
            kept = window((0, shape.taps), [{v: k.get() for v, k in row.items()} for row in loop], number)
            for variables, row in zip(loop, kept, strict=True):
                for v, variable in variables.items():
                    variable.set(row[v])
        kept = [{v: k.get() for v, k in row.items()} for row in loop]
        for k, reads in enumerate(after):
            kept = window(reads, kept, divisor(columns - (len(after) - k)))


def _number(code: Code, count: Int) -> Any:
    """A count in every lane."""
    return code.broadcast(code.float(count))


def _stretch(
    a: Pointer,
    reduce: str,
    x: Pointer,
    counts: tuple[Int, Int],
    offsets: Sequence[Int],
    sides: int,
    nan_check: Variable | None,
) -> list[Any]:
    """Reduce windows at these offsets from x; the inputs of a maximum are also added, in `sides` sums, to nan_check."""
    code = a.code
    total = [code.variable(code.broadcast(-math.inf if reduce == "max" else 0.0)) for _ in offsets]
    sums = [code.variable(code.broadcast(0.0)) for _ in offsets[:sides]]
    line = code.variable(x)
    with code.loop(0, counts[0]):
        tap = code.variable(line.get())
        with code.repeat(counts[1]):
            for k, offset in enumerate(offsets):
                value = (tap.get() + offset).vector()
                if reduce == "max" and code.target.name == "neon":
                    total[k].set(code.maximum(total[k].get(), value))
                elif reduce == "max":
                    total[k].set(code.most(total[k].get(), value))
                    sums[k % sides].set(code.add(sums[k % sides].get(), value))
                else:
                    total[k].set(code.add(total[k].get(), value))
            tap.set(tap.get() + a.int(TAP_COLUMN))
        line.set(line.get() + a.int(TAP_ROW))
    if reduce == "max" and nan_check:
        for value in sums:
            nan_check.set(code.add(nan_check.get(), value.get()))
    return [value.get() for value in total]


def _nan_safe(a: Pointer, reduce: str, x: Pointer, counts: tuple[Int, Int]) -> Any:
    """One reduced window; a NaN stays in the maximum."""
    code = a.code
    total = code.variable(code.broadcast(-math.inf if reduce == "max" else 0.0))
    line = code.variable(x)
    with code.loop(0, counts[0]):
        with code.loop(0, counts[1]) as k:
            value = (line.get() + k * a.int(TAP_COLUMN)).vector()
            before = total.get()
            if reduce == "max":
                total.set(code.maximum(before, value))
            else:
                total.set(code.add(before, value))
        line.set(line.get() + a.int(TAP_ROW))
    return total.get()


@functools.lru_cache(maxsize=256)
def taps(axis: AxisMap, padded: bool = False) -> tuple[NDArray[np.int32], int] | None:
    """Table of an axis, (outputs, 3): start, count, counted; and the distance of neighboring taps.

    padded: a mean counts taps on padding, too. None where some window's taps are not evenly spaced (border modes).
    """
    if isinstance(axis, Window) and axis.mode == "zeros":
        return _window_table(axis, padded)
    steps: set[int] = set()
    table = np.zeros((axis.output, 3), np.int32)
    end = axis.input + getattr(axis, "after", 0)
    for i in range(axis.output):
        reads = axis.reads(i)
        raw = [axis.raw(i, u) for u in range(axis.taps)]
        within = sum(x is not None and x < end for x in raw)
        table[i] = reads[0] if reads else 0, len(reads), within if padded else len(reads)
        steps.update(b - a for a, b in itertools.pairwise(reads))
    return (table, max(steps, default=1)) if len(steps) < 2 else None


def _window_table(axis: Window, padded: bool) -> tuple[NDArray[np.int32], int]:
    """The table of a sliding window, column by column: a long axis has many outputs, a long kernel many taps."""
    begin = np.arange(axis.output) * axis.stride - axis.before
    d = axis.dilation

    def below(end: int) -> NDArray[np.int64]:
        """How many taps of each window lie before a place."""
        return np.clip(-(-(end - begin) // d), 0, axis.kernel)

    first, last = below(0), below(axis.input)
    count = last - first
    counted = below(axis.input + axis.after) if padded else count
    table = np.stack([np.where(count > 0, begin + first * d, 0), count, counted], 1)
    return table.astype(np.int32), d if (count > 1).any() else 1


def even(table: NDArray[np.int32]) -> tuple[int, int, int]:
    """(first, length, advance) of the longest stretch whose windows have equally many taps at equal distances."""
    best, first, n = (0, 0, 1), 0, len(table)
    steps = np.diff(table[:, 0])
    while first < n:
        last = first + 1
        while last < n and (table[last, 1:] == table[first, 1:]).all() and steps[last - 1] == steps[first]:
            last += 1
        if table[first, 1] and last - first > best[1]:
            best = first, last - first, int(steps[first]) if last - first > 1 else 1
        first = max(last - 1, first + 1) if last < n and last - first > 1 else last
    return best


def covers(maps: Maps) -> bool:
    """Whether the taps of every window are evenly spaced."""
    return all(taps(axis) is not None for axis in maps)


def parameters(reduce: str, maps: Maps, padded: bool = False) -> tuple[str | int, ...]:
    """Parameters of `emit` for these maps."""
    axis_taps = taps(maps[1], padded)
    assert axis_taps is not None
    if reduce == "mean" and maps[0].output == maps[1].output == 1 and axis_taps[0][0, COUNT // 4]:
        return "whole", 0
    if found := small(maps):
        down, across = found
        return reduce, across.stride, down.taps, across.taps, across.left, across.right
    advance = even(axis_taps[0])[2]
    return reduce, advance if advance in (1, 2) else 0


def arguments(
    source: Layout, target: Layout, maps: Maps, tables: tuple[NDArray[np.int32], NDArray[np.int32]],
    addresses: tuple[Location, Location],
) -> Record:  # fmt: skip
    """The record. tables: of rows and columns, from `taps`; addresses: of the input's and
    the output's memory."""
    first, length, advance = even(tables[1])
    steps = [axis_taps[1] for axis in maps if (axis_taps := taps(axis)) is not None]
    return record(
        ARGUMENTS,
        {
            IN: addresses[0] + source.origin,
            IN_IMAGE: source.image,
            IN_BLOCK: source.block,
            IN_ROW: source.row,
            IN_PIXEL: source.pixel,
            OUT: addresses[1] + target.origin,
            OUT_IMAGE: target.image,
            OUT_BLOCK: target.block,
            OUT_ROW: target.row,
            ROWS: target.height,
            COLUMNS: target.width,
            ROW_TAPS: table(tables[0]),
            COLUMN_TAPS: table(tables[1]),
            TAP_ROW: steps[0] * source.row,
            TAP_COLUMN: steps[1] * source.pixel,
            FIRST: first,
            EVEN: length,
            ADVANCE: advance * source.pixel,
        },
    )


def cost(source: Layout, target: Layout, maps: Maps) -> tuple[int, int]:
    """(flops, bytes to and from memory): an operation per tap, every value touched once."""
    planes = target.images * target.blocks * target.lanes
    reads = [
        int(axis_taps[0][:, 1].sum()) if (axis_taps := taps(axis)) else axis.output * axis.taps
        for axis in maps
    ]
    numbers = source.height * source.width + target.height * target.width
    return planes * reads[0] * reads[1], 4 * planes * numbers
