"""Winograd's algorithm for 3x3 convolutions of stride 1, plain part: matrices, sizes, packed weights, records, cost.

F(m×m, 3×3) makes m×m outputs of one channel pair from a patch of (m+2)² inputs with (m+2)² products instead of 9m²: 36
instead of 144 for m = 4, 16 instead of 36 for m = 2. With points 0, ±√½, ±√2, ∞ (m = 4) the numbers stay of one order
through all steps, which halves the rounding error of the textbook's 0, ±1, ±2 (S. Winograd 1980; A. Lavin and S. Gray,
"Fast Algorithms for Convolutional Neural Networks", 2016; choice of points: B. Barabasz et al. 2020).

Largest error against float64, relative to the largest output, over 64 to 512 channels: F(4×4) 3e-6 (root mean square
at most 1.8 times that of the direct product), F(2×2) 9e-7, less than the direct product's 2e-6: it sums fewer terms.

A number that is not finite makes all outputs of the tiles that read it NaN (∞ − ∞), not only those of its window.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels import cost_model, tile
from striate.engine.kernels.argument_record import Location, Record, Value, record, value_table
from striate.engine.layout import Layout
from striate.engine.target import Target

A, B = math.sqrt(0.5), math.sqrt(2.0)
"""The points of F(4×4) besides 0 and ∞, each with both signs."""

KERNEL_MATRIX: Mapping[int, NDArray[np.float64]] = {
    2: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    4: np.array(
        [
            [1, 0, 0],
            [-2 / 3, -2 / 3 * A, -1 / 3],
            [-2 / 3, 2 / 3 * A, -1 / 3],
            [1 / 6, B / 6, 1 / 3],
            [1 / 6, -B / 6, 1 / 3],
            [0, 0, 1],
        ]
    ),
}
"""G by m: a row for each point p holds 1, p, p² over the product of p's differences to the other points."""

(
    IN, IN_IMAGE, IN_ROW, IN_PIXEL, IN_BLOCK, BLOCKS, CHANNELS,
    OUT, OUT_IMAGE, OUT_ROW, OUT_PIXEL, OUT_BLOCK, HEIGHT, WIDTH,
    ROWS, COLUMNS, TILES, FREQUENCIES,
    SHARED, V_TILE, V_FREQUENCY, V_BYTES, M_FREQUENCY,
    WEIGHTS, W_FREQUENCY, PANELS, INPUT, OUTPUT,
    RESIDUAL, HAS_RESIDUAL, EPILOGUE, LIMITS,
) = range(0, 8 * 32, 8)  # fmt: skip
"""Byte offsets of the record. IN is the address of the first patch's first number (border included), OUT that of the
first output; IN_/OUT_ strides in bytes; BLOCKS of channels, CHANNELS without padding; HEIGHT, WIDTH of the
output; ROWS and COLUMNS of tiles in one image; TILES at most in one block, FREQUENCIES (m+2)²; SHARED the address of
the whole transformed input, or 0; strides of the transformed input (V) and of the products (M); address of the packed
weights and bytes from one frequency's to the next; table of panels; code of both transforms; bytes from an output to
the number added to it, whether there is one; code of the `epilogue` that finishes a row of tiles while it is in the
first-level cache, or 0; low and high limit (two float32)."""
LOW, HIGH = LIMITS, LIMITS + 4
ARGUMENTS = LIMITS + 8

P_FIRST, P_BYTES, P_VECTORS, P_WEIGHTS, P_OUT, P_BIAS, P_TILES, P_MOST = range(0, 64, 8)
"""A panel: bytes of the vectors before it, bytes of its own, their number; bytes to its weights within one frequency;
bytes to its first vector within an output pixel; address of its bias; table of its micro-tiles' code by pixels; most
pixels."""
PANEL_SIZE = 64


def odd_lines(size: int) -> int:
    """At least this many bytes, and an odd number of cache lines: such strides spread over all cache sets."""
    lines = -(-size // 64)
    return 64 * (lines + 1 - lines % 2)


def border(m: int, height: int, width: int, pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The border (top, bottom, left, right) that an input of height × width needs for a convolution with these pads.

    The last tiles overhang the output's end and read whole patches: at the bottom and right up to m − 1 more.
    """
    top, bottom, left, right = pads
    tall, wide = (
        m * -(-(size + before + after - 2) // m) + 2 - size - before
        for size, before, after in ((height, top, bottom), (width, left, right))
    )
    return top, tall, left, wide


MIN_BLOCK_TILES = 24
"""Tiles for which a block reads each weight once: at 24, products need 2.7 bytes of weights per cycle, which every
third-level cache delivers; fewer are no faster where it delivers more, and much slower where it does not. SSE takes
four times as long for a product, and yet 8 tiles of 512 channels were 15 % slower than 16: weights come from memory."""
MAX_CACHED_WEIGHT_BYTES = 4 << 20
"""Bytes of transformed weights that a core's caches still hold between two blocks."""
INPUT_LINE, OUTPUT_LINE = {2: (0, 4), 4: (10, 2)}, {2: (0, 4), 4: (4, 8)}
"""By m: multiply-adds and other operations of Bᵀ and of Aᵀ times one line of a patch."""
TILE_CYCLES = 45
"""Cycles besides the operations for each register of a tile in either transform: addresses, loads that wait, and
numbers that pass the second-level cache (measured on whole layers)."""
START_STEPS = 5
"""Time until the weights of a panel and frequency arrive and a micro-tile has started, as steps of its loop (measured
on whole layers)."""


def transform_cycles(target: Target, m: int) -> tuple[float, float]:
    """Predicted cycles of one channel block of one tile in the input and in the output transform.

    Of m + 2 columns of a patch, two are kept from the tile before; bias and clamp are three operations. A number is
    loaded for about two groups of rows.
    """
    size = m + 2
    (products, others), numbers = INPUT_LINE[m], size * size
    source = cost_model.cycles(
        target, products=(m + size) * products, others=(m + size) * others, loads=2 * m * size, stores=numbers
    )
    products, others = OUTPUT_LINE[m]
    result = cost_model.cycles(
        target, products=(m + size) * products, others=(m + size) * others + 3 * m * m, loads=2 * numbers,
        stores=m * m,
    )  # fmt: skip
    wait = TILE_CYCLES * target.pieces
    return source + wait, result + wait


@dataclasses.dataclass(frozen=True)
class Winograd:
    """One convolution: `images` maps of `channels`, to `outputs` maps of height × width."""

    target: Target
    m: int
    images: int
    channels: int
    outputs: int
    height: int
    width: int
    """Of the output."""
    panels: tuple[int, ...]
    """Vectors of each output panel; together they hold all outputs."""

    @property
    def frequencies(self) -> int:
        return (self.m + 2) ** 2

    @property
    def rows(self) -> int:
        """Tile rows of all images: rows of the step kernel."""
        return self.images * -(-self.height // self.m)

    @property
    def columns(self) -> int:
        return -(-self.width // self.m)

    @property
    def tiles(self) -> int:
        """Tiles of all images: rows of the input transform when it runs as a separate step."""
        return self.rows * self.columns

    @property
    def blocks(self) -> int:
        """Channel blocks of the input: parts of the input transform as a separate step."""
        return -(-self.channels // self.target.lanes)

    @property
    def v_tile(self) -> int:
        """Bytes of one tile's transformed input at one frequency."""
        return odd_lines(4 * self.target.lanes * self.blocks)

    @property
    def w_frequency(self) -> int:
        """Bytes of one frequency's weights: [panel][channel][the panel's outputs], padding included."""
        return odd_lines(4 * self.channels * self.target.lanes * sum(self.panels))

    @property
    def weight_bytes(self) -> int:
        return self.frequencies * self.w_frequency

    def products(self, parts: int) -> int:
        """Bytes of one tile's products at one frequency, where a task does at most that many panels."""
        most = max(sum(self.panels[p : p + parts]) for p in range(len(self.panels)))
        return 4 * self.target.lanes * most

    def v_frequency(self, tiles: int) -> int:
        return odd_lines(self.v_tile * tiles)

    def m_frequency(self, tiles: int, parts: int) -> int:
        return odd_lines(self.products(parts) * tiles)

    def shared_bytes(self) -> int:
        """Bytes of the whole transformed input."""
        return self.frequencies * self.v_frequency(self.tiles)

    @property
    def heavy(self) -> bool:
        """Divide the work by output panels rather than by tile rows, so that each core reads its own share of weights.

        Pays where the weights are too many for a core's caches and far more than the transformed input, which then
        every core reads; better still as two steps with a shared transformed input: on two threads 512→512@14 took
        1.87 ms, 2.08 with a transform for each task, 2.43 by rows; 256→256@14 0.54, 0.61 and 0.74.
        """
        return self.weight_bytes > MAX_CACHED_WEIGHT_BYTES and 2 * self.tiles < self.outputs

    def block(self, cache: int, parts: int, shared: bool = False) -> int:
        """Tiles in a block: V and M fill 3/4 of a second-level cache of `cache` bytes, and at least MIN_BLOCK_TILES
        share one pass over the weights, twice as many where the weights come from memory each time."""
        one = self.frequencies * ((0 if shared else self.v_tile) + self.products(parts))
        least = MIN_BLOCK_TILES if self.weight_bytes <= 4 * MAX_CACHED_WEIGHT_BYTES else 2 * MIN_BLOCK_TILES
        blocks = -(-self.tiles // max(3 * cache // 4 // one, least))
        return -(-self.tiles // blocks)

    def scratch_bytes(self, tiles: int, parts: int, shared: bool = False) -> int:
        """A thread's scratch for blocks of that many tiles and at most `parts` panels in a task."""
        input_bytes = 0 if shared else self.v_frequency(tiles)
        return self.frequencies * (input_bytes + self.m_frequency(tiles, parts))

    def arguments(
        self,
        *,
        source: Layout,
        source_address: Location,
        pads: tuple[int, int],
        result: Layout,
        result_address: Location,
        weights: Location,
        bias: Location,
        code: Mapping[str, Location],
        tiles_code: Sequence[Location],
        tiles: int,
        parts: int,
        shared: Location = 0,
        residual: Value | None = None,
        epilogue: Location = 0,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> Record:
        """The step's arguments.

        pads: top and left. Addresses: of both buffers (border included), packed weights, bias (all panels' lanes).
        code: addresses of "input" and "output" transforms; tiles_code: by panel, address of the table of micro-tile
        code by pixels. residual: bytes from an output to the number added to it. shared, epilogue: see
        SHARED and EPILOGUE.
        """
        lanes = 4 * self.target.lanes
        start = source.origin - pads[0] * source.row - pads[1] * source.pixel
        v_frequency = self.v_frequency(self.tiles if shared else tiles)
        panels: list[Value] = []
        first = 0
        for p, vectors in enumerate(self.panels):
            entry: dict[int, Value] = {
                P_FIRST: first * lanes, P_BYTES: vectors * lanes, P_VECTORS: vectors,
                P_WEIGHTS: first * lanes * self.channels, P_OUT: first * result.block, P_BIAS: bias + first * lanes,
                P_TILES: tiles_code[p], P_MOST: self.target.tiles[vectors - 1],
            }  # fmt: skip
            panels += [entry.get(offset, 0) for offset in range(0, PANEL_SIZE, 8)]
            first += vectors
        numbers: dict[int, Value] = {
            IN: source_address + start, IN_IMAGE: source.image, IN_ROW: source.row, IN_PIXEL: source.pixel,
            IN_BLOCK: source.block, BLOCKS: self.blocks, CHANNELS: self.channels,
            OUT: result_address + result.origin, OUT_IMAGE: result.image, OUT_ROW: result.row,
            OUT_PIXEL: result.pixel, OUT_BLOCK: result.block, HEIGHT: self.height, WIDTH: self.width,
            ROWS: self.rows // self.images, COLUMNS: self.columns, TILES: tiles, FREQUENCIES: self.frequencies,
            SHARED: shared, V_TILE: self.v_tile, V_FREQUENCY: v_frequency,
            V_BYTES: 0 if shared else self.frequencies * v_frequency,
            M_FREQUENCY: self.m_frequency(tiles, parts),
            WEIGHTS: weights, W_FREQUENCY: self.w_frequency,
            INPUT: code["input"], OUTPUT: code["output"],
            RESIDUAL: residual or 0, HAS_RESIDUAL: residual is not None, EPILOGUE: epilogue,
            PANELS: value_table(panels),
        }  # fmt: skip
        return record(ARGUMENTS, numbers, {LOW: low, HIGH: high})


@dataclasses.dataclass(frozen=True)
class Limits:
    """Rates of the machine: floating-point operations per second of one thread, bytes per second from memory."""

    flops: float
    memory: float


def roofline(operations: float, weights: float, limits: Limits, threads: int) -> float:
    """Seconds for operations on all threads and weights that come from memory once.

    The streams of weights overlap the arithmetic by half (measured with weights out of the caches).
    """
    arithmetic, stream = operations / (limits.flops * threads), weights / limits.memory
    return max(arithmetic, stream) + min(arithmetic, stream) / 2


def cycles(shape: Winograd) -> float:
    """Predicted cycles of one thread, with a shared or unrepeated input transform; one frequency's numbers stay in the
    first-level cache."""
    source, result = transform_cycles(shape.target, shape.m)
    transforms = shape.tiles * (source * shape.blocks + result * sum(shape.panels))
    steps = shape.channels + START_STEPS
    products = tile.panel_cycles(shape.target, shape.tiles, shape.panels, steps, tile.products)
    return shape.frequencies * products + transforms


def cost(shape: Winograd, limits: Limits, threads: int = 1) -> float:
    """Predicted seconds, with cold weights."""
    operations = cycles(shape) * shape.target.flops_per_cycle
    return roofline(operations, shape.weight_bytes, limits, threads)


def direct_cost(shape: Winograd, limits: Limits, threads: int = 1) -> float:
    """Predicted seconds of the same convolution through `dense_conv`."""
    target, blocks, steps = shape.target, sum(shape.panels), 9 * shape.channels
    pixels = shape.images * shape.height * shape.width
    split = tile.panels(blocks, tile.panel(target, pixels, blocks, steps))
    operations = tile.panel_cycles(target, pixels, split, steps) * target.flops_per_cycle
    return roofline(operations, 4.0 * steps * target.lanes * blocks, limits, threads)


def choose(shape: Winograd, limits: Limits, threads: int = 1) -> int:
    """4 or 2 for F(4×4) or F(2×2), 0 for the direct product: whichever is predicted to be fastest."""
    times = {0: direct_cost(shape, limits, threads)}
    for m in (2, 4):
        times[m] = cost(dataclasses.replace(shape, m=m), limits, threads)
    return min(times, key=lambda m: times[m])
