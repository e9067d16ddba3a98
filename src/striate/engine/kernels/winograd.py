"""Winograd's convolution: the loops around its transforms and the micro-tile.

    for block of tiles: input transform;
        for frequency: for panel: for up to T tiles of the block: micro-tile over all channels;
        for panel: output transform

A block's transformed input V and products M stay in the second-level cache between the three phases; it goes over tile
rows and images, so that small maps fill the micro-tiles. All panels of one frequency come before the next: V of one
frequency stays in the first-level cache meanwhile, and the weights are read exactly once a block, in one stream.
A micro-tile's "pixels" are tiles: V is [frequency][tile][channel], all channels of a tile are one run; M is
[frequency][panel][tile][vector].

Where a record names a shared transformed input, an earlier step has computed it (winograd_input as a separate step),
and tasks of other panels need not repeat it. Tried and slower on every layer: software prefetch of the next panel's
weights, and sums over chunks of channels whose weights fit the first-level cache.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.kernels import tile as micro
from striate.engine.kernels import winograd_sizes as w
from striate.engine.target import Target


def emit(target: Target) -> str:
    """kernel(arguments, row, end_row, panel, end_panel, scratch): rows of tiles are counted over all images."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, scratch = code.arguments
    columns, most = a.int(w.COLUMNS), a.int(w.TILES)
    v_tile, v_frequency, m_frequency = a.int(w.V_TILE), a.int(w.V_FREQUENCY), a.int(w.M_FREQUENCY)
    panels, shared = a.pointer(w.PANELS), a.pointer(w.SHARED)
    product = scratch + a.int(w.V_BYTES)
    before = (panels + part * w.PANEL_SIZE).int(w.P_FIRST)

    zero = code.buffer(target.panel * code.bytes // 8)
    for o in range(target.panel):
        zero.store(code.broadcast(0.0), o * code.bytes)
    run, context = code.buffer(2), code.buffer(micro.CONTEXT_SIZE // 8)
    run.store(code.int(0))
    run.store(a.int(w.CHANNELS), 8)
    context.store(run, micro.RUNS)
    for offset, value in ((micro.COUNT, 1), (micro.BLOCK, code.bytes), (micro.HAS_RESIDUAL, 0)):
        context.store(code.int(value), offset)
    context.store(code.number(float("-inf")), micro.LOW)
    context.store(code.number(float("inf")), micro.HIGH)
    inputs, outputs = code.buffer(max(target.tiles)), code.buffer(max(target.tiles))

    end = end_row * columns
    total = end - row * columns
    blocks = ((total + most - 1) // most).most(1)
    small = total // blocks
    larger = total - small * blocks
    first = code.variable(row * columns)
    with code.loop(0, blocks) as block:
        start = first.get()
        size = small + code.select(block < larger, code.int(1), code.int(0))
        stop = start + size
        with code.choice(shared.not_null) as (then, otherwise):
            with then:
                pass
            with otherwise:
                code.call(a.pointer(w.INPUT), a, start, stop, 0, a.int(w.BLOCKS), scratch)
        v = code.select(shared.not_null, shared + start * v_tile, scratch)
        with code.loop(0, a.int(w.FREQUENCIES)) as f, code.loop(part, end_part) as p:
            entry = panels + p * w.PANEL_SIZE
            weights = a.pointer(w.WEIGHTS) + (f * a.int(w.W_FREQUENCY) + entry.int(w.P_WEIGHTS))
            step = entry.int(w.P_BYTES)
            x = code.variable(v + f * v_frequency)
            y = code.variable(product + (f * m_frequency + (entry.int(w.P_FIRST) - before) * size))
            tiles = (size + entry.int(w.P_MOST) - 1) // entry.int(w.P_MOST)
            least = size // tiles
            more = size - least * tiles
            with code.loop(0, tiles) as t:
                pixels = least + code.select(t < more, code.int(1), code.int(0))
                with code.loop(0, pixels) as i:
                    (inputs + i * 8).store(x.get())
                    (outputs + i * 8).store(y.get())
                    x.set(x.get() + v_tile)
                    y.set(y.get() + step)
                code.call(
                    entry.pointer(w.P_TILES).pointer(pixels * 8), inputs, outputs, weights, zero, context
                )
        with code.loop(part, end_part) as p:
            entry = panels + p * w.PANEL_SIZE
            panel_products = product + (entry.int(w.P_FIRST) - before) * size
            code.call(a.pointer(w.OUTPUT), a, entry, start, stop, panel_products)
        first.set(stop)
    return code.finish()
