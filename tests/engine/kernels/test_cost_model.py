"""What loops are predicted to take, counted on paper; and that tiles follow from a target's numbers."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.engine.kernels import cost_model, depthwise, planar_conv
from striate.engine.kernels import winograd_sizes as sizes
from striate.engine.target import AVX2, AVX512, NEON, SSE, TARGETS
from striate.geometry import Window


def test_a_step_takes_as_long_as_what_is_busy_longest():
    """Two multipliers, two load ports, one store port; a block of 8 fills two registers of SSE."""
    assert cost_model.cycles(AVX2, products=12, others=2, loads=3, spreads=4) == 14 / 2
    assert cost_model.cycles(AVX2, products=2, loads=9, spreads=2) == 11 / 2
    assert cost_model.cycles(AVX2, products=2, stores=3) == 3
    assert cost_model.cycles(AVX2, products=2, chain=5) == 5 * 4
    assert cost_model.cycles(SSE, products=3, others=1, spreads=4) == (2 * (3 * 2 + 1) + 4) / 2
    assert cost_model.cycles(SSE, loads=3, stores=4) == 2 * 4
    assert cost_model.cycles(dataclasses.replace(AVX2, fma_pipes=4, load_ports=3), products=8, loads=3) == 2


def test_full_speed_is_a_share_of_one():
    for target in TARGETS.values():
        products = 10 * target.fma_pipes
        predicted = cost_model.cycles(target, products=products)
        assert cost_model.share(target, 2 * target.lanes * products, predicted) == 1


def test_a_vector_as_long_as_a_cache_line_nearly_always_crosses_one():
    assert cost_model.unaligned(AVX512) == 1 + 60 / 64
    assert cost_model.unaligned(AVX2) == 1 + 28 / 64


@given(st.integers(0, 300), st.integers(1, 20))
def test_tiles_are_cut_as_kernels_cut_them(count, most):
    cut = []
    assert cost_model.tiled(count, most, lambda size: cut.append(size) or 1.0) == max(-(-count // most), 1)
    assert cut[0] <= most and all(cut[0] <= size <= cut[0] + 1 <= most for size in cut[1:])
    assert cost_model.tiled(count, most, float) == count


@pytest.mark.parametrize(
    ("target", "widths"), [(AVX512, {3, 5, 7}), (AVX2, {3, 5}), (SSE, set()), (NEON, {3, 5, 7})]
)
def test_depthwise_pixels_are_loaded_once_where_enough_sums_are_left(target, widths):
    assert {width for width in (3, 5, 7) if depthwise.slides(target, width, 1)} == widths
    many = dataclasses.replace(target, registers=64)
    assert not target.fused or all(depthwise.slides(many, width, 1) for width in (3, 5, 7))


def test_a_sum_s_latency_decides_about_a_wide_kernel():
    """With AVX2 six sums of 7 products each are left, and 12 with one load per product."""
    windows = (Window(28, 7, 1, 1, 3, 3),) * 2
    assert depthwise.parameters(AVX2, windows) == (0, 1)
    assert depthwise.parameters(dataclasses.replace(AVX2, sum_latency_cycles=1), windows) == (7, 1)
    assert depthwise.parameters(dataclasses.replace(AVX2, registers=32), windows) == (7, 1)


OTHERS = [dataclasses.replace(AVX2, registers=32), dataclasses.replace(AVX512, lanes=32)]


@given(
    st.sampled_from([*TARGETS.values(), *OTHERS]),
    st.integers(1, 12), st.integers(1, 70), st.integers(1, 300),
)  # fmt: skip
def test_sums_of_planar_groups_fit_the_registers(target, channels, height, width):
    rows, vectors = planar_conv.group(target, channels, height, width)
    assert 1 <= rows <= height and 1 <= vectors <= max(width // target.lanes, 1)
    used = rows * vectors * (channels + 1) * target.pieces
    assert rows * vectors == 1 or used + 2 <= target.registers


def test_more_registers_share_more_loads():
    for channels in (1, 2, 4, 6):
        few, many = (
            rows * vectors / planar_conv._step_cycles(target, channels, rows * vectors)
            for target in (AVX2, dataclasses.replace(AVX2, registers=64))
            for rows, vectors in [planar_conv.group(target, channels, 64, 64)]
        )
        assert many >= few


def test_transforms_are_counted_by_hand():
    """F(4x4) of an input: 4 columns and 6 rows of 12 operations; of an output 6 and 4, with bias and clamp of 16."""
    source, result = sizes.transform_cycles(AVX512, 4)
    assert source == 10 * 12 / 2 + sizes.TILE_CYCLES and result == (10 * 12 + 48) / 2 + sizes.TILE_CYCLES
    source, result = sizes.transform_cycles(SSE, 4)
    assert source == 2 * 10 * (2 * 10 + 2) / 2 + 2 * sizes.TILE_CYCLES
    assert result == 2 * (10 * (2 * 4 + 8) + 48) / 2 + 2 * sizes.TILE_CYCLES
    assert sizes.transform_cycles(AVX2, 2)[0] == 16 + sizes.TILE_CYCLES  # one store a cycle


def test_a_slow_processor_transforms_where_a_fast_one_waits_for_memory():
    """512 channels at 7x7: 2.25 times the weights of F(2x2) cost more than F(4x4) saves, unless products are slow."""
    shape = sizes.Winograd(SSE, 4, 1, 512, 512, 7, 7, (2,) * 32)
    assert [sizes.choose(shape, sizes.Limits(flops, 2.2e10)) for flops in (1e12, 1e10)] == [0, 4]
