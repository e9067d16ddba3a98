"""A function of each number and of the squares (or numbers) around it along the channels: local response norm.

    for block: for row: for pixel: b = Σ over `size` channels around of x²; y = f(x, b)

Neighbors in other blocks come from those blocks' vectors, shifted by lanes: each block is read with the blocks before
and after it. Padding lanes do not count and become 0. The output must not be the input.
"""

from __future__ import annotations

from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.kernels import expression as expressions
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.kernels.lanes import inside
from striate.engine.kernels.row_walk import Walk
from striate.engine.layout import Layout
from striate.engine.target import Target

IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""Address of the first pixel; bytes to the next image, channel block and row."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 32, 40, 48, 56
ROWS, COLUMNS, CHANNELS = 64, 72, 80
"""Rows of one image, pixels of one row, channels."""
ARGUMENTS = 88


def covers(lanes: int, size: int) -> bool:
    """Windows that reach no further than the next block."""
    return size // 2 <= lanes


def emit(target: Target, expression: str, size: int, squares: int = 1) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch); in the expression a is the number, b the sum.

    squares: 0 to sum the numbers themselves.
    """
    code = Code(target, "piiiip")
    if not covers(code.lanes, size):
        raise ValueError(f"a window of {size} channels: at most {2 * code.lanes + 1} on {target.name}")
    a, first, last, block, end_block, _ = code.arguments
    rows, columns, step, lanes = a.int(ROWS), a.int(COLUMNS), a.int(IN_BLOCK), code.lanes
    zero = code.broadcast(0.0)

    def shift_lanes(low: Any, high: Any, by: int) -> Any:
        """Lanes by … by + lanes of two vectors side by side."""
        mask = ir.Constant(ir.VectorType(ir.I32, lanes), list(range(by, by + lanes)))
        return code.builder.shuffle_vector(low, high, mask)

    with code.loop(block, end_block) as part:
        channels = a.int(CHANNELS) - part * lanes
        masks = [inside(code, count) for count in (part * lanes, channels, channels - lanes)]
        # Where there is no block before or after, the block itself is read and masked.
        before = code.select(part > 0, -1 * step, code.int(0))
        after = code.select(channels > lanes, step, code.int(0))
        source = Walk(a.pointer(IN) + part * step, a.int(IN_IMAGE), a.int(IN_ROW), rows, first)
        result = Walk(a.pointer(OUT) + part * a.int(OUT_BLOCK), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, first)
        line = code.variable(first % rows)
        with code.loop(first, last):
            x, y = source.at.get(), result.at.get()
            with code.loop(0, columns) as pixel:
                at = x + pixel * code.bytes
                value = at.vector()
                three = [(at + before).vector(), value, (at + after).vector()]
                left, center, right = (
                    code.select(mask, code.mul(v, v) if squares else v, zero)
                    for mask, v in zip(masks, three, strict=True)
                )
                total = None
                for d in range(-(size // 2), (size + 1) // 2):
                    near = (
                        center
                        if d == 0
                        else shift_lanes(left, center, lanes + d)
                        if d < 0
                        else shift_lanes(center, right, d)
                    )
                    total = near if total is None else code.add(total, near)
                output = expressions.vector(code, expression, [value, total])
                (y + pixel * code.bytes).store(code.select(masks[1], output, zero))
            line.set(line.get() + 1)
            new_image = code.select(line.get().equals(rows), code.int(1), code.int(0))
            line.set(code.select(new_image.equals(1), code.int(0), line.get()))
            source.next(new_image)
            result.next(new_image)
    return code.finish()


def arguments(source: Layout, target: Layout, addresses: tuple[Location, Location]) -> Record:
    """The record. addresses: of the input's and output's memory. Rows are those of all images, parts the blocks."""
    x, y = addresses
    return record(
        ARGUMENTS,
        {
            IN: x + source.origin, IN_IMAGE: source.image, IN_BLOCK: source.block, IN_ROW: source.row,
            OUT: y + target.origin, OUT_IMAGE: target.image, OUT_BLOCK: target.block, OUT_ROW: target.row,
            ROWS: source.height, COLUMNS: source.width, CHANNELS: source.channels,
        },
    )  # fmt: skip


def cost(layout: Layout, expression: str, size: int) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    numbers = layout.images * layout.blocks * layout.lanes * layout.height * layout.width
    return numbers * (expressions.work(expression) + 2 * size + 6), 8 * numbers
