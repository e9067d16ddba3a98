"""The micro-tile that all dense arithmetic runs through: T pixels times `panel` output vectors, held in registers.

    for run in runs: for k in run: out[t, :] += in[t][run + k] * weights[k, :]

A run is a stretch of input numbers that lie side by side: the channels of one block under one tap, or a whole row of a
first layer's window. So one template serves every kernel size, stride, dilation, 1x1, fully connected layers, the
products of Winograd's algorithm, and transposed convolution phase by phase: only the table of runs differs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from striate.engine.codegen.emit import Code
from striate.engine.kernels import cost_model
from striate.engine.target import Target

INPUT_CYCLES, WEIGHT_WAIT_SHARE = 0.125, 0.45
"""Delays of a step with another limit, measured on whole layers with AVX2 and AVX-512: cycles per number of the input,
which every panel reads again from the second-level cache; and the share of the weights' load time that a tile waits
when they take the cache's full bandwidth (a quarter of it at half the bandwidth)."""
PIXEL_CYCLES = 5
"""Cycles to store a pixel's addresses and to start and end its sums, once per panel (measured: 4 to 6)."""

UNROLL_STEPS = 4
"""Steps between two tests. More fills the cache of decoded instructions: 16 were slower on every machine measured."""

RUNS, COUNT, BLOCK, RESIDUAL, HAS_RESIDUAL, LOW, HIGH = 0, 8, 16, 24, 32, 40, 44
"""Byte offsets of the context: table of runs (byte offset, steps; 64 bits each), its length, bytes between the output's
channel blocks, bytes from an output to the number added to it, whether there is one, and the limits of the clamp."""
CONTEXT_SIZE = 48


def products(target: Target, pixels: int, panel: int) -> float:
    """Minimum cycles of one step of a tile with everything in the first-level cache.

    A number of the input is loaded once for the panel; where AVX-512 folds it into the multiplication, it takes a load
    port nevertheless. So a tile of T x N loads T + N times for T·N products.
    """
    return cost_model.cycles(target, products=pixels * panel, loads=panel, spreads=pixels, chain=1)


def limit(target: Target, pixels: int, panel: int) -> float:
    """Minimum cycles of one step of a tile whose weights come from the second-level cache."""
    return max(products(target, pixels, panel), _stream(target, panel))


def cycles(target: Target, pixels: int, panel: int) -> float:
    """Predicted cycles of one step of a tile: its limit, and its waits."""
    least, stream = limit(target, pixels, panel), _stream(target, panel)
    return least + INPUT_CYCLES * pixels + WEIGHT_WAIT_SHARE * stream * (stream / least) ** 2


def _stream(target: Target, panel: int) -> float:
    """Cycles to load the weights of one step."""
    return 4 * target.lanes * panel / target.l2_bytes_per_cycle


def panels(blocks: int, most: int) -> list[int]:
    """Output vectors, evenly split into panels of at most `most`."""
    count = -(-blocks // most)
    return [blocks // count + (k < blocks % count) for k in range(count)]


@functools.lru_cache(maxsize=1024)
def panel(target: Target, pixels: int, blocks: int, steps: int) -> int:
    """Output vectors per panel: those whose tiles take the least time for these pixels, vectors and terms of a sum."""
    return min(
        range(1, target.panel + 1),
        key=lambda size: (panel_cycles(target, pixels, panels(blocks, size), steps), -size),
    )


def panel_cycles(
    target: Target,
    pixels: int,
    split: Sequence[int],
    steps: int,
    step: Callable[[Target, int, int], float] = cycles,
) -> float:
    """Predicted cycles of panels of these sizes: the pixels are cut into even tiles, as the kernel does it.

    step: cycles of one step of a tile, `products` where everything lies in the first-level cache.
    """
    total = 0.0
    for vectors in split:

        def time(size: int, vectors: int = vectors) -> float:
            return step(target, size, vectors)

        total += steps * cost_model.tiled(pixels, target.tiles[vectors - 1], time) + PIXEL_CYCLES * pixels
    return total


def emit(target: Target, pixels: int, panel: int) -> str:
    """kernel(inputs, outputs, weights, bias, context): `pixels` addresses each; without bias it adds to the outputs."""
    code = Code(target, "ppppp")
    inputs, outputs, start, bias, context = code.arguments
    step = panel * code.bytes
    x = [inputs.pointer(8 * t) for t in range(pixels)]
    out = [outputs.pointer(8 * t) for t in range(pixels)]
    block = context.int(BLOCK)

    total = [[code.variable(code.broadcast(0.0)) for _ in range(panel)] for _ in range(pixels)]
    with code.choice(bias.not_null) as (fresh, further):
        with fresh:
            for o in range(panel):
                value = bias.vector(o * code.bytes)
                for t in range(pixels):
                    total[t][o].set(value)
        with further:
            for o in range(panel):
                for t in range(pixels):
                    total[t][o].set((out[t] + block * o).vector())

    weights = code.variable(start)
    runs = context.pointer(RUNS)

    def steps(base: list, count: int) -> None:  # type: ignore[type-arg]
        w = weights.get()
        for k in range(count):
            row = [w.vector(k * step + o * code.bytes) for o in range(panel)]
            for t in range(pixels):
                value = base[t].broadcast(4 * k)
                for o in range(panel):
                    total[t][o].set(code.fma(value, row[o], total[t][o].get()))
        weights.set(w + count * step)

    with code.loop(0, context.int(COUNT)) as r:
        run = runs + r * 16
        offset, length = run.int(0), run.int(8)
        bulk = length - length % UNROLL_STEPS
        with code.loop(0, bulk, UNROLL_STEPS) as k:
            if target.prefetch_bytes:
                for pixel in x[::2]:  # two pixels of eight channels are a cache line
                    code.prefetch(pixel + (offset + k * 4 + target.prefetch_bytes))
            steps([pixel + (offset + k * 4) for pixel in x], UNROLL_STEPS)
        with code.loop(bulk, length) as k:
            steps([pixel + (offset + k * 4) for pixel in x], 1)

    with code.when(context.int(HAS_RESIDUAL).differs(0)):
        residual = context.int(RESIDUAL)
        for t in range(pixels):
            for o in range(panel):
                total[t][o].set(code.add(total[t][o].get(), (out[t] + (block * o + residual)).vector()))
    low, high = context.broadcast(LOW), context.broadcast(HIGH)
    for t in range(pixels):
        for o in range(panel):
            (out[t] + block * o).store(code.least(high, code.most(low, total[t][o].get())))
    return code.finish()
