"""Dense products over all pixels of a band of rows: the loops around the micro-tile.

    for chunk of runs: for panel of output vectors: for tile of pixels: tile(inputs, outputs, weights, bias, context)

Pixels are taken row by row and image by image, so that a tile may go over the end of a row: small maps fill it, too.
A chunk's weights for one panel stay in the second-level cache while all pixels pass. Used by convolutions at any
stride, 1x1, fully connected layers (one pixel an image), and one phase of a transposed convolution.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.kernels.tile import BLOCK, CONTEXT_SIZE
from striate.engine.target import Target

IN, IN_IMAGE, IN_ROW, IN_PIXEL = 0, 8, 16, 24
"""Address of the first output pixel's first input number; bytes to the next image, output row and output pixel."""
OUT, OUT_IMAGE, OUT_ROW, OUT_PIXEL = 32, 40, 48, 56
ROWS, COLUMNS = 64, 72
"""Output rows of one image, output pixels of one row."""
CHUNKS, CONTEXTS, PANELS, WEIGHTS = 80, 88, 96, 104
"""Number of chunks; their contexts, one after another (`tile.CONTEXT_SIZE` bytes each); the table of panels; addresses
of the weights by [panel][chunk]."""
EPILOGUE = 112
"""Code of `epilogue` that finishes a tile while it is in the first-level cache, or 0."""
ARGUMENTS = 120

PANEL_OUT, PANEL_BIAS, PANEL_TILES, PANEL_VECTORS, PANEL_IN, PANEL_MOST, PANEL_SIZE = 0, 8, 16, 24, 32, 40, 48
"""A panel: bytes from an output pixel to its first vector, address of its bias, table of the tiles' code by pixels,
number of vectors, bytes from an input pixel to the panel's group of channels, most pixels of one tile."""


def emit(target: Target) -> str:
    """kernel(arguments, row, end_row, panel, end_panel, scratch): rows are counted over all images."""
    code = Code(target, "piiiip")
    a, row, end_row, panel, end_panel, _ = code.arguments
    columns, rows = a.int(COLUMNS), a.int(ROWS)
    in_pixel, out_pixel = a.int(IN_PIXEL), a.int(OUT_PIXEL)
    in_line, out_line = a.int(IN_ROW) - columns * in_pixel, a.int(OUT_ROW) - columns * out_pixel
    in_turn, out_turn = a.int(IN_IMAGE) - rows * a.int(IN_ROW), a.int(OUT_IMAGE) - rows * a.int(OUT_ROW)
    chunks = a.int(CHUNKS)
    pixels = (end_row - row) * columns
    inputs, outputs = code.buffer(16), code.buffer(16)
    image, first = row // rows, row % rows
    in_start = a.pointer(IN) + (image * a.int(IN_IMAGE) + first * a.int(IN_ROW))
    out_start = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + first * a.int(OUT_ROW))
    x, y = code.variable(in_start), code.variable(out_start)
    column, line = code.variable(0), code.variable(first)

    with code.loop(0, chunks) as chunk, code.loop(panel, end_panel) as p:
        entry = a.pointer(PANELS) + p * PANEL_SIZE
        weights = a.pointer(WEIGHTS).pointer((p * chunks + chunk) * 8)
        bias = code.null_unless(chunk.equals(0), entry.pointer(PANEL_BIAS))
        context = a.pointer(CONTEXTS) + chunk * CONTEXT_SIZE
        table, most = entry.pointer(PANEL_TILES), entry.int(PANEL_MOST)
        tiles = (pixels + most - 1) // most
        small = pixels // tiles.most(1)
        larger = pixels - small * tiles
        last = (chunk + 1).equals(chunks)
        epilogue = code.null_unless(last, a.pointer(EPILOGUE))
        x.set(in_start + entry.int(PANEL_IN))
        y.set(out_start + entry.int(PANEL_OUT))
        column.set(code.int(0))
        line.set(first)
        with code.loop(0, tiles) as tile:
            size = small + code.select(tile < larger, code.int(1), code.int(0))
            with code.loop(0, size) as t:
                (inputs + t * 8).store(x.get())
                (outputs + t * 8).store(y.get())
                x.set(x.get() + in_pixel)
                y.set(y.get() + out_pixel)
                column.set(column.get() + 1)
                with code.when(column.get().equals(columns)):
                    column.set(code.int(0))
                    line.set(line.get() + 1)
                    x.set(x.get() + in_line)
                    y.set(y.get() + out_line)
                    with code.when(line.get().equals(rows)):
                        line.set(code.int(0))
                        x.set(x.get() + in_turn)
                        y.set(y.get() + out_turn)
            code.call(table.pointer(size * 8), inputs, outputs, weights, bias, context)
            with code.when(epilogue.not_null):
                code.call(epilogue, outputs, size, entry.int(PANEL_VECTORS), context.int(BLOCK))
    return code.finish()
