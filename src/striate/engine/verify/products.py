"""Reads and writes of product kernels: convolutions, their gradients, and the packing of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels import (
    dense_conv,
    depthwise,
    depthwise_adjoint,
    depthwise_gradient,
    grouped,
    pack_weights,
    planar_conv,
    tile,
    weight_gradient,
    winograd_pack,
    winograd_sizes,
)  # fmt: skip
from striate.engine.verify.regions import numbers
from striate.engine.verify.touches import Accesses, KernelTask, Model, once, outer_sum, steps, vector

Array = NDArray[Any]


def _dense_conv(call: KernelTask) -> Accesses:
    d = dense_conv
    rows, columns, chunks = call[d.ROWS], call[d.COLUMNS], call[d.CHUNKS]
    x = outer_sum(call.lines(rows, call[d.IN_IMAGE], call[d.IN_ROW]), steps(columns, call[d.IN_PIXEL]))
    y = outer_sum(call.lines(rows, call[d.OUT_IMAGE], call[d.OUT_ROW]), steps(columns, call[d.OUT_PIXEL]))
    contexts = numbers(call[d.CONTEXTS], chunks * tile.CONTEXT_SIZE // 8).reshape(chunks, -1)
    runs = [numbers(c[tile.RUNS // 8], 2 * int(c[tile.COUNT // 8])).reshape(-1, 2) for c in contexts]
    places = [offset + 4 * np.arange(length) for some in runs for offset, length in some.tolist()]
    inner = np.concatenate([*places, np.zeros(0, np.int64)])
    panels = numbers(call[d.PANELS], call.task[3] * d.PANEL_SIZE // 8).reshape(-1, d.PANEL_SIZE // 8)
    weights = numbers(call[d.WEIGHTS], call.task[3] * chunks).reshape(-1, chunks)
    accesses, block = Accesses(), int(contexts[0][tile.BLOCK // 8])
    groups: dict[int, None] = {}
    residual = int(contexts[0][tile.RESIDUAL // 8]) if contexts[0][tile.HAS_RESIDUAL // 8] else None
    for p in call.parts.tolist():
        out, bias, vectors, in_offset = (
            int(panels[p][at // 8]) for at in (d.PANEL_OUT, d.PANEL_BIAS, d.PANEL_VECTORS, d.PANEL_IN)
        )
        groups[in_offset] = None
        output = outer_sum(call[d.OUT] + out, y, steps(vectors, block), vector(call))
        accesses.writes.append(output)
        if residual is not None:
            accesses.local.append((output + residual, output))
        accesses.reads.append(outer_sum(bias, vector(call, vectors)))
        for chunk, some in enumerate(runs):
            length = int(some[:, 1].sum())
            accesses.reads.append(outer_sum(int(weights[p][chunk]), vector(call, vectors * length)))
    if inner.size:
        accesses.reads += [outer_sum(call[d.IN] + in_offset, x, inner) for in_offset in groups]
    accesses.reads = [one for one in accesses.reads if one.size]
    return accesses


def _patches(call: KernelTask, tiles: Array, blocks: Array) -> Array:
    """The input of some of Winograd's tiles."""
    w = winograd_sizes
    m = int(call.numbers[0]) if call.numbers else round(call[w.FREQUENCIES] ** 0.5) - 2
    columns, rows = call[w.COLUMNS], call[w.ROWS]
    line, column = tiles // columns, tiles % columns
    at = line // rows * call[w.IN_IMAGE] + line % rows * m * call[w.IN_ROW] + column * m * call[w.IN_PIXEL]
    size = m + 2
    return outer_sum(
        call[w.IN], (at[:, None] + _square(size, call[w.IN_ROW], call[w.IN_PIXEL])).reshape(-1),
        blocks * call[w.IN_BLOCK], vector(call),
    )  # fmt: skip


def _square(size: int, row: int, pixel: int) -> Array:
    return (np.arange(size)[:, None] * row + np.arange(size) * pixel).reshape(-1)


def _winograd_input(call: KernelTask) -> Accesses:
    w = winograd_sizes
    to = outer_sum(
        call[w.SHARED], call.rows * call[w.V_TILE], call.parts * 4 * call.lanes,
        steps(call[w.FREQUENCIES], call[w.V_FREQUENCY]), vector(call),
    )  # fmt: skip
    return Accesses([_patches(call, call.rows, call.parts)], [to])


def _winograd(call: KernelTask) -> Accesses:
    w = winograd_sizes
    m = round(call[w.FREQUENCIES] ** 0.5) - 2
    columns, rows, lanes = call[w.COLUMNS], call[w.ROWS], 4 * call.lanes
    tiles = np.arange(call.task[0] * columns, call.task[1] * columns)
    accesses, frequencies = Accesses(), call[w.FREQUENCIES]
    if call[w.SHARED]:
        channels = steps(call[w.CHANNELS], 4)
        at = outer_sum(
            call[w.SHARED], tiles * call[w.V_TILE], steps(frequencies, call[w.V_FREQUENCY]), channels
        )
        accesses.reads.append(at)
    else:
        accesses.reads.append(_patches(call, tiles, np.arange(call[w.BLOCKS])))
    panel_slots = w.PANEL_SIZE // 8
    panels = numbers(call[w.PANELS], call.task[3] * panel_slots).reshape(-1, panel_slots)
    image, line = call.rows // rows, call.rows % rows
    down = once(
        np.concatenate([
            n * call[w.OUT_IMAGE] + np.arange(t * m, min(t * m + m, call[w.HEIGHT])) * call[w.OUT_ROW]
            for n, t in zip(image.tolist(), line.tolist(), strict=True)
        ])
    )  # fmt: skip
    for p in call.parts.tolist():
        entry = {
            at: int(panels[p][at // 8]) for at in (w.P_OUT, w.P_VECTORS, w.P_WEIGHTS, w.P_BYTES, w.P_BIAS)
        }
        vectors = entry[w.P_VECTORS]
        output = outer_sum(
            call[w.OUT] + entry[w.P_OUT], down, steps(call[w.WIDTH], call[w.OUT_PIXEL]),
            steps(vectors, call[w.OUT_BLOCK]), vector(call),
        )  # fmt: skip
        accesses.writes.append(output)
        if call[w.HAS_RESIDUAL]:
            accesses.local.append((output + call[w.RESIDUAL], output))
        inner = steps(call[w.CHANNELS] * entry[w.P_BYTES] // 4, 4)
        first = call[w.WEIGHTS] + entry[w.P_WEIGHTS]
        accesses.reads.append(outer_sum(first, steps(frequencies, call[w.W_FREQUENCY]), inner))
        accesses.reads.append(outer_sum(entry[w.P_BIAS], steps(vectors * lanes // 4, 4)))
    return accesses


def _sliding(call: KernelTask, places: Array | None = None) -> Accesses:
    """places: by block and lane, bytes to each number that is read for it; the block's own vector otherwise."""
    d = depthwise
    rows, columns = call[d.ROWS], call[d.COLUMNS]
    lines = (
        call.lines(rows, call[d.IN_IMAGE], call[d.IN_ROW])[:, None] + steps(call[d.TAP_ROWS], call[d.TAP_ROW])
    ).reshape(-1)
    across = steps(columns, call[d.IN_PIXEL])[:, None] + steps(call[d.TAP_COLUMNS], call[d.TAP_COLUMN])
    inner = [call.parts * call[d.IN_BLOCK], vector(call)] if places is None else [places]
    accesses = Accesses()
    if lines.size and across.size:
        accesses.reads.append(outer_sum(call[d.IN], lines, across.reshape(-1), *inner))
    output = outer_sum(
        call[d.OUT], call.parts * call[d.OUT_BLOCK], call.lines(rows, call[d.OUT_IMAGE], call[d.OUT_ROW]),
        steps(columns, 4 * call.lanes), vector(call),
    )  # fmt: skip
    accesses.writes.append(output)
    if call[d.HAS_RESIDUAL]:
        accesses.local.append((output + call[d.RESIDUAL], output))
    block = call[d.WEIGHTS_BLOCK]
    accesses.reads.append(outer_sum(call[d.WEIGHTS], call.parts * block, steps(block // 4, 4)))
    return accesses


def _grouped(call: KernelTask) -> Accesses:
    if call.numbers[0]:
        return _sliding(call)
    size = call[grouped.STEPS] * call.lanes
    table = numbers(call[grouped.TABLE], call.task[3] * size)
    return _sliding(call, table[call.task[2] * size :])


def _depthwise_adjoint(call: KernelTask) -> Accesses:
    a = depthwise_adjoint
    rows, down, across = call[a.ROWS], call[a.DOWN], call[a.ACROSS]
    size = a.PHASE_SIZE // 8
    tall = numbers(call[a.ROW_PHASES], down * size).reshape(-1, size)
    wide = numbers(call[a.COLUMN_PHASES], across * size).reshape(-1, size)
    lines = [
        r // rows * call[a.DY_IMAGE] + tall[r % rows % down][a.PHASE_DY // 8]
        + r % rows // down * call[a.DY_ROW]
        + steps(int(tall[r % rows % down][a.PHASE_TAPS // 8]), call[a.TAP_ROW])
        for r in call.rows.tolist()
    ]  # fmt: skip
    pixels = [np.zeros(0, np.int64)]
    for phase in wide.tolist():
        taps, dy, _, count = (
            phase[k // 8] for k in (a.PHASE_TAPS, a.PHASE_DY, a.PHASE_WEIGHT, a.PHASE_COUNT)
        )
        at = dy + steps(count, 4 * call.lanes)[:, None] + steps(taps, call[a.TAP_COLUMN])
        pixels.append(at.reshape(-1))
    high, broad = np.concatenate(lines), np.concatenate(pixels)
    accesses = Accesses()
    if high.size and broad.size:
        accesses.reads.append(outer_sum(call[a.DY], call.parts * call[a.DY_BLOCK], high, broad, vector(call)))
    to = [
        k * 4 * call.lanes + steps(int(p[a.PHASE_COUNT // 8]), call[a.OUT_PIXEL]) for k, p in enumerate(wide)
    ]
    accesses.writes.append(
        outer_sum(
            call[a.OUT], call.parts * call[a.OUT_BLOCK],
            call.lines(rows, call[a.OUT_IMAGE], call[a.OUT_ROW]), np.concatenate(to), vector(call),
        )
    )  # fmt: skip
    return accesses


def _depthwise_gradient(call: KernelTask) -> Accesses:
    g = depthwise_gradient
    taps, width, _ = (int(n) for n in call.numbers)
    images, rows, columns = call[g.IMAGES], call[g.ROWS], call[g.COLUMNS]
    table = numbers(call[g.TAPS], 2 * taps * call.task[1]).reshape(-1, taps, 2)[call.task[0] :]
    if width:
        first = table[:, 0, 0][:, None, None]
        high = np.arange(taps // width)[:, None] * call[g.TAP_ROW]
        places = (first + high + np.arange(width) * 4 * call.lanes).reshape(-1)
    else:
        places = table[:, :, 0].reshape(-1)
    inside = steps(rows, call[g.X_ROW])[:, None] + steps(columns, call[g.X_PIXEL])
    pixels = (once(inside.reshape(-1))[:, None] + once(places)).reshape(-1)
    x = outer_sum(
        call[g.X], steps(images, call[g.X_IMAGE]), call.parts * call[g.X_BLOCK], pixels, vector(call)
    )
    dy = outer_sum(
        call[g.DY], steps(images, call[g.DY_IMAGE]), call.parts * call[g.DY_BLOCK],
        steps(rows, call[g.DY_ROW]), steps(columns, 4 * call.lanes), vector(call),
    )  # fmt: skip
    to = outer_sum(call[g.OUT], call.parts * call[g.OUT_BLOCK], table[:, :, 1].reshape(-1), vector(call))
    return Accesses([one for one in (x, dy) if one.size], [to])


def _planar_conv(call: KernelTask) -> Accesses:
    p = planar_conv
    channels, rows_, _ = (int(n) for n in call.numbers)
    height, columns = call[p.ROWS], call[p.COLUMNS]
    groups = -(-height // rows_)
    table = numbers(call[p.TAPS], 2 * groups).reshape(-1, 2)
    lines, to = [], []
    for g in call.rows.tolist():
        image, band = divmod(g, groups)
        first, count = table[band].tolist()
        for k in range(band * rows_, min(band * rows_ + rows_, height)):
            taps = (first + np.arange(count)) * call[p.TAP_ROW]
            lines.append(image * call[p.IN_IMAGE] + k * call[p.IN_ROW] + taps)
            to.append(image * call[p.OUT_IMAGE] + k * call[p.OUT_ROW])
    across = (4 * np.arange(columns)[:, None] + steps(call[p.TAP_COLUMNS], call[p.TAP_COLUMN])).reshape(-1)
    high, accesses = np.concatenate(lines), Accesses()
    planes = call[p.PLANES]
    if high.size:
        accesses.reads.append(outer_sum(call[p.IN], high, across, steps(planes, call[p.IN_PLANE])))
    accesses.writes.append(outer_sum(call[p.OUT], np.array(to), steps(columns, 4 * call.lanes), vector(call)))
    size = channels + call[p.W_PLANE] // 4 * planes
    accesses.reads.append(outer_sum(call[p.WEIGHTS], steps(size, 4)))
    return accesses


def _weight_gradient(call: KernelTask) -> Accesses:
    g = weight_gradient
    sizes = [call[at] for at in (g.IMAGES, g.ROWS, g.COLUMNS)]
    tiles = numbers(call[g.TILES], call.task[3] * g.TILE_SIZE // 8).reshape(-1, g.TILE_SIZE // 8)
    panels = numbers(call[g.PANELS], call.task[1] * g.PANEL_SIZE // 8).reshape(-1, g.PANEL_SIZE // 8)
    loops = [(g.X_IMAGE, g.DY_IMAGE), (g.X_ROW, g.DY_ROW), (g.X_PIXEL, g.DY_PIXEL)]
    pixels = [[steps(n, call[pair[k]]) for n, pair in zip(sizes, loops, strict=True)] for k in (0, 1)]
    some = tiles[call.task[2] : call.task[3]]
    counts = [int(one[g.TILE_COUNT // 8]) for one in some]
    lines = [np.divmod(np.arange(count), call[g.LINE] or count) for count in counts]
    places = np.concatenate(
        [one[g.TILE_X // 8] + u * call[g.X_LINE] + 4 * v for one, (u, v) in zip(some, lines, strict=True)]
    )
    offsets = np.concatenate([numbers(one[g.TILE_PLACES // 8], int(one[g.TILE_COUNT // 8])) for one in some])
    accesses = Accesses()
    x_offsets = {int(panel[g.PANEL_X // 8]) for panel in panels[call.task[0] :]}
    inputs = outer_sum(*pixels[0], places)
    accesses.reads += [call[g.X] + x_offset + inputs for x_offset in x_offsets]
    for panel in panels[call.task[0] :]:
        # The "addresses" of a panel's code are its numbers of vectors (`Regions.kernel`).
        code = numbers(int(panel[g.PANEL_TILES // 8]), int(some[0][g.TILE_COUNT // 8]) + 1)
        vectors = int(code[-1])
        inner = [steps(vectors, call[g.DY_BLOCK]), vector(call)]
        accesses.reads.append(outer_sum(call[g.DY] + int(panel[g.PANEL_DY // 8]), *pixels[1], *inner))
        to = [steps(vectors, call[g.OUT_BLOCK]), vector(call)]
        accesses.writes.append(outer_sum(int(panel[g.PANEL_OUT // 8]), offsets, *to))
    return accesses


PACKED = (
    pack_weights.P_PLAIN,
    pack_weights.P_PACKED,
    pack_weights.P_STEP,
    pack_weights.P_VECTORS,
    pack_weights.P_OUTPUTS,
)


def _pack(call: KernelTask) -> Accesses:
    g = pack_weights
    lanes = call.lanes
    width = 1 + lanes if call[g.SQUARES] else 2
    table = numbers(call[g.TABLE], width * call.task[1], np.int32).reshape(-1, width)[call.task[0] :]
    if call[g.SQUARES]:
        real = table[:, 1:] >= 0
        source = (table[:, :1] + np.arange(lanes))[real].astype(np.int64) * 4
        step = table[:, 1:][real].astype(np.int64)
    else:
        source, step = table[:, 0].astype(np.int64) * 4, table[:, 1].astype(np.int64)
    panels = numbers(call[g.PANELS], call.task[3] * g.PANEL_SIZE // 8).reshape(-1, g.PANEL_SIZE // 8)
    accesses = Accesses()
    for panel in panels[call.task[2] :].tolist():
        plain, packed, size, vectors, outputs = (panel[at // 8] for at in PACKED)
        accesses.reads.append(outer_sum(call[g.PLAIN] + plain, steps(outputs, call[g.STRIDE]), source))
        accesses.writes.append(outer_sum(call[g.PACKED] + packed, step * size, vector(call, vectors)))
    return accesses


def _winograd_pack(call: KernelTask) -> Accesses:
    w = winograd_pack
    m = int(call.numbers[0])
    panels = numbers(call[w.PANELS], call.task[3] * pack_weights.PANEL_SIZE // 8).reshape(
        -1, pack_weights.PANEL_SIZE // 8
    )
    accesses = Accesses()
    for panel in panels[call.task[2] :].tolist():
        plain, packed, size, vectors, outputs = (panel[at // 8] for at in PACKED)
        accesses.reads.append(
            outer_sum(
                call[w.PLAIN] + plain,
                steps(outputs, call[w.STRIDE]),
                call.rows * call[w.CHANNEL],
                steps(9, 4),
            )
        )
        accesses.writes.append(
            outer_sum(
                call[w.PACKED] + packed, call.rows * size, steps((m + 2) ** 2, call[w.FREQUENCY]),
                vector(call, vectors),
            )
        )  # fmt: skip
    return accesses


PRODUCTS: dict[str, Model] = {
    "dense_conv": _dense_conv, "winograd": _winograd, "winograd_input": _winograd_input, "depthwise": _sliding,
    "grouped": _grouped, "depthwise_adjoint": _depthwise_adjoint, "depthwise_gradient": _depthwise_gradient,
    "planar_conv": _planar_conv, "weight_gradient": _weight_gradient, "pack_weights": _pack,
    "winograd_pack": _winograd_pack,
}  # fmt: skip
"""By template."""
