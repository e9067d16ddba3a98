"""Normalization: subtract a mean, divide by a deviation, scale and shift by channel. Two passes: mean, then variance.

`pixel`, statistics over the channels of each pixel (LayerNorm); parts 1, rows are output rows:

    for row: for TILE_PIXELS: mean = Σ over blocks · share; variance = Σ over blocks of (x - mean)² · share
        for block: y = (x - mean) · (weight / √(variance + eps)) + bias

`group`, statistics over a group of channels and all pixels of an image (GroupNorm, InstanceNorm, LayerNorm over
everything); rows are images, parts are runs of blocks that hold whole groups (`unit`):

    for image: for unit: sum[channel] = Σ over pixels; mean[channel] = that of its group; the same for the variance;
        for block: y = (x - mean) · (weight / √(variance + eps)) + bias

Padding lanes do not count and become 0. The output may be the input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.kernels.functions import Functions
from striate.engine.kernels.lanes import fold, inside
from striate.engine.layout import Layout
from striate.engine.target import Target

IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""Address of the first pixel; bytes to the next image, channel block and row."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 32, 40, 48, 56
ROWS, COLUMNS, CHANNELS, GROUP, UNIT = 64, 72, 80, 88, 96
"""Rows of one image, pixels of one row, channels, channels of a group, blocks of a part."""
WEIGHT, BIAS = 104, 112
"""Packed vectors [block][lanes], 0 in padding lanes."""
SHARE, EPS = 120, 124
"""float32: 1 / (numbers of a mean), and epsilon of the variance."""
ARGUMENTS = 128

TILE_PIXELS = 4
"""Pixels (or vectors of a row) at a time: enough chains for the adders, registers to spare on every target."""


def emit(target: Target, over: str) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch) for statistics over each "pixel" or each "group"."""
    return {"pixel": _pixel, "group": _group}[over](target)


def _pixel(target: Target) -> str:
    code = Code(target, "piiiip")
    a, first, end, part, end_part, _ = code.arguments
    rows, columns, channels = a.int(ROWS), a.int(COLUMNS), a.int(CHANNELS)
    in_block, out_block = a.int(IN_BLOCK), a.int(OUT_BLOCK)
    weight, bias, share, eps = a.pointer(WEIGHT), a.pointer(BIAS), a.number(SHARE), a.number(EPS)
    last = (channels - 1) // code.lanes
    real = inside(code, channels - last * code.lanes)
    zero = code.broadcast(0.0)

    def total(x: Pointer, count: int, means: list[Any] | None) -> list[Any]:
        """For each pixel the mean of its channels, or of their squared distance from the means; in all lanes."""
        sums = [code.variable(zero) for _ in range(count)]

        def block(at: Pointer, t: int) -> Any:
            value = at.vector(t * code.bytes)
            return value if means is None else code.sub(value, means[t])

        def accumulate(value: Any, to: Any) -> Any:
            return code.add(to, value) if means is None else code.fma(value, value, to)

        with code.loop(0, last) as k:
            for t in range(count):
                sums[t].set(accumulate(block(x + k * in_block, t), sums[t].get()))
        for t in range(count):
            # Padding lanes are cleared before squaring.
            value = code.select(real, block(x + last * in_block, t), zero)
            sums[t].set(accumulate(value, sums[t].get()))
        return [code.mul(fold(code, lane_sums.get(), code.add), share) for lane_sums in sums]

    def pixels(x: Pointer, y: Pointer, count: int) -> None:
        means = [code.broadcast(mean) for mean in total(x, count, None)]
        scales = [code.broadcast(_inverse_root(code, code.add(v, eps))) for v in total(x, count, means)]

        def block(k: Int, mask: Any) -> None:
            w, c = (weight + k * code.bytes).vector(), (bias + k * code.bytes).vector()
            for t in range(count):
                centered = code.sub((x + k * in_block).vector(t * code.bytes), means[t])
                value = code.fma(centered, code.mul(scales[t], w), c)
                value = value if mask is None else code.select(mask, value, zero)
                (y + k * out_block).store(value, t * code.bytes)

        with code.loop(0, last) as k:
            block(k, None)
        block(last, real)

    with code.loop(first, end) as row, code.loop(part, end_part):
        image, line = row // rows, row % rows
        x = a.pointer(IN) + (image * a.int(IN_IMAGE) + line * a.int(IN_ROW))
        y = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + line * a.int(OUT_ROW))
        bulk = columns - columns % TILE_PIXELS
        with code.loop(0, bulk, TILE_PIXELS) as at:
            pixels(x + at * code.bytes, y + at * code.bytes, TILE_PIXELS)
        with code.loop(bulk, columns) as at:
            pixels(x + at * code.bytes, y + at * code.bytes, 1)
    return code.finish()


def _inverse_root(code: Code, value: Any) -> Any:
    return code.div(code.number(1.0), Functions(code).sqrt(value))


def _group(target: Target) -> str:
    code = Code(target, "piiiip")
    a, first, end, part, end_part, scratch = code.arguments
    rows, columns, group, unit = a.int(ROWS), a.int(COLUMNS), a.int(GROUP), a.int(UNIT)
    in_block, out_block, in_row, out_row = a.int(IN_BLOCK), a.int(OUT_BLOCK), a.int(IN_ROW), a.int(OUT_ROW)
    share, eps = a.number(SHARE), a.number(EPS)
    zero = code.broadcast(0.0)
    bulk = columns - columns % TILE_PIXELS
    room = unit * code.bytes
    means, scales, sums = scratch, scratch + room, scratch + room * 2

    def total(x: Pointer, mean: Any) -> Any:
        """Sum over the pixels of a block, lane by lane, of x or of (x - mean)²: by rows, then over the rows."""
        complete = code.variable(zero)
        parts = [code.variable(zero) for _ in range(TILE_PIXELS)]

        def add(t: int, value: Any) -> None:
            if mean is None:
                parts[t].set(code.add(parts[t].get(), value))
            else:
                value = code.sub(value, mean)
                parts[t].set(code.fma(value, value, parts[t].get()))

        with code.loop(0, rows) as line:
            at = x + line * in_row
            for lane_sums in parts:
                lane_sums.set(zero)
            with code.loop(0, bulk, TILE_PIXELS) as k:
                for t in range(TILE_PIXELS):
                    add(t, (at + k * code.bytes).vector(t * code.bytes))
            with code.loop(bulk, columns) as k:
                add(0, (at + k * code.bytes).vector())
            halves = [
                code.add(parts[t].get(), parts[t + TILE_PIXELS // 2].get()) for t in range(TILE_PIXELS // 2)
            ]
            complete.set(code.add(complete.get(), code.add(*halves)))
        return complete.get()

    with code.loop(first, end) as image, code.loop(part, end_part) as p:
        block = p * unit
        count = (a.int(CHANNELS) - block * code.lanes).least(unit * code.lanes)
        blocks = (count + code.lanes - 1) // code.lanes
        x = a.pointer(IN) + (image * a.int(IN_IMAGE) + block * in_block)
        y = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + block * out_block)
        for to, square in ((means, False), (scales, True)):
            with code.loop(0, blocks) as k:
                mean = (means + k * code.bytes).vector() if square else None
                (sums + k * code.bytes).store(total(x + k * in_block, mean))
                (to + k * code.bytes).store(zero)
            with code.loop(0, count, group) as start:
                stop = (start + group).least(count)
                whole_sum = code.variable(code.number(0.0))
                with code.loop(start, stop) as channel:
                    whole_sum.set(code.add(whole_sum.get(), (sums + channel * 4).number()))
                value = code.mul(whole_sum.get(), share)
                if square:
                    value = _inverse_root(code, code.add(value, eps))
                with code.loop(start, stop) as channel:
                    (to + channel * 4).store(value)
        with code.loop(0, blocks) as k:
            at = (block + k) * code.bytes
            real = inside(code, count - k * code.lanes)
            mean = (means + k * code.bytes).vector()
            scale = code.mul((scales + k * code.bytes).vector(), (a.pointer(WEIGHT) + at).vector())
            shift = (a.pointer(BIAS) + at).vector()
            with code.loop(0, rows) as line:
                source, to = x + (k * in_block + line * in_row), y + (k * out_block + line * out_row)

                def pixels(at: Int, count: int, source: Pointer, to: Pointer) -> None:
                    for t in range(count):
                        centered = code.sub((source + at * code.bytes).vector(t * code.bytes), mean)
                        value = code.select(real, code.fma(centered, scale, shift), zero)
                        (to + at * code.bytes).store(value, t * code.bytes)

                with code.loop(0, bulk, TILE_PIXELS) as c:
                    pixels(c, TILE_PIXELS, source, to)
                with code.loop(bulk, columns) as c:
                    pixels(c, 1, source, to)
    return code.finish()


def unit(lanes: int, channels: int, group: int) -> int:
    """Blocks of a part of "group": the fewest that hold whole groups."""
    blocks = -(-channels // lanes)
    return min(math.lcm(lanes, group) // lanes, blocks)


def parts(lanes: int, channels: int, over: str, group: int = 0) -> int:
    """Parts of a step: 1 where statistics are over the channels of a pixel."""
    if over == "pixel":
        return 1
    blocks, unit_blocks = -(-channels // lanes), unit(lanes, channels, group)
    return -(-blocks // unit_blocks)


def rows(layout: Layout, over: str) -> int:
    """Rows of a step: rows of all images, or the images."""
    return layout.images * (layout.height if over == "pixel" else 1)


def scratch_bytes(lanes: int, channels: int, over: str, group: int = 0) -> int:
    """Scratch of one thread."""
    return 0 if over == "pixel" else 3 * unit(lanes, channels, group) * 4 * lanes


def pack(
    lanes: int, channels: int, vector: NDArray[np.float32] | None, missing: float = 0.0
) -> NDArray[np.float32]:
    """(channels,) -> (blocks, lanes), 0 in padding lanes; `missing` for every channel if there is no vector."""
    packed = np.zeros((-(-channels // lanes), lanes), np.float32)
    packed.reshape(-1)[:channels] = missing if vector is None else vector
    return packed


def arguments(
    source: Layout,
    target: Layout,
    over: str,
    addresses: tuple[Location, Location, Location, Location],
    eps: float,
    group: int = 0,
) -> Record:
    """The record. addresses: of the input's and output's memory, of the packed weight and bias; group: its channels."""
    x, y, weight, bias = addresses
    numbers = source.channels if over == "pixel" else group * source.height * source.width
    return record(
        ARGUMENTS,
        {
            IN: x + source.origin, IN_IMAGE: source.image, IN_BLOCK: source.block, IN_ROW: source.row,
            OUT: y + target.origin, OUT_IMAGE: target.image, OUT_BLOCK: target.block, OUT_ROW: target.row,
            ROWS: source.height, COLUMNS: source.width, CHANNELS: source.channels,
            GROUP: group, UNIT: unit(source.lanes, source.channels, group) if group else 0,
            WEIGHT: weight, BIAS: bias,
        },
        {SHARE: 1 / numbers, EPS: eps},
    )  # fmt: skip


def cost(layout: Layout) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    numbers = layout.images * layout.blocks * layout.lanes * layout.height * layout.width
    return 8 * numbers, 8 * numbers
