"""Measured limits of the machine: multiply-adds per second, and bytes read per second at each level of memory."""

from __future__ import annotations

import time
from typing import Any

from numpy.typing import NDArray

from striate.diagnostics import EngineError
from striate.engine import aligned
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import record
from striate.engine.kernels.limits import FMA_CHAINS
from striate.engine.runtime.loaded_plan import assemble_program
from striate.engine.runtime.thread_pool import pool
from striate.engine.target import Target, host

Array = NDArray[Any]

SAMPLE_S = 0.002
SAMPLES = 25


def fma_peak(threads: int = 1) -> float:
    """Peak of multiply-adds by vector instructions, in GFLOP/s (two operations each)."""
    target = _target()
    times = 20_000
    seconds, times = _best(target, "multiply", 4096, times, threads)
    return 2.0 * FMA_CHAINS[target.registers] * target.width * times * threads / seconds / 1e9


def read_bandwidth(size: int, threads: int = 1) -> float:
    """GB/s of reading `size` bytes again and again, each thread its share of them."""
    share = max(size // threads // 4096, 1) * 4096
    seconds, times = _best(_target(), "read", share, max(int(2e6 // share), 1), threads)
    return share * times * threads / seconds / 1e9


def _target() -> Target:
    target = host()
    if target is None:
        raise EngineError("the limits of this processor cannot be measured", why="no kernels run here")
    return target


def _best(target: Target, what: str, size: int, times: int, threads: int) -> tuple[float, int]:
    """Shortest time of some rounds of `times` repetitions, and the number of repetitions."""
    kernel = Kernel("limits", (what,))
    code = addresses(target, [kernel])[kernel]
    buffer = aligned.zeros(size * threads // 4)
    buffer[:] = 1  # pages never written are all the same one, in the first cache
    arguments = record(24, {0: aligned.address(buffer), 8: size, 16: times})
    tables: list[Array] = []

    def table(array: Array) -> int:
        tables.append(array)
        return aligned.address(array)

    step = code, arguments, [(k, k + 1, 0, 1) for k in range(threads)], False
    program = assemble_program([step], [0] * threads, table)
    workers = pool(target)
    samples = []
    for _ in range(SAMPLES):
        while True:
            start = time.perf_counter()
            workers.run(aligned.address(program), threads)
            took = time.perf_counter() - start
            if took >= SAMPLE_S / 2:
                break
            times = int(times * min(max(SAMPLE_S / max(took, 1e-6), 1.5), 50)) + 1
            arguments[2] = times
        samples.append(took)
    return min(samples), times
