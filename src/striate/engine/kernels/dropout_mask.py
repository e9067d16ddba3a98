"""Noise of dropout, plain float32, by Philox4x32-10: bit-identical to `striate.engine.numpy_.philox`.

    for group: for counter of it: words = philox(counter, place; key)
        out[group][word][counter] = factor where word's upper 24 bits reach the threshold, else 0

Rows are groups of 64 numbers, parts 1; the array has room for whole groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int
from striate.engine.kernels.argument_record import array_record
from striate.engine.target import Target

PHILOX_ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
"""Increments of the two words of the key per round."""

GROUP_COUNTERS = 16
"""Neighboring counters whose first words come first, then their second words, …: vectors in a row, unshuffled."""
GROUP_NUMBERS = 4 * GROUP_COUNTERS
"""Numbers of one group."""
RATE_STEPS = 1 << 24
"""Numbers have 24 bits: a rate is a multiple of 1 / RATE_STEPS."""

OUT, PLACE, THRESHOLD, FACTOR, KEY = 0, 8, 16, 24, 32
"""Address; the noise's place among those of a run; see below; the key's two words, 8 bytes each."""
ARGUMENTS = 48


def emit(target: Target) -> str:
    """kernel(arguments, group, end_group, part, end_part, scratch)"""
    code = Code(target, "piiiip", lanes=min(target.width, GROUP_COUNTERS))
    a, first, end, part, end_part, _ = code.arguments
    words = _Words(code)
    scale, none = a.broadcast(FACTOR), code.broadcast(0.0)
    least = words.broadcast(a.int(THRESHOLD))
    keys = [words.broadcast(a.int(KEY)), words.broadcast(a.int(KEY + 8))]
    place, zero = words.broadcast(a.int(PLACE)), words.all(0)
    with code.loop(part, end_part), code.loop(first, end) as group:
        out = a.pointer(OUT) + group * (4 * GROUP_NUMBERS)
        with code.loop(0, GROUP_COUNTERS, code.lanes) as column:
            counter = group * GROUP_COUNTERS + column
            state = [
                words.count_from(counter),
                words.broadcast(Int(code, code.builder.lshr(counter.value, ir.Constant(ir.I64, 32)))),
                place,
                zero,
            ]
            for word, bits in enumerate(words.philox(state, keys)):
                uniform = code.builder.lshr(bits, words.all(8))
                keep = code.builder.icmp_unsigned(">=", uniform, least)
                (out + column * 4).store(code.select(keep, scale, none), 4 * GROUP_COUNTERS * word)
    return code.finish()


class _Words:
    """Vectors of 32-bit integers."""

    def __init__(self, code: Code) -> None:
        self.code, self.b, self.lanes = code, code.builder, code.lanes
        self.kind, self.wide = ir.VectorType(ir.I32, self.lanes), ir.VectorType(ir.I64, self.lanes)

    def all(self, number: int) -> Any:
        return ir.Constant(self.kind, [number] * self.lanes)

    def broadcast(self, number: Int) -> Any:
        """A number's lower 32 bits in every lane."""
        undefined = ir.Constant(self.kind, ir.Undefined)
        first = self.b.insert_element(undefined, self.b.trunc(number.value, ir.I32), ir.Constant(ir.I32, 0))
        return self.b.shuffle_vector(first, undefined, self.all(0))

    def count_from(self, first: Int) -> Any:
        """first, first + 1, …; a multiple of the lanes, so that no carry is lost."""
        return self.b.add(self.broadcast(first), ir.Constant(self.kind, list(range(self.lanes))))

    def product(self, word: Any, by: int) -> tuple[Any, Any]:
        """Upper and lower half."""
        wide_product = self.b.mul(self.b.zext(word, self.wide), ir.Constant(self.wide, [by] * self.lanes))
        upper = self.b.lshr(wide_product, ir.Constant(self.wide, [32] * self.lanes))
        return self.b.trunc(upper, self.kind), self.b.trunc(wide_product, self.kind)

    def philox(self, state: list[Any], keys: list[Any]) -> list[Any]:
        b = self.b
        for turn in range(PHILOX_ROUNDS):
            first, second = (
                b.add(k, self.all(turn * step & 0xFFFFFFFF)) for k, step in zip(keys, KEY_STEPS, strict=True)
            )
            (p, p_low), (q, q_low) = (
                self.product(state[0], MULTIPLIERS[0]),
                self.product(state[2], MULTIPLIERS[1]),
            )
            state = [b.xor(b.xor(q, state[1]), first), q_low, b.xor(b.xor(p, state[3]), second), p_low]
        return state


def threshold(rate: float) -> int:
    """The smallest random number whose value is kept."""
    return round(rate * RATE_STEPS)


def factor(rate: float) -> float:
    """Scale of the values that are kept, so that the mean is unchanged."""
    return 1 / max(1 - rate, 1e-9)


def rows(count: int) -> int:
    """Number of groups that hold `count` numbers."""
    return -(-count // GROUP_NUMBERS)


def arguments(out: int, rate: float, place: int) -> NDArray[np.int64]:
    """The record, still without its key. out: address of float32, room for whole groups."""
    numbers = {OUT: out, PLACE: place, THRESHOLD: threshold(rate)}
    return array_record(ARGUMENTS, numbers, {FACTOR: factor(rate)})
