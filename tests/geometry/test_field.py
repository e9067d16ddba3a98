"""Receptive-field algebra against brute composition on unclipped coordinates, and against the Distill formulas."""

from fractions import Fraction
from math import prod

from hypothesis import assume, example, given
from hypothesis import strategies as st

from striate.geometry import (
    Adaptive,
    AxisMap,
    Linear,
    Nearest,
    ReceptiveField,
    Shift,
    TransposedWindow,
    Whole,
    Window,
)
from striate.geometry.field import LONGEST_PERIOD

ANY = 1000  # Spans are unclipped, so sizes matter only where a map's step follows from them.
PAD = st.integers(0, 4)
sliding = st.builds(Window, st.just(ANY), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), PAD, PAD)
spreading = st.builds(
    TransposedWindow, st.just(ANY), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), PAD, PAD
)
scales = st.sampled_from([Fraction(1, 2), Fraction(3, 2), Fraction(2), Fraction(3)])
resampling = st.one_of(
    st.builds(lambda s: Nearest(ANY, int(ANY * s), s), scales),
    st.builds(lambda s: Linear(ANY, int(ANY * s), s), scales),
    st.builds(lambda n, m: Linear(n, m, None, True), st.integers(2, 9), st.integers(2, 9)),
    st.builds(Adaptive, st.integers(1, 12), st.integers(1, 12)),
)
shifting = st.builds(Shift, st.just(ANY), st.integers(-4, 4), PAD, st.integers(1, 2))
chains = st.lists(st.one_of(sliding, sliding, spreading, resampling, shifting), min_size=1, max_size=4)


def seen(maps: list[AxisMap], i: int) -> set[int]:
    """Input coordinates after unit i of the last map, tap by tap."""
    units = {i}
    for axis in reversed(maps):
        units = {x for unit in units for u in range(axis.taps) if (x := axis.raw(unit, u)) is not None}
    return units


def through(maps: list[AxisMap]) -> ReceptiveField:
    field = ReceptiveField()
    for axis in maps:
        field = field.through(axis)
    return field


@given(chains, st.integers(-5, 5))
def test_a_span_is_the_hull_of_what_the_unit_sees(maps, i):
    touched = seen(maps, i)
    lo, hi = through(maps).span(i)
    if touched:
        assert (lo, hi) == (min(touched), max(touched))
    else:
        assert lo == hi + 1


@given(chains)
@example([TransposedWindow(ANY, 1, 2), Window(ANY, 1, 2, 1, 1), Window(ANY, 2)])  # sees only the holes
def test_size_and_jump_are_those_of_the_units(maps):
    field = through(maps)
    period = len(field.spans)
    everything = [seen(maps, i) for i in range(2 * period)]
    assert field.size == max(max(t) - min(t) + 1 if t else 0 for t in everything)
    for early, late in zip(everything[:period], everything[period:]):
        if early:
            assert min(late) - min(early) == max(late) - max(early) == field.step == field.jump * period


@given(st.lists(sliding, min_size=1, max_size=8), st.integers(0, 9))
def test_formulas_of_araujo_norris_and_sim(layers, u):
    """r0 = 1 + sum (k-1)·prod s, S0 = prod s, P0 = sum p·prod s; dilation stretches k to d(k-1)+1."""
    strides = [w.stride for w in layers]
    before = [prod(strides[:depth]) for depth in range(len(layers))]
    size = 1 + sum((w.extent - 1) * s for w, s in zip(layers, before))
    jump = prod(strides)
    padding = sum(w.before * s for w, s in zip(layers, before))
    field = through(layers)
    assert (field.size, field.jump, -field.start) == (size, jump, padding)
    assert field.span(u) == (-padding + u * jump, -padding + u * jump + size - 1)
    assert field.center(u) == -padding + u * jump + Fraction(size - 1, 2)


@given(chains)
def test_whatever_follows_the_whole_axis_sees_no_more(maps):
    last = maps[-1].output or 1
    field = through(maps).through(Whole(last))
    touched = set().union(*(seen(maps, i) for i in range(last)))
    if touched:
        assert field.span(0) == (min(touched), max(touched))
    assert field.step == 0
    assert field.through(Window(1, 3, 1, 1, 1, 1)).span(0) == field.span(0)


@given(sliding, st.lists(st.tuples(st.integers(1, 7), PAD), min_size=1, max_size=3), st.integers(-3, 5))
def test_a_merge_sees_the_hull_of_its_branches(stem, kernels, i):
    below = ReceptiveField().through(stem)
    branches = [below.through(Window(ANY, k, 1, 1, pad, pad)) for k, pad in kernels]
    spans = [branch.span(i) for branch in branches]
    assert ReceptiveField.union(branches).span(i) == (min(lo for lo, _ in spans), max(hi for _, hi in spans))
    whole = below.through(Whole(4))
    assert ReceptiveField.union([*branches, whole]).jump == below.jump


@given(chains)
def test_the_offset_is_the_mean_center(maps):
    field = through(maps)
    period = len(field.spans)
    centers = [field.center(i) - i * field.jump for i in range(period)]
    assert field.offset == sum(centers) / period
    assume(field.size)  # Units that see nothing have no center.
    shifted = through([Shift(ANY, 1, 0), *maps])
    assert shifted.offset == field.offset - 1


def test_a_scale_of_many_digits_is_followed_as_far_as_the_axis_goes():
    scale = Fraction("1.23456789012")
    maps = [Nearest(8, 9, scale), Window(9, 3, 1, 1, 1, 1)]
    field = through(maps)
    assert len(field.spans) <= LONGEST_PERIOD
    for i in range(1, 8):
        assert field.span(i) == (min(seen(maps, i)), max(seen(maps, i)))
    assert abs(field.jump - 1 / scale) < Fraction(1, LONGEST_PERIOD)
