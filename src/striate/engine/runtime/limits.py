"""Measured limits of the machine: multiply-adds per second, and bytes read per second at each level of memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from striate.diagnostics import EngineError
from striate.engine import aligned
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import array_record
from striate.engine.kernels.limits import FMA_CHAINS
from striate.engine.runtime.loaded_plan import assemble_program
from striate.engine.runtime.thread_pool import pool
from striate.engine.target import Target, host

Array = NDArray[Any]

SAMPLE_S = 0.002
SAMPLES = 25
FMA_TIMES = 20_000


def fma_peak(threads: int = 1) -> float:
    """Peak of multiply-adds by vector instructions, in GFLOP/s (two operations each)."""
    target = _target()
    seconds, times = _best(target, "multiply", 4096, FMA_TIMES, threads)
    return _gflops(target, times, threads, seconds)


def fma_speed(threads: int = 1) -> Callable[[], float]:
    """Function that measures the same at this moment, in one sample of about 2 ms."""
    target = _target()
    run = _loop(target, "multiply", 4096, threads)
    seconds, times = _lengthened(run, FMA_TIMES)
    times = max(int(times * SAMPLE_S / seconds), 1)
    return lambda: _gflops(target, times, threads, run(times))


def _gflops(target: Target, times: int, threads: int, seconds: float) -> float:
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
    run = _loop(target, what, size, threads)
    seconds, times = _lengthened(run, times)
    return min(seconds, *(run(times) for _ in range(SAMPLES - 1))), times


def _lengthened(run: Callable[[int], float], times: int) -> tuple[float, int]:
    """Seconds of a sample that is long enough, and its repetitions: `times`, or more."""
    while (took := run(times)) < SAMPLE_S / 2:
        times = int(times * min(max(SAMPLE_S / max(took, 1e-6), 1.5), 50)) + 1
    return took, times


def _loop(target: Target, what: str, size: int, threads: int) -> Callable[[int], float]:
    """Function that repeats a kernel on all threads some times, and returns the seconds."""
    kernel = Kernel("limits", (what,))
    code = addresses(target, [kernel])[kernel]
    buffer = aligned.zeros(size * threads // 4)
    buffer[:] = 1  # pages never written are all the same one, in the first cache
    arguments = array_record(24, {0: aligned.address(buffer), 8: size, 16: 1})
    tables: list[Array] = []

    def table(array: Array) -> int:
        tables.append(array)
        return aligned.address(array)

    step = code, arguments, [(k, k + 1, 0, 1) for k in range(threads)], False
    program = assemble_program([step], [0] * threads, table)
    workers = pool(target)
    alive = buffer, arguments, tables  # machine code reads them by address

    def run(times: int) -> float:
        alive[1][2] = times
        start = time.perf_counter()
        workers.run(aligned.address(program), threads)
        return time.perf_counter() - start

    return run
