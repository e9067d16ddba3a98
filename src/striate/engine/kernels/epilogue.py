"""A function applied in place: an epilogue after a micro-tile has stored its numbers, which are still in L1.

for pixel: for vector: v = f(v)
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.kernels import expression as expressions
from striate.engine.target import Target


def emit(target: Target, expression: str) -> str:
    """kernel(outputs, pixels, vectors, block): 8-byte addresses, at each of them vectors `block` bytes apart."""
    code = Code(target, "piii")
    outputs, pixels, vectors, block = code.arguments
    with code.loop(0, pixels) as t:
        at = outputs.pointer(t * 8)
        with code.loop(0, vectors) as o:
            place = at + o * block
            place.store(expressions.vector(code, expression, [place.vector()]))
    return code.finish()


def cost(lanes: int, pixels: int, vectors: int, expression: str) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved (within the first cache)."""
    numbers = lanes * pixels * vectors
    return numbers * expressions.work(expression), 8 * numbers
