"""Gradients of maximum and mean over windows of every channel.

    for image: for block: dx = 0
        for output row: for output pixel: for tap of its window, row by row:
            max:  dx[tap] += dy where x[tap] is the first one that equals y (or is NaN), else 0
            mean: dx[tap] += dy / count

A task owns whole planes, for windows may overlap; rows of dx become 0 right before the first window that reaches them,
so that they are still near when it adds to them. Where no two windows meet, their gradients are stored, not added: a
mean over the whole map is one store a pixel. Tables of taps are the forward pass's (pool.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.emit import Code, Int, Pointer, Variable
from striate.engine.kernels.pool import COUNT, COUNTED, ENTRY, START, Maps, taps
from striate.engine.kernels.record import record
from striate.engine.plan.layout import Layout
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
"""Rows, and bytes along a row, between neighbouring taps of a window."""
DONE = 192
"""Rows of dx that need not become 0: none, or all where windows cover every pixel and do not meet."""
ARGUMENTS = 200


def emit(target: Target, reduce: str, apart: int) -> str:
    """kernel(arguments, image, end_image, block, end_block, scratch).

    reduce: "max" or "mean"; apart: 1 where no two windows meet.
    """
    code = Code(target, "piiiip")
    a, image, end_image, part, end_part, _ = code.arguments
    along = a.int(TAP_COLUMN)
    dx_row, x_row = a.int(DX_ROW), a.int(X_ROW)
    dx_next, x_next = a.int(TAP_ROW) * dx_row, a.int(TAP_ROW) * x_row
    zero = code.spread(0.0)

    def plane(first: int, n: Int, p: Int) -> Pointer:
        offset: Int = n * a.int(first + 8) + p * a.int(first + 16)
        found: Pointer = a.pointer(first) + offset
        return found

    def emptied(dx: Pointer, first: Int, end: Int) -> None:
        with code.loop(first, end) as row, code.loop(0, a.int(WIDTH)) as column:
            (dx + row * dx_row + column * code.bytes).store(zero)

    def given(to: Pointer, value: Any) -> None:
        to.store(value if apart else code.add(to.vector(), value))

    def shared(to: Variable, counts: tuple[Int, Int], value: Any) -> None:
        with code.loop(0, counts[0]):
            with code.loop(0, counts[1]) as k:
                given(to.get() + k * along, value)
            to.set(to.get() + dx_next)

    def routed(to: Variable, source: Variable, counts: tuple[Int, Int], value: Any, best: Any) -> None:
        rest = code.variable(value)
        with code.loop(0, counts[0]):
            with code.loop(0, counts[1]) as k:
                number = (source.get() + k * along).vector()
                equal = code.builder.fcmp_ordered("==", number, best)
                hit = code.builder.or_(equal, code.unordered(number, number))
                given(to.get() + k * along, code.select(hit, rest.get(), zero))
                rest.set(code.select(hit, zero, rest.get()))
            to.set(to.get() + dx_next)
            source.set(source.get() + x_next)

    with code.loop(image, end_image) as n, code.loop(part, end_part) as p:
        dy, dx = plane(DY, n, p), plane(DX, n, p)
        x, y = (plane(X, n, p), plane(Y, n, p)) if reduce == "max" else (dx, dx)
        done = code.variable(a.int(DONE))
        with code.loop(0, a.int(ROWS)) as row:
            down = a.pointer(ROW_TAPS) + row * ENTRY
            top, count = down.short(START), down.short(COUNT)
            reach = code.select(count > 0, top + (count - 1) * a.int(TAP_ROW) + 1, code.int(0))
            emptied(dx, done.get(), reach)
            done.set(done.get().most(reach))
            with code.loop(0, a.int(COLUMNS)) as column:
                across = a.pointer(COLUMN_TAPS) + column * ENTRY
                left = across.short(START) * code.bytes
                counts = count, across.short(COUNT)
                to = code.variable(dx + top * dx_row + left)
                value = (dy + row * a.int(DY_ROW) + column * code.bytes).vector()
                if reduce == "max":
                    best = (y + row * a.int(Y_ROW) + column * code.bytes).vector()
                    routed(to, code.variable(x + top * x_row + left), counts, value, best)
                else:
                    counted = code.float(down.short(COUNTED) * across.short(COUNTED))
                    shared(to, counts, code.div(value, code.spread(counted)))
        emptied(dx, done.get(), a.int(HEIGHT))
    return code.finish()


def numbers(reduce: str, maps: Maps) -> tuple[str, int]:
    """What `emit` takes for these maps."""
    return reduce, int(all(_apart(axis) for axis in maps))


def _reads(axis: Any) -> list[int]:
    return [at for i in range(axis.output) for at in axis.reads(i)]


def _apart(axis: Any) -> bool:
    """Whether no two windows along an axis meet."""
    reads = _reads(axis)
    return len(set(reads)) == len(reads)


def arguments(
    source: Layout,
    target: Layout,
    gradients: tuple[Layout, Layout],
    maps: Maps,
    tables: tuple[NDArray[np.int32], NDArray[np.int32]],
    addresses: tuple[int, int, int, int],
) -> NDArray[np.int64]:
    """The record. source, target: the forward pass's input and output; gradients: of the output and of the input;
    tables: of rows and columns, from `pool.taps`, kept as long as the record; addresses: of the memory of input,
    output, the output's gradient and the input's. A mean reads neither input nor output: any address will do.

    Rows are source.images, parts are source.blocks.
    """
    made: dict[int, int] = {}
    for first, layout, address in zip((X, Y, DY, DX), (source, target, *gradients), addresses, strict=True):
        strides = address + layout.origin, layout.image, layout.block, layout.row
        made |= {first + 8 * k: number for k, number in enumerate(strides)}
    steps = [found[1] for axis in maps if (found := taps(axis)) is not None]
    whole = all(_apart(axis) and len(_reads(axis)) == axis.input for axis in maps)
    return record(
        ARGUMENTS,
        made
        | {
            ROWS: target.height, COLUMNS: target.width, HEIGHT: source.height, WIDTH: source.width,
            ROW_TAPS: tables[0].ctypes.data, COLUMN_TAPS: tables[1].ctypes.data,
            TAP_ROW: steps[0], TAP_COLUMN: steps[1] * source.pixel, DONE: source.height if whole else 0,
        },
    )  # fmt: skip


def cost(source: Layout, target: Layout, maps: Maps, reduce: str) -> tuple[int, int]:
    """(flops, bytes to and from memory): an operation per tap, every value touched once."""
    planes = target.images * target.blocks * target.lanes
    inner, outer = source.height * source.width, target.height * target.width
    moved = 2 * (inner + outer) if reduce == "max" else inner + outer
    return planes * len(_reads(maps[0])) * len(_reads(maps[1])), 4 * planes * moved
