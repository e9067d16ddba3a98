"""The micro-tile that all dense arithmetic runs through: T pixels times `panel` output vectors, held in registers.

    for run in runs: for k in run: out[t, :] += in[t][run + k] * weights[k, :]

A run is a stretch of input numbers that lie side by side: the channels of one block under one tap, or a whole row of a
first layer's window. So one template serves every kernel size, stride, dilation, 1x1, fully connected layers, the
products of Winograd's algorithm, and transposed convolution phase by phase: only the table of runs differs.
"""

from __future__ import annotations

from striate.engine.emit import Code
from striate.engine.target import Target

UNROLL = 4
"""Steps between two tests. More fills the cache of decoded instructions: 16 were slower on every machine measured."""

RUNS, COUNT, BLOCK, RESIDUAL, HAS_RESIDUAL, LOW, HIGH = 0, 8, 16, 24, 32, 40, 44
"""Byte offsets of the context: table of runs (byte offset, steps; 64 bits each), its length, bytes between the output's
channel blocks, bytes from an output to the number added to it, whether there is one, and the limits of the clamp."""
CONTEXT = 48


def emit(target: Target, pixels: int, panel: int) -> str:
    """kernel(inputs, outputs, weights, bias, context): `pixels` addresses each; without bias it adds to the outputs."""
    code = Code(target, "ppppp")
    inputs, outputs, start, bias, context = code.arguments
    step = panel * code.bytes
    x = [inputs.pointer(8 * t) for t in range(pixels)]
    out = [outputs.pointer(8 * t) for t in range(pixels)]
    block = context.int(BLOCK)

    total = [[code.variable(code.spread(0.0)) for _ in range(panel)] for _ in range(pixels)]
    with code.choice(bias.given) as (fresh, further):
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
                value = base[t].spread(4 * k)
                for o in range(panel):
                    total[t][o].set(code.fma(value, row[o], total[t][o].get()))
        weights.set(w + count * step)

    with code.loop(0, context.int(COUNT)) as r:
        run = runs + r * 16
        offset, length = run.int(0), run.int(8)
        whole = length - length % UNROLL
        with code.loop(0, whole, UNROLL) as k:
            steps([pixel + (offset + k * 4) for pixel in x], UNROLL)
        with code.loop(whole, length) as k:
            steps([pixel + (offset + k * 4) for pixel in x], 1)

    with code.when(context.int(HAS_RESIDUAL).differs(0)):
        residual = context.int(RESIDUAL)
        for t in range(pixels):
            for o in range(panel):
                total[t][o].set(code.add(total[t][o].get(), (out[t] + (block * o + residual)).vector()))
    low, high = context.spread(LOW), context.spread(HIGH)
    for t in range(pixels):
        for o in range(panel):
            (out[t] + block * o).store(code.least(high, code.most(low, total[t][o].get())))
    return code.finish()
