"""Transpose blocks of channels into planes with a border of zeros, for `planar_conv`.

    for unit of rows: for block: for plane of it: zeros
        for row: for lanes pixels: out[plane][row][pixels] = in[row][pixels][plane], transposed in registers

A row shorter than a vector is stored with zeros after it, over the border and over the row below, whose numbers are
stored later: then a unit is a whole image; else it is a row, with the border above the first and below the last one.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.kernels.copy import deinterleave
from striate.engine.kernels.lanes import inside
from striate.engine.layout import Layout
from striate.engine.target import Target

IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""Address of the first pixel; bytes to the next image, block and row."""
OUT, OUT_IMAGE, OUT_PLANE, OUT_ROW = 32, 40, 48, 56
"""Address of the first plane, border included; bytes to the next image, plane and row."""
ROWS, COLUMNS, CHANNELS = 64, 72, 80
"""Rows of an image, pixels of a row, channels."""
UNIT, ORIGIN = 88, 96
"""Rows of a unit; bytes from a plane to its first pixel."""
LEFT = 104
"""Bytes of the border on the left of a row."""
ARGUMENTS = 112


def emit(target: Target) -> str:
    """kernel(arguments, unit, end_unit, block, end_block, scratch)."""
    code = Code(target, "piiiip")
    a, start, end, part, end_part, _ = code.arguments
    lanes, rows, columns = target.lanes, a.int(ROWS), a.int(COLUMNS)
    size, plane, row = a.int(UNIT), a.int(OUT_PLANE), a.int(OUT_ROW)
    units = rows // size
    here, zero = inside(code, columns), code.broadcast(0.0)
    with code.loop(start, end) as u, code.loop(part, end_part) as block:
        image, unit = u // units, u % units
        first, last = unit * size, unit * size + size
        x = a.pointer(IN) + (image * a.int(IN_IMAGE) + block * a.int(IN_BLOCK))
        out = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + block * lanes * plane)
        real = (a.int(CHANNELS) - block * lanes).least(lanes)
        line = a.int(ORIGIN) - a.int(LEFT)
        begin = code.select(unit.equals(0), code.int(0), line + first * row)
        stop = code.select(last.equals(rows), plane, line + last * row) - code.bytes
        with code.loop(0, real) as p:
            with code.loop(begin, stop, code.bytes) as at:
                (out + p * plane).store(zero, at)
            (out + p * plane).store(zero, stop)
        with code.loop(first, last) as r, code.loop(0, columns, lanes) as column:
            at = column.least((columns - lanes).most(0))
            source = x + r * a.int(IN_ROW)
            pixels = [source.vector((at + k).least(columns - 1) * code.bytes) for k in range(lanes)]
            to = out + (a.int(ORIGIN) + r * row + at * 4)
            for k, numbers in reversed(list(enumerate(deinterleave(code, pixels)))):
                values = code.select(here, numbers, zero)
                to.store(
                    values, (real - 1).least(k) * plane
                )  # planes beyond the last channel are overwritten
    return code.finish()


def unit(target: Target, width: int, height: int) -> int:
    """Rows of a unit."""
    return 1 if width >= target.lanes else height


def arguments(target: Target, source: Layout, planes: Layout, addresses: tuple[Location, Location]) -> Record:
    """The record. addresses: of the input's memory and of the planes'."""
    x, y = addresses
    return record(
        ARGUMENTS,
        {
            IN: x + source.origin,
            IN_IMAGE: source.image,
            IN_BLOCK: source.block,
            IN_ROW: source.row,
            OUT: y,
            OUT_IMAGE: planes.image,
            OUT_PLANE: planes.block,
            OUT_ROW: planes.row,
            ROWS: source.height,
            COLUMNS: source.width,
            CHANNELS: source.channels,
            UNIT: unit(target, source.width, source.height),
            ORIGIN: planes.origin,
            LEFT: planes.left * planes.pixel,
        },
    )
