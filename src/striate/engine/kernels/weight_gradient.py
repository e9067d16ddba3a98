"""The gradient of convolution weights: for every place and output channel, the sum of x · dy over all output pixels.

A place is an input number as an output pixel sees it: a channel under a tap, at a fixed number of bytes from the
pixel's first tap. Places that lie side by side in memory form a tile; its sums stay in registers. Where these are too
few to hide an addition's latency (5 taps of one channel, 6 outputs), a tile has several such lines.

    for some panels of output vectors: for group of tiles: for band of pixels: for panel: for tile:
        sum[t][:] = 0
        for image: for row: for column of the band: sum[t][:] += spread(x[place t]) · dy[:]
        out[place t][:] += sum[t][:]            (= in the first band)

Pixels whose tap lies on padding add nothing and are left out: of a 3x3 kernel on a map of 2x2, 20 of 36 products.
A band's dy stays in the first-level cache, and the group's sums with the band's x in the second-level cache, while all
tiles pass. The order of a sum depends neither on tiles nor on tasks, and a sum over bands of sums loses less to
rounding than one long sum. One template serves every kernel size, stride, dilation, 1x1, groups of whole blocks, fully
connected layers (one pixel an image), first layers without padding lanes, and, with x and dy in each other's place,
transposed convolution.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Pointer
from striate.engine.kernels.argument_record import Location, Record, record, table, value_table
from striate.engine.kernels.depthwise import Windows, padding
from striate.engine.layout import Layout
from striate.engine.target import Target

X, X_IMAGE, X_ROW, X_PIXEL = 0, 8, 16, 24
"""Address of the first output pixel's first tap; bytes to the next image, output row and output pixel."""
DY, DY_IMAGE, DY_ROW, DY_PIXEL, DY_BLOCK = 32, 40, 48, 56, 64
IMAGES, ROWS, COLUMNS = 72, 80, 88
"""Images, output rows of one, output pixels of a row; contiguous rows count as one."""
BAND_IMAGES, BAND_ROWS, BAND_COLUMNS = 96, 104, 112
"""The same of a band."""
TILES, GROUP, PANELS, TOGETHER, OUT_BLOCK = 120, 128, 136, 144, 152
"""Table of tiles, tiles of a group, table of panels, panels that take a band one after another, bytes to the output's
next vector."""
LINE, X_LINE = 160, 168
"""Places of a tile that lie side by side, 0 for all; bytes to the next line of them."""
ARGUMENTS = 176

TILE_X, TILE_PLACES, TILE_COUNT, TILE_ROW, TILE_ROW_END, TILE_COLUMN, TILE_COLUMN_END = range(0, 56, 8)
"""A tile: bytes from a pixel's first tap to its first place, address of its places' byte offsets in the output, how
many there are; rows and columns of the output pixels that count."""
TILE_SIZE = 56
PANEL_X, PANEL_DY, PANEL_OUT, PANEL_TILES, PANEL_SIZE = 0, 8, 16, 24, 32
"""A panel: bytes to its channels of x and its vectors of dy, addresses of its output, and of the
table of tiles' code by places."""

MIN_SUMS = 8
"""Sums of a tile that hide an addition's latency: two units with a latency of four cycles."""
UNROLL_PIXELS = 2
"""Pixels between two tests: short rows (7, 4, 2 pixels) then leave little to the loop of single pixels."""
BAND_BYTES = 16 << 10
"""Bytes of a band's dy: half of the smallest first-level cache, the rest is for x and sums."""
GROUP_SUM_BYTES = 256 << 10
"""Bytes of a group's sums: a quarter of the second-level cache. Where it holds those of several panels, these share a
band's x, too: 1x1 convolutions with few input channels."""


def emit(target: Target, places: int = 0, line: int = 0, panel: int = 0) -> str:
    """The loops: kernel(arguments, panel, end_panel, tile, end_tile, scratch). With sizes: a tile of them,
    kernel(arguments, x, dy, out, offsets, images, rows, columns, whether it is the first band). line: places that lie
    side by side, 0 for all.
    """
    return _tile(target, places, line or places, panel) if places else _loops(target)


def _loops(target: Target) -> str:
    code = Code(target, "piiiip")
    a, panel, end_panel, tile, end_tile, _ = code.arguments
    sizes = [a.int(at) for at in (IMAGES, ROWS, COLUMNS)]
    bands = [a.int(at) for at in (BAND_IMAGES, BAND_ROWS, BAND_COLUMNS)]
    group = a.int(GROUP)
    few = a.int(TOGETHER)
    with code.loop(panel, end_panel, few) as begin, code.loop(tile, end_tile, group) as start:
        first = code.variable(1)
        stop, end = (start + group).least(end_tile), (begin + few).least(end_panel)
        with (
            code.loop(0, sizes[0], bands[0]) as image,
            code.loop(0, sizes[1], bands[1]) as row,
            code.loop(0, sizes[2], bands[2]) as column,
        ):
            at = image, row, column
            x, dy = a.pointer(X), a.pointer(DY)
            for where, x_step, dy_step in zip(at, (X_IMAGE, X_ROW, X_PIXEL), (DY_IMAGE, DY_ROW, DY_PIXEL)):
                x, dy = x + where * a.int(x_step), dy + where * a.int(dy_step)
            counts = [(size - where).least(band) for size, where, band in zip(sizes, at, bands, strict=True)]
            with code.loop(begin, end) as p:
                entry = a.pointer(PANELS) + p * PANEL_SIZE
                table, out = entry.pointer(PANEL_TILES), entry.pointer(PANEL_OUT)
                panel_x, panel_dy = x + entry.int(PANEL_X), dy + entry.int(PANEL_DY)
                with code.loop(start, stop) as t:
                    one = a.pointer(TILES) + t * TILE_SIZE
                    top, left = (one.int(TILE_ROW) - row).most(0), (one.int(TILE_COLUMN) - column).most(0)
                    down = (one.int(TILE_ROW_END) - row).least(counts[1]) - top
                    across = (one.int(TILE_COLUMN_END) - column).least(counts[2]) - left
                    code.call(
                        table.pointer(one.int(TILE_COUNT) * 8), a,
                        panel_x + one.int(TILE_X) + top * a.int(X_ROW) + left * a.int(X_PIXEL),
                        panel_dy + top * a.int(DY_ROW) + left * a.int(DY_PIXEL), out, one.pointer(TILE_PLACES),
                        counts[0], down.most(1), code.select(down > 0, across.most(0), code.int(0)), first.get(),
                    )  # fmt: skip
            first.set(code.int(0))
    return code.finish()


def _tile(target: Target, places: int, line: int, panel: int) -> str:
    code = Code(target, "pppppiiii")
    a, start_x, start_dy, out, offsets, images, rows, columns, first = code.arguments
    x_pixel, dy_pixel, block = a.int(X_PIXEL), a.int(DY_PIXEL), a.int(DY_BLOCK)
    total = [[code.variable(code.broadcast(0.0)) for _ in range(panel)] for _ in range(places)]
    image_x, image_dy = code.variable(start_x), code.variable(start_dy)
    line_x, line_dy = code.variable(start_x), code.variable(start_dy)
    x, dy = code.variable(start_x), code.variable(start_dy)
    bulk = columns - columns % UNROLL_PIXELS
    out_block = a.int(OUT_BLOCK)
    to = [out + offsets.int(8 * t) for t in range(places)]
    for t in range(places):  # large gradients lie in no cache: they come while the tile computes
        for o in range(panel):
            code.prefetch(to[t] + out_block * o)

    def pixels(count: int) -> None:
        for _ in range(count):
            here: Pointer = x.get()
            row = [(dy.get() + block * o).vector() for o in range(panel)]
            for t in range(places):
                value = (here + a.int(X_LINE) * (t // line) if t >= line else here).broadcast(4 * (t % line))
                for o in range(panel):
                    total[t][o].set(code.fma(value, row[o], total[t][o].get()))
            x.set(here + x_pixel)
            dy.set(dy.get() + dy_pixel)

    with code.repeat(images):
        line_x.set(image_x.get())
        line_dy.set(image_dy.get())
        with code.repeat(rows):
            x.set(line_x.get())
            dy.set(line_dy.get())
            with code.loop(0, bulk, UNROLL_PIXELS):
                pixels(UNROLL_PIXELS)
            with code.loop(bulk, columns):
                pixels(1)
            line_x.set(line_x.get() + a.int(X_ROW))
            line_dy.set(line_dy.get() + a.int(DY_ROW))
        image_x.set(image_x.get() + a.int(X_IMAGE))
        image_dy.set(image_dy.get() + a.int(DY_IMAGE))

    to = [out + offsets.int(8 * t) for t in range(places)]
    with code.when(first.equals(0)):
        for t in range(places):
            for o in range(panel):
                total[t][o].set(code.add((to[t] + out_block * o).vector(), total[t][o].get()))
    for t in range(places):
        for o in range(panel):
            (to[t] + out_block * o).store(total[t][o].get())
    return code.finish()


Pixels = tuple[int, int, int, int]
"""First row and the one after the last, first column and the one after the last."""


@dataclasses.dataclass(frozen=True)
class Product:
    """One layer's gradient, without addresses. rows, parts: panels and tiles that tasks divide."""

    source: Layout
    gradient: Layout
    windows: Windows
    groups: int
    result: Layout
    """[output block][input channel of the group][tap][lane]: `copy` to lanes 1 makes OIHW of it."""
    panels: tuple[tuple[int, int], ...]
    """(first output block of the group, vectors), the same in every group."""
    tiles: tuple[tuple[int, int, int, Pixels], ...]
    """(bytes from a pixel's first tap, first place in `offsets`, places, output pixels whose taps meet the input)"""
    offsets: tuple[int, ...]
    """Bytes to each place in the result."""
    loops: tuple[tuple[int, int, int], ...]
    """(count, bytes in x, bytes in dy) of images, rows and columns, joined where they lie in one piece."""
    band: tuple[int, int, int]
    group: int
    """Tiles of a group."""
    together: int
    """Panels that take a band one after another."""
    line: int
    """Places of a tile that lie side by side, 0 for all."""
    x_line: int
    """Bytes in x to the next line of them."""

    @property
    def rows(self) -> int:
        return len(self.panels) * self.groups

    @property
    def parts(self) -> int:
        return len(self.tiles)

    @property
    def numbers(self) -> tuple[tuple[int, int, int], ...]:
        """Parameters of `emit` for the tiles; the kernel of the loops has none."""
        sizes = {size for _, _, size, _ in self.tiles}
        return tuple(
            sorted((size, self.line, vectors) for size in sizes for vectors in {v for _, v in self.panels})
        )

    @property
    def flops(self) -> float:
        """Two for every weight and output pixel whose tap does not lie on padding."""
        products = sum(
            size * (bottom - top) * (right - left) for _, _, size, (top, bottom, left, right) in self.tiles
        )
        return 2.0 * self.loops[0][0] * products * self.gradient.channels

    @property
    def bytes(self) -> int:
        """To and from memory, every value touched once."""
        return self.source.bytes + self.gradient.bytes + self.result.bytes


def product(target: Target, source: Layout, gradient: Layout, windows: Windows, groups: int = 1) -> Product:
    """The gradient of a convolution's weights from its input `source` and its output's `gradient`.

    The input needs the border that `padding(windows)` says. A fully connected layer over a map: its window is the map.
    """
    depth, outputs = source.channels // groups, gradient.channels // groups
    taps = windows[0].kernel * windows[1].kernel
    result = Layout(1, gradient.channels, depth, taps, gradient.lanes)
    runs = _runs(source, windows, depth)
    blocks = -(-outputs // gradient.lanes)
    panel = min(range(1, target.panel + 1), key=lambda size: (_time(target, runs, blocks, size), -size))
    split = _even(blocks, panel)
    panels = tuple((sum(split[:k]), size) for k, size in enumerate(split))
    tiles: list[tuple[int, int, int, Pixels]] = []
    offsets: list[int] = []
    padded = any(window.before or window.after for window in windows)
    loops = _loops_of(source, gradient, windows)
    if not padded:
        loops = _merge(loops)
    lines, x_line = _lines(target, runs, max(split))
    line = len(runs[0][1]) if lines > 1 else 0
    for first in range(0, len(runs), lines):
        start, at = runs[first][0], 0
        places = [place for _, some in runs[first : first + lines] for place in some]
        for size in [len(places)] if line else _even(len(places), most(target, max(split))):
            tile_taps = frozenset(tap for _, tap in places[at : at + size])
            pixels = _pixels(windows, tile_taps) if padded else (0, loops[1][0], 0, loops[2][0])
            tiles.append((start + 4 * at, len(offsets) + at, size, pixels))
            at += size
        offsets += [(c * taps + tap) * result.pixel for c, tap in places]
    vector = 4 * gradient.lanes * max(split)
    band = _band([count for count, _, _ in loops], max(BAND_BYTES // vector, 1))
    group = max(GROUP_SUM_BYTES // vector * len(tiles) // len(offsets), 1)
    together = max(GROUP_SUM_BYTES // (vector * len(offsets)), 1)
    return Product(
        source, gradient, windows, groups, result, panels, tuple(tiles), tuple(offsets), loops, band, group,
        together, line, x_line,
    )  # fmt: skip


def covers(windows: Windows, groups: int, depth: int, outputs: int, lanes: int) -> bool:
    """Zero padding; groups of whole channel blocks. depth, outputs: input and output channels of a group."""
    if any(window.mode != "zeros" for window in windows):
        return False
    return groups == 1 or (depth % lanes == 0 and outputs % lanes == 0)


def most(target: Target, panel: int) -> int:
    """Most places of a tile."""
    return target.tiles[panel - 1]


def _runs(source: Layout, windows: Windows, depth: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """(bytes from a pixel's first tap, (channel, tap) of each place) of all runs of neighboring input numbers."""
    down, across = windows
    runs: list[tuple[int, list[tuple[int, int]]]] = []
    for first in range(0, depth, source.lanes):
        channels = range(first, min(first + source.lanes, depth))
        for u in range(down.kernel):
            for v in range(across.kernel):
                start = first // source.lanes * source.block
                start += u * down.dilation * source.row + v * across.dilation * source.pixel
                places = [(c, u * across.kernel + v) for c in channels]
                if runs and runs[-1][0] + 4 * len(runs[-1][1]) == start:
                    runs[-1][1].extend(places)
                else:
                    runs.append((start, places))
    return runs


def _lines(target: Target, runs: list[tuple[int, list[tuple[int, int]]]], panel: int) -> tuple[int, int]:
    """Runs that a tile takes together, and bytes from one to the next."""
    lengths, steps = (
        {len(places) for _, places in runs},
        {b - a for (a, _), (b, _) in itertools.pairwise(runs)},
    )
    if len(lengths) > 1 or len(steps) != 1 or (sums := lengths.pop() * panel) >= MIN_SUMS:
        return 1, 0
    room = target.registers // target.pieces - panel - 2
    return max(min(room // sums, -(-MIN_SUMS // sums)), 1), steps.pop()


@functools.lru_cache(maxsize=1024)  # a layer has many tiles of the same taps
def _pixels(windows: Windows, taps: frozenset[int]) -> Pixels:
    """Rows and columns around the output pixels at which one of the taps meets the input; empty if none does."""
    down, across = windows
    ranges: list[int] = []
    for window, used in (
        (down, {tap // across.kernel for tap in taps}),
        (across, {tap % across.kernel for tap in taps}),
    ):
        hit = [i for i in range(window.output) for u in used if window.position(i, u) is not None]
        ranges += [min(hit, default=0), max(hit, default=-1) + 1]
    top, bottom, left, right = ranges
    return top, bottom, left, right


def _even(count: int, limit: int) -> list[int]:
    """Split a count into the fewest pieces of at most `limit`, as even as possible, the larger ones first."""
    pieces = -(-count // limit)
    return [count // pieces + (k < count % pieces) for k in range(pieces)]


def _time(target: Target, runs: list[tuple[int, list[tuple[int, int]]]], blocks: int, panel: int) -> float:
    """Cycles of the multipliers per pixel: products, or loads if there are more, or a sum's latency."""
    cycles = 0.0
    for vectors in _even(blocks, panel):
        for _, places in runs:
            for size in _even(len(places), most(target, panel)):
                cycles += max(size * vectors, size + vectors, 5.0) + 0.1 * (size + vectors)
    return cycles


Loops = tuple[tuple[int, int, int], ...]


def _loops_of(source: Layout, gradient: Layout, windows: Windows) -> Loops:
    """Images, rows and columns: how many, and bytes from one to the next in x and in dy."""
    down, across = windows
    return (
        (gradient.images, source.image, gradient.image),
        (gradient.height, source.row * down.stride, gradient.row),
        (gradient.width, source.pixel * across.stride, gradient.pixel),
    )


def _merge(loops: Loops) -> Loops:
    """Three loops; two are merged if the end of the inner is the next step of the outer."""
    merged: list[tuple[int, int, int]] = []
    for count, x, dy in reversed([loop for loop in loops if loop[0] != 1]):
        if merged and (x, dy) == (merged[-1][0] * merged[-1][1], merged[-1][0] * merged[-1][2]):
            merged[-1] = merged[-1][0] * count, merged[-1][1], merged[-1][2]
        else:
            merged.append((count, x, dy))
    merged += [(1, 0, 0)] * (3 - len(merged))
    return tuple(reversed(merged))


def _band(counts: list[int], pixels: int) -> tuple[int, int, int]:
    """Images, rows and columns of a band: about `pixels` pixels, split as evenly as possible."""
    images, rows, columns = counts
    if images * rows * columns <= 2 * pixels:  # one band: sums are written once and read never
        return images, rows, columns
    if columns >= pixels:
        return 1, 1, _even(columns, pixels)[0]
    if rows * columns >= pixels:
        return 1, _even(rows, pixels // columns)[0], columns
    return _even(images, pixels // (rows * columns))[0], rows, columns


def arguments(
    product: Product,
    addresses: tuple[Location, Location, Location],
    code: Callable[[int, int, int], Location],
) -> Record:
    """The record. addresses: of the memory of x, dy and the result; code: address of a tile (its `numbers`)."""
    source, gradient, result = product.source, product.gradient, product.result
    x, dy, out = addresses
    down, across = product.windows
    depth, outputs = result.height, result.channels // product.groups
    offsets = table(np.array(product.offsets, np.int64))
    tiles = [(start, offsets + 8 * place, size, *pixels) for start, place, size, pixels in product.tiles]
    largest = max(size for _, _, size, _ in product.tiles)
    codes = {}
    for vectors in {vectors for _, vectors in product.panels}:
        sizes = {size for _, _, size, _ in product.tiles}
        codes[vectors] = value_table(
            [code(k, product.line, vectors) if k in sizes else 0 for k in range(largest + 1)]
        )
    panels = [
        (
            g * depth // source.lanes * source.block if g else 0,
            (g * outputs // gradient.lanes + first) * gradient.block,
            out + (g * outputs // result.lanes + first) * result.block,
            codes[vectors],
        )
        for g in range(product.groups)
        for first, vectors in product.panels
    ]
    (images, x_image, dy_image), (rows, x_row, dy_row), (columns, x_pixel, dy_pixel) = product.loops
    return record(
        ARGUMENTS,
        {
            X: x + source.origin - down.before * source.row - across.before * source.pixel,
            X_IMAGE: x_image, X_ROW: x_row, X_PIXEL: x_pixel,
            DY: dy + gradient.origin, DY_IMAGE: dy_image, DY_ROW: dy_row, DY_PIXEL: dy_pixel,
            DY_BLOCK: gradient.block, IMAGES: images, ROWS: rows, COLUMNS: columns,
            BAND_IMAGES: product.band[0], BAND_ROWS: product.band[1], BAND_COLUMNS: product.band[2],
            TILES: value_table([value for tile in tiles for value in tile]), GROUP: product.group,
            PANELS: value_table([value for panel in panels for value in panel]), TOGETHER: product.together,
            OUT_BLOCK: result.block, LINE: product.line, X_LINE: product.x_line,
        },
    )  # fmt: skip


__all__ = ("Product", "arguments", "covers", "emit", "most", "padding", "product")
