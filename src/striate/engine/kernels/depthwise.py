"""Depthwise convolution: one filter per channel, channels are the lanes, a stretch of a row's pixels in registers.

    for block: for row: for tile of T pixels: total[:] = bias
        for tap row: for input pixel of the tile's window: for tap column that reads it: total[t] += pixel · weight
        out = clamp(total + residual)

Under a compile-time width a pixel is loaded once for all outputs of its row that read it, so that the arithmetic is
the limit; any other width, dilation or stride loads once per product, which one load a cycle and unit still feeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Variable
from striate.engine.kernels import cost_model
from striate.engine.kernels.argument_record import Location, Record, Value, record
from striate.engine.kernels.row_walk import Tiles, Walk
from striate.engine.layout import Layout
from striate.engine.target import Target
from striate.geometry import Window

IN, IN_IMAGE, IN_BLOCK, IN_ROW, IN_PIXEL = 0, 8, 16, 24, 32
"""Address of the first tap of the first output; bytes to the next image, channel block, output row, output pixel."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 40, 48, 56, 64
ROWS, COLUMNS = 72, 80
"""Output rows of one image, output pixels of one row."""
TAP_ROWS, TAP_ROW, TAP_COLUMNS, TAP_COLUMN = 88, 96, 104, 112
"""Taps along the height and width of the window, and bytes from one to the next."""
WEIGHTS, WEIGHTS_BLOCK = 120, 128
"""Address of the packed weights, bytes to the next block's."""
RESIDUAL, HAS_RESIDUAL, LOW, HIGH = 136, 144, 152, 156
"""Bytes from an output to the number added to it, whether there is one, and the limits of the clamp."""
ARGUMENTS = 160

Windows = tuple[Window, Window]

MAX_TILE_PIXELS = 14
"""Pixels of a tile: halves and quarters of 7·2^n, the usual map sizes, and enough to hide an addition's latency."""
SPECIALIZED_WIDTHS = (3, 5, 7)
"""Kernel widths with specialized code: the registers hold enough pixels besides the weights."""
TAP_ROW_CYCLES = 3
"""Cycles to go on to the next tap row: a loop's end, and loads that the first products wait for (measured: 2 to 4)."""


def pixels(target: Target, width: int, stride: int = 1, group: int = 1) -> int:
    """Maximum pixels of a tile: sums, a tap row's weights, a loaded pixel and two to spare fill the registers.

    A stride known at run time only takes an integer register per pixel; a group repeats the code for each channel.
    """
    room = target.registers // max(target.lanes // target.width, 1)
    most = MAX_TILE_PIXELS if stride and group == 1 else MAX_TILE_PIXELS // 2
    return max(min(most, room - max(width, 1) - 3 - (group > 1)), 1)


def tile_cycles(target: Target, taps: tuple[int, int], kind: tuple[int, int, int], count: int) -> float:
    """Predicted cycles of a tile of `count` pixels. taps: rows and columns; kind: (width, stride, group) of `sliding`.

    A group's channels are spread by a shuffle for each loaded pixel.
    """
    width, stride, group = kind
    if width:
        window = (count - 1) * stride + width
        row = cost_model.cycles(
            target, products=count * width, others=window * (group > 1), loads=width + window, chain=width
        )
    else:
        row = taps[1] * cost_model.cycles(
            target, products=count, others=count * (group > 1), loads=1 + count, chain=1
        )
    finish = cost_model.cycles(target, others=2 * count, stores=count)
    return taps[0] * (group * row + TAP_ROW_CYCLES) + finish


def slides(target: Target, width: int, stride: int, group: int = 1) -> bool:
    """Whether a tile that loads a pixel once for a tap row is predicted to be faster than one load per product, which
    has more pixels in registers: not where so few sums are left that they wait for themselves."""
    times = []
    for kind in ((width, stride, group), (0, stride, group)):
        count = pixels(target, *kind)
        times.append(tile_cycles(target, (width, width), kind, count) / count)
    return times[0] < times[1]


def cycles(target: Target, windows: Windows, kind: tuple[int, int, int]) -> float:
    """Predicted cycles of one block of channels of one image."""
    down, across = windows
    taps = down.kernel, across.kernel
    return down.output * cost_model.tiled(
        across.output, pixels(target, *kind), lambda count: tile_cycles(target, taps, kind, count)
    )


def emit(target: Target, width: int, stride: int) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch).

    width: kernel width without dilation, or 0 for any at run time; stride: along the width, or 0 for any.
    """
    return sliding(target, width, stride, 1)


def sliding(target: Target, width: int, stride: int, group: int) -> str:
    """The loops; group: neighboring channels that every one of them reads, a step for each (see `grouped`)."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    rows, first = a.int(ROWS), row % a.int(ROWS)
    tiles = Tiles(a.int(COLUMNS), pixels(target, width, stride, group))
    advance = code.int(stride * code.bytes) if stride else a.int(IN_PIXEL)
    x = Walk(a.pointer(IN), a.int(IN_IMAGE), a.int(IN_ROW), rows, row)
    y = Walk(a.pointer(OUT), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, row)
    line = code.variable(first)

    with code.loop(part, end_part) as p:
        weights = a.pointer(WEIGHTS) + p * a.int(WEIGHTS_BLOCK)
        x.at.set(x.start + p * a.int(IN_BLOCK))
        y.at.set(y.start + p * a.int(OUT_BLOCK))
        line.set(first)
        with code.loop(row, end_row):
            source, result = code.variable(x.at.get()), code.variable(y.at.get())
            for t in tiles.walk():
                _tile(a, source.get(), result.get(), weights, t, (width, stride, group), advance)
                source.set(source.get() + advance * t)
                result.set(result.get() + t * code.bytes)
            following = line.get() + 1
            last = code.select(following.equals(rows), code.int(1), code.int(0))
            x.next(last)
            y.next(last)
            line.set(following - last * rows)
    return code.finish()


def _tile(
    a: Pointer, x: Pointer, y: Pointer, weights: Pointer, count: int, kind: tuple[int, int, int], advance: Int
) -> None:
    """`count` neighboring outputs of one row."""
    code, (width, stride, group) = a.code, kind
    total = [code.variable(weights.vector()) for _ in range(count)]
    w, at = code.variable(weights + code.bytes), code.variable(x)

    def product(t: int, value: Any, weight: Any) -> None:
        total[t].set(code.fma(value, weight, total[t].get()))

    def step(vector: Any, i: int) -> Any:
        """Channel i of each group in all lanes of the group."""
        return vector if group == 1 else code.lanes_of(vector, [k - k % group + i for k in range(code.lanes)])

    with code.repeat(a.int(TAP_ROWS)):
        if width:
            taps = w.get()
            for i in range(group):
                weights_of = [taps.vector((i * width + u) * code.bytes) for u in range(width)]
                line = at.get() if i == 0 else code.opaque(at.get())
                for j in range((count - 1) * stride + width):
                    readers = [(t, j - t * stride) for t in range(count) if 0 <= j - t * stride < width]
                    if readers:
                        value = step(line.vector(j * code.bytes), i)
                        for t, u in readers:
                            product(t, value, weights_of[u])
            w.set(taps + group * width * code.bytes)
        else:
            tap = code.variable(at.get())
            with code.repeat(a.int(TAP_COLUMNS)):
                for i in range(group):
                    weight = w.get().vector(i * code.bytes)
                    pixel = tap.get() if i == 0 else code.opaque(tap.get())
                    for t in range(count):
                        product(t, step((pixel + advance * t).vector(), i), weight)
                tap.set(tap.get() + a.int(TAP_COLUMN))
                w.set(w.get() + group * code.bytes)
        at.set(at.get() + a.int(TAP_ROW))

    store(a, y, total)


def store(a: Pointer, y: Pointer, total: Sequence[Variable]) -> None:
    """Store neighboring outputs from y on: add the residual, then clamp."""
    code = a.code
    with code.when(a.int(HAS_RESIDUAL).differs(0)):
        for t, value in enumerate(total):
            value.set(code.add(value.get(), (y + (a.int(RESIDUAL) + t * code.bytes)).vector()))
    low, high = a.broadcast(LOW), a.broadcast(HIGH)
    for t, value in enumerate(total):
        y.store(code.least(high, code.most(low, value.get())), t * code.bytes)


def covers(windows: Windows, groups: int, depth: int, outputs: int) -> bool:
    """One input and one output channel per group, padded with zeros; any kernel, stride and dilation."""
    return depth == outputs == 1 and all(window.mode == "zeros" for window in windows)


def parameters(target: Target, windows: Windows) -> tuple[int, int]:
    """Parameters of `emit` for these windows: (width, stride)."""
    width, stride = windows[1].kernel, windows[1].stride
    specialized = (
        width in SPECIALIZED_WIDTHS
        and windows[1].dilation == 1
        and stride <= 2
        and slides(target, width, stride)
    )
    if target.name == "neon":  # LLVM's order of loads would not fit the registers in the other cases
        specialized = specialized and (width, stride) == (3, 1)
    return (width if specialized else 0), (stride if stride <= 2 else 0)


def padding(windows: Windows) -> tuple[int, int, int, int]:
    """The border of zeros that the input needs: top, bottom, left, right."""
    after = [max((w.output - 1) * w.stride + w.extent - w.before - w.input, 0) for w in windows]
    return max(windows[0].before, 0), after[0], max(windows[1].before, 0), after[1]


def pack(lanes: int, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """weight (channels, 1, kh, kw), bias (channels,) -> (blocks, 1 + kh·kw, lanes): bias, then taps in order of use.

    One of its axes may be missing: a row is a map one high.
    """
    channels, taps = len(weight), weight[0].size
    blocks = -(-channels // lanes)
    packed = np.zeros((blocks * lanes, 1 + taps), np.float32)
    packed[:channels, 1:] = weight.reshape(channels, taps)
    if bias is not None:
        packed[:channels, 0] = bias
    return np.ascontiguousarray(packed.reshape(blocks, lanes, -1).transpose(0, 2, 1))


def fields(
    source: Layout,
    target: Layout,
    windows: Windows,
    weights_block: int,
    addresses: tuple[Location, Location, Location],
    residual: Value | None = None,
) -> dict[int, Value]:
    """The record's values without limits; parameters as for `arguments`."""
    down, across = windows
    x, y, w = addresses
    return {
        IN: x + source.origin - down.before * source.row - across.before * source.pixel,
        IN_IMAGE: source.image,
        IN_BLOCK: source.block,
        IN_ROW: source.row * down.stride,
        IN_PIXEL: source.pixel * across.stride,
        OUT: y + target.origin,
        OUT_IMAGE: target.image,
        OUT_BLOCK: target.block,
        OUT_ROW: target.row,
        ROWS: target.height,
        COLUMNS: target.width,
        TAP_ROWS: down.kernel,
        TAP_ROW: source.row * down.dilation,
        TAP_COLUMNS: across.kernel,
        TAP_COLUMN: source.pixel * across.dilation,
        WEIGHTS: w,
        WEIGHTS_BLOCK: weights_block,
        RESIDUAL: residual or 0,
        HAS_RESIDUAL: residual is not None,
    }


def arguments(
    source: Layout,
    target: Layout,
    windows: Windows,
    weights_block: int,
    addresses: tuple[Location, Location, Location],
    low: float = -np.inf,
    high: float = np.inf,
    residual: Value | None = None,
) -> Record:
    """The record. addresses: of the input's and output's memory, and of the weights, `weights_block` bytes a block;
    residual: bytes from an output to the number added to it."""
    values = fields(source, target, windows, weights_block, addresses, residual)
    return record(ARGUMENTS, values, {LOW: low, HIGH: high})


def cost(source: Layout, target: Layout, windows: Windows) -> tuple[int, int]:
    """(flops, bytes to and from memory) with every value touched once."""
    taps = windows[0].kernel * windows[1].kernel
    lanes = target.blocks * target.lanes
    flops = 2 * target.images * lanes * target.height * target.width * taps
    numbers = source.images * lanes * source.height * source.width + flops // (2 * taps) + lanes * (1 + taps)
    return flops, 4 * numbers
