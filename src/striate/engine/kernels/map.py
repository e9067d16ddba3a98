"""One function at every position: activations, sums and products of branches, gates, scales and shifts by channel.

    for block: for row: for pixel: y[block][row][pixel] = f(a, b, …)

The function is text (expression.py), and each operand has a kind, one letter each:

    s  a number for each output, in a layout of its own         c  one for each channel: a packed vector [block][lanes]
    i  one for each image and channel: [n][block][lanes]        k  one for each image: float32
    p  one for each pixel: [n][rows][columns], plain float32    u  one for all

Pixels are taken UNROLL at a time where the function is short; a long one keeps all units busy by itself. An operand may
be the output itself: each number is read before its place is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate.engine.emit import Code, Int, Pointer
from striate.engine.kernels import expression as expressions
from striate.engine.kernels.lanes import inside
from striate.engine.kernels.record import record
from striate.engine.kernels.rows import Walk
from striate.engine.plan.layout import Layout
from striate.engine.target import Target

OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 0, 8, 16, 24
"""Address of the first output pixel; bytes to the next image, channel block and row."""
ROWS, COLUMNS, CHANNELS = 32, 40, 48
"""Rows of one image, pixels of one row, channels without the filled-up ones."""
OPERANDS, OPERAND = 56, 32
"""The operands, one after another, this many bytes each:"""
IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""address of the number that goes with the first output pixel; bytes to the next image, channel block and row."""

KINDS = "sicpku"
UNROLL = 4
SHORT = 12
"""Vector instructions up to which a function is taken for several pixels at a time."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the numbers of an operand lie: address and byte strides."""

    address: int
    image: int = 0
    block: int = 0
    row: int = 0

    @classmethod
    def of(cls, layout: Layout, address: int) -> Place:
        """The pixels of a layout whose memory starts at an address."""
        return cls(address + layout.origin, layout.image, layout.block, layout.row)

    @classmethod
    def vector(cls, lanes: int, address: int, images: bool = False, blocks: int = 0) -> Place:
        """A number for each channel (kind c) or, with the number of blocks, for each image and channel (kind i)."""
        return cls(address, 4 * lanes * blocks if images else 0, 4 * lanes)


def emit(target: Target, expression: str, kinds: str) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch)"""
    if not set(kinds) <= set(KINDS):
        raise ValueError(f"operand kinds {kinds!r}: use letters of {KINDS!r}")
    code = Code(target, "piiiip")
    a, first, last, block, end_block, _ = code.arguments
    rows, columns = a.int(ROWS), a.int(COLUMNS)
    unroll = UNROLL if expressions.work(expression) <= SHORT else 1
    whole = columns - columns % unroll
    zero = code.int(0)
    entries = [a + (OPERANDS + k * OPERAND) for k in range(len(kinds))]
    with code.loop(block, end_block) as part:
        out = Walk(a.pointer(OUT) + part * a.int(OUT_BLOCK), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, first)
        walks = []
        for kind, entry in zip(kinds, entries, strict=True):
            base = entry.pointer(IN) + (part * entry.int(IN_BLOCK) if kind in "sic" else 0)
            image = entry.int(IN_IMAGE) if kind in "sipk" else zero
            walks.append(Walk(base, image, entry.int(IN_ROW) if kind in "sp" else zero, rows, first))
        line = code.variable(first % rows)
        with code.loop(first, last):
            bases = [walk.at.get() for walk in walks]
            fixed = {
                k: bases[k].vector() if kind in "ic" else bases[k].spread()
                for k, kind in enumerate(kinds)
                if kind in "icku"
            }

            def pixels(start: Int, count: int) -> None:
                results = []
                for t in range(count):
                    values = []
                    for k, kind in enumerate(kinds):
                        if kind == "s":
                            values.append((bases[k] + start * code.bytes).vector(t * code.bytes))
                        elif kind == "p":
                            values.append((bases[k] + start * 4).spread(t * 4))
                        else:
                            values.append(fixed[k])
                    results.append(expressions.vector(code, expression, values))
                for t, result in enumerate(results):
                    (to + start * code.bytes).store(result, t * code.bytes)

            to = out.at.get()
            with code.loop(0, whole, unroll) as x:
                pixels(x, unroll)
            if unroll > 1:
                with code.loop(whole, columns) as x:
                    pixels(x, 1)
            channels = a.int(CHANNELS) - part * code.lanes
            if not expressions.tame(expressions.parse(expression)):
                with code.when(channels < code.lanes):
                    _emptied(code, to, columns, channels)
            line.set(line.get() + 1)
            turned = code.select(line.get().equals(rows), code.int(1), zero)
            line.set(code.select(turned.equals(1), zero, line.get()))
            for walk in (out, *walks):
                walk.next(turned)
    return code.finish()


def _emptied(code: Code, row: Pointer, columns: Int, channels: Int) -> None:
    """0 into the filled-up lanes of a row."""
    real = inside(code, channels)
    with code.loop(0, columns) as x:
        at = row + x * code.bytes
        at.store(code.select(real, at.vector(), code.spread(0.0)))


def arguments(output: Layout, address: int, operands: Sequence[Place]) -> NDArray[np.int64]:
    """The record: an output layout whose memory starts at an address, and its operands in order.

    Rows are output.images · output.height, parts are output.blocks.
    """
    out = Place.of(output, address)
    numbers = {
        OUT: out.address, OUT_IMAGE: out.image, OUT_BLOCK: out.block, OUT_ROW: out.row,
        ROWS: output.height, COLUMNS: output.width, CHANNELS: output.channels,
    }  # fmt: skip
    for k, place in enumerate(operands):
        at = OPERANDS + k * OPERAND
        numbers |= {
            at + IN: place.address, at + IN_IMAGE: place.image, at + IN_BLOCK: place.block, at + IN_ROW: place.row,
        }  # fmt: skip
    return record(OPERANDS + len(operands) * OPERAND, numbers)


def cost(output: Layout, expression: str, kinds: str) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    numbers = output.images * output.blocks * output.lanes * output.height * output.width
    return numbers * expressions.work(expression), 4 * numbers * (1 + kinds.count("s"))
