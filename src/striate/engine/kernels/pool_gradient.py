"""Gradients of maximum and mean over windows of every channel.

    for image: for block: dx = 0
        for output row: for output pixel: for tap of its window, row by row:
            max:  dx[tap] += dy where x[tap] is the first one that equals y (or is NaN), else 0
            mean: dx[tap] += dy / count

A task owns whole planes, because windows may overlap; rows of dx become 0 right before the first window that reaches
them, so that they are still in the cache when it adds to them. Where no two windows overlap, their gradients are
stored, not added: a mean over the whole map is one store per pixel. Tables of taps are the forward pass's (pool.py).

Small disjoint windows with equally many taps at equal distances (`pool.even`) have code without loops over taps.

Where x is the result of a clamp and the gradient before that clamp is requested, dy counts only where y is between the
limits: the winner equals y, so it is between them, too.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Size
from striate.engine.kernels.argument_record import Location, Record, Value, record, table
from striate.engine.kernels.pool import COUNT, COUNTED, ENTRY_SIZE, START, Maps, even, taps
from striate.engine.layout import Layout
from striate.engine.target import Target

X, X_IMAGE, X_BLOCK, X_ROW = 0, 8, 16, 24
"""Address of the first pixel; bytes to the next image, channel block and row: of the forward pass's input,"""
Y, Y_IMAGE, Y_BLOCK, Y_ROW = 32, 40, 48, 56
"""its output (a mean needs neither),"""
DY, DY_IMAGE, DY_BLOCK, DY_ROW = 64, 72, 80, 88
"""the output's gradient,"""
DX, DX_IMAGE, DX_BLOCK, DX_ROW = 96, 104, 112, 120
"""and the input's."""
ROWS, COLUMNS = 128, 136
"""Rows and columns of the output."""
HEIGHT, WIDTH = 144, 152
"""Rows and columns of the input."""
ROW_TAPS, COLUMN_TAPS = 160, 168
"""Addresses of the tables of output rows and columns (`pool.taps`)."""
TAP_ROW, TAP_COLUMN = 176, 184
"""Rows, and bytes along a row, between neighboring taps of a window."""
DONE = 192
"""Rows of dx that need no zeros: none, or all if disjoint windows cover every pixel."""
FIRST, EVEN = 200, 208
"""First column of the even stretch, and its length."""
LOW, HIGH = 216, 220
"""The clamp's limits."""
ARGUMENTS = 224

BELOW, ABOVE = 1, 2
"""Limits that a clamp may have."""
MAX_UNROLLED_TAPS = 9
"""Maximum taps of a window that has unrolled code."""


class Line(NamedTuple):
    """A row of windows: addresses of its gradients and results, and of the first rows of x and dx that it reaches; taps
    along the height, and how many of them a mean counts."""

    dy: Pointer
    y: Pointer
    x: Pointer
    dx: Pointer
    taps: Int
    counted: Int


def emit(
    target: Target, reduce: str, apart: int, tall: int = 0, wide: int = 0, stride: int = 0, limits: int = 0
) -> str:
    """kernel(arguments, image, end_image, block, end_block, scratch).

    reduce: "max" or "mean"; apart: 1 if no two windows overlap; tall, wide: taps of the even stretch's windows if they
    are small and disjoint, else 0; stride: columns between them; limits: BELOW, ABOVE or both, 0 for no clamp.
    """
    code = Code(target, "piiiip")
    a, image, end_image, part, end_part, _ = code.arguments
    along, across = a.int(TAP_COLUMN), a.pointer(COLUMN_TAPS)
    dx_row, x_row = a.int(DX_ROW), a.int(X_ROW)
    dx_next, x_next = a.int(TAP_ROW) * dx_row, a.int(TAP_ROW) * x_row
    zero, size, columns = code.broadcast(0.0), code.bytes, a.int(COLUMNS)

    def plane(first: int, n: Int, p: Int) -> Pointer:
        offset: Int = n * a.int(first + 8) + p * a.int(first + 16)
        pointer: Pointer = a.pointer(first) + offset
        return pointer

    def clear_rows(dx: Pointer, first: Int, end: Int) -> None:
        with code.loop(first, end) as row, code.loop(0, a.int(WIDTH)) as column:
            (dx + row * dx_row + column * size).store(zero)

    def gradient_and_best(line: Line, column: Int, counted: Int) -> tuple[Any, Any]:
        """Gradient of a window's winner, or of each of its taps; and the window's maximum."""
        value = (line.dy + column * size).vector()
        if reduce == "mean":
            return code.div(value, code.broadcast(code.float(counted))), None
        best = (line.y + column * size).vector()
        for limit, sign, at in ((BELOW, ">", LOW), (ABOVE, "<", HIGH)):
            if limits & limit:
                value = code.select(code.builder.fcmp_ordered(sign, best, a.broadcast(at)), value, zero)
        return value, best

    def route(number: Any, rest: Any, best: Any) -> tuple[Any, Any]:
        """Gradient of a tap, and the rest for the next ones. A NaN wins; after a clamp its gradient is 0."""
        hit = code.builder.fcmp_ordered("==", number, best)
        if not limits:
            hit = code.builder.or_(hit, code.unordered(number, number))
        return code.select(hit, rest, zero), code.select(hit, zero, rest)

    def write(to: Pointer, value: Any) -> None:
        to.store(value if apart else code.add(to.vector(), value))

    def any_windows(line: Line, first: Size, end: Int) -> None:
        with code.loop(first, end) as column:
            entry = across + column * ENTRY_SIZE
            left, taps_across = entry.short(START) * size, entry.short(COUNT)
            value, best = gradient_and_best(line, column, line.counted * entry.short(COUNTED))
            rest, to, source = map(code.variable, (value, line.dx + left, line.x + left))
            with code.loop(0, line.taps):
                with code.loop(0, taps_across) as k:
                    if reduce == "max":
                        value, after = route((source.get() + k * along).vector(), rest.get(), best)
                        rest.set(after)
                    write(to.get() + k * along, value)
                to.set(to.get() + dx_next)
                source.set(source.get() + x_next)

    def small_windows(line: Line, first: Int, end: Int) -> None:
        entry = across + first * ENTRY_SIZE
        left, counted = entry.short(START) * size, line.counted * entry.short(COUNTED)
        to, source = code.variable(line.dx + left), code.variable(line.x + left)
        with code.loop(first, end) as column:
            value, best = gradient_and_best(line, column, counted)
            rest = value
            for u, v in itertools.product(range(tall), range(wide)):
                if reduce == "max":
                    number = (source.get() + x_next * u).vector(v * size)
                    value, rest = route(number, rest, best)
                (to.get() + dx_next * u).store(value, v * size)
            to.set(to.get() + stride * size)
            source.set(source.get() + stride * size)

    with code.loop(image, end_image) as n, code.loop(part, end_part) as p:
        dy, dx = plane(DY, n, p), plane(DX, n, p)
        x, y = (plane(X, n, p), plane(Y, n, p)) if reduce == "max" else (dx, dx)
        cleared = code.variable(a.int(DONE))
        with code.loop(0, a.int(ROWS)) as row:
            down = a.pointer(ROW_TAPS) + row * ENTRY_SIZE
            top, count = down.short(START), down.short(COUNT)
            reach = code.select(count > 0, top + (count - 1) * a.int(TAP_ROW) + 1, code.int(0))
            clear_rows(dx, cleared.get(), reach)
            cleared.set(cleared.get().most(reach))
            line = Line(
                dy + row * a.int(DY_ROW), y + row * a.int(Y_ROW), x + top * x_row, dx + top * dx_row,
                count, down.short(COUNTED),
            )  # fmt: skip
            first = a.int(FIRST) if tall else columns
            any_windows(line, 0, first)
            if tall:
                end = first + code.select(count.equals(tall), a.int(EVEN), code.int(0))
                small_windows(line, first, end)
                any_windows(line, end, columns)
        clear_rows(dx, cleared.get(), a.int(HEIGHT))
    return code.finish()


def parameters(
    reduce: str, maps: Maps, padded: bool = False, low: float = -math.inf, high: float = math.inf
) -> tuple[str | int, ...]:
    """Parameters of `emit` for these maps and a clamp's limits."""
    (rows, _), (columns, step) = (axis_taps for axis in maps if (axis_taps := taps(axis, padded)) is not None)
    first, length, stride = even(columns)
    tall, wide = int(rows[:, COUNT // 4].max()), int(columns[first, COUNT // 4])
    limits = BELOW * math.isfinite(low) + ABOVE * math.isfinite(high)
    apart = all(_disjoint(axis) for axis in maps)
    if not (apart and length and tall * wide <= MAX_UNROLLED_TAPS and step == 1):
        tall = wide = stride = 0
    return reduce, int(apart), tall, wide, stride, limits


def _reads(axis: Any) -> list[int]:
    return [at for i in range(axis.output) for at in axis.reads(i)]


def _disjoint(axis: Any) -> bool:
    """Whether no two windows along an axis overlap."""
    reads = _reads(axis)
    return len(set(reads)) == len(reads)


def disjoint(maps: Maps) -> bool:
    """Whether each number belongs to exactly one window: the gradient of a maximum may then overwrite its input."""
    return all(_disjoint(axis) and len(_reads(axis)) == axis.input for axis in maps)


def arguments(
    source: Layout,
    target: Layout,
    gradients: tuple[Layout, Layout],
    maps: Maps,
    tables: tuple[NDArray[np.int32], NDArray[np.int32]],
    addresses: tuple[Location, Location, Location, Location],
    low: float = -math.inf,
    high: float = math.inf,
) -> Record:
    """The record. source, target: the forward pass's input and output; gradients: of the output and of the input;
    tables: of rows and columns, from `pool.taps`; addresses: of the memory of input,
    output, the output's gradient and the input's. A mean reads neither input nor output: any address will do. low,
    high: of the clamp.

    Rows are source.images, parts are source.blocks.
    """
    fields: dict[int, Value] = {}
    for at, layout, address in zip((X, Y, DY, DX), (source, target, *gradients), addresses, strict=True):
        strides = address + layout.origin, layout.image, layout.block, layout.row
        fields |= {at + 8 * k: number for k, number in enumerate(strides)}
    first, length, _ = even(tables[1])
    steps = [axis_taps[1] for axis in maps if (axis_taps := taps(axis)) is not None]
    return record(
        ARGUMENTS,
        fields
        | {
            ROWS: target.height, COLUMNS: target.width, HEIGHT: source.height, WIDTH: source.width,
            ROW_TAPS: table(tables[0]), COLUMN_TAPS: table(tables[1]),
            TAP_ROW: steps[0], TAP_COLUMN: steps[1] * source.pixel, DONE: source.height if disjoint(maps) else 0,
            FIRST: first, EVEN: length,
        },
        {LOW: low, HIGH: high},
    )  # fmt: skip


def cost(source: Layout, target: Layout, maps: Maps, reduce: str) -> tuple[int, int]:
    """(flops, bytes to and from memory): an operation per tap, every value touched once."""
    planes = target.images * target.blocks * target.lanes
    inner, outer = source.height * source.width, target.height * target.width
    numbers = 2 * (inner + outer) if reduce == "max" else inner + outer
    return planes * len(_reads(maps[0])) * len(_reads(maps[1])), 4 * planes * numbers
