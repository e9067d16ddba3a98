"""Copy numbers by a list of (from, to) pairs: packed forms that no other kernel makes.

    for pair: out[to] = in[from]

Rows are chunks of CHUNK_PAIRS, parts 1.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.kernels.argument_record import Location, Record, record
from striate.engine.target import Target

IN, OUT, PAIRS, COUNT = 0, 8, 16, 24
"""Addresses of the source, of the destination, and of the pairs (from, to), two int32 each; number of pairs."""
ARGUMENTS = 32

CHUNK_PAIRS = 1024


def emit(target: Target) -> str:
    """kernel(arguments, chunk, end_chunk, part, end_part, scratch)"""
    code = Code(target, "piiiip")
    a, first, end, part, end_part, _ = code.arguments
    source, to, pairs = a.pointer(IN), a.pointer(OUT), a.pointer(PAIRS)
    with (
        code.loop(part, end_part),
        code.loop(first * CHUNK_PAIRS, a.int(COUNT).least(end * CHUNK_PAIRS)) as k,
    ):
        pair = pairs + k * 8
        (to + pair.short(4) * 4).store((source + pair.short() * 4).number())
    return code.finish()


def rows(count: int) -> int:
    """Rows of a kernel call over `count` pairs. Parts are 1."""
    return -(-count // CHUNK_PAIRS)


def arguments(source: Location, to: Location, pairs: Location, count: int) -> Record:
    """The record, from three addresses."""
    return record(ARGUMENTS, {IN: source, OUT: to, PAIRS: pairs, COUNT: count})
