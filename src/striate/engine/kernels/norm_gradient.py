"""The gradient of a norm over the channels of each pixel, and the statistics that the gradient of its weight needs.

    for row: for some pixels: mean = Σ x · share; r = 1/√(Σ (x - mean)² · share + eps)     (as the forward kernel)
        a = Σ w·dy · share; b = Σ w·dy·(x - mean) · share · r²
        for block: dx = r · (w·dy - a - (x - mean)·b)

A pixel's channels stay in the first-level cache through all passes. Padding lanes do not count and become 0.
"""

from __future__ import annotations

from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.kernels.argument_record import Location, Record, Value, record
from striate.engine.kernels.functions import Functions
from striate.engine.kernels.lanes import fold, inside
from striate.engine.layout import Layout
from striate.engine.target import Target

DY, X, DX = 0, 32, 64
"""The arrays: address of the first pixel, then bytes to the next image, channel block and row."""
IMAGE, BLOCK, ROW = 8, 16, 24
ROWS, COLUMNS, CHANNELS = 96, 104, 112
"""Rows of one image, pixels of one row, channels."""
MEAN, SCALE, WEIGHT = 120, 128, 136
"""Address of each pixel's mean and of 1/deviation, row-major float32; of the packed weight, 0 in padding lanes."""
SHARE, EPS = 144, 148
"""float32: 1 / channels, and epsilon of the variance."""
ARGUMENTS = 152


def emit(target: Target) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch); one part."""
    code = Code(target, "piiiip")
    a, first, end, part, end_part, _ = code.arguments
    rows, columns, channels = a.int(ROWS), a.int(COLUMNS), a.int(CHANNELS)
    weight, share, eps = a.pointer(WEIGHT), a.number(SHARE), a.number(EPS)
    x_block, dy_block, dx_block = (a.int(array + BLOCK) for array in (X, DY, DX))
    last = (channels - 1) // code.lanes
    real = inside(code, channels - last * code.lanes)
    zero = code.broadcast(0.0)
    tile = pixels(target)

    def total(count: int, add: Any) -> list[list[Any]]:
        """Sums over all blocks: add(block, pixel, sums so far, lanes that count) gives the new sums."""
        sums: list[list[Any]] = []

        def block(k: Int, mask: Any) -> None:
            for t in range(count):
                before = [lane_sums.get() for lane_sums in sums[t]]
                for lane_sums, value in zip(sums[t], add(k, t, before, mask), strict=True):
                    lane_sums.set(value)

        width = len(add(None, 0, None, None))
        sums.extend([code.variable(zero) for _ in range(width)] for _ in range(count))
        for some in sums:
            for lane_sums in some:
                lane_sums.set(zero)
        with code.loop(0, last) as k:
            block(k, None)
        block(last, real)
        return [
            [code.mul(fold(code, lane_sums.get(), code.add), share) for lane_sums in some] for some in sums
        ]

    def tile_of(x: Pointer, dy: Pointer, dx: Pointer, mean: Pointer, scale: Pointer, count: int) -> None:
        def value(k: Int, t: int, mask: Any) -> Any:
            vector = (x + k * x_block).vector(t * code.bytes)
            return vector if mask is None else code.select(mask, vector, zero)

        def plain(k: Any, t: int, before: Any, mask: Any) -> list[Any]:
            return [None] if k is None else [code.add(before[0], value(k, t, mask))]

        means = [code.broadcast(lane_sums) for (lane_sums,) in total(count, plain)]

        def far(k: Int, t: int, mask: Any) -> Any:
            distance = code.sub((x + k * x_block).vector(t * code.bytes), means[t])
            return distance if mask is None else code.select(mask, distance, zero)

        def square(k: Any, t: int, before: Any, mask: Any) -> list[Any]:
            if k is None:
                return [None]
            distance = far(k, t, mask)
            return [code.fma(distance, distance, before[0])]

        one = code.number(1.0)
        roots = [
            code.div(one, Functions(code).sqrt(code.add(lane_sums, eps)))
            for (lane_sums,) in total(count, square)
        ]

        def slopes(k: Any, t: int, before: Any, mask: Any) -> list[Any]:
            if k is None:
                return [None, None]
            slope = (dy + k * dy_block).vector(t * code.bytes)
            slope = code.mul(slope, (weight + k * code.bytes).vector())
            if mask is not None:
                slope = code.select(mask, slope, zero)
            return [code.add(before[0], slope), code.fma(slope, far(k, t, mask), before[1])]

        slope_sums = total(count, slopes)
        for t in range(count):
            mean.store(code.builder.extract_element(means[t], ir.Constant(ir.I32, 0)), 4 * t)
            scale.store(roots[t], 4 * t)
        scales = [code.broadcast(root) for root in roots]
        shifts = [code.broadcast(one_[0]) for one_ in slope_sums]
        tilts = [
            code.broadcast(code.mul(one_[1], code.mul(root, root)))
            for one_, root in zip(slope_sums, roots, strict=True)
        ]

        def block(k: Int, mask: Any) -> None:
            w = (weight + k * code.bytes).vector()
            for t in range(count):
                slope = (dy + k * dy_block).vector(t * code.bytes)
                inner = code.sub(code.mul(slope, w), shifts[t])
                inner = code.sub(inner, code.mul(far(k, t, None), tilts[t]))
                result = code.mul(inner, scales[t])
                result = result if mask is None else code.select(mask, result, zero)
                (dx + k * dx_block).store(result, t * code.bytes)

        with code.loop(0, last) as k:
            block(k, None)
        block(last, real)

    with code.loop(first, end) as row, code.loop(part, end_part):
        image, line = row // rows, row % rows
        x, dy, dx = (
            a.pointer(array) + (image * a.int(array + IMAGE) + line * a.int(array + ROW))
            for array in (X, DY, DX)
        )
        mean, scale = (a.pointer(array) + row * columns * 4 for array in (MEAN, SCALE))
        bulk = columns - columns % tile
        stretches = [(code.int(0), bulk, tile)] + [(bulk, columns, 1)] * (tile > 1)
        for start, stop, count in stretches:
            with code.loop(start, stop, count) as at:
                by = at * code.bytes
                tile_of(x + by, dy + by, dx + by, mean + at * 4, scale + at * 4, count)
    return code.finish()


def pixels(target: Target) -> int:
    """Pixels at a time: two sums and a mean of each stay in registers next to the loaded vectors."""
    return max(min(target.registers // max(target.lanes // target.width, 1) // 8, 4), 1)


def arguments(layouts: tuple[Layout, Layout, Layout], addresses: tuple[Location, ...], eps: float) -> Record:
    """The record. layouts: of dy, x and dx; addresses: of their memory, of the pixels' means and scales, and of the
    packed weight. Rows are those of all images."""
    numbers: dict[int, Value] = {}
    for first, layout, address in zip((DY, X, DX), layouts, addresses[:3], strict=True):
        numbers |= {
            first: address + layout.origin, first + IMAGE: layout.image, first + BLOCK: layout.block,
            first + ROW: layout.row,
        }  # fmt: skip
    x = layouts[1]
    numbers |= {ROWS: x.height, COLUMNS: x.width, CHANNELS: x.channels}
    numbers |= dict(zip((MEAN, SCALE, WEIGHT), addresses[3:], strict=True))
    return record(ARGUMENTS, numbers, {SHARE: 1 / x.channels, EPS: eps})


def cost(layout: Layout) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    numbers = layout.images * layout.blocks * layout.lanes * layout.height * layout.width
    return 14 * numbers, 12 * numbers
