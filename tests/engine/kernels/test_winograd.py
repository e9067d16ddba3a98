"""Winograd's convolution in machine code against the direct sum in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels.support import (
    STEP,
    border,
    correlation,
    filled,
    guarded,
    hot_spills,
    plain,
    targets,
    winograd_weights,
)
from striate.engine.codegen import llvm
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels import winograd_sizes as sizes
from striate.engine.kernels.argument_record import Resolver
from striate.engine.kernels.winograd_sizes import Winograd
from striate.engine.layout import Layout
from striate.engine.target import AVX512, TARGETS
from striate.geometry import Window

each_target = pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
each_size = pytest.mark.parametrize("m", (2, 4))


def panels(target, outputs, most):
    """Vectors of each panel: as even as they come, none above `most`."""
    vectors = -(-outputs // target.lanes)
    count = -(-vectors // min(most, target.panel))
    return tuple(vectors // count + (p < vectors % count) for p in range(count))


def held(values):
    """The same numbers in guarded memory."""
    memory = guarded(values.nbytes)
    memory.view(values.dtype)[:] = values
    return memory


def micro_tiles(target, panel):
    """Table of the micro-tiles' code by pixels, and by panel its address."""
    found = addresses(
        target, [Kernel("tile", (t, v)) for v in set(panel) for t in range(1, target.tiles[v - 1] + 1)]
    )
    tables = {
        v: np.array(
            [0, *(found[Kernel("tile", (t, v))] for t in range(1, target.tiles[v - 1] + 1))], np.int64
        )
        for v in set(panel)
    }
    return tables, [tables[v].ctypes.data for v in panel]


def run(
    target, m, x, weight, bias, pads, *, tiles=7, most=4, limit=(-np.inf, np.inf), added=None,
    cuts=((), ()), shared=False, epilogue=None, seed=0,
):  # fmt: skip
    """Output (images, channels, height, width); checks that the border stays as it was."""
    rng = np.random.default_rng(seed)
    (n, c, h, w), k = x.shape, len(weight)
    height, width = h + pads[0] + pads[1] - 2, w + pads[2] + pads[3] - 2
    source = Layout(n, c, h, w, target.lanes).with_border(*sizes.border(m, h, w, pads))
    result = Layout(n, k, height, width, target.lanes, 1, 0, 2, 1)
    inputs, outputs = filled(source, x, rng), filled(result, None, rng, border=7.0)
    memory = None if added is None else filled(result, added, rng)
    shape = Winograd(target, m, n, c, k, height, width, panels(target, k, most))
    spread = np.zeros(target.lanes * sum(shape.panels), np.float32)
    spread[:k] = bias
    packed, offset = held(winograd_weights(m, weight, target, shape.panels)), held(spread)
    part_cuts = sorted({0, len(shape.panels), *(cut % len(shape.panels) for cut in cuts[1])})
    parts = max(b - a for a, b in pairwise(part_cuts))
    scratch = guarded(shape.scratch_bytes(tiles, parts, shared))
    whole = guarded(shape.shared_bytes() if shared else 0)
    names = {name: Kernel(f"winograd_{name}", (m,)) for name in ("input", "output")}
    after = [Kernel("epilogue", (epilogue,))] if epilogue else []
    code = addresses(target, [Kernel("winograd"), *names.values(), *after])
    tables, tiles_code = micro_tiles(target, shape.panels)
    record = shape.arguments(
        source=source, source_address=inputs.ctypes.data, pads=(pads[0], pads[2]),
        result=result, result_address=outputs.ctypes.data,
        weights=packed.ctypes.data, bias=offset.ctypes.data,
        code={name: code[kernel] for name, kernel in names.items()}, tiles_code=tiles_code,
        tiles=tiles, parts=parts, shared=whole.ctypes.data if shared else 0,
        residual=None if memory is None else memory.ctypes.data - outputs.ctypes.data, low=limit[0], high=limit[1],
        epilogue=code[after[0]] if after else 0,
    )  # fmt: skip
    panel_tables = Resolver({}, lambda numbers: held(numbers).view(numbers.dtype))
    arguments = panel_tables.array(record)
    before = border(result, outputs)
    if shared:
        transform = STEP(code[names["input"]])
        blocks = sorted({0, shape.blocks, *(cut % shape.blocks for cut in cuts[1])})
        for part in pairwise(blocks):
            for row in pairwise(sorted({0, shape.tiles, *(cut % shape.tiles for cut in cuts[0])})):
                transform(arguments.ctypes.data, *row, *part, None)
    for part in pairwise(part_cuts):
        for row in reversed(list(pairwise(sorted({0, shape.rows, *(cut % shape.rows for cut in cuts[0])})))):
            STEP(code[Kernel("winograd")])(arguments.ctypes.data, *row, *part, scratch.ctypes.data)
    assert (border(result, outputs) == before).all()
    del tables
    return plain(result, outputs)


def direct(x, weight, bias, pads, added=None):
    """The convolution in float64."""
    windows = tuple(
        Window(size, 3, 1, 1, before, after)
        for size, before, after in ((x.shape[2], *pads[:2]), (x.shape[3], *pads[2:]))
    )
    return correlation(windows, x, weight, bias, 1, added)


splits = st.tuples(st.lists(st.integers(1, 50), max_size=3), st.lists(st.integers(1, 9), max_size=2))
limits = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.5)])
pads = st.tuples(*[st.integers(0, 2)] * 4)
channels = st.one_of(st.integers(1, 20), st.integers(1, 100))
extent = st.one_of(st.integers(1, 9), st.integers(1, 40))


@each_target
@each_size
@settings(max_examples=40)
@given(
    st.data(), channels, channels, st.integers(1, 9), pads, limits, st.booleans(), st.integers(1, 60),
    st.integers(1, 4), splits, st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_equals_the_direct_sum(
    target, m, data, c, k, n, pads, limit, residual, tiles, most, cuts, shared, epilogue, seed
):
    rng = np.random.default_rng(seed)
    h = data.draw(extent.filter(lambda h: h + pads[0] + pads[1] > 2), "height")
    w = data.draw(extent.filter(lambda w: w + pads[2] + pads[3] > 2), "width")
    n = min(n, max(1, 400_000 // (h * w * (c + k))))
    x = rng.normal(size=(n, c, h, w)).astype(np.float32)
    weight = rng.normal(size=(k, c, 3, 3)).astype(np.float32)
    bias = rng.normal(size=k).astype(np.float32)
    out = h + pads[0] + pads[1] - 2, w + pads[2] + pads[3] - 2
    added = rng.normal(size=(n, k, *out)).astype(np.float32) if residual else None
    options = {"limit": limit, "added": added, "epilogue": "add(mul(a,0.5),1)" if epilogue else None}
    found = run(target, m, x, weight, bias, pads, tiles=tiles, most=most, cuts=cuts, shared=shared, **options)
    expected = direct(x, weight, bias, pads, added)
    allowed = 1e-5 * max(1.0, np.abs(expected).max())
    expected = np.clip(expected, *limit)
    np.testing.assert_allclose(found, expected / 2 + 1 if epilogue else expected, rtol=0, atol=allowed)
    plainly = run(target, m, x, weight, bias, pads, tiles=1000, **options)
    np.testing.assert_array_equal(
        found.view(np.uint32), plainly.view(np.uint32), "blocks and splits change nothing"
    )


@each_target
@pytest.mark.parametrize(("m", "allowed"), [(2, 1.0e-6), (4, 5e-6)])
def test_precision_of_a_deep_layer(target, m, allowed):
    """256 channels, positive inputs as after a ReLU: measured 3e-7 and 2e-6 of the largest output."""
    rng = np.random.default_rng(1)
    x = np.abs(rng.normal(size=(1, 256, 14, 14))).astype(np.float32)
    weight = (rng.normal(size=(64, 256, 3, 3)) / 48).astype(np.float32)
    bias = np.zeros(64, np.float32)
    expected = direct(x, weight, bias, (1, 1, 1, 1))
    error = np.abs(run(target, m, x, weight, bias, (1, 1, 1, 1)) - expected).max() / np.abs(expected).max()
    assert error < allowed


@each_target
@each_size
@pytest.mark.parametrize("odd", (np.nan, np.inf))
def test_what_is_not_finite_spoils_its_tiles_and_no_others(target, m, odd):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1, 3, 20, 20)).astype(np.float32)
    weight = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    bias = np.zeros(5, np.float32)
    limit = (0.0, 6.0) if np.isnan(odd) else (-np.inf, np.inf)
    well = run(target, m, x, weight, bias, (1, 1, 1, 1), limit=limit)
    x[0, 1, 9, 10] = odd
    found = run(target, m, x, weight, bias, (1, 1, 1, 1), limit=limit)
    assert not np.isfinite(found[..., 8:11, 9:12]).any()
    far = np.ones((20, 20), bool)
    far[4:16, 4:16] = False
    np.testing.assert_array_equal(found[..., far], well[..., far])


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@each_size
@pytest.mark.parametrize("part", ("input", "output"))
def test_the_inner_loops_keep_vectors_in_registers(target, m, part):
    text = llvm.assembly(target, Kernel(f"winograd_{part}", (m,)).text(target))
    assert not hot_spills(text)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_loops_compile(target):
    assert llvm.object_code(target, Kernel("winograd").text(target))


@given(st.sampled_from([2, 4]), st.integers(1, 40), st.integers(1, 40), pads)
def test_the_border_holds_whole_patches_and_no_more(m, height, width, pads):
    top, bottom, left, right = sizes.border(m, height, width, pads)
    assert (top, left) == (pads[0], pads[2])
    for size, before, after, asked in ((height, top, bottom, pads[1]), (width, left, right, pads[3])):
        if size + before + asked > 2:
            assert (size + before + after - 2) % m == 0
            assert asked <= after < asked + m


@pytest.mark.parametrize(
    ("images", "channels", "size", "best"),
    [(1, 64, 56, 4), (1, 128, 28, 4), (1, 256, 14, 4), (8, 512, 7, 4), (1, 512, 7, 2), (1, 3, 224, 0)],
)
def test_the_algorithm_that_was_measured_to_be_fastest_is_chosen(images, channels, size, best):
    """At 116 GFLOP/s and 26 GB/s, with weights out of the caches."""
    shape = Winograd(
        AVX512, 4, images, channels, max(channels, 64), size, size, (4,) * (max(channels, 64) // 64)
    )
    assert sizes.choose(shape, sizes.Limits(116e9, 26e9)) == best


@pytest.mark.parametrize("size", (7, 14, 28, 56, 224))
def test_blocks_divide_the_tiles_evenly_and_fit_the_cache(size):
    shape = Winograd(AVX512, 4, 1, 64, 64, size, size, (4,))
    tiles = shape.block(1 << 20, 1)
    assert 1 <= tiles <= shape.tiles
    assert shape.scratch_bytes(tiles, 1) < 1 << 20
    assert shape.scratch_bytes(tiles, 1, shared=True) < shape.scratch_bytes(tiles, 1)
