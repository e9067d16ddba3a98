"""Functions of plain float32 arrays, number by number, several at once: an optimizer's step.

    for i: out[0][i], out[1][i], … = f[0](a[i], b[i], …), f[1](a[i], b[i], …), …

The functions are texts (expression.py). Operands have kinds: v, an array as long as the outputs; u, one number for all,
in the record itself. Outputs may be operands: all numbers at an index are read before one is written. Rows are
chunks of CHUNK_NUMBERS, parts 1; numbers after the last whole vector are taken one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int
from striate.engine.kernels import expression as expressions
from striate.engine.kernels.argument_record import array_record
from striate.engine.target import Target

COUNT = 0
"""Numbers of an array."""
OUT = 8
"""Addresses of the outputs; after them 8 bytes for each operand: an address, or a float32."""

KINDS = "vu"
CHUNK_NUMBERS = 4096
"""Numbers of a row: work for more than a microsecond, 16 KB of each array."""


def emit(target: Target, kinds: str, *functions: str) -> str:
    """kernel(arguments, chunk, end_chunk, part, end_part, scratch)"""
    if not set(kinds) <= set(KINDS):
        raise ValueError(f"operand kinds {kinds!r}: use letters of {KINDS!r}")
    code = Code(target, "piiiip")
    a, first, end, part, end_part, _ = code.arguments
    outputs = [a.pointer(OUT + 8 * k) for k in range(len(functions))]
    slots = [OUT + 8 * (len(functions) + k) for k in range(len(kinds))]
    bases = [a.pointer(slot) if kind == "v" else None for slot, kind in zip(slots, kinds, strict=True)]
    numbers = [a.number(slot) if kind == "u" else None for slot, kind in zip(slots, kinds, strict=True)]

    def at(place: Int) -> None:
        values = [
            code.broadcast(number) if base is None else (base + place * 4).vector()
            for base, number in zip(bases, numbers, strict=True)
        ]
        results = [expressions.vector(code, text, values) for text in functions]
        for output, result in zip(outputs, results, strict=True):
            (output + place * 4).store(result)

    start, stop = first * CHUNK_NUMBERS, a.int(COUNT).least(end * CHUNK_NUMBERS)
    with code.loop(part, end_part):
        bulk = stop - (stop - start).most(0) % target.lanes
        with code.loop(start, bulk, target.lanes) as place:
            at(place)
        with code.wide(1), code.loop(start.most(bulk), stop) as place:
            at(place)
    return code.finish()


def rows(count: int) -> int:
    """Rows of a step over arrays of `count` numbers. Parts are 1."""
    return -(-count // CHUNK_NUMBERS)


def arguments(
    count: int, outputs: Sequence[int], operands: Sequence[int | float], kinds: str
) -> NDArray[np.int64]:
    """The record: addresses of the outputs; for each operand an address (kind v) or a number (kind u)."""
    numbers = {COUNT: count} | {OUT + 8 * k: address for k, address in enumerate(outputs)}
    floats = {}
    for k, (kind, operand) in enumerate(zip(kinds, operands, strict=True)):
        slot = OUT + 8 * (len(outputs) + k)
        if kind == "v":
            numbers[slot] = int(operand)
        else:
            floats[slot] = float(operand)
    return array_record(OUT + 8 * (len(outputs) + len(kinds)), numbers, floats)


def number(outputs: int, operand: int) -> int:
    """Index in the record, viewed as float32, of the number of an operand of kind u; it may change between steps."""
    return (OUT + 8 * (outputs + operand)) // 4


def cost(count: int, kinds: str, functions: Sequence[str]) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved to and from memory."""
    return count * sum(map(expressions.work, functions)), 4 * count * (kinds.count("v") + len(functions))
