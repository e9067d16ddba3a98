"""Convolution of one plane to few channels: neighbouring pixels are the lanes, so that few outputs leave none empty.

    for row: for VECTORS · lanes pixels of it: total[channel][:] = bias
        for tap: for channel: total[channel][:] += pixels at the tap · weight
        out = clamp(total), turned from planes of channels to pixels of a block

A grey image to six channels (LeNet-5) fills 6 of 16 lanes of the usual micro-tile, and took twice as long there.
The last pixels of a row are made together with some before them once more, so that there is no rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.emit import Code, Pointer
from striate.engine.kernels.copy import interleave
from striate.engine.kernels.record import record
from striate.engine.plan.layout import Layout
from striate.engine.target import Target
from striate.geometry import Window

IN, IN_IMAGE, IN_ROW = 0, 8, 16
"""Address of the first tap of the first output; bytes to the next image and output row."""
OUT, OUT_IMAGE, OUT_ROW = 24, 32, 40
ROWS, COLUMNS = 48, 56
"""Output rows of one image, output pixels of one row."""
TAP_ROWS, TAP_ROW, TAP_COLUMNS, TAP_COLUMN = 64, 72, 80, 88
"""Taps along the height and width of the window, and bytes from one to the next."""
WEIGHTS, LOW, HIGH = 96, 104, 108
"""Address of the packed weights, limits of the clamp."""
ARGUMENTS = 112

VECTORS = 2
"""Vectors of pixels that share the load of a weight: as many products as a core makes while it loads."""

Windows = tuple[Window, Window]


def vectors(target: Target, channels: int) -> int:
    """Vectors of pixels whose sums fit the registers beside pixels and a weight."""
    wide = target.lanes // target.width
    return max(min(VECTORS, (target.registers - 2) // (wide * (channels + 1))), 1)


def emit(target: Target, channels: int) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch): rows of all images; the only part is the only block."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    count = vectors(target, channels)
    rows, columns, lanes = a.int(ROWS), a.int(COLUMNS), target.lanes
    with code.loop(part, end_part), code.loop(row, end_row) as r:
        x = a.pointer(IN) + (r // rows * a.int(IN_IMAGE) + r % rows * a.int(IN_ROW))
        y = a.pointer(OUT) + (r // rows * a.int(OUT_IMAGE) + r % rows * a.int(OUT_ROW))
        with code.loop(0, columns, count * lanes) as column:
            places = [(column + k * lanes).least(columns - lanes) for k in range(count)]
            total = _sums(a, [x + place * 4 for place in places], channels)
            low, high = a.spread(LOW), a.spread(HIGH)
            for place, sums in zip(places, total, strict=True):
                to = y + place * code.bytes
                planes = [code.least(high, code.most(low, value)) for value in sums]
                for k, pixel in enumerate(_pixels(code, planes)):
                    to.store(pixel, k * code.bytes)
    return code.finish()


def _sums(a: Pointer, places: list[Pointer], channels: int) -> list[list[Any]]:
    """[vector of pixels][channel]"""
    code = a.code
    weights = a.pointer(WEIGHTS)
    total = [[code.variable(weights.spread(4 * c)) for c in range(channels)] for _ in places]
    w, down = code.variable(weights + 4 * channels), code.variable(0)
    with code.repeat(a.int(TAP_ROWS)):
        across = code.variable(down.get())
        with code.repeat(a.int(TAP_COLUMNS)):
            pixels = [(place + across.get()).vector() for place in places]
            for c in range(channels):
                weight = w.get().spread(4 * c)
                for sums, pixel in zip(total, pixels, strict=True):
                    sums[c].set(code.fma(pixel, weight, sums[c].get()))
            across.set(across.get() + a.int(TAP_COLUMN))
            w.set(w.get() + 4 * channels)
        down.set(down.get() + a.int(TAP_ROW))
    return [[value.get() for value in sums] for sums in total]


def _pixels(code: Code, planes: list[Any]) -> list[Any]:
    """Vectors of all lanes for each pixel, from one vector of pixels for each channel; the other channels are 0."""
    lanes = code.lanes
    size = 1 << (len(planes) - 1).bit_length()
    zero = code.spread(0.0)
    turned = interleave(code, planes + [zero] * (size - len(planes)))
    made = []
    for pixel in range(lanes):
        vector, first = turned[pixel * size // lanes], pixel * size % lanes
        made.append(code.shuffle(vector, zero, [first + k if k < size else lanes + k for k in range(lanes)]))
    return made


def covers(lanes: int, windows: Windows, inputs: int, outputs: int) -> bool:
    """One plane to at most half a block, stride 1 along a row that is not shorter than a vector, zero padding."""
    return (
        inputs == 1
        and 2 * outputs <= lanes
        and windows[1].stride == 1
        and windows[1].output >= lanes
        and all(w.mode == "zeros" and min(w.before, w.after) >= 0 for w in windows)
    )


def pack(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """weight (channels, 1, kh, kw), bias (channels,) -> (1 + kh·kw, channels): bias, then taps in order of use."""
    return np.ascontiguousarray(np.concatenate([bias[:, None], weight.reshape(len(bias), -1)], axis=1).T)


def arguments(
    source: Layout, target: Layout, windows: Windows, addresses: tuple[int, int, int],
    low: float = -np.inf, high: float = np.inf,
) -> NDArray[np.int64]:  # fmt: skip
    """The record. addresses: of the input's and output's memory, and of the weights."""
    down, across = windows
    x, y, w = addresses
    return record(
        ARGUMENTS,
        {
            IN: x + source.origin - down.before * source.row - across.before * source.pixel,
            IN_IMAGE: source.image,
            IN_ROW: source.row * down.stride,
            OUT: y + target.origin,
            OUT_IMAGE: target.image,
            OUT_ROW: target.row,
            ROWS: target.height,
            COLUMNS: target.width,
            TAP_ROWS: down.kernel,
            TAP_ROW: source.row * down.dilation,
            TAP_COLUMNS: across.kernel,
            TAP_COLUMN: source.pixel * across.dilation,
            WEIGHTS: w,
        },
        {LOW: low, HIGH: high},
    )


def cost(target: Layout, windows: Windows) -> tuple[int, int]:
    """(flops, bytes to memory)."""
    taps = windows[0].kernel * windows[1].kernel
    return 2 * target.elements * taps, target.bytes
