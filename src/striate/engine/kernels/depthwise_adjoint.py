"""The adjoint of a depthwise convolution at any stride: gradient with respect to its input.

    for block: for row: for column phase: for tile of T pixels, `stride` apart: total[:] = 0
        for tap row that reads this row: for tap column that reads this phase: total[t] += dy · weight
        out = total

Input positions with the same remainder modulo the stride are read by the same taps, and each tap by neighboring
outputs: a phase is a small convolution at stride 1. Weights are those of the forward step. Positions that no window
reads become 0.
"""

from __future__ import annotations

import math

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Pointer
from striate.engine.kernels.argument_record import Location, Record, record, value_table
from striate.engine.kernels.depthwise import Windows, covers, pack, pixels
from striate.engine.kernels.row_walk import Tiles, Walk
from striate.engine.layout import Layout
from striate.engine.target import Target
from striate.geometry import Window

DY, DY_IMAGE, DY_BLOCK, DY_ROW = 0, 8, 16, 24
"""Address of the first output's gradient; bytes to the next image, channel block and row."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW, OUT_PIXEL = 32, 40, 48, 56, 64
"""The same of the input's; bytes to the next pixel of a phase."""
ROWS, DOWN, ACROSS = 72, 80, 88
"""Rows of one image, strides along the height and width: as many phases."""
ROW_PHASES, COLUMN_PHASES = 96, 104
"""Tables of phases."""
TAP_ROW, TAP_COLUMN, WEIGHT_ROW, WEIGHT_COLUMN = 112, 120, 128, 136
"""Bytes from a phase's tap to its next one, in dy and in the weights."""
WEIGHTS, WEIGHTS_BLOCK = 144, 152
"""Address of the first tap of the packed weights, bytes to the next block's."""
ARGUMENTS = 160

PHASE_TAPS, PHASE_DY, PHASE_WEIGHT, PHASE_COUNT, PHASE_SIZE = 0, 8, 16, 24, 32
"""A phase: taps, bytes to what its first position reads under the first of them and to that tap's weight, positions."""


def emit(target: Target) -> str:
    """kernel(arguments, row, end_row, block, end_block, scratch)."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    rows = a.int(ROWS)
    y = Walk(a.pointer(OUT), a.int(OUT_IMAGE), a.int(OUT_ROW), rows, row)
    with code.loop(part, end_part) as p:
        y.at.set(y.start + p * a.int(OUT_BLOCK))
        weights = a.pointer(WEIGHTS) + p * a.int(WEIGHTS_BLOCK)
        with code.loop(row, end_row) as r:
            image, line = r // rows, r % rows
            down = a.pointer(ROW_PHASES) + line % a.int(DOWN) * PHASE_SIZE
            dy = a.pointer(DY) + (image * a.int(DY_IMAGE) + p * a.int(DY_BLOCK) + down.int(PHASE_DY))
            dy = dy + line // a.int(DOWN) * a.int(DY_ROW)
            with code.loop(0, a.int(ACROSS)) as k:
                across = a.pointer(COLUMN_PHASES) + k * PHASE_SIZE
                source = code.variable(dy + across.int(PHASE_DY))
                result = code.variable(y.at.get() + k * code.bytes)
                first = weights + (down.int(PHASE_WEIGHT) + across.int(PHASE_WEIGHT))
                for t in Tiles(across.int(PHASE_COUNT), pixels(target, 0, 0)).walk():
                    _tile(a, source.get(), result.get(), first, (down, across), t)
                    source.set(source.get() + t * code.bytes)
                    result.set(result.get() + a.int(OUT_PIXEL) * t)
            last = code.select((line + 1).equals(rows), code.int(1), code.int(0))
            y.next(last)
    return code.finish()


def _tile(
    a: Pointer, dy: Pointer, y: Pointer, weights: Pointer, phases: tuple[Pointer, Pointer], count: int
) -> None:
    """`count` pixels of one phase."""
    code, (down, across) = a.code, phases
    total = [code.variable(code.broadcast(0.0)) for _ in range(count)]
    for accumulator in total:
        accumulator.set(code.broadcast(0.0))
    with code.loop(0, down.int(PHASE_TAPS)) as u:
        line, taps = dy + u * a.int(TAP_ROW), weights + u * a.int(WEIGHT_ROW)
        with code.loop(0, across.int(PHASE_TAPS)) as v:
            at, weight = line + v * a.int(TAP_COLUMN), (taps + v * a.int(WEIGHT_COLUMN)).vector()
            for t, accumulator in enumerate(total):
                accumulator.set(code.fma(at.vector(t * code.bytes), weight, accumulator.get()))
    to = code.variable(y)
    for accumulator in total:
        to.get().store(accumulator.get())
        to.set(to.get() + a.int(OUT_PIXEL))


def _phases(window: Window) -> list[tuple[int, int, int, int]]:
    """(taps, output that the first position reads under the first of them, that tap, positions) of every phase."""
    phases = []
    for rest in range(window.stride):
        taps = [
            u
            for u in range(window.kernel)
            if (rest + window.before - u * window.dilation) % window.stride == 0
        ]
        first = taps[0] if taps else 0
        place = (rest + window.before - first * window.dilation) // window.stride
        count = len(range(rest, window.input, window.stride))
        phases.append((len(taps) if count else 0, place if taps else 0, first, count))
    return phases


def _steps(window: Window) -> tuple[int, int]:
    """From a phase's tap to its next one: distance in taps, and distance back in outputs."""
    common = math.gcd(window.stride, window.dilation)
    return window.stride // common, window.dilation // common


def padding(windows: Windows) -> tuple[int, int, int, int]:
    """The border of zeros that the gradient of the output needs: top, bottom, left, right."""
    pads = []
    for window in windows:
        back = _steps(window)[1]
        reach = [
            (place - (taps - 1) * back, place + count - 1)
            for taps, place, _, count in _phases(window)
            if taps
        ]
        pads.append(max([-first for first, _ in reach] + [0]))
        pads.append(max([last - window.output + 1 for _, last in reach] + [0]))
    return pads[0], pads[1], pads[2], pads[3]


def arguments(
    gradient: Layout,
    target: Layout,
    windows: Windows,
    weights_block: int,
    addresses: tuple[Location, Location, Location],
) -> Record:
    """The record. addresses: of the memory of the output's and the input's gradient, and of the forward step's packed
    weights (`pack`), `weights_block` bytes a block."""
    down, across = windows
    dy, dx, weights = addresses
    vector = 4 * target.lanes
    (next_u, back_u), (next_v, back_v) = _steps(down), _steps(across)

    def phases(window: Window, step: int, weight: int) -> Location:
        entries = [(taps, place * step, u * weight, count) for taps, place, u, count in _phases(window)]
        return value_table([number for entry in entries for number in entry])

    return record(
        ARGUMENTS,
        {
            DY: dy + gradient.origin, DY_IMAGE: gradient.image, DY_BLOCK: gradient.block, DY_ROW: gradient.row,
            OUT: dx + target.origin, OUT_IMAGE: target.image, OUT_BLOCK: target.block, OUT_ROW: target.row,
            OUT_PIXEL: target.pixel * across.stride, ROWS: target.height, DOWN: down.stride, ACROSS: across.stride,
            ROW_PHASES: phases(down, gradient.row, across.kernel * vector),
            COLUMN_PHASES: phases(across, gradient.pixel, vector),
            TAP_ROW: -back_u * gradient.row, TAP_COLUMN: -back_v * gradient.pixel,
            WEIGHT_ROW: next_u * across.kernel * vector, WEIGHT_COLUMN: next_v * vector,
            WEIGHTS: weights + vector, WEIGHTS_BLOCK: weights_block,
        },
    )  # fmt: skip


def cost(gradient: Layout, target: Layout, windows: Windows) -> tuple[int, int]:
    """(flops, bytes to and from memory) with every value touched once."""
    taps = windows[0].kernel * windows[1].kernel
    outputs = gradient.images * gradient.blocks * gradient.lanes * gradient.height * gradient.width
    return 2 * outputs * taps, gradient.bytes + target.bytes


__all__ = ("arguments", "cost", "covers", "emit", "pack", "padding")
