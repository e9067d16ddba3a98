"""Grouped convolution with fewer channels per group than lanes, and depthwise convolution with a multiplier.

Groups of 2, 4, 8 channels in and out: as depthwise, with a step per channel of the group,

    for tap row: for channel i of the group: for input pixel: spread i over its group's lanes
                                                 for tap column: total[t] += spread · weight

so that one shuffle inside a register serves all taps of a row. Any other shape gathers each step's lanes one number at
a time through a table of offsets: slow, but right for groups that straddle blocks, and rare. Groups of whole blocks
need neither: they are dense products one by one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Pointer, Variable
from striate.engine.kernels import depthwise
from striate.engine.kernels.argument_record import Location, Record, Value, record, table
from striate.engine.kernels.depthwise import (
    COLUMNS,
    IN,
    IN_BLOCK,
    IN_IMAGE,
    IN_PIXEL,
    IN_ROW,
    OUT,
    OUT_BLOCK,
    OUT_IMAGE,
    OUT_ROW,
    ROWS,
    TAP_COLUMN,
    TAP_COLUMNS,
    TAP_ROW,
    TAP_ROWS,
    WEIGHTS,
    WEIGHTS_BLOCK,
    Windows,
    padding,
)
from striate.engine.kernels.row_walk import Tiles, Walk
from striate.engine.layout import Layout
from striate.engine.target import Target

TABLE, STEPS = depthwise.ARGUMENTS, depthwise.ARGUMENTS + 8
"""After the depthwise record: address of the table, input channels of a group."""
ARGUMENTS = depthwise.ARGUMENTS + 16

GATHER_TILE_PIXELS = 4
"""Pixels of a tile that is gathered number by number."""


def emit(target: Target, group: int, width: int, stride: int) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch).

    group: channels of a group, in and out, where they divide the lanes; 0 for any other shape. width, stride: as in
    `depthwise.emit`.
    """
    return depthwise.sliding(target, width, stride, group) if group else _gather_kernel(target)


def _gather_kernel(target: Target) -> str:
    """Any groups: weights [tap row][tap column][channel of the group], after the bias and the mask of real lanes."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    rows, first = a.int(ROWS), row % a.int(ROWS)
    tiles = Tiles(a.int(COLUMNS), GATHER_TILE_PIXELS)
    x = Walk(a.pointer(IN), a.int(IN_IMAGE), a.int(IN_ROW), rows, row)
    y = Walk(a.pointer(OUT), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, row)
    line = code.variable(first)
    with code.loop(part, end_part) as p:
        weights = a.pointer(WEIGHTS) + p * a.int(WEIGHTS_BLOCK)
        table = a.pointer(TABLE) + p * (a.int(STEPS) * (8 * code.lanes))
        x.at.set(x.start)
        y.at.set(y.start + p * a.int(OUT_BLOCK))
        line.set(first)
        with code.loop(row, end_row):
            source, result = code.variable(x.at.get()), code.variable(y.at.get())
            for t in tiles.walk():
                pixels = [source.get() + a.int(IN_PIXEL) * k for k in range(t)]
                depthwise.store(a, result.get(), _gather_sums(a, pixels, weights, table))
                source.set(source.get() + a.int(IN_PIXEL) * t)
                result.set(result.get() + t * code.bytes)
            following = line.get() + 1
            last = code.select(following.equals(rows), code.int(1), code.int(0))
            x.next(last)
            y.next(last)
            line.set(following - last * rows)
    return code.finish()


def _gather_sums(a: Pointer, pixels: list[Pointer], weights: Pointer, table: Pointer) -> list[Variable]:
    """Sums of some outputs."""
    code = a.code
    total = [code.variable(weights.vector()) for _ in pixels]
    w = code.variable(weights + 2 * code.bytes)
    with code.loop(0, a.int(TAP_ROWS)) as u, code.loop(0, a.int(TAP_COLUMNS)) as v:
        tap = u * a.int(TAP_ROW) + v * a.int(TAP_COLUMN)
        with code.loop(0, a.int(STEPS)) as i:
            places = table + i * (8 * code.lanes)
            values = [code.broadcast(0.0) for _ in pixels]
            for lane in range(code.lanes):
                offset = tap + places.int(8 * lane)
                values = [
                    code.insert(value, (pixel + offset).number(), lane)
                    for value, pixel in zip(values, pixels)
                ]
            weight = w.get().vector()
            for sums, value in zip(total, values):
                sums.set(code.fma(value, weight, sums.get()))
            w.set(w.get() + code.bytes)
    # Padding lanes read some channel of the input: a NaN there must not remain.
    true = code.builder.fcmp_ordered(">", weights.vector(code.bytes), code.broadcast(0.0))
    for sums in total:
        sums.set(code.select(true, sums.get(), code.broadcast(0.0)))
    return total


def covers(windows: Windows, groups: int, depth: int, outputs: int) -> bool:
    """Every grouped convolution padded with zeros; meant for groups smaller than a block (`group`)."""
    return groups > 1 and all(window.mode == "zeros" for window in windows)


def group(target: Target, depth: int, outputs: int) -> int:
    """Channels of a group that has fast code, or 0. depth, outputs: input and output channels of a group."""
    return depth if depth == outputs and depth in (2, 4, 8) and depth < target.lanes else 0


def parameters(target: Target, windows: Windows, depth: int, outputs: int) -> tuple[int, int, int]:
    """Parameters of `emit`: (group, width, stride)."""
    size = group(target, depth, outputs)
    width, stride = depthwise.parameters(target, windows)
    if not size:
        return 0, 0, 0
    fits = stride == 1 or target.registers == 32  # LLVM loads further ahead at a stride of 2, and would spill
    return size, width if width and fits and depthwise.slides(target, width, stride, size) else 0, stride


def pack(
    target: Target,
    windows: Windows,
    groups: int,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """weight (channels, depth, kh, kw), bias (channels,) -> (blocks, vectors, lanes), in order of use."""
    channels, depth, kh, kw = weight.shape
    size, width, _ = parameters(target, windows, depth, channels // groups)
    order = (0, 2, 1, 3) if width else (0, 2, 3, 1)
    head = 1 if size else 2
    blocks = -(-channels // target.lanes)
    packed = np.zeros((blocks * target.lanes, head + depth * kh * kw), np.float32)
    packed[:channels, head:] = weight.transpose(order).reshape(channels, -1)
    packed[:channels, :head] = 1
    packed[:channels, 0] = 0 if bias is None else bias
    return np.ascontiguousarray(packed.reshape(blocks, target.lanes, -1).transpose(0, 2, 1))


def places(source: Layout, target: Layout, groups: int) -> NDArray[np.int64]:
    """(blocks, depth, lanes): bytes from a pixel of the input's first block to the input of each output lane."""
    depth, outputs = source.channels // groups, target.channels // groups
    lane = np.minimum(np.arange(target.blocks * target.lanes), target.channels - 1)
    channel = lane[:, None] // outputs * depth + np.arange(depth)
    offset = channel // source.lanes * source.block + channel % source.lanes * 4
    return np.ascontiguousarray(offset.reshape(target.blocks, target.lanes, depth).transpose(0, 2, 1))


def arguments(
    source: Layout, target: Layout, windows: Windows, weights_block: int,
    addresses: tuple[Location, Location, Location],
    offsets: NDArray[np.int64] | None, low: float = -np.inf, high: float = np.inf, residual: Value | None = None,
) -> Record:  # fmt: skip
    """The record, as `depthwise.arguments`. offsets: from `places`, where `group` is 0."""
    values = depthwise.fields(source, target, windows, weights_block, addresses, residual)
    if offsets is not None:
        values |= {IN_BLOCK: 0, TABLE: table(offsets), STEPS: offsets.shape[1]}
    size = depthwise.ARGUMENTS if offsets is None else ARGUMENTS
    return record(size, values, {depthwise.LOW: low, depthwise.HIGH: high})


def cost(source: Layout, target: Layout, windows: Windows, groups: int) -> tuple[int, int]:
    """(flops, bytes to and from memory) with every value touched once."""
    taps, depth = windows[0].kernel * windows[1].kernel, source.channels // groups
    outputs = target.blocks * target.lanes
    flops = 2 * target.images * outputs * target.height * target.width * taps * depth
    pixels = source.images * source.blocks * source.lanes * source.height * source.width
    numbers = pixels + target.images * outputs * target.height * target.width + outputs * (1 + taps * depth)
    return flops, 4 * numbers


__all__ = ("arguments", "cost", "covers", "emit", "group", "pack", "padding", "parameters", "places")
