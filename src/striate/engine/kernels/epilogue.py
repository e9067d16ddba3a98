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
    start, count = code.int(0), expressions.at_once(target, expression)
    while count:
        stop = pixels - pixels % count
        with code.loop(start, stop, count) as t:
            at = [outputs.pointer((t + k) * 8) for k in range(count)]
            with code.loop(0, vectors) as o:
                places = [pixel + o * block for pixel in at]
                values = expressions.vectors(code, expression, [[place.vector()] for place in places])
                for place, value in zip(places, values, strict=True):
                    place.store(value)
        start, count = stop, count // 2
    return code.finish()


def cost(lanes: int, pixels: int, vectors: int, expression: str) -> tuple[int, int]:
    """Arithmetic operations, and bytes moved (within the first cache)."""
    numbers = lanes * pixels * vectors
    return numbers * expressions.work(expression), 8 * numbers
