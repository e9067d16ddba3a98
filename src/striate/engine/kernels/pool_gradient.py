"""Gradients of maximum and mean over windows of every channel.

    for image: for block: dx = 0
        for output row: for output pixel: for tap of its window, row by row:
            max:  dx[tap] += dy where x[tap] is the first one that equals y (or is NaN), else 0
            mean: dx[tap] += dy / count

A task owns whole planes, because windows may overlap; rows of dx become 0 right before the first window that reaches
them, so that they are still in the cache when it adds to them. Where no two windows overlap, their gradients are
stored, not added: a mean over the whole map is one store per pixel. Tables of taps are the forward pass's (pool.py).

Small regular windows (`pool.Regular`) have code without loops over taps, for each number of taps along the height.
A sum that the next window of a row adds to waits in a register; one that the next row adds to waits in dx, and rows
that no window has reached yet are stored without reading them. So every number of dx is added up in the order of its
windows, as the loops do it. A row with a NaN goes through the loops.

Where x is the result of a clamp and the gradient before that clamp is requested, dy counts only where y is between the
limits: the winner equals y, so it is between them, too.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Size
from striate.engine.kernels.argument_record import Location, Record, Value, record, table
from striate.engine.kernels.pool import (
    COUNT,
    COUNTED,
    ENTRY_SIZE,
    START,
    Kept,
    Maps,
    Regular,
    small,
    taps,
)  # fmt: skip
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
LOW, HIGH = 200, 204
"""The clamp's limits."""
ARGUMENTS = 208

BELOW, ABOVE = 1, 2
"""Limits that a clamp may have."""


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
    target: Target,
    reduce: str,
    apart: int,
    limits: int,
    tall: int = 0,
    down: int = 0,
    wide: int = 0,
    stride: int = 0,
    left: int = 0,
    right: int = 0,
) -> str:
    """kernel(arguments, image, end_image, block, end_block, scratch).

    reduce: "max" or "mean"; apart: 1 if no two windows overlap; limits: BELOW, ABOVE or both, 0 for no clamp. Of small
    `Regular` windows, else 0: tall, down: taps and stride along the height; wide, stride, left, right: of the width.
    """
    code = Code(target, "piiiip")
    a, image, end_image, part, end_part, _ = code.arguments
    along, across = a.int(TAP_COLUMN), a.pointer(COLUMN_TAPS)
    dx_row, x_row = a.int(DX_ROW), a.int(X_ROW)
    dx_next, x_next = a.int(TAP_ROW) * dx_row, a.int(TAP_ROW) * x_row
    zero, size, columns = code.broadcast(0.0), code.bytes, a.int(COLUMNS)
    shape, shared = Regular(wide, stride, left, right), max(tall - down, 0)

    def plane(first: int, n: Int, p: Int) -> Pointer:
        offset: Int = n * a.int(first + 8) + p * a.int(first + 16)
        pointer: Pointer = a.pointer(first) + offset
        return pointer

    def clear_rows(dx: Pointer, first: Int, end: Int) -> None:
        with code.loop(first, end) as row, code.loop(0, a.int(WIDTH)) as column:
            (dx + row * dx_row + column * size).store(zero)

    def gradient_and_best(dy: Pointer, y: Pointer, counted: Int) -> tuple[Any, Any]:
        """Gradient of a window's winner, or of each of its taps; and the window's maximum."""
        value = dy.vector()
        if reduce == "mean":
            return code.div(value, code.broadcast(code.float(counted))), None
        best = y.vector()
        for limit, sign, at in ((BELOW, ">", LOW), (ABOVE, "<", HIGH)):
            if limits & limit:
                within = code.builder.fcmp_ordered(sign, best, a.broadcast(at))
                value = code.select(within, value, code.broadcast(0.0))
        return value, best

    def route(number: Any, rest: Any, best: Any, nan: bool) -> tuple[Any, Any]:
        """Gradient of a tap, and the rest for the next ones. A NaN wins; after a clamp its gradient is 0."""
        none = code.broadcast(0.0)
        hit = code.builder.fcmp_ordered("==", number, best)
        if nan:
            hit = code.builder.or_(hit, code.unordered(number, number))
        return code.select(hit, rest, none), code.select(hit, none, rest)

    def write(to: Pointer, value: Any) -> None:
        to.store(value if apart else code.add(to.vector(), value))

    def any_windows(line: Line) -> None:
        with code.loop(0, columns) as column:
            entry = across + column * ENTRY_SIZE
            left, taps_across = entry.short(START) * size, entry.short(COUNT)
            at, counted = column * size, line.counted * entry.short(COUNTED)
            value, best = gradient_and_best(line.dy + at, line.y + at, counted)
            rest, to, source = map(code.variable, (value, line.dx + left, line.x + left))
            with code.loop(0, line.taps):
                with code.loop(0, taps_across) as k:
                    if reduce == "max":
                        number = (source.get() + k * along).vector()
                        value, after = route(number, rest.get(), best, not limits)
                        rest.set(after)
                    write(to.get() + k * along, value)
                to.set(to.get() + dx_next)
                source.set(source.get() + x_next)

    def has_nan(line: Line) -> Any:
        found = code.variable(zero)
        with code.loop(0, columns) as column:
            best = (line.y + column * size).vector()
            found.set(code.select(code.unordered(best, best), best, found.get()))
        return code.any(code.unordered(found.get(), found.get()))

    def strip(line: Line, deep: int) -> None:
        """A row of regular windows with `deep` taps along the height."""
        old, before, after = min(deep, shared), shape.before(), shape.after()
        with code.loop(0, target.pieces) as piece, code.wide(target.width):
            offset = piece * code.bytes
            dy, y = code.variable(line.dy + offset), code.variable(line.y + offset)
            x, dx = (code.variable(start + (offset - left * size)) for start in (line.x, line.dx))

            def number(u: int, v: int) -> Pointer:
                at: Pointer = dx.get() + dx_row * u + v * size
                return at

            def window(reads: tuple[int, int], kept: Kept, counted: Int) -> Kept:
                """Gradient of a window; kept: sums of each row by tap that windows add to, before and after."""
                value, best = gradient_and_best(dy.get(), y.get(), counted)
                # A sum that begins with 0 is never -0.
                rest = value if apart else code.add(value, code.broadcast(0.0))
                following: Kept = []
                for u in range(deep):
                    sums = {}
                    for v in range(*reads):
                        gradient = rest
                        if reduce == "max":
                            gradient, rest = route((x.get() + x_row * u).vector(v * size), rest, best, False)
                        if v in kept[u]:
                            gradient = code.add(kept[u][v], gradient)
                        elif u < old:
                            gradient = code.add(number(u, v).vector(), gradient)
                        sums[v] = gradient
                    following.append({v - stride: total for v, total in sums.items() if v >= stride})
                    for v in range(reads[0], min(stride, reads[1])):
                        number(u, v).store(sums[v])
                for variable, step in ((dy, size), (y, size), (x, stride * size), (dx, stride * size)):
                    variable.set(variable.get() + step)
                return following

            def counted(column: Size) -> Int:
                number: Int = line.counted * (across + code.int(column) * ENTRY_SIZE).short(COUNTED)
                return number

            kept: Kept = [{} for _ in range(deep)]
            for k, reads in enumerate(before):
                kept = window(reads, kept, counted(k))
            if not before:
                zeros = code.broadcast(0.0)
                kept = [
                    {v: number(u, v).vector() if u < old else zeros for v in range(shape.overlap)}
                    for u in range(deep)
                ]
            loop = [{v: code.variable(row[v]) for v in range(shape.overlap)} for row in kept]
            middle = counted(len(before))
            with code.repeat(columns - (len(before) + len(after))):
                kept = window((0, wide), [{v: k.get() for v, k in row.items()} for row in loop], middle)
                for variables, row in zip(loop, kept, strict=True):
                    for v, variable in variables.items():
                        variable.set(row[v])
            kept = [{v: total.get() for v, total in row.items()} for row in loop]
            for k, reads in enumerate(after):
                kept = window(reads, kept, counted(columns - (len(after) - k)))
            for u, row in enumerate(kept):
                for v, total in row.items():
                    number(u, v).store(total)
            with code.loop((columns - 1) * stride + (wide - left - right), a.int(WIDTH)) as column:
                for u in range(old, deep):
                    (line.dx + (dx_row * u + column * size + offset)).store(code.broadcast(0.0))

    with code.loop(image, end_image) as n, code.loop(part, end_part) as p:
        dy, dx = plane(DY, n, p), plane(DX, n, p)
        x, y = (plane(X, n, p), plane(Y, n, p)) if reduce == "max" else (dx, dx)
        cleared = code.variable(a.int(DONE))
        with code.loop(0, a.int(ROWS)) as row:
            down_taps = a.pointer(ROW_TAPS) + row * ENTRY_SIZE
            top, count = down_taps.short(START), down_taps.short(COUNT)
            reach = code.select(count > 0, top + (count - 1) * a.int(TAP_ROW) + 1, code.int(0))
            line = Line(
                dy + row * a.int(DY_ROW), y + row * a.int(Y_ROW), x + top * x_row, dx + top * dx_row,
                count, down_taps.short(COUNTED),
            )  # fmt: skip
            looped = code.variable(code.int(int(not tall)))
            if tall and reduce == "max" and not limits:
                looped.set(code.select(has_nan(line), code.int(1), code.int(0)))
            # Where windows lie apart along the width, some columns of their rows are no window's.
            untouched = reach if stride > wide else top + count.least(shared)
            with code.choice(looped.get().differs(0)) as (slow, fast):
                with slow:
                    clear_rows(dx, cleared.get(), reach)
                    any_windows(line)
                with fast:
                    clear_rows(dx, cleared.get(), untouched)
                    for deep in code.cases(count, range(1, tall + 1)):
                        strip(line, deep)
            cleared.set(cleared.get().most(reach))
        clear_rows(dx, cleared.get(), a.int(HEIGHT))
    return code.finish()


def parameters(
    reduce: str, maps: Maps, low: float = -math.inf, high: float = math.inf
) -> tuple[str | int, ...]:
    """Parameters of `emit` for these maps and a clamp's limits."""
    limits = BELOW * math.isfinite(low) + ABOVE * math.isfinite(high)
    apart = int(all(_disjoint(axis) for axis in maps))
    if not (found := small(maps)):
        return reduce, apart, limits
    down, across = found
    return reduce, apart, limits, down.taps, down.stride, *across


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
    steps = [axis_taps[1] for axis in maps if (axis_taps := taps(axis)) is not None]
    return record(
        ARGUMENTS,
        fields
        | {
            ROWS: target.height, COLUMNS: target.width, HEIGHT: source.height, WIDTH: source.width,
            ROW_TAPS: table(tables[0]), COLUMN_TAPS: table(tables[1]),
            TAP_ROW: steps[0], TAP_COLUMN: steps[1] * source.pixel, DONE: source.height if disjoint(maps) else 0,
        },
        {LOW: low, HIGH: high},
    )  # fmt: skip


def cost(source: Layout, target: Layout, maps: Maps, reduce: str) -> tuple[int, int]:
    """(flops, bytes to and from memory): an operation per tap, every value touched once."""
    planes = target.images * target.blocks * target.lanes
    inner, outer = source.height * source.width, target.height * target.width
    numbers = 2 * (inner + outer) if reduce == "max" else inner + outer
    return planes * len(_reads(maps[0])) * len(_reads(maps[1])), 4 * planes * numbers
