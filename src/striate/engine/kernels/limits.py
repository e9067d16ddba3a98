"""Peak rates of the machine: independent multiply-adds, and reading a buffer again and again."""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.target import Target

FMA_CHAINS = {16: 10, 32: 24}
"""Independent sums by number of registers: enough to hide an addition's latency on two units."""
READ_VECTORS = 8
"""Vectors read between two tests."""


def emit(target: Target, what: str) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch) for "multiply" or "read".

    Arguments: address of a buffer, its bytes, repetitions; each row uses its own part of the buffer.
    """
    code = Code(target, "piiiip", lanes=target.width)
    a, row, end_row, *_ = code.arguments
    size, times = a.int(8), a.int(16)
    chains = FMA_CHAINS[target.registers]
    with code.loop(row, end_row) as r:
        start = a.pointer(0) + r * size
        sums = [
            code.variable(start.vector(4 * k)) for k in range(chains if what == "multiply" else READ_VECTORS)
        ]
        with code.loop(0, times):
            if what == "multiply":
                factor = start.broadcast()
                for chain in sums:
                    chain.set(code.fma(chain.get(), factor, factor))
            else:
                with code.loop(0, size, READ_VECTORS * code.bytes) as at:
                    for k, chain in enumerate(sums):
                        chain.set(code.add(chain.get(), (start + at).vector(k * code.bytes)))
        total = sums[0].get()
        for chain in sums[1:]:
            total = code.add(total, chain.get())
        start.store(total)
    return code.finish()
