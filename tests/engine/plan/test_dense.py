"""Dense products: what each output reads, borders, panels of outputs, and the calls."""

import numpy as np
import pytest

from engine.plan.support import CONTEXT, buffer, correlation, only, unit
from striate.engine.kernels import tile
from striate.engine.layout import Layout
from striate.engine.plan.dense import (
    Axis,
    DenseLowering,
    _chunks,
    _runs,
    axes,
    border,
    covers,
    fold_weights,
)
from striate.geometry import Window
from striate.statement import load

ONE = Window(1, 1)


def test_a_convolution_is_one_product():
    """Stride 2, dilation 3, 1 before: output i reads 2i - 1, 2i + 2, 2i + 5."""
    window = Window(11, 3, 2, 3, 1, 1)
    (pair,) = axes(correlation(windows=(ONE, window)), (1, 11))
    assert pair[1] == Axis(-1, 2, 3, (0, 1, 2), 4)
    assert pair[1].reach == (-1, 11)


def test_an_adjoint_is_a_product_for_each_phase():
    """Output x receives tap u from input (x + before - u)/2: even ones from taps 1, odd ones from taps 0 and 2."""
    window = Window(7, 3, 2, 1, 1, 1)
    pairs = axes(correlation(windows=(ONE, window), adjoint=True), (1, 4))
    assert [w for _, w in pairs] == [Axis(0, 1, 1, (1,), 4, 0, 2), Axis(1, 1, -1, (0, 2), 3, 1, 2)]
    assert pairs[1][1].reach == (0, 3)


def test_phases_without_taps_are_zeros():
    """Kernel 1 and stride 3: two of three outputs receive nothing; a phase without outputs is none."""
    pairs = axes(correlation(windows=(ONE, Window(5, 1, 3)), adjoint=True), (1, 2))
    assert [(w.taps, w.count, w.target) for _, w in pairs] == [((0,), 2, 0), ((), 2, 1), ((), 1, 2)]
    assert len(axes(correlation(windows=(ONE, Window(2, 1, 3)), adjoint=True), (1, 1))) == 2


@pytest.mark.parametrize(
    ("window", "adjoint", "size", "wanted"),
    [
        (Window(8, 3, 1, 1, 1, 1), False, 8, (1, 1)),
        (Window(8, 3, 2, 1, 1, 1), False, 8, (1, 0)),  # the last window ends at row 7
        (Window(8, 3, 1, 2, 2, 2), False, 8, (2, 2)),
        (Window(8, 1), False, 8, (0, 0)),
        (Window(16, 3, 1, 1, 0, 0), True, 14, (2, 2)),
        (Window(16, 2, 2), True, 8, (0, 0)),
    ],
)
def test_the_border_is_what_windows_reach_beyond_the_map(window, adjoint, size, wanted):
    body = correlation(windows=(window, ONE), adjoint=adjoint)
    assert border(body, (size, 1)) == (*wanted, 0, 0)


def test_what_is_covered():
    window = Window(8, 3, 1, 1, 1, 1)
    assert covers(correlation(windows=(window, window)), 16)
    assert not covers(correlation(windows=(window, Window(8, 3, 1, 1, 1, 1, mode="circular"))), 16)
    assert not covers(correlation(windows=(window, Window(8, 3, 1, 1, -1, 0))), 16)
    assert covers(correlation(32, 16, (window, window), groups=2), 16)
    assert not covers(correlation(24, 16, (window, window), groups=2), 16)
    assert not covers(correlation(16, 24, (window, window), groups=2), 16)


@pytest.mark.parametrize(
    ("blocks", "most", "split"),
    [(7, 3, [3, 2, 2]), (4, 4, [4]), (5, 4, [3, 2]), (1, 4, [1]), (8, 3, [3, 3, 2])],
)
def test_outputs_are_split_evenly(blocks, most, split):
    assert tile.panels(blocks, most) == split


def test_runs_are_joined_where_numbers_are_neighbors():
    """3 channels side by side: a row of a 3x3 window is one run of 9; of blocks each tap is a run of its own."""
    pair = Axis(-1, 1, 1, (0, 1, 2), 8), Axis(-1, 1, 1, (0, 1, 2), 8)
    narrow = Layout(1, 3, 8, 8, 3, 1, 1, 1, 1)
    runs, pieces = _runs(narrow, 3, pair)
    assert runs == [(0, 9), (120, 9), (240, 9)]
    assert pieces.tolist() == [[0, 3, u, v] for u in range(3) for v in range(3)]
    runs, pieces = _runs(Layout(1, 20, 8, 8, 16, 1, 1, 1, 1), 20, (pair[0], Axis(0, 1, 1, (0,), 8)))
    assert runs == [(0, 16), (640, 16), (1280, 16), (6400, 4), (7040, 4), (7680, 4)]
    assert pieces.tolist() == [[c, n, u, 0] for c, n in ((0, 16), (16, 4)) for u in range(3)]


@pytest.mark.parametrize(
    ("runs", "limit", "chunks"),
    [
        ([(0, 4), (100, 4)], 64, [[(0, 4), (100, 4)]]),
        ([(0, 100)], 64, [[(0, 64)], [(256, 36)]]),
        ([(0, 48), (1000, 48)], 64, [[(0, 48)], [(1000, 48)]]),
        ([], 64, [[]]),
    ],
)
def test_long_sums_are_cut(runs, limit, chunks):
    assert _chunks(runs, limit) == chunks


def test_folds_scale_each_outputs_weights_and_bias():
    weights = {"weight": np.ones((2, 3, 1, 1), np.float32), "bias": np.array([1, 2], np.float32)}
    fold = load("a") * load("s") + 5.0, "a", {"s": np.array([2.0, 3.0])}
    body = correlation(3, 2, (ONE, ONE), bias=True)
    made = unit(
        [buffer(shape=(1, 3, 1, 1))], [buffer("y", (1, 2, 1, 1))], body, weights=weights, folds=[fold]
    )
    weight, bias = fold_weights(made)
    assert weight.reshape(2, 3).tolist() == [[2, 2, 2], [3, 3, 3]] and bias.tolist() == [7, 11]
    assert weight.dtype == bias.dtype == np.float32


def test_an_adjoints_outputs_are_its_second_axis():
    weights = {"weight": np.ones((3, 2, 1, 1), np.float32)}
    fold = load("a") * load("s"), "a", {"s": np.array([2.0, 3.0])}
    body = correlation(3, 2, (ONE, ONE), adjoint=True)
    made = unit(
        [buffer(shape=(1, 3, 1, 1))], [buffer("y", (1, 2, 1, 1))], body, weights=weights, folds=[fold]
    )
    weight, bias = fold_weights(made)
    assert weight.reshape(3, 2).tolist() == [[2, 3]] * 3 and bias.tolist() == [0, 0]


def direct(unit):
    return DenseLowering().calls(unit, unit.body, CONTEXT)


def test_a_convolution_is_one_call():
    """Of 2 x 6 rows; 40 outputs are 3 vectors. Each number of 3·3·20 inputs is multiplied and added."""
    (call,) = direct(only("8x8x20 -> conv 3x3 40", batch=2))
    assert (call.algorithm, call.rows) == ("direct", 12)
    assert (call.parts, call.tile) == (1, "8x3")
    assert call.flops == 2 * 72 * 180 * 40
    assert call.weights == 4 * 180 * 48  # whole vectors of outputs


def test_a_transposed_convolution_is_a_call_for_each_phase():
    calls = direct(only("8x8x16 -> tconv 2x2 16 /2"))
    assert [(call.algorithm, call.rows, call.flops) for call in calls] == [
        ("direct", 8, 2 * 64 * 16 * 16)
    ] * 4


def test_a_fully_connected_layer_reads_a_map_as_one_window():
    (call,) = direct(only("4x4x16 -> relu -> flatten -> fc 10", "fc1", batch=3))
    assert (call.rows, call.flops) == (3, 2 * 3 * 256 * 10)
