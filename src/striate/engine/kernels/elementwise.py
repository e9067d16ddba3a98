"""One function at every position: activations, sums and products of branches, gates, scales and shifts by channel.

    for block: for row: for pixel: y[block][row][pixel] = f(a, b, …)

The function is text (expression.py); each operand has a kind (operands.py).

Pixels are taken several at a time. An operand may be the output itself: each number is read before it is overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int
from striate.engine.kernels import expression as expressions
from striate.engine.kernels.argument_record import Location, Record, Value, record
from striate.engine.kernels.lanes import clear_padding_lanes
from striate.engine.kernels.operands import OPERAND_SIZE, OperandPlace, entries, operands
from striate.engine.kernels.row_walk import Walk
from striate.engine.layout import Layout
from striate.engine.target import Target

OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 0, 8, 16, 24
"""Address of the first output pixel; bytes to the next image, channel block and row."""
ROWS, COLUMNS, CHANNELS = 32, 40, 48
"""Rows of one image, pixels of one row, channels without padding."""
OPERANDS = 56
"""The operands' entries."""


def emit(target: Target, expression: str, kinds: str) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch)"""
    code = Code(target, "piiiip")
    a, first, last, block, end_block, _ = code.arguments
    rows, columns = a.int(ROWS), a.int(COLUMNS)
    unroll = expressions.at_once(target, expression, loops=2)
    bulk = columns - columns % unroll
    zero = code.int(0)
    inputs = operands(a + OPERANDS, kinds)
    with code.loop(block, end_block) as part:
        out = Walk(a.pointer(OUT) + part * a.int(OUT_BLOCK), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, first)
        walks = [Walk(one.base(part), one.image, one.row, rows, first) for one in inputs]
        line = code.variable(first % rows)
        with code.loop(first, last):
            bases = [walk.at.get() for walk in walks]
            constants = [one.row_constant(at) for one, at in zip(inputs, bases, strict=True)]

            def pixels(start: Int, count: int) -> None:
                rows = [
                    [
                        one.value(at, start, t, constant)
                        for one, at, constant in zip(inputs, bases, constants, strict=True)
                    ]
                    for t in range(count)
                ]
                results = expressions.vectors(code, expression, rows)
                for t, result in enumerate(results):
                    (to + start * code.bytes).store(result, t * code.bytes)

            to = out.at.get()
            with code.loop(0, bulk, unroll) as x:
                pixels(x, unroll)
            if unroll > 1:
                with code.loop(bulk, columns) as x:
                    pixels(x, 1)
            channels = a.int(CHANNELS) - part * code.lanes
            if not expressions.tame(expressions.parse(expression)):
                with code.when(channels < code.lanes):
                    clear_padding_lanes(to, columns, code.bytes, channels)
            line.set(line.get() + 1)
            new_image = code.select(line.get().equals(rows), code.int(1), zero)
            line.set(code.select(new_image.equals(1), zero, line.get()))
            for walk in (out, *walks):
                walk.next(new_image)
    return code.finish()


def arguments(output: Layout, address: Location, places: Sequence[OperandPlace]) -> Record:
    """The record: an output layout whose memory starts at an address, and where its operands lie, in order.

    Rows are output.images · output.height, parts are output.blocks.
    """
    out = OperandPlace.of(output, address)
    numbers: dict[int, Value] = {
        OUT: out.address, OUT_IMAGE: out.image, OUT_BLOCK: out.block, OUT_ROW: out.row,
        ROWS: output.height, COLUMNS: output.width, CHANNELS: output.channels,
    }  # fmt: skip
    return record(OPERANDS + len(places) * OPERAND_SIZE, numbers | entries(OPERANDS, places))


def cost(output: Layout, expression: str, kinds: str) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    numbers = output.images * output.blocks * output.lanes * output.height * output.width
    return numbers * expressions.work(expression), 4 * numbers * (1 + kinds.count("s"))
