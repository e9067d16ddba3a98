"""Register tiles: the numbers of every size on every target, and which size dense products take."""

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import striate
from engine.compiled import agree, algorithms, drawn, images, made
from engine.kernels.support import guarded, targets
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import tile
from striate.engine.kernels.argument_record import array_record
from striate.engine.target import TARGETS

CALL = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)
SIZES = [
    (target, pixels, vectors)
    for target in targets()
    for vectors, most in enumerate(target.tiles, 1)
    for pixels in range(1, most + 1)
]
PAIRS = [(target, size) for target in TARGETS.values() for size in range(1, target.panel + 1)]


def numbers(count: int) -> np.ndarray:
    """That many float32 that end right before a page that must not be touched."""
    return guarded(4 * count, align=4).view(np.float32)


@pytest.mark.parametrize("fresh", [True, False], ids=["bias", "further"])
@pytest.mark.parametrize(
    "target, pixels, vectors", SIZES, ids=[f"{t.name} {pixels}x{vectors}" for t, pixels, vectors in SIZES]
)
def test_sums_of_every_size(target, pixels, vectors, fresh):
    """Runs of odd lengths, in any order; with bias or on top of the outputs; a residual; limits."""
    rng = np.random.default_rng(pixels * 10 + vectors)
    lanes, runs = target.lanes, [(9, 1), (0, 4), (20, 11), (5, 3)]
    places = np.concatenate([np.arange(first, first + steps) for first, steps in runs])
    x, w, bias = numbers(pixels * 31), numbers(len(places) * vectors * lanes), numbers(vectors * lanes)
    # [vector][pixel][lane], as the channel blocks of a map; what is added lies after it
    out, added = (
        part.reshape(vectors, pixels, lanes) for part in np.split(numbers(2 * vectors * pixels * lanes), 2)
    )
    for array in (x, w, bias, out, added):
        array[...] = rng.standard_normal(array.shape)
    inputs = x.reshape(pixels, 31)[rng.permutation(pixels)]
    order = [int(np.flatnonzero((x.reshape(pixels, 31) == row).all(1))[0]) for row in inputs]
    sums = np.einsum(
        "tk,kol->otl", inputs[:, places].astype(np.float64), w.reshape(len(places), vectors, lanes)
    )
    start = bias.reshape(vectors, 1, lanes) if fresh else out
    wanted = np.clip(sums + start + added, -2.0, 3.0)
    table = np.array([(4 * first, steps) for first, steps in runs], np.int64)
    context = array_record(
        tile.CONTEXT_SIZE,
        {tile.RUNS: table.ctypes.data, tile.COUNT: len(runs), tile.BLOCK: 4 * pixels * lanes,
         tile.RESIDUAL: added.ctypes.data - out.ctypes.data, tile.HAS_RESIDUAL: 1},
        {tile.LOW: -2.0, tile.HIGH: 3.0},
    )  # fmt: skip
    sources = np.array([x.ctypes.data + 4 * 31 * at for at in order], np.int64)
    results = np.array([out.ctypes.data + 4 * lanes * at for at in range(pixels)], np.int64)
    kernel = Kernel("tile", (pixels, vectors))
    given_bias = bias.ctypes.data if fresh else None
    code = CALL(addresses(target, [kernel])[kernel])
    code(sources.ctypes.data, results.ctypes.data, w.ctypes.data, given_bias, context.ctypes.data)
    np.testing.assert_allclose(out, wanted, atol=1e-5)


def test_loads_are_counted():
    """On paper, with two multipliers and two load ports: 8x1 loads 9 times for 8 products, 4x3 7 times for 12."""
    avx2, sse = TARGETS["avx2"], TARGETS["sse"]

    assert tile.limit(avx2, 8, 1) == 9 / 2 and tile.limit(avx2, 4, 3) == 12 / 2 > 7 / 2
    assert tile.limit(avx2, 2, 1) == 4  # a sum's latency
    # Two registers a vector; multiplication, addition, and a shuffle for each pixel.
    assert tile.limit(sse, 4, 1) == (16 + 4) / 2 and tile.limit(sse, 2, 2) == (16 + 2) / 2
    # One pixel with AVX-512: weights of 64 bytes at 32 a cycle.
    assert tile.limit(TARGETS["avx512"], 1, 4) == 256 / 32
    # What a step waits for: the numbers of 4 pixels, and weights that take half of the cache's time.
    assert tile.cycles(avx2, 4, 3) == 6 + 4 * tile.INPUT_CYCLES + 3 * tile.WEIGHT_WAIT_SHARE / 4


@given(
    some.sampled_from([t for t in TARGETS.values() if t.name != "neon"]),
    some.integers(200, 100_000), some.integers(2, 40), some.integers(16, 5000),
)  # fmt: skip
def test_many_pixels_are_bound_by_products(target, pixels, blocks, steps):
    """Where there are pixels and vectors enough, no tile waits for loads, and its sums hide their latency."""
    split = tile.panels(blocks, tile.panel(target, pixels, blocks, steps))
    assert sum(split) == blocks
    for vectors in split:
        most = target.tiles[vectors - 1]
        assert most * vectors * target.pieces >= 2 * target.sum_latency_cycles
        assert most + vectors * target.pieces <= most * vectors * target.pieces
    assert max(split) > 1


@given(
    some.sampled_from(list(TARGETS.values())), some.integers(1, 300), some.integers(1, 40), some.integers(1, 999)
)  # fmt: skip
def test_no_other_panel_is_predicted_to_be_faster(target, pixels, blocks, steps):
    def time(size):
        total = 0.0
        for vectors in tile.panels(blocks, size):
            tiles = -(-pixels // target.tiles[vectors - 1])
            cuts = [len(cut) for cut in np.array_split(np.arange(pixels), tiles)]
            total += (
                sum(steps * tile.cycles(target, cut, vectors) for cut in cuts) + tile.PIXEL_CYCLES * pixels
            )
        return total

    chosen = tile.panel(target, pixels, blocks, steps)
    assert time(chosen) <= min(map(time, range(1, target.panel + 1))) * (1 + 1e-9)


@pytest.mark.parametrize("blocks", range(1, 8))
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_panels_of_unlike_width(target, blocks):
    """Every panel takes its own most pixels, whatever is left over of rows and channels."""
    net = striate.parse(
        f"7x5x19 -> conv 3x3 {blocks * target.lanes - 3} /2 pad 1 -> conv 1x1 {3 * target.lanes}"
    )
    weights = drawn(net)
    for batch in (1, 3):
        program = made(net, weights, strict=True, target=target)
        assert algorithms(program, batch).count("direct") >= 2
        agree(net, weights, images(net, batch), program)
