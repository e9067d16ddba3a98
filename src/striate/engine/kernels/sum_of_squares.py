"""Sums of squares of a plain array, one per chunk, so that the result does not depend on the division into tasks.

    for chunk: out[chunk] = Σ in[i]², float64

Chains of at most 128 additions are float32, their sums float64. Rows are chunks of CHUNK_NUMBERS, parts 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.kernels.argument_record import array_record
from striate.engine.target import Target

IN, OUT, COUNT = 0, 8, 16
"""Addresses of the float32 numbers and of the float64 sums; numbers."""
ARGUMENTS = 24

CHUNK_NUMBERS = 4096
SUM_VECTORS = 4
"""Vectors of sums, to hide the latency of an addition."""


def emit(target: Target) -> str:
    """kernel(arguments, chunk, end_chunk, part, end_part, scratch)"""
    code = Code(target, "piiiip")
    a, first, end, part, end_part, _ = code.arguments
    numbers, out, count, step = a.pointer(IN), a.pointer(OUT), a.int(COUNT), SUM_VECTORS * code.lanes
    with code.loop(part, end_part), code.loop(first, end) as chunk:
        start = chunk * CHUNK_NUMBERS
        stop = count.least(start + CHUNK_NUMBERS)
        bulk = stop - (stop - start) % step
        sums = [code.variable(code.broadcast(0.0)) for _ in range(SUM_VECTORS)]
        with code.loop(start, bulk, step) as at:
            for k, total in enumerate(sums):
                value = (numbers + at * 4).vector(k * code.bytes)
                total.set(code.fma(value, value, total.get()))
        wide = [code.widen(total.get()) for total in sums]
        lane_sums = code.add(code.add(wide[0], wide[1]), code.add(wide[2], wide[3]))
        with code.wide(1):
            rest = code.variable(code.broadcast(0.0))
            with code.loop(bulk, stop) as at:
                value = (numbers + at * 4).vector()
                rest.set(code.fma(value, value, rest.get()))
            last = code.widen(rest.get())
        (out + chunk * 8).store(code.builder.fadd(_sum(code, lane_sums), _first(code, last)))
    return code.finish()


def _sum(code: Code, doubles: Any) -> Any:
    """Sum of all lanes, halves first."""
    while (count := doubles.type.count) > 1:
        halves = [code.lanes_of(doubles, range(k, k + count // 2)) for k in (0, count // 2)]
        doubles = code.add(*halves)
    return _first(code, doubles)


def _first(code: Code, vector: Any) -> Any:
    return code.builder.extract_element(vector, ir.Constant(ir.I32, 0))


def rows(count: int) -> int:
    """Rows of a kernel call over `count` numbers. Parts are 1."""
    return -(-count // CHUNK_NUMBERS)


def arguments(numbers: int, out: int, count: int) -> NDArray[np.int64]:
    """The record, from two addresses; out: one float64 for each row."""
    return array_record(ARGUMENTS, {IN: numbers, OUT: out, COUNT: count})
