"""Weights of Winograd's convolution: G g Gᵀ of every 3x3 kernel g, in the order of use.

    for panel: for CHUNK_CHANNELS: for vector: for channel:
        taps[9] = the nine numbers of each output lane, transposed in registers, times the output's factor, in float64
        half[m + 2][3] = G taps
        for row: packed[frequency of row and column][panel][channel][vector] = half[row] Gᵀ, rounded once

Everything between reading and writing is float64: it costs little compared with writing four times as many numbers as
are read, and keeps the weights exact. Lanes beyond the real outputs become 0. Results go to as many places at once as
there are frequencies, too many for the caches: non-temporal stores write whole lines past them (512 channels: 3 ms
instead of 14).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.kernels.argument_record import Location, Record, record, table
from striate.engine.kernels.copy import interleave
from striate.engine.kernels.lanes import inside
from striate.engine.kernels.pack_weights import (
    P_OUTPUTS,
    P_PACKED,
    P_PLAIN,
    P_SCALE,
    P_STEP,
    P_VECTORS,
    PANEL_SIZE,
)
from striate.engine.kernels.winograd_sizes import KERNEL_MATRIX
from striate.engine.target import Target

Array = NDArray[Any]

PLAIN, STRIDE, CHANNEL, FIRST, TAP, PACKED, FREQUENCY, SCALE, PANELS, ONES = range(0, 80, 8)
"""Address of the weights; bytes from an output to the next, and from a channel to the next; where in `taps` the first
of a kernel's numbers goes, and bytes from there to the next one's place (less than 0 for kernels turned by 180
degrees); address of the packed weights and bytes from a frequency's to the next one's; address of the outputs' factors
(see pack_weights.factors), or 0; of the panels (see pack_weights.panels); factors of 1."""
ARGUMENTS = ONES + 8 * 16

CHUNK_CHANNELS = 16
"""Channels for which a panel's vectors are written together: whole cache lines also where two vectors share one."""


def scratch_bytes(target: Target, m: int) -> int:
    """A thread's scratch: taps, and half of the transform."""
    return 8 * target.lanes * (9 + 3 * (m + 2))


def emit(target: Target, m: int) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch). Rows are channels, parts are panels."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, scratch = code.arguments
    lanes, one = target.lanes, 8 * target.lanes
    stride, frequency, scale = a.int(STRIDE), a.int(FREQUENCY), a.pointer(SCALE)
    with (
        code.loop(part, end_part) as p,
        code.loop(row, end_row, CHUNK_CHANNELS) as first,
        code.loop(0, (a.pointer(PANELS) + p * PANEL_SIZE).int(P_VECTORS)) as v,
    ):
        panel = a.pointer(PANELS) + p * PANEL_SIZE
        step, real = panel.int(P_STEP), panel.int(P_OUTPUTS) - v * lanes
        plain = a.pointer(PLAIN) + (panel.int(P_PLAIN) + v * lanes * stride)
        packed = a.pointer(PACKED) + (panel.int(P_PACKED) + v * code.bytes)
        factors = code.select(scale.not_null, scale + (panel.int(P_SCALE) + v * one), a + ONES)
        with code.loop(first, end_row.least(first + CHUNK_CHANNELS)) as c:
            _taps(code, plain + c * a.int(CHANNEL), stride, real, factors, scratch + a.int(FIRST), a.int(TAP))
            for part in range(0, lanes, target.width):
                with code.wide(target.width):
                    _transform(code, m, scratch + 8 * part, one, packed + (c * step + 4 * part), frequency)
    code.fence()
    return code.finish()


def _taps(code: Code, at: Pointer, stride: Int, real: Int, factors: Pointer, to: Pointer, tap: Int) -> None:
    """Nine numbers of each lane's output, as nine vectors of float64.

    Squares of numbers by outputs, as wide as a register (at most 8, for a kernel has nine), then the ninth alone.
    """
    lanes, width = code.lanes, min(code.target.width, 8)
    outputs = [at]
    for lane in range(1, lanes):
        outputs.append(outputs[-1] + code.select(real > lane, stride, code.int(0)))
    with code.wide(width):
        for part in range(0, lanes, width):
            within, by = inside(code, real - part), factors.doubles(8 * part)
            group = outputs[part : part + width]

            def keep(k: int, vector: Any, part: int = part, within: Any = within, by: Any = by) -> None:
                value = code.widen(code.select(within, vector, code.broadcast(0.0)))
                (to + tap * k).store(code.mul(value, by), 8 * part)

            for start in range(0, 8, width):
                vectors = interleave(code, [output.vector(4 * start) for output in group])
                for k, vector in enumerate(vectors):
                    keep(start + k, vector)
            last = code.broadcast(0.0)
            for lane, output in enumerate(group):
                last = code.insert(last, output.number(4 * 8), lane)
            keep(8, last)


def _transform(code: Code, m: int, taps: Pointer, one: int, packed: Pointer, frequency: Int) -> None:
    """Transform the taps to all frequencies; one: bytes from a tap to the next."""
    half = taps + 9 * one
    with code.loop(0, 3) as column:
        values = [(taps + column * one).doubles(3 * k * one) for k in range(3)]
        for k, value in enumerate(_times(code, m, values)):
            (half + column * one).store(value, 3 * k * one)
    with code.loop(0, m + 2) as row:
        values = [(half + row * (3 * one)).doubles(k * one) for k in range(3)]
        to = packed + row * (m + 2) * frequency
        for k, value in enumerate(_times(code, m, values)):
            (to + frequency * k).stream(code.narrow(value))


def _times(code: Code, m: int, values: list[Any]) -> list[Any]:
    """G times three values. Points come in pairs of both signs, which share the terms that are even in the point."""
    from striate.engine.codegen import ir

    kind = values[0].type
    constants = {
        number: ir.Constant(kind, [float(number)] * kind.count) for number in KERNEL_MATRIX[m].reshape(-1)
    }
    products = [values[0]]
    for row in KERNEL_MATRIX[m][1:-1:2]:
        even = code.add(code.mul(values[0], constants[row[0]]), code.mul(values[2], constants[row[2]]))
        odd = code.mul(values[1], constants[row[1]])
        products += [code.add(even, odd), code.sub(even, odd)]
    return [*products, values[2]]


def arguments(
    target: Target, panels: Array, plain: Location, packed: Location, frequency: int, strides: tuple[int, int],
    scale: Location = 0, flip: bool = False,
) -> Record:  # fmt: skip
    """The record. The step has as many rows as channels and as many parts as panels.

    panels: pack_weights.panels with a step for each channel; plain, packed, scale: addresses (packed: of a line;
    scale: of pack_weights.factors, or 0); frequency: bytes from a frequency's packed weights to the next one's
    (Winograd.w_frequency); strides: bytes of the plain side from an output to the next, and from a channel to the
    next; flip: rotate kernels by 180 degrees, as for the gradient with respect to the input (where outputs and
    channels also change roles).
    """
    one = 8 * target.lanes
    one_bits = int(np.float64(1).view(np.int64))
    return record(
        ARGUMENTS,
        {
            PLAIN: plain, STRIDE: strides[0], CHANNEL: strides[1], FIRST: 8 * one if flip else 0,
            TAP: -one if flip else one, PACKED: packed, FREQUENCY: frequency, SCALE: scale, PANELS: table(panels),
            **dict.fromkeys(range(ONES, ARGUMENTS, 8), one_bits),
        },
    )  # fmt: skip
