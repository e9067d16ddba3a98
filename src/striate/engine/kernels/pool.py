"""Maximum and mean over windows of every channel: sliding, dilated, overhanging the map's edge, or adaptive bins.

    for block: for row: for tile of pixels in the even stretch: reduce rows × columns of taps, T pixels at a time
                        for every other pixel: reduce its own taps

Padding is never read: tables hold the first tap on the map and the number of taps of each output row and column.
Columns whose windows have equally many taps at equal distances are the even stretch; they share loops and addresses.

NaN must win a maximum, which Arm's instruction grants and x86's does not. There the even stretch adds up all that it
reads, next to the maxima: a sum that is NaN (rare: a NaN, or both infinities) sends the whole row through the
NaN-safe loop.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Variable
from striate.engine.kernels.argument_record import Location, Record, record, table
from striate.engine.kernels.row_walk import Tiles, Walk
from striate.engine.layout import Layout
from striate.engine.target import Target
from striate.geometry import AxisMap, Window

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

Maps = tuple[AxisMap, AxisMap]


def emit(target: Target, reduce: str, stride: int) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch).

    reduce: "max" or "mean"; stride: pixels between windows of the even stretch, or 0 for any at run time.
    """
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    rows, first = a.int(ROWS), row % a.int(ROWS)
    tiles = Tiles(
        a.int(EVEN), min(MAX_TILE_PIXELS, target.registers // max(target.lanes // target.width, 1) // 2 - 1)
    )
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
            nan_check = code.variable(code.broadcast(0.0))

            even = a.pointer(COLUMN_TAPS) + a.int(FIRST) * ENTRY_SIZE
            at = code.variable(x + even.short(START) * a.int(IN_PIXEL))
            out = code.variable(y.at.get() + a.int(FIRST) * code.bytes)
            divisor = _number(code, down.short(COUNTED) * even.short(COUNTED))
            for t in tiles.walk():
                counts = down.short(COUNT), even.short(COUNT)
                values = _stretch(
                    a, reduce, at.get(), counts, [advance * k for k in range(t)], tiles.most // 2, nan_check
                )
                for k, value in enumerate(values):
                    result = value if reduce == "max" else code.div(value, divisor)
                    out.get().store(result, k * code.bytes)
                at.set(at.get() + advance * t)
                out.set(out.get() + t * code.bytes)

            has_nan = code.any(code.unordered(nan_check.get(), nan_check.get()))
            skipped = code.select(has_nan, code.int(0), a.int(EVEN))
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
    nan_check: Variable,
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
    if reduce == "max":
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
        steps.update(b - a for a, b in pairwise(reads))
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


def parameters(reduce: str, maps: Maps, padded: bool = False) -> tuple[str, int]:
    """Parameters of `emit` for these maps."""
    axis_taps = taps(maps[1], padded)
    assert axis_taps is not None
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
