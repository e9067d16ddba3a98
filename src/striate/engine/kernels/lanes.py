"""Operations across the lanes of a vector: reductions, and which lanes hold channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Size


def inside(code: Code, count: Int) -> Any:
    """True in the first `count` lanes; in all if `count` is at least the number of lanes."""
    kind = ir.VectorType(ir.I32, code.lanes)
    least = count.least(code.lanes)
    number = code.builder.trunc(least.value, ir.I32)
    undefined = ir.Constant(kind, ir.Undefined)
    first = code.builder.insert_element(undefined, number, ir.Constant(ir.I32, 0))
    counts = code.builder.shuffle_vector(first, undefined, ir.Constant(kind, [0] * code.lanes))
    return code.builder.icmp_signed("<", ir.Constant(kind, list(range(code.lanes))), counts)


def fold(code: Code, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine all lanes into one number, halves first: log2(lanes) steps."""
    count = code.lanes
    while count > 1:
        count //= 2
        low, high = code.lanes_of(vector, range(count)), code.lanes_of(vector, range(count, 2 * count))
        vector = combine(low, high)
    return code.builder.extract_element(vector, ir.Constant(ir.I32, 0))


def clear_padding_lanes(first: Pointer, count: Int, step: Size, channels: Int) -> None:
    """Write 0 to the lanes after the last channel, in `count` vectors `step` bytes apart."""
    code = first.code
    real = inside(code, channels)
    with code.loop(0, count) as x:
        at = first + x * step
        at.store(code.select(real, at.vector(), code.broadcast(0.0)))
