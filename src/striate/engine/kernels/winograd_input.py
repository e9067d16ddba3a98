"""Winograd's input transform Bᵀ d B: patches of (m+2)×(m+2) pixels, channels in the lanes.

    for tile row: for up to CHUNK_TILES of it: for channel block: for group of rows of Bᵀ:
        for tile: m new columns through Bᵀ's rows (two are kept from the tile before); each row through B; store

The group of rows is what keeps everything in registers: one (or two that share their even and odd half) of the m+2 rows
of Bᵀ d at a time, so that 6 or 12 intermediate vectors live instead of 36 and none goes through memory; a patch is
read several times instead, from the first-level cache, where CHUNK_TILES tiles of one channel block stay. Two shared
columns cost nothing twice: 120 operations a tile of F(4×4) instead of 144.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from striate.engine.codegen.emit import Code
from striate.engine.kernels import winograd_sizes as w
from striate.engine.target import Target

CHUNK_TILES = 16
"""Tiles passed over again and again: 6 rows of 66 pixels are 25 KB."""


def combination(code: Code, m: int, i: int, d: Callable[[int], Any]) -> Any:
    """Row i of Bᵀ times the vector d(0) … d(m+1)."""
    s = code.broadcast
    if m == 2:
        return [
            lambda: code.sub(d(0), d(2)),
            lambda: code.add(d(1), d(2)),
            lambda: code.sub(d(2), d(1)),
            lambda: code.sub(d(3), d(1)),
        ][i]()
    if i in (0, 5):
        k = i // 5
        return code.fma(s(-2.5), d(2 + k), code.add(d(k), d(4 + k)))
    square, root = (2.0, w.A) if i < 3 else (0.5, w.B)
    even, odd = code.fma(s(-square), d(2), d(4)), code.fma(s(-square), d(1), d(3))
    return code.fma(s(root if i % 2 else -root), odd, even)


def groups(target: Target, m: int) -> list[tuple[int, ...]]:
    """Rows computed together: pairs that differ in one sign, if 32 registers hold them."""
    if target.registers < 32:
        return [(i,) for i in range(m + 2)]
    return [(0,), *((i, i + 1) for i in range(1, m, 2)), (m + 1,)]


def emit(target: Target, m: int) -> str:
    """kernel(arguments, tile, end_tile, block, end_block, destination): tiles are counted over all images.

    Tile t goes to [frequency][t − tile][channel] at the destination; where the record names a shared buffer, to
    [frequency][t][channel] in that: this is then a separate step.
    """
    code = Code(target, "piiiip", lanes=target.width)
    a, tile, end, block, end_block, scratch = code.arguments
    columns, rows = a.int(w.COLUMNS), a.int(w.ROWS)
    shared = a.pointer(w.SHARED)
    to = code.select(shared.not_null, shared, scratch)
    origin = code.select(shared.not_null, code.int(0), tile)
    in_row, in_pixel = a.int(w.IN_ROW), a.int(w.IN_PIXEL)
    v_tile, v_frequency = a.int(w.V_TILE), a.int(w.V_FREQUENCY)
    size = m + 2

    with code.loop(tile // columns, (end + columns - 1) // columns) as row:
        start = row * columns
        last = columns.least(end - start)
        line = a.pointer(w.IN) + ((row // rows) * a.int(w.IN_IMAGE) + (row % rows) * (in_row * m))
        with (
            code.loop((tile - start).most(0), last, CHUNK_TILES) as column,
            code.loop(block, end_block) as b,
            code.loop(0, target.lanes // target.width) as piece,
        ):
            count = (last - column).least(CHUNK_TILES)
            patch = line + (column * m * in_pixel + b * a.int(w.IN_BLOCK) + piece * code.bytes)
            slot = to + ((start + column - origin) * v_tile + b * (4 * target.lanes) + piece * code.bytes)
            for group in groups(target, m):

                def column_of(x: Any, group: tuple[int, ...] = group) -> list[Any]:
                    vectors: dict[int, Any] = {}

                    def d(i: int) -> Any:
                        if i not in vectors:
                            vectors[i] = (x + in_row * i).vector()
                        return vectors[i]

                    return [combination(code, m, i, d) for i in group]

                pixel = code.variable(patch + in_pixel * 2)
                place = code.variable(slot + v_frequency * (group[0] * size))
                previous = [[code.variable(v) for v in column_of(patch + in_pixel * j)] for j in range(2)]
                with code.repeat(count):
                    x, v = pixel.get(), place.get()
                    fresh = [column_of(x + in_pixel * j) for j in range(m)]
                    for g in range(len(group)):
                        z = [previous[0][g].get(), previous[1][g].get(), *(values[g] for values in fresh)]
                        for j in range(size):
                            (v + v_frequency * (g * size + j)).store(combination(code, m, j, z.__getitem__))
                    for j in range(2):
                        for g in range(len(group)):
                            previous[j][g].set(fresh[m - 2 + j][g])
                    pixel.set(x + in_pixel * m)
                    place.set(v + v_tile)
    return code.finish()
