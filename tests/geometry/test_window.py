"""Laws of one axis: every closed form against an enumeration of windows, and against a second definition."""

import dataclasses
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from striate.geometry import (
    PADDING_MODES,
    Adaptive,
    AxisMap,
    Cubic,
    Linear,
    Listed,
    Nearest,
    Shift,
    TransposedWindow,
    Whole,
    Window,
    fold,
    padding_for,
)

SMALL = st.integers(0, 6)
windows = st.builds(
    Window,
    input=st.integers(1, 24),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
    before=SMALL,
    after=SMALL,
    ceil=st.booleans(),
    mode=st.sampled_from(PADDING_MODES),
)
floored = windows.map(lambda w: dataclasses.replace(w, ceil=False))
transposed = st.builds(
    TransposedWindow,
    input=st.integers(1, 12),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    output_padding=st.integers(0, 2),
)


def starts(w: Window) -> list[int]:
    """Starts of all windows that lie in the padded axis, found by walking."""
    first = -w.before
    return [x for x in range(first, w.input + w.after, w.stride) if x + w.extent <= w.input + w.after]


def incidence(axis: AxisMap) -> np.ndarray:
    """Matrix (output, input): how often output i reads input x."""
    matrix = np.zeros((axis.output, axis.input), int)
    for i in range(axis.output):
        for x in axis.reads(i):
            matrix[i, x] += 1
    return matrix


# ---------------------------------------------------------------- sizes
@given(floored)
def test_output_counts_the_windows_that_fit(w):
    assert w.output == len(starts(w))


@given(windows.map(lambda w: dataclasses.replace(w, ceil=True)))
@example(Window(2, 3, 3, 1, 1, 1, ceil=True))
@example(Window(5, 3, 3, 1, 1, 1, ceil=True))
def test_ceil_mode_adds_a_window_for_an_uncovered_end_that_starts_before_it(w):
    """A window follows while its forerunner ends short of the padded end, unless it would start after the input.

    PyTorch takes back one window only, which is enough while padding stays below the window, as pools ask.
    """
    assume(w.after <= w.extent)
    end = w.input + w.after
    count = 0
    while (count - 1) * w.stride - w.before + w.extent < end and count * w.stride - w.before < w.input:
        count += 1
    assert w.output == count


@given(floored)
def test_remainder_is_lost_rows_and_wasted_padding(w):
    assume(w.output)
    end = starts(w)[-1] + w.extent
    left = range(end, w.input + w.after)
    assert w.remainder == len(left) == w.lost + w.wasted_padding
    assert w.lost == sum(0 <= x < w.input for x in left)
    assert w.wasted_after == sum(x >= w.input for x in left)
    assert w.wasted_before == sum(x < 0 for x in left)
    assert w.overhang == 0


@given(windows)
def test_an_end_is_short_or_hangs_over_never_both(w):
    assume(w.output)
    reached = (w.output - 1) * w.stride - w.before + w.extent
    left = w.lost + w.wasted_padding
    assert reached + left - w.overhang == w.input + w.after
    assert not (left and w.overhang)


@given(windows)
def test_exact_and_the_formula_name_the_same_number(w):
    value = Fraction(w.input + w.before + w.after - w.extent, w.stride) + 1
    assert w.exact == value
    shown = w.formula.rpartition(" = ")[2]
    assert float(shown) == pytest.approx(float(value), abs=0.005)
    left = w.formula.rpartition(" = ")[0].replace("·", "*")
    assert eval(left) == pytest.approx(float(value))


# ---------------------------------------------------------------- padding policies
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 6), st.integers(1, 4))
def test_same_gives_a_window_to_every_stride_and_pads_the_end_first(n, kernel, stride, dilation):
    w = Window.resolve(n, kernel, stride, dilation, "same")
    assert w.output == ceil(n / stride)
    assert w.after - w.before in (0, 1)
    total = w.before + w.after
    if total:  # one row less would not do
        assert (n + total - 1 - w.extent) // stride + 1 < w.output
    assert padding_for("same_lower", n, kernel, stride, dilation) == (w.after, w.before)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4))
def test_named_paddings(n, kernel, dilation):
    extent = dilation * (kernel - 1) + 1
    full = Window.resolve(n, kernel, 1, dilation, "full")
    assert full.output == n + extent - 1
    assert set(full.coverage()) == {kernel}
    half = Window.resolve(n, kernel, 1, dilation, "half")
    assert half.before == half.after
    assert half.output == n - (extent % 2 == 0)
    valid = Window.resolve(n, kernel, 1, dilation, "valid")
    assert (valid.before, valid.after) == (0, 0)
    assert valid.output == max(n - extent + 1, 0)


@given(st.integers(1, 12), st.integers(0, 40), st.sampled_from(PADDING_MODES))
def test_border_modes_are_numpys(n, reach, mode):
    name = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    padded = np.pad(np.arange(n), reach, name, **({"constant_values": -1} if mode == "zeros" else {}))
    folded = [fold(x, n, mode) for x in range(-reach, n + reach)]
    assert [-1 if x is None else x for x in folded] == padded.tolist()


# ---------------------------------------------------------------- use of pixels
@given(windows)
def test_coverage_counts_the_windows_over_every_pixel(w):
    counts = [0] * w.input
    for i in range(w.output):
        for u in range(w.kernel):
            x = i * w.stride + u * w.dilation - w.before
            if x < w.input + w.after:
                source = fold(x, w.input, w.mode)
                if source is not None:
                    counts[source] += 1
    assert w.coverage() == tuple(counts)
    assert w.unread == tuple(x for x, count in enumerate(counts) if not count)


@given(windows, st.data())
def test_pull_is_the_incidence_matrix_transposed(w, data):
    counts = data.draw(st.lists(st.integers(0, 10**20), min_size=w.output, max_size=w.output))
    expected = AxisMap.pull(w, counts)
    assert w.pull(counts) == expected
    matrix = incidence(w).astype(object)
    assert expected == [sum(matrix[i, x] * c for i, c in enumerate(counts)) for x in range(w.input)]


@given(windows)
def test_windows_that_see_only_padding(w):
    zeros = dataclasses.replace(w, mode="zeros")
    blind = [
        i
        for i in range(zeros.output)
        if not any(0 <= i * w.stride + u * w.dilation - w.before < w.input for u in range(w.kernel))
    ]
    assert zeros.padding_only() == tuple(blind)
    if w.mode != "zeros":
        assert w.padding_only() == ()


@given(
    floored.map(lambda w: dataclasses.replace(w, dilation=1, mode="zeros", stride=min(w.stride, w.kernel)))
)
def test_lost_rows_are_the_unread_end(w):
    assume(w.output)
    assert w.unread == tuple(range(w.input - w.lost, w.input))


# ---------------------------------------------------------------- transposed windows
@given(windows.map(lambda w: dataclasses.replace(w, ceil=False, mode="zeros")))
def test_a_transposed_window_is_the_adjoint_of_the_window(w):
    assume(w.output)
    adjoint = TransposedWindow(
        w.output, w.kernel, w.stride, w.dilation, w.before, w.after, output_padding=w.remainder
    )
    assert adjoint.output == w.input
    assert (incidence(adjoint) == incidence(w).T).all()


@given(transposed)
@example(TransposedWindow(4, 3, 2, 1, 9, 9))
def test_a_transposed_window_spreads_every_input(t):
    spread = np.zeros((t.output, t.input), int)
    for x in range(t.input):
        for u in range(t.kernel):
            i = x * t.stride + u * t.dilation - t.before
            if 0 <= i < t.output:
                spread[i, x] += 1
    assert (incidence(t) == spread).all()
    left, _, shown = t.formula.rpartition(" = ")
    assert int(shown) == eval(left.replace("·", "*"))  # also where nothing is left of the output
    assert t.output == max(int(shown), 0)


# ---------------------------------------------------------------- other maps
@given(st.integers(1, 30), st.integers(1, 30))
def test_adaptive_bins(n, m):
    axis = Adaptive(n, m)
    assert axis.output == m
    for i in range(m):
        assert axis.reads(i) == tuple(range(floor(Fraction(i * n, m)), ceil(Fraction((i + 1) * n, m))))
    assert axis.taps == max(len(axis.reads(i)) for i in range(m))
    if n % m == 0:
        assert axis.coverage() == Window(n, n // m, n // m).coverage()


@given(st.integers(1, 20), st.fractions(Fraction(1, 4), 4, max_denominator=4) | st.none(), st.integers(1, 30))
def test_nearest_reads_the_floor(n, scale, m):
    m = floor(n * scale) if scale else m
    assume(m)
    axis = Nearest(n, m, scale)
    step = 1 / scale if scale else Fraction(n, m)
    assert [axis.reads(i) for i in range(m)] == [(floor(i * step),) for i in range(m)]


@given(
    st.integers(1, 20),
    st.fractions(Fraction(1, 3), 4, max_denominator=3),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_linear_blends_two_neighbors(n, scale, corners, by_size, data):
    m = floor(n * scale)
    assume(m)
    axis = Linear(n, m, None if by_size else scale, corners)
    ramp = data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n))
    for i in range(m):
        ratio = Fraction(n, m) if by_size else 1 / scale
        if corners:
            x = Fraction(i * (n - 1), m - 1) if m > 1 else Fraction(0)
        else:
            x = (i + Fraction(1, 2)) * ratio - Fraction(1, 2)
        x = min(max(x, Fraction(0)), Fraction(n - 1))
        low = floor(x)
        high = min(low + 1, n - 1)
        expected = (1 - (x - low)) * ramp[low] + (x - low) * ramp[high]
        taps = [(axis.position(i, u), axis.weight(i, u)) for u in range(2)]
        assert sum(w * ramp[p] for p, w in taps if p is not None) == expected
        assert sum(w for p, w in taps if p is not None) == 1


@given(st.integers(2, 12), st.fractions(Fraction(1, 3), 4, max_denominator=3), st.booleans(), st.data())
def test_cubic_blends_four_neighbors(n, scale, corners, data):
    m = floor(n * scale)
    assume(m)
    axis = Cubic(n, m, None if corners else scale, corners)
    for i in range(m):
        x = Fraction(i * (n - 1), max(m - 1, 1)) if corners else (i + Fraction(1, 2)) / scale - Fraction(1, 2)
        taps = [(axis.position(i, u), axis.weight(i, u)) for u in range(4)]
        assert sum(w for p, w in taps if p is not None) == 1
        assert all(w == 0 for p, w in taps if p is None)
        for u, (p, w) in enumerate(taps):
            place = floor(x) - 1 + u
            assert p is None or p == min(max(place, 0), n - 1)
            assert w == keys(abs(x - place))


def keys(d, a=Fraction(-3, 4)):
    """Keys 1981, equation 4."""
    if d < 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0


@given(st.integers(1, 9), st.data())
def test_listed_entries_are_read_as_they_stand(n, data):
    entries = tuple(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=12)))
    axis = Listed(n, entries)
    assert axis.output == len(entries)
    assert [axis.reads(i) for i in range(axis.output)] == [(x,) for x in entries]


@given(
    st.integers(1, 20),
    st.integers(-5, 5),
    st.integers(-5, 5),
    st.integers(1, 3),
    st.sampled_from(PADDING_MODES),
)
def test_shift_pads_and_slices(n, before, after, step, mode):
    axis = Shift(n, before, after, step, mode)
    padded = [fold(x, n, mode) for x in range(-before, n + after)]
    assert axis.output == len(padded[::step])
    assert [axis.position(i, 0) for i in range(axis.output)] == padded[::step]


@given(st.integers(1, 20))
def test_whole_reads_everything_once(n):
    assert Whole(n).output == 1
    assert Whole(n).coverage() == (1,) * n


MAPS = st.one_of(
    windows,
    transposed,
    st.builds(Adaptive, st.integers(1, 20), st.integers(1, 20)),
    st.builds(Nearest, st.integers(1, 20), st.integers(1, 20)),
    st.builds(Linear, st.integers(2, 20), st.integers(2, 20), st.none(), st.booleans()),
    st.builds(Cubic, st.integers(2, 20), st.integers(2, 20), st.none(), st.booleans()),
    st.builds(Listed, st.just(6), st.lists(st.integers(0, 5), min_size=1, max_size=8).map(tuple)),
    st.builds(Shift, st.integers(1, 20), SMALL, SMALL, st.integers(1, 3)),
)


@given(MAPS, st.integers(-3, 3))
def test_moving_a_period_moves_every_tap(axis, turns):
    units, advance = axis.period
    for i in range(min(units, 12)):
        for u in range(axis.taps):
            here, there = axis.raw(i, u), axis.raw(i + turns * units, u)
            assert (there is None) == (here is None)
            assert here is None or there == here + turns * advance
