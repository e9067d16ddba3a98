"""The gradient of depthwise weights: for every channel and tap, the sum of x · dy; channels are the lanes.

    for block: for some images: for group of taps: sum[tap][:] = 0
        for image: for row: for tile of T pixels: dy[0 … T) in registers
            for input pixel of the tile's window: for tap that reads it: sum[tap] += pixel · dy
        out[tap][:] += sum[tap][:]              (= in the first images)

Under a compile-time width a group is all taps, or one row of them where registers are few, and an input pixel is loaded
once for all taps of its row; any other width, dilation or stride goes pixel by pixel over a group of taps from a table.
Sums over some images at a time lose less to rounding than one long sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Variable
from striate.engine.kernels.argument_record import Location, Record, record, table
from striate.engine.kernels.depthwise import SPECIALIZED_WIDTHS, Windows, covers, padding
from striate.engine.layout import Layout
from striate.engine.target import Target

X, X_IMAGE, X_BLOCK, X_ROW, X_PIXEL = 0, 8, 16, 24, 32
"""Address of the first output pixel's first tap; bytes to the next image, block, output row and output pixel."""
DY, DY_IMAGE, DY_BLOCK, DY_ROW = 40, 48, 56, 64
IMAGES, BAND, ROWS, COLUMNS = 72, 80, 88, 96
"""Images, images of one sum, output rows of an image, output pixels of a row."""
OUT, OUT_BLOCK, TAPS, TAP_ROW = 104, 112, 120, 128
"""Address of the result, bytes to its next block; table of (bytes in x, bytes in the result) of each tap, the rows of
the step one after another; bytes from one tap row to the next."""
ARGUMENTS = 136

MAX_TILE_PIXELS = 8
"""Pixels of a tile, and taps of a group from a table: enough to hide an addition's latency. A group never has more than
twice as many: LLVM moves loads ahead of their use and needs registers for them."""
MIN_TILE_PIXELS = 2
"""Pixels of a tile below which nothing is loaded less often than from a table."""
MIN_SUM_PIXELS = 1024
"""Minimum number of pixels per sum, if the map has that many."""


def emit(target: Target, taps: int, width: int, stride: int) -> str:
    """kernel(arguments, group, end_group, block, end_block, scratch).

    taps: of a group; width: of the kernel, or 0 for taps from a table; stride: along the width, 0 for any.
    """
    code = Code(target, "piiiip")
    a, group, end_group, part, end_part, _ = code.arguments
    copies = _copies(target, taps, width)
    sums = [[code.variable(code.broadcast(0.0)) for _ in range(taps)] for _ in range(copies)]
    pixels = _pixels(target, taps, width) if width else 1
    columns = a.int(COLUMNS)
    bulk = columns - columns % pixels
    stretches: list[tuple[Int | int, Int, int]] = [(0, bulk, pixels)]
    if pixels > 1:
        stretches.append((bulk, columns, 1))
    advance = code.int(stride * code.bytes) if stride else a.int(X_PIXEL)
    with (
        code.loop(part, end_part) as p,
        code.loop(0, a.int(IMAGES), a.int(BAND)) as start,
        code.loop(group, end_group) as g,
    ):
        table = a.pointer(TAPS) + g * (16 * taps)
        places = [table.int(16 * k) for k in range(1 if width else taps)]
        out = a.pointer(OUT) + p * a.int(OUT_BLOCK)
        for some in sums:
            for total in some:
                total.set(code.broadcast(0.0))
        with code.loop(start, (start + a.int(BAND)).least(a.int(IMAGES))) as image:
            x = a.pointer(X) + (image * a.int(X_IMAGE) + p * a.int(X_BLOCK))
            dy = a.pointer(DY) + (image * a.int(DY_IMAGE) + p * a.int(DY_BLOCK))
            line_x, line_dy = code.variable(x), code.variable(dy)
            with code.repeat(a.int(ROWS)):
                at, slope = code.variable(line_x.get()), code.variable(line_dy.get())
                for first, stop, count in stretches:
                    with code.loop(first, stop, count):
                        if width:
                            _slide(a, at.get() + places[0], slope.get(), sums, (count, width, stride))
                        else:
                            _gather(at.get(), slope.get(), sums[0], places)
                        at.set(at.get() + advance * count)
                        slope.set(slope.get() + count * code.bytes)
                line_x.set(line_x.get() + a.int(X_ROW))
                line_dy.set(line_dy.get() + a.int(DY_ROW))
        for k in range(taps):
            for some in sums[1:]:
                sums[0][k].set(code.add(sums[0][k].get(), some[k].get()))
        results = [out + table.int(16 * k + 8) for k in range(taps)]
        with code.when(start.differs(0)):
            for total, to in zip(sums[0], results, strict=True):
                total.set(code.add(to.vector(), total.get()))
        for total, to in zip(sums[0], results, strict=True):
            to.store(total.get())
    return code.finish()


def _slide(
    a: Pointer, x: Pointer, dy: Pointer, sums: list[list[Variable]], kind: tuple[int, int, int]
) -> None:
    """Some neighboring output pixels: tap rows of `width` taps each, tap after tap in memory."""
    code, (count, width, stride) = a.code, kind
    slopes = [dy.vector(t * code.bytes) for t in range(count)]
    lines = [x + a.int(TAP_ROW) * u for u in range(len(sums[0]) // width)]
    for j in range((count - 1) * stride + width):
        for u, line in enumerate(lines):
            readers = [(t, j - t * stride) for t in range(count) if 0 <= j - t * stride < width]
            if readers:
                value = line.vector(j * code.bytes)
                for t, v in readers:
                    total = sums[t % len(sums)][u * width + v]
                    total.set(code.fma(value, slopes[t], total.get()))


def _gather(x: Pointer, dy: Pointer, sums: Sequence[Variable], places: Sequence[Int]) -> None:
    """One output pixel."""
    code, slope = x.code, dy.vector()
    for total, place in zip(sums, places, strict=True):
        total.set(code.fma((x + place).vector(), slope, total.get()))


def _room(target: Target) -> int:
    """Vectors of a block that the registers hold; without multiply-add, one less for products."""
    return target.registers // max(target.lanes // target.width, 1) - (target.name == "sse")


def _copies(target: Target, taps: int, width: int) -> int:
    """Sums of a tap, for pixels in turn: a few taps alone would wait for their own additions."""
    few = width and taps < MAX_TILE_PIXELS - 1 and 2 * taps + MIN_TILE_PIXELS + 2 <= _room(target)
    return 2 if few else 1


def _pixels(target: Target, taps: int, width: int) -> int:
    """Registers of a tile: the sums, a loaded pixel, and one to spare."""
    return min(_room(target) - taps * _copies(target, taps, width) - 2, MAX_TILE_PIXELS)


def parameters(target: Target, windows: Windows) -> tuple[int, int, int]:
    """Parameters of `emit` for these windows: (taps, width, stride)."""
    down, across = windows
    if across.kernel in SPECIALIZED_WIDTHS and across.dilation == 1 and across.stride <= 2:
        for rows in (down.kernel, 1):
            taps = rows * across.kernel
            if taps <= 2 * MAX_TILE_PIXELS and _pixels(target, taps, across.kernel) >= MIN_TILE_PIXELS:
                return taps, across.kernel, across.stride
    count = down.kernel * across.kernel
    most = min(MAX_TILE_PIXELS, _room(target) - 2)
    return -(-count // -(-count // most)), 0, across.stride if across.stride <= 2 else 0


def result(gradient: Layout, windows: Windows) -> Layout:
    """[block][tap][lane]: `copy` to lanes 1 makes (channels, 1, kh, kw) of it."""
    return Layout(1, gradient.channels, 1, windows[0].kernel * windows[1].kernel, gradient.lanes)


def rows(target: Target, windows: Windows) -> int:
    """Rows of a step: groups of taps. Its parts are the channel blocks."""
    return -(-windows[0].kernel * windows[1].kernel // parameters(target, windows)[0])


def arguments(
    target: Target,
    source: Layout,
    gradient: Layout,
    windows: Windows,
    addresses: tuple[Location, Location, Location],
) -> Record:
    """The record. addresses: of the memory of x, dy and the result. The input has the border of `padding(windows)`."""
    down, across = windows
    x, dy, out = addresses
    output = result(gradient, windows)
    places: list[Any] = [
        (
            u * down.dilation * source.row + v * across.dilation * source.pixel,
            (u * across.kernel + v) * output.pixel,
        )
        for u in range(down.kernel)
        for v in range(across.kernel)
    ]
    # The last group is padded with the last tap: all its sums are read before one is written.
    places += [places[-1]] * (-len(places) % parameters(target, windows)[0])
    return record(
        ARGUMENTS,
        {
            X: x + source.origin - down.before * source.row - across.before * source.pixel,
            X_IMAGE: source.image, X_BLOCK: source.block,
            X_ROW: source.row * down.stride, X_PIXEL: source.pixel * across.stride,
            DY: dy + gradient.origin, DY_IMAGE: gradient.image, DY_BLOCK: gradient.block, DY_ROW: gradient.row,
            IMAGES: gradient.images, BAND: max(MIN_SUM_PIXELS // (gradient.height * gradient.width), 1),
            ROWS: gradient.height, COLUMNS: gradient.width,
            OUT: out, OUT_BLOCK: output.block, TAPS: table(np.array(places, np.int64)),
            TAP_ROW: source.row * down.dilation,
        },
    )  # fmt: skip


def cost(source: Layout, gradient: Layout, windows: Windows) -> tuple[int, int]:
    """(flops, bytes to and from memory) with every value touched once."""
    taps = windows[0].kernel * windows[1].kernel
    pixels = gradient.images * gradient.height * gradient.width * gradient.blocks * gradient.lanes
    return 2 * pixels * taps, source.bytes + gradient.bytes + result(gradient, windows).bytes


__all__ = ("arguments", "cost", "covers", "emit", "padding", "parameters", "result", "rows")
