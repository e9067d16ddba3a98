"""Convolution of planes to few channels: neighboring pixels are the lanes, so that few outputs still fill all lanes.

    for group of rows: for VECTORS · lanes pixels of them: total[row][channel][:] = bias
        for plane: for tap row with an input: for tap column: for channel:
            total[row][channel][:] += pixels of the row at the tap · weight
        out = clamp(total), transposed from planes of channels to pixels of a block

A gray image to six channels (LeNet-5), or the backward pass from sixteen channels to six, fills 6 of 8 or 16 lanes of
the usual micro-tile, and took up to three times as long there. Rows of a group share the load of a weight. Tap rows
that read only padding for all of them are skipped. The last vector of a row overlaps the one before, so that there is
no remainder; a row shorter than a vector reads past its end, and stores only its own pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Pointer
from striate.engine.kernels import cost_model
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.kernels.copy import interleave
from striate.engine.layout import Layout
from striate.engine.target import Target
from striate.geometry import Window

IN, IN_IMAGE, IN_PLANE, IN_ROW = 0, 8, 16, 24
"""Address of the first tap of the first output; bytes to the next image, plane and output row."""
OUT, OUT_IMAGE, OUT_ROW = 32, 40, 48
ROWS, COLUMNS = 56, 64
"""Output rows of one image, output pixels of one row."""
PLANES, TAP_ROW, TAP_COLUMNS, TAP_COLUMN = 72, 80, 88, 96
"""Planes; bytes from a tap to the one below; taps along the width, and bytes from one to the next."""
TAPS = 104
"""Address of (first tap row, how many) for each group of output rows of an image."""
WEIGHTS, W_ROW, W_PLANE = 112, 120, 128
"""Address of the packed weights, bytes to those of the next tap row and plane."""
LOW, HIGH = 136, 140
"""Limits of the clamp."""
ARGUMENTS = 144

STEP_CYCLES, STORE_CYCLES = 0.6, 2.25
"""Cycles besides the work that is counted, measured on whole layers: to go on to the next tap column; to transpose and
store one pixel, for each register of it."""
MAX_GROUP_ROWS = 6
"""Rows of a group: more addresses would not fit the integer registers."""
MAX_ROW_VECTORS = 2
"""Vectors of a row: more are too wide for most maps."""

Windows = tuple[Window, Window]


def group(target: Target, channels: int, height: int, width: int) -> tuple[int, int]:
    """(rows, vectors of one row) that are predicted to be fastest, of those whose sums fit the registers.

    First these hold pixels and weights besides, later planes before and after a round of the transposition.
    """
    weights = 2 if target.memory_operands else max(channels, 2)
    turned = 0 if _parked(target, channels) else 2 * _turned_planes(channels)

    def fits(places: int) -> bool:
        sums = places * channels
        most = max((sums + places) * target.pieces + weights, (sums + turned) * target.pieces)
        return places == 1 or most <= target.registers

    def time(shape: tuple[int, int]) -> float:
        rows, vectors = shape
        steps = -(-height // rows) * -(-width // (vectors * target.lanes))
        return steps * _step_cycles(target, channels, rows * vectors)

    shapes = [
        (rows, vectors)
        for rows in range(1, min(max(height, 1), MAX_GROUP_ROWS) + 1)
        for vectors in range(1, min(max(width // target.lanes, 1), MAX_ROW_VECTORS) + 1)
        if fits(rows * vectors)
    ]
    return min(shapes, key=lambda shape: (time(shape), shape[0] * shape[1], shape[1]))


def _step_cycles(target: Target, channels: int, places: int) -> float:
    """Predicted cycles of one tap of one plane for some vectors of pixels."""
    loads = places * cost_model.unaligned(target)
    return STEP_CYCLES + cost_model.cycles(
        target, products=places * channels, loads=loads, spreads=channels, chain=1
    )


def emit(target: Target, channels: int, rows: int, vectors: int) -> str:
    """kernel(arguments, group, end_group, part, end_part, scratch): groups of rows of all images, as `group` says; the
    only part is the only block."""
    code = Code(target, "piiiip")
    a, start, end, part, end_part, scratch = code.arguments
    height, columns, lanes = a.int(ROWS), a.int(COLUMNS), target.lanes
    parked = scratch_bytes(target, channels, rows, vectors) > 0
    groups = (height + rows - 1) // rows
    with code.loop(part, end_part), code.loop(start, end) as g:
        image, band = g // groups, g % groups
        lines = [(band * rows + k).least(height - 1) for k in range(rows)]
        x, y = (
            [a.pointer(base) + (image * a.int(turn) + line * a.int(row)) for line in lines]
            for base, turn, row in ((IN, IN_IMAGE, IN_ROW), (OUT, OUT_IMAGE, OUT_ROW))
        )
        taps = a.pointer(TAPS) + band * 16
        with code.loop(0, columns, vectors * lanes) as column:
            at = [(column + k * lanes).least((columns - lanes).most(0)) for k in range(vectors)]
            places = [(line, first) for line in range(rows) for first in at]
            total = _sums(a, [x[line] + first * 4 for line, first in places], channels, taps)
            limits = code.opaque(a)  # loaded here rather than kept through the loops
            low, high = limits.broadcast(LOW), limits.broadcast(HIGH)
            clamped = [[code.least(high, code.most(low, value)) for value in sums] for sums in total]
            if parked:
                for k, value in enumerate(value for sums in clamped for value in sums):
                    scratch.store(value, k * code.bytes)
            for k, (line, first) in enumerate(places):
                planes = clamped[k]
                if parked:
                    place = code.opaque(scratch) + k * channels * code.bytes
                    planes = [place.vector(c * code.bytes) for c in range(channels)]
                pixels = list(enumerate(_pixels(code, planes)))
                for n, pixel in reversed(pixels):  # pixels after the row's end are overwritten
                    y[line].store(pixel, (first + n).least(columns - 1) * code.bytes)
    return code.finish()


def scratch_bytes(target: Target, channels: int, rows: int, vectors: int) -> int:
    """Room for the sums where all of them and those being transposed do not fit the registers."""
    return 4 * target.lanes * channels * rows * vectors if _parked(target, channels) else 0


def _parked(target: Target, channels: int) -> bool:
    return 2 * channels > target.lanes


def _turned_planes(channels: int) -> int:
    """Planes that are transposed together: a power of two."""
    return 1 << (channels - 1).bit_length()


def _sums(a: Pointer, places: list[Pointer], channels: int, taps: Pointer) -> list[list[Any]]:
    """[place][channel]; places: where the first pixel of each vector has its first tap."""
    code = a.code
    weights, first, count = a.pointer(WEIGHTS), taps.int(), taps.int(8)
    total = [[code.variable(weights.broadcast(4 * c)) for c in range(channels)] for _ in places]
    plane = code.variable(first * a.int(TAP_ROW))
    plane_w = code.variable(weights + (first * a.int(W_ROW) + 4 * channels))
    with code.repeat(a.int(PLANES)):
        down, w = code.variable(plane.get()), code.variable(plane_w.get())
        with code.loop(0, count):
            across = code.variable(down.get())
            with code.repeat(a.int(TAP_COLUMNS)):
                pixels = [(place + across.get()).vector() for place in places]
                for c in range(channels):
                    weight = w.get().broadcast(4 * c)
                    for sums, pixel in zip(total, pixels, strict=True):
                        sums[c].set(code.fma(pixel, weight, sums[c].get()))
                across.set(across.get() + a.int(TAP_COLUMN))
                w.set(w.get() + 4 * channels)
            down.set(down.get() + a.int(TAP_ROW))
        plane.set(plane.get() + a.int(IN_PLANE))
        plane_w.set(plane_w.get() + a.int(W_PLANE))
    return [[value.get() for value in sums] for sums in total]


def _pixels(code: Code, planes: list[Any]) -> list[Any]:
    """Vectors of all lanes for each pixel, from one vector of pixels for each channel; the other channels are 0."""
    lanes = code.lanes
    size = _turned_planes(len(planes))
    zero = code.broadcast(0.0)
    vectors = interleave(code, planes + [zero] * (size - len(planes)))
    pixels = []
    for pixel in range(lanes):
        vector, first = vectors[pixel * size // lanes], pixel * size % lanes
        pixels.append(
            code.shuffle(vector, zero, [first + k if k < size else lanes + k for k in range(lanes)])
        )
    return pixels


def most_channels(target: Target) -> int:
    """Three quarters of a block: with more, the usual tile is as good. Five eighths where a transposed block would fill
    all registers."""
    return target.lanes * (6 if target.registers > 8 * target.pieces else 5) // 8


def covers(target: Target, windows: Windows, outputs: int) -> bool:
    """To part of a block, stride 1 along a row, zero padding."""
    return (
        outputs <= most_channels(target)
        and windows[1].stride == 1
        and all(w.mode == "zeros" and min(w.before, w.after) >= 0 and w.output > 0 for w in windows)
    )


def taps(window: Window, rows: int, every: bool = False) -> NDArray[np.int64]:
    """(groups, 2): the first tap row that sees an input from one of a group's output rows, and how many follow.

    every: all tap rows, as a convolution must where a weight is infinite or NaN; the gradient need not.
    """
    starts = np.arange(0, window.output, rows)
    line = np.arange(window.output) * window.stride - window.before
    first = np.maximum(-(line // window.dilation), 0)
    end = np.minimum((window.input - 1 - line) // window.dilation + 1, window.kernel)
    first, end = np.where(first < end, (first, end), ([window.kernel], [0]))
    low, high = np.minimum.reduceat(first, starts), np.maximum.reduceat(end, starts)
    if every:
        low, high = np.zeros_like(low), np.full_like(high, window.kernel)
    count = np.maximum(high - low, 0)
    return np.stack([np.where(count, low, 0), count], 1).astype(np.int64)


def padding(target: Target, windows: Windows, rows: int, every: bool = False) -> tuple[int, int, int, int]:
    """The border of zeros that planes need: top, bottom, left, right; rows, every: see `taps`. The left border of a row
    is also the right border of the row before; the bottom has room for reads past the last row."""
    down, across = windows
    low, count = taps(down, rows, every).T
    start = np.arange(0, down.output, rows)
    end = np.minimum(start + rows, down.output) - 1
    has_taps = count > 0
    firsts = (start * down.stride - down.before + low * down.dilation)[has_taps]
    lasts = (end * down.stride - down.before + (low + count - 1) * down.dilation)[has_taps]
    top, bottom = -min(firsts.min(initial=0), 0), max(lasts.max(initial=0) - down.input + 1, 0)
    left = across.before
    right = max(across.output - 1 + across.extent - across.input - 2 * left, 0)
    reach = max(max(across.output, target.lanes) - 1 + across.extent, left + target.lanes)
    pitch = left + across.input + right
    return int(top), int(bottom) + max(-(-reach // pitch) - 1, 0), left, right


def adjoint_windows(windows: Windows, sizes: tuple[int, int]) -> Windows | None:
    """Windows of the convolution over the output's gradient (of these sizes) that computes the input's gradient, with
    flipped taps; None for a stride, or for more padding than a window reaches."""
    if any(w.stride != 1 for w in windows):
        return None
    results = []
    for w, size in zip(windows, sizes, strict=True):
        before = w.extent - 1 - w.before
        after = w.input + w.extent - 1 - size - before
        if min(before, after) < 0:
            return None
        results.append(Window(size, w.kernel, 1, w.dilation, before, after, mode=w.mode))
    return results[0], results[1]


def flip_weight(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """For `adjoint_windows`: weight (planes, channels, kh, kw) -> (channels, planes, kh, kw), taps flipped."""
    return weight.swapaxes(0, 1)[:, :, ::-1, ::-1]


def pack(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """weight (channels, planes, kh, kw), bias (channels,) -> (1 + planes·kh·kw, channels): bias, then taps in order of
    use."""
    return np.ascontiguousarray(np.concatenate([bias[:, None], weight.reshape(len(bias), -1)], axis=1).T)


def arguments(
    source: Layout, target: Layout, windows: Windows, addresses: tuple[Location, Location, Location, Location],
    low: float = -np.inf, high: float = np.inf,
) -> Record:  # fmt: skip
    """The record. addresses: of the input's and output's memory, of the weights, and of `taps`."""
    down, across = windows
    x, y, w, table = addresses
    row = 4 * target.channels * across.kernel
    return record(
        ARGUMENTS,
        {
            IN: x + source.origin - down.before * source.row - across.before * source.pixel,
            IN_IMAGE: source.image,
            IN_PLANE: source.block,
            IN_ROW: source.row * down.stride,
            OUT: y + target.origin,
            OUT_IMAGE: target.image,
            OUT_ROW: target.row,
            ROWS: target.height,
            COLUMNS: target.width,
            PLANES: source.channels,
            TAP_ROW: source.row * down.dilation,
            TAP_COLUMNS: across.kernel,
            TAP_COLUMN: source.pixel * across.dilation,
            TAPS: table,
            WEIGHTS: w,
            W_ROW: row,
            W_PLANE: row * down.kernel,
        },
        {LOW: low, HIGH: high},
    )


def cycles(target: Target, windows: Windows, planes: int, channels: int, every: bool = False) -> float:
    """Predicted cycles of one image; every: see `taps`."""
    down, across = windows
    rows, vectors = group(target, channels, down.output, across.output)
    lines = int(taps(down, rows, every)[:, 1].sum())
    steps = lines * -(-across.output // (vectors * target.lanes)) * across.kernel * planes
    stores = down.output * -(-across.output // target.lanes) * target.lanes
    return steps * _step_cycles(target, channels, rows * vectors) + stores * STORE_CYCLES * target.pieces


def cost(target: Layout, windows: Windows, planes: int) -> tuple[int, int]:
    """(flops, bytes to memory)."""
    count = windows[0].kernel * windows[1].kernel * planes
    return 2 * target.elements * count, target.bytes
