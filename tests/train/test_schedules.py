"""Schedules: known values, torch's curves, and that what a checkpoint keeps is enough to go on."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from striate.train.schedules import SCHEDULES, Constant, Cosine, OneCycle, Plateau, Span, StepDecay

SPANS = st.builds(Span, epochs=st.integers(1, 9), updates_per_epoch=st.integers(1, 20))


def rates(schedule):
    return [schedule.rate(update) for update in range(schedule.span.updates)]


def test_cosine_on_paper():
    curve = Cosine(Span(epochs=2, updates_per_epoch=4), lr=1.0)
    np.testing.assert_allclose(rates(curve)[:5], [1, 0.96194, 0.853553, 0.691342, 0.5], atol=1e-6)
    assert math.isclose(curve.rate(8), 0.0, abs_tol=1e-12)
    assert math.isclose(Cosine(Span(1, 4), 1.0, final_lr=0.2).rate(4), 0.2)


def test_a_warm_up_rises_in_a_straight_line_and_meets_the_curve():
    curve = Cosine(Span(epochs=1, updates_per_epoch=10, warmup=4), lr=0.4)
    np.testing.assert_allclose(rates(curve)[:5], [0.1, 0.2, 0.3, 0.4, 0.4])
    assert rates(curve)[-1] < 0.05


def test_steps_at_their_milestones():
    assert rates(StepDecay(Span(4, 1), 1.0)) == [1.0, 1.0, 0.1, 0.1 * 0.1]
    np.testing.assert_allclose(
        rates(StepDecay(Span(4, 2), 1.0, gamma=0.5, milestones=(1, 3))),
        [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25],
    )


def test_constant():
    assert set(rates(Constant(Span(3, 5), 0.3))) == {0.3}


def test_a_plateau_waits_then_drops():
    curve = Plateau(Span(99, 1), lr=1.0, gamma=0.5, patience=1)
    seen = []
    for score in [1, 2, 2, 2, 3, 1, 1, 1]:
        curve.epoch_done(score)
        seen.append(curve.rate(0))
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


@given(SPANS, st.sampled_from(sorted(SCHEDULES)), st.floats(1e-5, 1))
def test_rates_stay_between_nothing_and_the_highest(span, word, lr):
    for rate in rates(SCHEDULES[word](span, lr)):
        assert 0 <= rate <= lr * (1 + 1e-9)


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(0, 19))
def test_memory_is_enough_to_go_on(scores, cut):
    whole, first, second = (Plateau(Span(99, 1), 1.0, patience=2) for _ in range(3))
    for score in scores:
        whole.epoch_done(score)
    for score in scores[:cut]:
        first.epoch_done(score)
    second.saved_state = first.saved_state
    for score in scores[cut:]:
        second.epoch_done(score)
    assert second.saved_state == whole.saved_state


@pytest.mark.torch
@given(SPANS)
def test_one_cycle_equals_torch(span):
    import torch

    assume(span.updates >= 4)
    curve = OneCycle(span, lr=0.1)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=span.updates)
    for update in range(span.updates):
        group = optimizer.param_groups[0]
        assert math.isclose(curve.rate(update), group["lr"], rel_tol=1e-6, abs_tol=1e-12)
        assert math.isclose(curve.momentum(update), group["momentum"], rel_tol=1e-6)
        optimizer.step()
        if update + 1 < span.updates:
            theirs.step()


@pytest.mark.torch
@given(SPANS, st.floats(0, 0.01))
def test_cosine_and_step_equal_torch(span, final):
    import torch

    pairs = [
        (
            Cosine(span, 0.1, final),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, span.updates, final),
        ),
        (
            StepDecay(span, 0.1, gamma=0.3, milestones=(1, 4)),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(
                o, [span.updates_per_epoch, 4 * span.updates_per_epoch], 0.3
            ),
        ),
    ]
    for curve, make in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        theirs = make(optimizer)
        for update in range(span.updates):
            assert math.isclose(
                curve.rate(update), optimizer.param_groups[0]["lr"], rel_tol=1e-6, abs_tol=1e-9
            )
            optimizer.step()
            theirs.step()


@pytest.mark.torch
@given(st.lists(st.integers(0, 6), max_size=25), st.integers(0, 3))
def test_plateau_equals_torch(scores, patience):
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=patience, threshold=0.0, eps=0.0
    )
    curve = Plateau(Span(99, 1), 1.0, gamma=0.5, patience=patience)
    for score in scores:
        theirs.step(score)
        curve.epoch_done(score)
        assert math.isclose(curve.rate(0), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
