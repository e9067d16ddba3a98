"""Softmax and its logarithm over the channels of each pixel.

    for row: for a few pixels: largest = max over blocks; total = Σ over blocks of e^(x - largest)
        for block: y = e^(x - largest) / total, or (x - largest) - log(total)

Rows are output rows over all images, parts 1. Padding lanes do not count and become 0. The output holds
the exponentials meanwhile; the output may be the input.
"""

from __future__ import annotations

import math
from typing import Any

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.kernels.expression import INSTRUCTIONS
from striate.engine.kernels.functions import Functions
from striate.engine.kernels.lanes import fold, inside
from striate.engine.layout import Layout
from striate.engine.target import Target

IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""Address of the first pixel; bytes to the next image, channel block and row."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 32, 40, 48, 56
ROWS, COLUMNS, CHANNELS = 64, 72, 80
"""Rows of one image, pixels of one row, channels."""
ARGUMENTS = 88

PIXEL_REGISTERS = 8
"""Registers per pixel: its sum, its maximum, temporaries and constants of the exponential."""


def emit(target: Target, logarithm: int) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch)"""
    code = Code(target, "piiiip")
    functions = Functions(code)
    a, first, end, part, end_part, _ = code.arguments
    rows, columns, channels = a.int(ROWS), a.int(COLUMNS), a.int(CHANNELS)
    in_block, out_block = a.int(IN_BLOCK), a.int(OUT_BLOCK)
    last = (channels - 1) // code.lanes
    real = inside(code, channels - last * code.lanes)
    tile = target.registers // max(target.lanes // target.width, 1) // PIXEL_REGISTERS
    zero, none = code.broadcast(0.0), code.broadcast(-math.inf)

    def pixels(x: Pointer, y: Pointer, count: int) -> None:
        def read(k: Int, t: int, fill: Any = None) -> Any:
            value = (x + k * in_block).vector(t * code.bytes)
            return value if fill is None else code.select(real, value, fill)

        def write(k: Int, t: int, value: Any, masked: bool) -> None:
            value = code.select(real, value, zero) if masked else value
            (y + k * out_block).store(value, t * code.bytes)

        largest = [code.variable(read(last, t, none)) for t in range(count)]
        with code.loop(0, last) as k:
            for t in range(count):
                largest[t].set(code.most(largest[t].get(), read(k, t)))
        top = [code.broadcast(fold(code, variable.get(), code.most)) for variable in largest]
        sums = [code.variable(zero) for _ in range(count)]

        def exponential(k: Int, masked: bool) -> None:
            for t in range(count):
                value = functions.exp(code.sub(read(k, t, none if masked else None), top[t]))
                value = code.select(real, value, zero) if masked else value
                sums[t].set(code.add(sums[t].get(), value))
                if not logarithm:
                    write(k, t, value, False)

        with code.loop(0, last) as k:
            exponential(k, False)
        exponential(last, True)
        totals = [fold(code, variable.get(), code.add) for variable in sums]
        if logarithm:
            one = code.broadcast(1.0)
            ends = [functions.log1p(code.sub(code.broadcast(total), one)) for total in totals]
        else:
            ends = [code.broadcast(code.div(code.number(1.0), total)) for total in totals]

        def finish(k: Int, masked: bool) -> None:
            for t in range(count):
                if logarithm:
                    value = code.sub(code.sub(read(k, t), top[t]), ends[t])
                else:
                    value = code.mul((y + k * out_block).vector(t * code.bytes), ends[t])
                write(k, t, value, masked)

        with code.loop(0, last) as k:
            finish(k, False)
        finish(last, True)

    with code.loop(first, end) as row, code.loop(part, end_part):
        image, line = row // rows, row % rows
        x = a.pointer(IN) + (image * a.int(IN_IMAGE) + line * a.int(IN_ROW))
        y = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + line * a.int(OUT_ROW))
        bulk = columns - columns % tile
        with code.loop(0, bulk, tile) as at:
            pixels(x + at * code.bytes, y + at * code.bytes, tile)
        with code.loop(bulk, columns) as at:
            pixels(x + at * code.bytes, y + at * code.bytes, 1)
    return code.finish()


def arguments(source: Layout, target: Layout, addresses: tuple[Location, Location]) -> Record:
    """The record. addresses: of the input's and output's memory."""
    x, y = addresses
    return record(
        ARGUMENTS,
        {
            IN: x + source.origin, IN_IMAGE: source.image, IN_BLOCK: source.block, IN_ROW: source.row,
            OUT: y + target.origin, OUT_IMAGE: target.image, OUT_BLOCK: target.block, OUT_ROW: target.row,
            ROWS: source.height, COLUMNS: source.width, CHANNELS: source.channels,
        },
    )  # fmt: skip


def cost(layout: Layout) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    numbers = layout.images * layout.blocks * layout.lanes * layout.height * layout.width
    return (INSTRUCTIONS["exp"] + 4) * numbers, 8 * numbers
