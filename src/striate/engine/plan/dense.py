"""Kernel calls of dense products: convolutions, fully connected layers and transposed convolutions (`dense_conv`).

The table of runs says where a pixel's inputs lie: for every channel block and tap, a stretch of neighboring numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import dense_conv, pack_weights, tile
from striate.engine.kernels.argument_record import Address, Constant, Value, record, table, value_table
from striate.engine.layout import Layout
from striate.engine.plan import packing
from striate.engine.plan.computation import Correlation
from striate.engine.plan.kernel_calls import KernelCall, Packed, PlanContext
from striate.engine.plan.lowering import Lowering, Pads
from striate.engine.plan.units import Buffer, Unit

Array = NDArray[Any]

PANEL_CACHE_BYTES = 256 << 10
"""One panel's weights up to this size stay in the second-level cache while all pixels of a task pass."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One spatial axis of a product: the first output reads input `start`, the next ones `stride` further; taps lie
    `step` apart. `taps` are the kernel positions, in order; outputs are written from `target` on, `jump` apart.
    """

    start: int
    stride: int
    step: int
    taps: tuple[int, ...]
    count: int
    target: int = 0
    jump: int = 1

    @property
    def reach(self) -> tuple[int, int]:
        """First and last input position that is read."""
        first = self.start + min(0, self.step * (len(self.taps) - 1))
        last = self.start + self.stride * (self.count - 1) + max(0, self.step * (len(self.taps) - 1))
        return first, last


def axes(body: Correlation, sizes: tuple[int, int]) -> list[tuple[Axis, Axis]]:
    """(height, width) of each product: one for a convolution, one per output phase for its adjoint."""
    if body.windows is None:
        one = Axis(0, 1, 1, (0,), 1)
        return [(one, one)]
    if not body.adjoint:
        h, w = (Axis(-m.before, m.stride, m.dilation, tuple(range(m.kernel)), m.output) for m in body.windows)
        return [(h, w)]
    phases = [
        [phase for r in range(m.stride) if (phase := _phase(m, r, n)) is not None]
        for m, n in zip(body.windows, sizes, strict=True)
    ]
    return [(h, w) for h in phases[0] for w in phases[1]]


def _phase(m: Any, rest: int, size: int) -> Axis | None:
    """Outputs x with x ≡ rest (mod stride): taps that divide read (x + before - u·dilation)/stride."""
    count = len(range(rest, m.input, m.stride))
    taps = [u for u in range(m.kernel) if (rest + m.before - u * m.dilation) % m.stride == 0]
    if not count:
        return None
    if not taps:
        return Axis(0, 1, 1, (), count, rest, m.stride)
    places = [(rest + m.before - u * m.dilation) // m.stride for u in taps]
    step = places[1] - places[0] if len(places) > 1 else 1
    return Axis(places[0], 1, step, tuple(taps), count, rest, m.stride)


@functools.lru_cache(maxsize=1024)
def border(body: Correlation, sizes: tuple[int, int]) -> Pads:
    """Padding that the products read around a map of this size: top, bottom, left, right."""
    pads = [0, 0, 0, 0]
    for pair in axes(body, sizes):
        for k, (axis, size) in enumerate(zip(pair, sizes, strict=True)):
            if axis.taps and axis.count:
                first, last = axis.reach
                pads[2 * k] = max(pads[2 * k], -first)
                pads[2 * k + 1] = max(pads[2 * k + 1], last - size + 1)
    return pads[0], pads[1], pads[2], pads[3]


def covers(body: Correlation, lanes: int) -> bool:
    """Zero padding; groups of whole channel blocks."""
    if body.windows is not None and any(m.mode != "zeros" for m in body.windows):
        return False
    if body.windows is not None and any(m.before < 0 or m.after < 0 for m in body.windows):
        return False
    return body.groups == 1 or (body.depth % lanes == 0 and body.outputs % lanes == 0)


def _runs(layout: Layout, channels: int, pair: tuple[Axis, Axis]) -> tuple[list[tuple[int, int]], Array]:
    """(byte offset, steps) of every run, neighboring ones joined; and (first channel, steps, kernel row, kernel
    column) of each piece they are made of, in order."""
    h, w = pair
    runs: list[tuple[int, int]] = []
    pieces = []
    for block in range(-(-channels // layout.lanes)):
        first = block * layout.lanes
        steps = min(layout.lanes, channels - first)
        for a, u in enumerate(h.taps):
            for b, v in enumerate(w.taps):
                offset = block * layout.block + a * h.step * layout.row + b * w.step * layout.pixel
                if runs and runs[-1][0] + 4 * runs[-1][1] == offset:
                    runs[-1] = runs[-1][0], runs[-1][1] + steps
                else:
                    runs.append((offset, steps))
                pieces.append((first, steps, u, v))
    return runs, np.array(pieces, np.int64).reshape(-1, 4)


def _chunks(runs: list[tuple[int, int]], limit: int) -> list[list[tuple[int, int]]]:
    """Runs in groups of at most `limit` steps; a longer run is cut."""
    pieces = []
    for offset, steps in runs:
        while steps > limit:
            pieces.append((offset, limit))
            offset, steps = offset + 4 * limit, steps - limit
        pieces.append((offset, steps))
    total = sum(steps for _, steps in pieces)
    count = max(-(-total // limit), 1)
    chunks: list[list[tuple[int, int]]] = [[]]
    used_steps = 0
    for piece in pieces:
        if chunks[-1] and used_steps + piece[1] > len(chunks) * total / count + limit / 16:
            chunks.append([])
        chunks[-1].append(piece)
        used_steps += piece[1]
    return chunks


def fold_weights(unit: Unit) -> tuple[Array, Array]:
    """Weight (as declared) and bias by output channel, with folds applied, float32."""
    body = unit.body
    assert isinstance(body, Correlation)
    weight = unit.weights["weight"]
    if (scaling := unit.scaling) is not None:
        scale, _ = scaling
        if body.adjoint:
            by = scale.reshape(body.groups, 1, body.outputs, *([1] * (weight.ndim - 2)))
            parts = weight.reshape(body.groups, body.depth, *weight.shape[1:])
        else:
            by, parts = scale.reshape(-1, *([1] * (weight.ndim - 1))), weight
        scaled = aligned.zeros(weight.size).reshape(parts.shape)
        weight = np.multiply(parts, by, out=scaled, casting="same_kind").reshape(weight.shape)
    return np.asarray(weight, np.float32), packing.bias(unit, body.groups * body.outputs)


def _order(
    body: Correlation, pieces: Array, shape: tuple[int, int, int], lanes: int
) -> pack_weights.PackTable:
    """Position of each step's weight among those of its output."""
    kernel = shape[1:] if body.windows is None else _kernel(body)
    taps, depth = math.prod(kernel), shape[0] if body.windows is None else body.depth
    channel, stride = (body.outputs * taps, taps) if body.adjoint else (taps, depth * taps)
    first, steps, u, v = pieces.T
    within = np.arange(steps.max(initial=0))
    places = (first * channel + u * kernel[1] + v)[:, None] + within * channel
    offsets = 4 * places[within < steps[:, None]]
    return pack_weights.table(offsets, 4 * stride, body.outputs, 4 * body.outputs * depth * taps, lanes)


def _kernel(body: Correlation) -> tuple[int, int]:
    assert body.windows is not None
    return body.windows[0].kernel, body.windows[1].kernel


class DenseLowering(Lowering[Correlation]):
    """Direct products of whole channel blocks."""

    bodies = (Correlation,)
    finishes = True

    def covers(self, body: Correlation, lanes: int) -> bool:
        return covers(body, lanes)

    def border(self, unit: Unit, body: Correlation, context: PlanContext) -> Pads:
        x = unit.inputs[0]
        return (0, 0, 0, 0) if body.windows is None else border(body, (x.height, x.width))

    def calls(self, unit: Unit, body: Correlation, context: PlanContext) -> list[KernelCall]:
        x, y = unit.inputs[0].shaped, unit.outputs[0]
        shape = x.channels, x.height, x.width
        if body.windows is None:
            return [_linear(unit, body, x, y, shape, context)]
        return [
            _product(unit, body, x, y, pair, shape, context, k)
            for k, pair in enumerate(axes(body, (x.height, x.width)))
        ]


def _linear(
    unit: Unit, body: Correlation, x: Buffer, y: Buffer, shape: tuple[int, int, int], context: PlanContext
) -> KernelCall:
    """A fully connected layer: on a flattened map, the window is the whole map; else every pixel is a window."""
    if unit.inputs[0].flat:
        h, w = (Axis(0, 1, 1, tuple(range(n)), 1) for n in shape[1:])
        return _product(unit, body, x, y, (h, w), shape, context, 0)
    pair = Axis(0, 1, 1, (0,), x.height), Axis(0, 1, 1, (0,), x.width)
    return _product(unit, body, x, y, pair, (body.depth, 1, 1), context, 0)


def _product(
    unit: Unit, body: Correlation, x: Buffer, y: Buffer, pair: tuple[Axis, Axis],
    shape: tuple[int, int, int], context: PlanContext, phase: int,
) -> KernelCall:  # fmt: skip
    target = context.target
    h, w = pair
    source, result = x.layout, y.layout
    depth = body.depth if body.windows is not None else shape[0]
    blocks = -(-body.outputs // target.lanes)
    pixels = x.images * h.count * w.count
    runs, pieces = _runs(source, depth, pair)
    total = int(pieces[:, 1].sum())
    one = tile.panels(blocks, tile.panel(target, pixels, blocks, total))
    split = one * body.groups
    limit = max(PANEL_CACHE_BYTES // (4 * target.lanes * max(one)), 64)
    chunks = _chunks(runs, limit)
    kernels = {
        (pixels_, vectors): Kernel("tile", (pixels_, vectors))
        for vectors in set(one)
        for pixels_ in range(1, min(target.tiles[vectors - 1], max(pixels, 1)) + 1)
    }
    epilogue = None if unit.epilogue is None else epilogue_kernel(unit)

    def weights() -> packing.Packing:
        table, lanes = _order(body, pieces, shape, target.lanes), target.lanes
        span = 4 * unit.weights["weight"].size // body.groups
        parts = pack_weights.panels(one, body.outputs, total, table.stride, lanes, body.groups, span)
        return packing.direct(unit, table, parts, lanes, body.groups, total * sum(split) * lanes)

    def bias() -> Array:
        padded = np.zeros((body.groups, blocks * target.lanes), np.float32)
        padded[:, : body.outputs] = packing.bias(unit, body.groups * body.outputs).reshape(body.groups, -1)
        return padded.reshape(-1)

    key = (unit.name, "direct", phase, target.name, tuple(one))
    address, biases = Address(Packed(key, weights)), Address(Constant((*key, "bias"), bias))
    tiles = {
        vectors: value_table([
            Address(kernels[count, vectors]) if (count, vectors) in kernels else 0
            for count in range(target.tiles[vectors - 1] + 1)
        ])
        for vectors in set(one)
    }  # fmt: skip
    rows: list[Value] = []
    panel_weights = []
    for index, vectors in enumerate(split):
        group, inner = divmod(index, len(one))
        before = sum(one[:inner])
        rows += [
            group * (body.outputs // target.lanes) * result.block + before * result.block,
            biases + 4 * target.lanes * (group * blocks + before),
            tiles[vectors],
            vectors,
            group * (body.depth // target.lanes) * source.block if body.groups > 1 else 0,
            target.tiles[vectors - 1],
        ]
        for chunk in chunks:
            panel_weights.append(address)
            address += 4 * target.lanes * vectors * sum(steps for _, steps in chunk)
    arguments = record(
        dense_conv.ARGUMENTS,
        {
            dense_conv.IN: x.address + h.start * source.row + w.start * source.pixel,
            dense_conv.IN_IMAGE: source.image,
            dense_conv.IN_ROW: h.stride * source.row,
            dense_conv.IN_PIXEL: w.stride * source.pixel,
            dense_conv.OUT: y.address + h.target * result.row + w.target * result.pixel,
            dense_conv.OUT_IMAGE: result.image,
            dense_conv.OUT_ROW: h.jump * result.row,
            dense_conv.OUT_PIXEL: w.jump * result.pixel,
            dense_conv.ROWS: h.count,
            dense_conv.COLUMNS: w.count,
            dense_conv.CHUNKS: len(chunks),
            dense_conv.CONTEXTS: _contexts(unit, chunks, result.block),
            dense_conv.PANELS: value_table(rows),
            dense_conv.WEIGHTS: value_table(panel_weights),
            dense_conv.EPILOGUE: 0 if epilogue is None else Address(epilogue),
        },
    )
    weight_bytes = 4 * total * sum(split) * target.lanes
    return KernelCall(
        unit,
        "direct",
        f"{target.tiles[max(one) - 1]}x{max(one)}",
        Kernel("dense_conv"),
        arguments,
        x.images * h.count,
        len(split),
        unit.reads,
        unit.outputs,
        (*kernels.values(), packing.PACK, *(() if epilogue is None else (epilogue,))),
        flops=2.0 * pixels * total * body.outputs * body.groups,
        cycles=tile.panel_cycles(target, pixels, split, total),
        weights=weight_bytes,
        by_parts=weight_bytes > source.bytes and len(split) >= 2 * context.threads,
        imagewise=True,
        reads_per_part=True,
    )


def _contexts(unit: Unit, chunks: list[list[tuple[int, int]]], block: int) -> Address:
    """What a tile needs to know of each chunk; the residual is added first, the clamp comes last."""
    residual, last = unit.residual_offset, len(chunks) - 1
    values: dict[int, Value] = {}
    limits: dict[int, float] = {}
    for k, chunk in enumerate(chunks):
        at = k * tile.CONTEXT_SIZE
        values |= {
            at + tile.RUNS: table(np.array(chunk, np.int64)),
            at + tile.COUNT: len(chunk),
            at + tile.BLOCK: block,
            at + tile.RESIDUAL: 0 if residual is None else residual,
            at + tile.HAS_RESIDUAL: k == 0 and residual is not None,
        }
        limits |= {
            at + tile.LOW: unit.low if k == last else -math.inf,
            at + tile.HIGH: unit.high if k == last else math.inf,
        }
    return Address(record(len(chunks) * tile.CONTEXT_SIZE, values, limits))


def epilogue_kernel(unit: Unit) -> Kernel:
    """The kernel of an epilogue other than a clamp."""
    from striate.engine.kernels.expression import text

    assert unit.epilogue is not None
    return Kernel("epilogue", (text(unit.epilogue, {"x0": "a"}),))
