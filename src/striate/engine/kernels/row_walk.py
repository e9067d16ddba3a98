"""Loops that step kernels share: down the rows of all images, and along a row in tiles of pixels."""

from __future__ import annotations

from collections.abc import Iterator

from striate.engine.codegen.values import Int, Pointer


class Tiles:
    """A stretch of pixels cut evenly into the fewest tiles of at most `most`: the sizes differ by one at most."""

    def __init__(self, count: Int, most: int) -> None:
        self.most = most
        self.tiles = (count + most - 1) // most
        self.small = count // self.tiles.most(1)
        self.larger = count - self.small * self.tiles

    def walk(self) -> Iterator[int]:
        """for size in sizes: code for one tile of this size; it runs for every such tile, left to right."""
        code = self.tiles.code
        with code.loop(0, 2) as phase:
            size = self.small + 1 - phase
            count = code.select(phase.equals(0), self.larger, self.tiles - self.larger)
            with code.when(count > 0):
                for pixels in code.cases(size, range(1, self.most + 1)):
                    with code.repeat(count):
                        yield pixels


class Walk:
    """A place in a plane of each image that goes on to the next image after the last row. Strides in bytes."""

    def __init__(self, base: Pointer, image: Int, row: Int, rows: Int, first: Int) -> None:
        """first: the row to start in, counted over all images."""
        self.start = base + (first // rows * image + first % rows * row)
        self.row, self.turn = row, image - rows * row
        self.at = base.code.variable(self.start)

    def next(self, last: Int) -> None:
        """Go on by a row; last: 1 when this row is an image's last one, else 0."""
        self.at.set(self.at.get() + (self.row + last * self.turn))
