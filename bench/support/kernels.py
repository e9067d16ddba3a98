"""Times of single kernels on one target: `kernels.py ROUNDS` prints them as JSON. STRIATE_TARGET selects the target.

A tile runs inside `dense_conv`, as in a network. Its predicted share is that of `tile.products` (everything in the
first-level cache) or of `tile.cycles` (weights and inputs from the second), with `tile.PIXEL_CYCLES` for each pixel.
Other kernels are one-layer networks whose plan is timed; theirs is the limit that the plan names, and what the cost
model predicts for the call (`KernelCall.cycles`) where it predicts anything.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import striate
from striate.engine import aligned
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import cost_model, dense_conv, tile
from striate.engine.kernels.argument_record import array_record
from striate.engine.kernels.limits import FMA_CHAINS
from striate.engine.plan.kernel_calls import KernelCall
from striate.engine.registry import get_engine
from striate.engine.runtime.plan_report import Machine
from striate.engine.target import Target, host
from striate.engine.training import training_report
from striate.engine.training.compiled_training import CompiledTraining
from striate.peers.worker import pin

CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p)
MOST_PIXELS, MOST_VECTORS = 16, 6
"""Pixels for which `dense_conv` has room, and the vectors that are tried."""
CALL_FLOPS = 16e6
"""Operations of one call, which takes a microsecond itself: passes over the same pixels."""
SAMPLE_S = 0.0003
L1_BYTES, L2_BYTES = 12 << 10, 128 << 10
"""Weights of a panel: in the first-level cache, and in the second."""
MANY_PIXELS, MANY_VECTORS, MANY_STEPS = 3136, 12, 256
"""A layer with pixels, channels and terms of a sum enough for every tile: what is chosen for it is marked."""
LAYERS = {
    "stem, 3 channels": "112x112x3 -> conv 3x3 32 /2 pad 1",
    "first layer, 1 channel to 6": "28x28x1 -> conv 5x5 6 pad 2",
    "1x1, 24 steps": "56x56x24 -> conv 1x1 96",
    "1x1, 7x7 pixels": "7x7x192 -> conv 1x1 192",
    "7x7, 64 channels to 3": "32x32x64 -> conv 7x7 3 pad 3",
    "3x3, Winograd": "28x28x64 -> conv 3x3 64 pad 1",
    "3x3, Winograd, 7x7 pixels": "7x7x512 -> conv 3x3 512 pad 1",
    "3x3 in groups of 4": "28x28x64 -> conv 3x3 64 groups 16 pad 1",
    "depthwise 3x3": "28x28x64 -> dwconv 3 pad 1",
    "depthwise 3x3 / 2": "28x28x64 -> dwconv 3 /2 pad 1",
    "depthwise 5x5": "28x28x64 -> dwconv 5 pad 2",
    "depthwise 7x7": "28x28x64 -> dwconv 7 pad 3",
}
GRADIENTS = {
    "gradient of 3x3 weights": "14x14x64 -> conv 3x3 64 pad 1 -> conv 3x3 64 pad 1",
    "gradient of 1x1 weights": "14x14x64 -> conv 1x1 128 -> conv 1x1 64",
}
"""The second layer's is timed: the first one's input needs no gradient, which would be another case."""


def tiles(target: Target) -> Iterator[tuple[int, int]]:
    """(pixels, vectors): every size whose sums, weights and one broadcast fit the registers, and every one in use."""
    for vectors in range(1, MOST_VECTORS + 1):
        left = target.registers - 1 - vectors * target.pieces
        used = target.tiles[vectors - 1] if vectors <= target.panel else 0
        most = max(min(left // (vectors * target.pieces), MOST_PIXELS), used)
        yield from ((pixels, vectors) for pixels in range(1, most + 1))


def use(target: Target, pixels: int, vectors: int) -> str:
    """Whether a plan uses this size, or even chooses it for a layer of many pixels and channels."""
    chosen = tile.panel(target, MANY_PIXELS, MANY_VECTORS, MANY_STEPS)
    if (pixels, vectors) == (target.tiles[chosen - 1], chosen):
        return "chosen"
    return "yes" if vectors <= target.panel and pixels <= target.tiles[vectors - 1] else ""


class Loop:
    """One tile inside `dense_conv`, called until a sample is long enough."""

    def __init__(self, target: Target, pixels: int, vectors: int, weight_bytes: int) -> None:
        steps = weight_bytes // (4 * target.lanes * vectors) // 4 * 4
        streams = weight_bytes > L1_BYTES
        columns = pixels * max(64 // pixels, 1)
        flops = 2.0 * columns * vectors * target.lanes * steps
        self.passes = max(round(CALL_FLOPS / flops), 1)
        self.flops = flops * self.passes
        kernel, loop = Kernel("tile", (pixels, vectors)), Kernel("dense_conv")
        codes = addresses(target, [kernel, loop])
        lanes = target.lanes
        self.inputs = aligned.zeros(steps * (columns if streams else 1))
        self.outputs = aligned.zeros(vectors * lanes * columns)
        self.weights = aligned.zeros(steps * vectors * lanes + vectors * lanes)
        for array in (self.inputs, self.weights):
            array[:] = 1  # pages never written are all the same one, in the first cache
        code = np.zeros(pixels + 1, np.int64)
        code[pixels] = codes[kernel]
        bias = aligned.address(self.weights) + 4 * steps * vectors * lanes
        runs = np.array([(0, steps)], np.int64)
        context = array_record(
            tile.CONTEXT_SIZE,
            {tile.RUNS: runs.ctypes.data, tile.COUNT: 1, tile.BLOCK: 4 * lanes * columns},
            {tile.LOW: -np.inf, tile.HIGH: np.inf},
        )
        panel = np.array([0, bias, code.ctypes.data, vectors, 0, pixels], np.int64)
        starts = np.array([aligned.address(self.weights)], np.int64)
        self.arguments = array_record(
            dense_conv.ARGUMENTS,
            {
                dense_conv.IN: aligned.address(self.inputs), dense_conv.IN_PIXEL: 4 * steps * streams,
                dense_conv.OUT: aligned.address(self.outputs), dense_conv.OUT_PIXEL: 4 * lanes,
                dense_conv.ROWS: self.passes, dense_conv.COLUMNS: columns, dense_conv.CHUNKS: 1,
                dense_conv.CONTEXTS: context.ctypes.data, dense_conv.PANELS: panel.ctypes.data,
                dense_conv.WEIGHTS: starts.ctypes.data,
            },
        )  # fmt: skip
        self.kept = code, runs, context, panel, starts
        self.code = CALL(codes[loop])
        # Products alone against all cycles of a pass over the pixels.
        cycles = (tile.cycles if streams else tile.products)(target, pixels, vectors) / pixels * steps
        self.predicted = cost_model.share(target, flops / columns, cycles + tile.PIXEL_CYCLES)

    def run(self) -> None:
        self.code(self.arguments.ctypes.data, 0, self.passes, 0, 1, None)


class Peak:
    """Independent multiply-adds in registers: what the shares are shares of."""

    def __init__(self, target: Target) -> None:
        kernel, self.times = Kernel("limits", ("multiply",)), 50_000
        self.buffer = aligned.zeros(1024)
        self.code = CALL(addresses(target, [kernel])[kernel])
        self.arguments = array_record(24, {0: aligned.address(self.buffer), 8: 4096, 16: self.times})
        self.flops = 2.0 * FMA_CHAINS[target.registers] * target.width * self.times

    def run(self) -> None:
        self.code(self.arguments.ctypes.data, 0, 1, 0, 1, None)


def repeats(run: Callable[[], None]) -> int:
    """How often a sample runs it."""
    run()
    start = time.perf_counter()
    run()
    return max(int(SAMPLE_S / max(time.perf_counter() - start, 1e-7)), 1)


def sample(run: Callable[[], None], times: int) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def measure(rounds: int) -> dict[str, Any]:
    """All rows of this process's target."""
    target = host()
    assert target is not None
    peak = Peak(target)
    sizes = list(tiles(target))
    addresses(target, [Kernel("tile", size) for size in sizes])
    jobs: list[tuple[dict[str, Any], Any]] = []
    for group, size in (("in L1", L1_BYTES), ("from L2", L2_BYTES)):
        for pixels, vectors in sizes:
            loop = Loop(target, pixels, vectors, size)
            row = {"group": group, "name": f"{pixels}x{vectors}", "use": use(target, pixels, vectors)}
            jobs.append((row | {"predicted": round(loop.predicted, 4), "seconds": [], "peak": []}, loop))
    counts = [repeats(loop.run) for _, loop in jobs]
    once = repeats(peak.run)
    for k in range(rounds):
        for (row, loop), times in list(zip(jobs, counts, strict=True))[:: 1 if k % 2 else -1]:
            row["peak"].append(sample(peak.run, once) / peak.flops)
            row["seconds"].append(sample(loop.run, times))
    best = peak.flops / min(sample(peak.run, once) for _ in range(50))
    rows = [row | {"flops": loop.flops} for row, loop in jobs]
    rows += layers(target, rounds)
    return {
        "target": target.name,
        "peak": best / 1e9,
        "rows": [{"target": target.name} | row for row in rows],
    }


def rounded(value: Any) -> Any:
    """Four digits of every time: a saved run is read."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) and value < 1 else value


def layers(target: Target, rounds: int) -> Iterator[dict[str, Any]]:
    """Rows of one-layer networks, and of the gradients of weights."""
    machine = Machine.measure(1)
    plans: list[tuple[str, Callable[[], Any]]] = []
    steps: dict[str, Sequence[KernelCall]] = {}
    for name, text in LAYERS.items():
        net = striate.parse(text)
        program = striate.Model(net, seed=0).compile(batch=1, threads=1)
        steps[name] = program.plan.steps
        x = np.ones((1, *net.input.shape[1:]), np.float32)
        plans.append(
            (
                name,
                lambda program=program, x=x: max(program.table(x, machine).rows, key=lambda row: row.flops),
            )
        )
    engine: Any = get_engine("compiled")
    for name, text in GRADIENTS.items():
        net = striate.parse(text)
        weights = dict(striate.Model(net, seed=0).weights)
        training = CompiledTraining(net, weights, engine.context(1))
        x = np.ones((8, *net.input.shape[1:]), np.float32)

        def gradient(training: CompiledTraining = training, x: Any = x) -> Any:
            rows = training_report.table(training, x, machine).backward
            return max((row for row in rows if row.algorithm == "weight gradient"), key=lambda row: row.flops)

        plans.append((name, gradient))
    found: dict[str, list[Any]] = {name: [] for name, _ in plans}
    for k in range(rounds):
        for name, ask in plans if k % 2 else reversed(plans):
            found[name].append(ask())
    for name, asked in found.items():
        row = asked[0]
        cycles = sum(step.cycles for step in steps.get(name, ()) if step.algorithm == row.algorithm)
        yield {
            "group": "layers",
            "name": name,
            "use": "",
            "algorithm": f"{row.algorithm} {row.tile}".strip(),
            "flops": row.flops,
            "model": round(cost_model.share(target, row.flops, cycles), 4) if cycles else 0,
            "predicted": round(row.flops / machine.peak / 1e9 / row.limit, 4),
            "seconds": [one.seconds for one in asked],
            "peak": [1e-9 / machine.peak] * len(asked),
        }


if __name__ == "__main__":
    pin(1)
    print(json.dumps(rounded(measure(int(sys.argv[1])))))
