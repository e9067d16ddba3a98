"""Mean or maximum over the whole map of every channel: global pooling, and the squeeze of squeeze-and-excitation.

    for image: for block: for band of rows: part[0 … 7] = start
                   for row: for 8 pixels: part[:] += pixel[:]
                   total += part[0] + … + part[7]
               out = total / pixels

Eight parts hide the latency of an addition; bands keep a part's chain of roundings short on large maps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.emit import Code
from striate.engine.kernels.record import record
from striate.engine.plan.layout import Layout
from striate.engine.target import Target

IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""Address of the first pixel; bytes to the next image, channel block and row of the input."""
OUT, OUT_IMAGE, OUT_BLOCK = 32, 40, 48
ROWS, COLUMNS, BAND, PIXELS = 56, 64, 72, 80
"""Rows and columns of the map, rows of a band, and (float32) the number that a mean divides by."""
ARGUMENTS = 88

CHAIN = 128
"""Additions to a part in one band, about."""


def parts(target: Target, reduce: str) -> int:
    """Partial results: 8, or what half the registers hold; a maximum that keeps NaN takes twice the room."""
    room = target.registers // max(target.lanes // target.width, 1)
    return min(8, room // (4 if reduce == "max" else 2))


def emit(target: Target, reduce: str) -> str:
    """kernel(arguments, image, end_image, block, end_block, scratch). reduce: "max" or "mean"."""
    code = Code(target, "piiiip")
    a, image, end_image, part, end_part, _ = code.arguments
    wide, columns, rows = parts(target, reduce), a.int(COLUMNS), a.int(ROWS)
    whole = columns // wide
    rest = columns - whole * wide
    join = code.add if reduce == "mean" else code.maximum
    start = code.spread(0.0 if reduce == "mean" else -math.inf)
    divisor = a.spread(PIXELS)

    with code.loop(image, end_image) as n, code.loop(part, end_part) as p:
        x = code.variable(a.pointer(IN) + (n * a.int(IN_IMAGE) + p * a.int(IN_BLOCK)))
        total = code.variable(start)
        with code.loop(0, rows, a.int(BAND)) as first:
            found = [code.variable(start) for _ in range(wide)]

            def take(count: int, at: Any, found: list[Any] = found) -> None:
                for k in range(count):
                    found[k].set(join(found[k].get(), at.vector(k * code.bytes)))

            with code.loop(first, rows.least(first + a.int(BAND))):
                with code.loop(0, whole) as k:
                    take(wide, x.get() + k * (wide * code.bytes))
                for count in code.cases(rest, range(1, wide)):
                    take(count, x.get() + whole * (wide * code.bytes))
                x.set(x.get() + a.int(IN_ROW))
            values = [value.get() for value in found]
            while len(values) > 1:
                values = [join(*values[k : k + 2]) for k in range(0, len(values), 2)]
            total.set(join(total.get(), values[0]))
        result = total.get() if reduce == "max" else code.div(total.get(), divisor)
        (a.pointer(OUT) + (n * a.int(OUT_IMAGE) + p * a.int(OUT_BLOCK))).store(result)
    return code.finish()


def covers(source: Layout) -> bool:
    """Any map with at least one pixel."""
    return source.height * source.width > 0


def arguments(source: Layout, target: Layout, addresses: tuple[int, int]) -> NDArray[np.int64]:
    """The record. addresses: of the input's and the output's memory; the output has one pixel an image."""
    return record(
        ARGUMENTS,
        {
            IN: addresses[0] + source.origin,
            IN_IMAGE: source.image,
            IN_BLOCK: source.block,
            IN_ROW: source.row,
            OUT: addresses[1] + target.origin,
            OUT_IMAGE: target.image,
            OUT_BLOCK: target.block,
            ROWS: source.height,
            COLUMNS: source.width,
            BAND: max(CHAIN * 8 // source.width, 1),
        },
        {PIXELS: source.height * source.width},
    )


def cost(source: Layout) -> tuple[int, int]:
    """(flops, bytes to and from memory)."""
    planes = source.images * source.blocks * source.lanes
    pixels = source.height * source.width
    return planes * pixels, 4 * planes * (pixels + 1)
