"""Winograd's output transform Aᵀ m A, with bias, residual and clamp: (m+2)² products to m×m pixels, outputs in lanes.

    for tile row: for vector of the panel: for tile of the row:
        for group of rows of Aᵀ: all m+2 columns through them; each row through A; bias, residual, clamp, store

        epilogue over the row's outputs of this vector

As in the input transform one or two rows at a time live in registers. Tiles at the bottom and right edge store only
what lies inside the map.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from striate.engine.codegen.emit import Code
from striate.engine.kernels import winograd_sizes as w
from striate.engine.target import Target

EPILOGUE_PIXELS = 16
"""Addresses handed to one call of `epilogue`."""


def combination(code: Code, m: int, k: int, z: Callable[[int], Any]) -> Any:
    """Row k of Aᵀ times the vector z(0) … z(m+1)."""
    s = code.broadcast
    if m == 2:
        if k == 0:
            return code.add(z(0), code.add(z(1), z(2)))
        return code.add(z(3), code.sub(z(1), z(2)))
    first, second = (code.add, code.add) if k % 2 == 0 else (code.sub, code.sub)
    one, two = first(z(1), z(2)), second(z(3), z(4))
    if k == 0:
        return code.add(z(0), code.add(one, two))
    if k == 3:
        return code.fma(s(w.A**3), one, code.fma(s(w.B**3), two, z(5)))
    return code.fma(s(w.A**k), one, code.mul(s(w.B**k), two))


def groups(target: Target, m: int) -> list[tuple[int, ...]]:
    """Rows computed together: those that share sums or differences, if registers hold both."""
    if target.name != "avx512":
        return [(k,) for k in range(m)]
    return [(0, 1)] if m == 2 else [(0, 2), (1, 3)]


def emit(target: Target, m: int) -> str:
    """kernel(arguments, panel's entry, tile, end_tile, products): tile t's are at [frequency][t − tile][vector]."""
    code = Code(target, "ppiip", lanes=target.width)
    a, entry, tile, end, products = code.arguments
    columns, rows = a.int(w.COLUMNS), a.int(w.ROWS)
    out_row, out_pixel = a.int(w.OUT_ROW), a.int(w.OUT_PIXEL)
    frequency, step = a.int(w.M_FREQUENCY), entry.int(w.P_BYTES)
    residual, has_residual = a.int(w.RESIDUAL), a.int(w.HAS_RESIDUAL).differs(0)
    epilogue, pixels = a.pointer(w.EPILOGUE), code.buffer(EPILOGUE_PIXELS)
    size = m + 2

    with code.loop(tile // columns, (end + columns - 1) // columns) as row:
        start, y = row * columns, row % rows
        first, last = (tile - start).most(0), columns.least(end - start)
        inside_y = a.int(w.HEIGHT) - y * m
        line = a.pointer(w.OUT) + (
            (row // rows) * a.int(w.OUT_IMAGE) + y * (out_row * m) + entry.int(w.P_OUT)
        )

        def finish(vector: Any) -> None:
            """Call `epilogue` on what was stored of one vector in this row of tiles."""
            wide = (last * m).least(a.int(w.WIDTH)) - first * m
            with code.loop(0, inside_y.least(m)) as k, code.loop(0, wide, EPILOGUE_PIXELS) as x:
                at = line + (vector * a.int(w.OUT_BLOCK) + k * out_row + (first * m + x) * out_pixel)
                count = (wide - x).least(EPILOGUE_PIXELS)
                with code.loop(0, count) as t:
                    (pixels + t * 8).store(at + t * out_pixel)
                code.call(epilogue, pixels, count, 1, 0)

        def store(vector: Any, piece: Any) -> None:
            """Store the tiles of this row: one vector, or the piece of it that fills a register."""
            lane = vector * (4 * target.lanes) + piece * code.bytes
            offsets = entry.pointer(w.P_BIAS) + lane
            to = line + (vector * a.int(w.OUT_BLOCK) + piece * code.bytes)
            source = products + lane

            def transform(x: Any, pixel: Any, inside: Any) -> None:
                """One tile; `inside`: its columns in the map, None when all of it is."""
                for group in groups(target, m):
                    # opaque: else loads of all groups and tiles become one, and what they loaded is spilled
                    lines = [code.opaque(x + frequency * (size * i)) for i in range(size)]
                    bias, limits = code.opaque(offsets).vector(), code.opaque(a)
                    low, high = limits.broadcast(w.LOW), limits.broadcast(w.HIGH)
                    z: list[list[Any]] = [[] for _ in group]
                    for j in range(size):
                        vectors: dict[int, Any] = {}

                        def value(
                            i: int, j: int = j, vectors: dict[int, Any] = vectors, lines: Any = lines
                        ) -> Any:
                            if i not in vectors:
                                vectors[i] = (lines[i] + frequency * j).vector()
                            return vectors[i]

                        for g, k in enumerate(group):
                            z[g].append(combination(code, m, k, value))
                    for g, k in enumerate(group):
                        results = [combination(code, m, c, z[g].__getitem__) for c in range(m)]
                        total = [code.variable(code.add(value, bias)) for value in results]
                        at = pixel + out_row * k
                        with code.when(inside_y > k) if inside is not None else contextlib.nullcontext():
                            for c in range(m):
                                address = at + out_pixel * c
                                with (
                                    code.when(inside > c) if inside is not None else contextlib.nullcontext()
                                ):
                                    with code.when(has_residual):
                                        total[c].set(code.add(total[c].get(), (address + residual).vector()))
                                    address.store(code.least(high, code.most(low, total[c].get())))

            with code.loop(first, last) as column:
                x = source + (start + column - tile) * step
                pixel = to + column * m * out_pixel
                inside = a.int(w.WIDTH) - column * m
                with code.choice(inside_y.least(inside) >= m) as (full, clipped):
                    with full:
                        transform(x, pixel, None)
                    with clipped:
                        transform(x, pixel, inside)

        with code.loop(0, entry.int(w.P_VECTORS)) as vector:
            with code.loop(0, target.lanes // target.width) as piece:
                store(vector, piece)
            with code.when(epilogue.not_null):
                finish(vector)
    return code.finish()
