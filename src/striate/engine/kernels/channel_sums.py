"""Sums of elementwise functions over all pixels of every channel: statistics of batches, gradients by channel.

    for block: for image: for row: for pixel: total[k] += f[k](a, b, …)        out[k][block] = total[k]

for K functions of the same operands at once. A row of the step sums `row_images` images: all (rows 1, one vector of
lanes per block), one (rows are images, gradients of gates: [image][block][lanes]), or any number between; another step
of this kind then adds up their sums. The functions are texts (expression.py); operands have kinds (operands.py).

A few sums in registers (`unroll`) hide the latency of an addition. They take CHAIN_ADDITIONS numbers each, from some
images, from a band of rows or a stretch of one, and go to a total that carries its rounding errors along (Knuth, TAOCP
vol. 2, 4.2.2, theorem B). So the error stays that of a short chain however many pixels there are, and no division into
tasks changes a bit. Padding lanes become 0.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Variable
from striate.engine.kernels import expression as expressions
from striate.engine.kernels.argument_record import Location, Record, Value, record
from striate.engine.kernels.lanes import clear_padding_lanes
from striate.engine.kernels.operands import OPERAND_SIZE, OperandPlace, entries, operands
from striate.engine.layout import Layout
from striate.engine.target import Target

IMAGES, ROW_IMAGES, OUT_ROW = 0, 8, 16
"""Images; images of one row of the step; bytes from one row's sums to the next one's."""
ROWS, COLUMNS, CHANNELS = 24, 32, 40
"""Rows of one image, pixels of one row, channels without padding."""
OUT = 48
"""Address of the first function's sums, of the second's, …; after them the operands' entries."""

CHAIN_ADDITIONS = 32
"""Additions to a register in one band or stretch, about."""
MAX_REGISTER_SUMS = 8
"""Sums in registers: this many hide the latency of two adders."""
TEMPORARY_VECTORS = 3
"""Vectors that a short function needs for temporaries."""


def unroll(target: Target, kinds: str, count: int) -> int:
    """Pixels at a time: a power of two, with which the sums of `count` functions and the fixed operands stay in
    registers."""
    room = target.registers // max(target.lanes // target.width, 1) - TEMPORARY_VECTORS
    room -= sum(kind in "icku" for kind in kinds)
    pixels = max(MAX_REGISTER_SUMS // count, 2)
    while pixels > 1 and pixels * count > room:
        pixels //= 2
    return 1 << (pixels.bit_length() - 1)


def emit(target: Target, kinds: str, *functions: str) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch) for texts over operands a, b, … of these kinds."""
    code = Code(target, "piiiip")
    a, first, end, block, end_block, scratch = code.arguments
    inputs = operands(a + (OUT + 8 * len(functions)), kinds)
    wide = unroll(target, kinds, len(functions))
    rows, columns = a.int(ROWS), a.int(COLUMNS)
    # A map with contiguous rows is one long row.
    apart = [
        one.row.differs(columns * (code.bytes if one.kind == "s" else 4))
        for one in inputs
        if one.kind in "sp"
    ]
    long = code.builder.not_(functools.reduce(code.builder.or_, apart, code.int(0).differs(0)))
    rows, columns = code.select(long, 1, rows), code.select(long, rows * columns, columns)
    steps = ((columns + (wide - 1)) // wide).most(1)
    band = (code.int(CHAIN_ADDITIONS) // steps).most(1)
    group = (code.int(CHAIN_ADDITIONS) // (steps * rows.most(1))).most(1)
    zero = code.broadcast(0.0)
    # Totals and their errors stay in memory: the registers belong to the innermost loop.
    totals = code.opaque(scratch)
    places = [(2 * k * code.bytes, (2 * k + 1) * code.bytes) for k in range(len(functions))]
    # The sum so far is an operand: a product is added to it with one rounding.
    accumulations = [f"add({text},{expressions.OPERANDS[len(kinds)]})" for text in functions]

    def pixels(
        lines: list[Pointer], constants: list[Any], sums: list[list[Variable]], at: Int, number: int
    ) -> None:
        for t in range(number):
            values = [
                one.value(place, at, t, constant)
                for one, place, constant in zip(inputs, lines, constants, strict=True)
            ]
            for text, total in zip(accumulations, sums[t], strict=True):
                total.set(expressions.vector(code, text, [*values, total.get()]))

    def one_row(row: Int, starts: list[Pointer]) -> None:
        """Totals and errors of the images of a row of the step."""
        images = row * a.int(ROW_IMAGES)
        end_image = a.int(IMAGES).least(images + a.int(ROW_IMAGES))
        chunks = (
            code.loop(images, end_image, group),
            code.loop(0, rows, band),
            code.loop(0, columns, CHAIN_ADDITIONS * wide),
        )
        with chunks[0] as chunk, chunks[1] as line, chunks[2] as column:
            sums = [[code.variable(zero) for _ in functions] for _ in range(wide)]
            count = (columns - column).least(CHAIN_ADDITIONS * wide)
            bulk = count - count % wide
            with code.loop(chunk, end_image.least(chunk + group)) as image:
                planes = [at + image * one.image for one, at in zip(inputs, starts, strict=True)]
                constants = [one.row_constant(at) for one, at in zip(inputs, planes, strict=True)]
                with code.loop(line, rows.least(line + band)) as y:
                    lines = [at + y * one.row for one, at in zip(inputs, planes, strict=True)]
                    with code.loop(column, column + bulk, wide) as x:
                        pixels(lines, constants, sums, x, wide)
                    for rest in code.cases(count - bulk, range(1, wide)):
                        pixels(lines, constants, sums, column + bulk, rest)
            for k, (total, error) in enumerate(places):
                value = _tree_sum(code, [chain[k].get() for chain in sums])
                value, lost = _two_sum(code, totals.vector(total), value)
                totals.store(value, total)
                totals.store(code.add(totals.vector(error), lost), error)

    with code.loop(block, end_block) as part:
        starts = [one.base(part) for one in inputs]
        outputs = [a.pointer(OUT + 8 * k) + part * code.bytes for k in range(len(functions))]
        with code.loop(first, end) as row:
            for at in itertools.chain(*places):
                totals.store(zero, at)
            one_row(row, starts)
            for to, (total, error) in zip(outputs, places, strict=True):
                value, lost = totals.vector(total), totals.vector(error)
                # An infinite total may hide a NaN.
                value = code.select(code.unordered(lost, lost), value, code.add(value, lost))
                (to + row * a.int(OUT_ROW)).store(value)
        channels = a.int(CHANNELS) - part * code.lanes
        with code.when(channels < code.lanes):
            for to in outputs:
                clear_padding_lanes(to + first * a.int(OUT_ROW), end - first, a.int(OUT_ROW), channels)
    return code.finish()


def _tree_sum(code: Code, values: list[Any]) -> Any:
    """The sum of a power of two of vectors, halves first."""
    while len(values) > 1:
        half = len(values) // 2
        values = [code.add(a, b) for a, b in zip(values[:half], values[half:], strict=True)]
    return values[0]


def _two_sum(code: Code, a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and the rounding error."""
    total = code.add(a, b)
    back = code.sub(total, a)
    return total, code.add(code.sub(a, code.sub(total, back)), code.sub(b, back))


def scratch_bytes(lanes: int, functions: int) -> int:
    """Scratch of one thread."""
    return 8 * lanes * functions


def rows(images: int, row_images: int = 0) -> int:
    """Rows of a step that adds up over `row_images` images at a time; 0: over all. Parts are channel blocks."""
    return -(-images // row_images) if row_images else 1


def arguments(
    like: Layout, outputs: Sequence[Location], places: Sequence[OperandPlace], row_images: int = 0
) -> Record:
    """The record. like: images, channels and pixels of the operands; outputs: an address for each function, of
    float32 (rows, blocks, lanes) with rows from `rows(like.images, row_images)`; places: where the operands lie."""
    inner = OUT + 8 * len(outputs)
    numbers: dict[int, Value] = {
        IMAGES: like.images, ROW_IMAGES: row_images or like.images, OUT_ROW: 4 * like.lanes * like.blocks,
        ROWS: like.height, COLUMNS: like.width, CHANNELS: like.channels,
    }  # fmt: skip
    numbers |= {OUT + 8 * k: address for k, address in enumerate(outputs)}
    return record(inner + len(places) * OPERAND_SIZE, numbers | entries(inner, places))


def cost(like: Layout, kinds: str, functions: Sequence[str]) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved from memory."""
    numbers = like.images * like.blocks * like.lanes * like.height * like.width
    return numbers * sum(1 + expressions.work(text) for text in functions), 4 * numbers * kinds.count("s")
