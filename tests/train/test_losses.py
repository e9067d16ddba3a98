"""Losses: values one can check on paper, gradients by differences, torch as oracle, and no overflow anywhere."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from striate.diagnostics import TrainingError
from striate.train.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, MeanSquaredError

SHAPES = st.sampled_from([(1, 2), (3, 4), (5, 3), (2, 3, 2, 2), (4, 1)])


@st.composite
def cases(draw):
    """A loss with its options, outputs (float64) and labels or soft targets."""
    kind = draw(st.sampled_from(list(LOSSES.values())))
    shape = draw(SHAPES)
    if kind is CrossEntropy and shape[1] == 1:
        shape = (4, 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    smoothing = draw(st.sampled_from([0.0, 0.1, 0.5]))
    weights = tuple(rng.uniform(0.2, 3, shape[1])) if draw(st.booleans()) else ()
    loss = kind(smoothing, weights)
    outputs = rng.normal(size=shape) * draw(st.sampled_from([0.1, 1.0, 5.0]))
    labels = rng.integers(0, loss.labels(shape[1]), (shape[0], *shape[2:]))
    if kind is MeanSquaredError and shape[1] == 1:
        labels[...] = 0
    soft = rng.dirichlet(np.ones(shape[1]), (shape[0], *shape[2:]))
    soft = np.moveaxis(soft, -1, 1) if kind is CrossEntropy else rng.random(shape)
    return loss, outputs, soft if draw(st.booleans()) else labels


@given(cases())
def test_gradients_equal_differences(case):
    loss, outputs, targets = case
    found = loss(outputs, targets).gradient
    assert found.shape == outputs.shape
    step = 1e-6
    expected = np.zeros_like(outputs)
    for place in np.ndindex(outputs.shape):
        up, down = outputs.copy(), outputs.copy()
        up[place] += step
        down[place] -= step
        expected[place] = (loss(up, targets).total - loss(down, targets).total) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-7, rtol=1e-6)


@given(cases(), st.integers(1, 3))
def test_sums_of_parts_are_the_sum_of_the_whole(case, cut):
    loss, outputs, targets = case
    whole = loss(outputs, targets)
    parts = [loss(outputs[:cut], targets[:cut]), loss(outputs[cut:], targets[cut:])]
    assert math.isclose(whole.total, sum(part.total for part in parts), rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(whole.weight, sum(part.weight for part in parts), rel_tol=1e-9)
    np.testing.assert_array_equal(whole.gradient, np.concatenate([part.gradient for part in parts]))
    np.testing.assert_array_equal(whole.each, np.concatenate([part.each for part in parts]))


@given(cases())
def test_probabilities_are_between_0_and_1(case):
    loss, outputs, _ = case
    found = loss.probabilities(outputs)
    assert found.min() >= 0 and found.max() <= 1
    if isinstance(loss, CrossEntropy) or (outputs.shape[1] == 1 and isinstance(loss, BinaryCrossEntropy)):
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_values_on_paper():
    even = np.zeros((1, 4), np.float32)
    assert math.isclose(CrossEntropy()(even, np.array([2])).mean, math.log(4), rel_tol=1e-6)
    assert math.isclose(BinaryCrossEntropy()(np.zeros((1, 1)), np.array([1])).mean, math.log(2), rel_tol=1e-6)
    assert MeanSquaredError()(np.array([[0.0, 2.0]]), np.array([1])).mean == 0.5  # ((0-0)² + (2-1)²)/2
    assert CrossEntropy(class_weights=(1, 3))(np.zeros((2, 2)), np.array([0, 1])).weight == 4


@pytest.mark.parametrize("kind", LOSSES.values())
@pytest.mark.parametrize("size", [1e4, 1e18])
def test_huge_outputs_stay_numbers(kind, size):
    outputs = np.array([[size, -size], [-size, size]], np.float32)
    value = kind()(outputs, np.array([0, 0]))
    assert math.isfinite(value.total) and value.total > 0
    assert value.gradient.dtype == np.float32 and np.isfinite(value.gradient).all()


@pytest.mark.parametrize(
    "targets", [np.array([0, 3]), np.array([-1, 0]), np.array([0]), np.array([0.0, 1.0]), np.zeros((2, 2))]
)
def test_targets_that_do_not_suit(targets):
    with pytest.raises(TrainingError) as caught:
        CrossEntropy()(np.zeros((2, 3), np.float32), targets)
    assert caught.value.fix


def test_one_weight_per_class():
    with pytest.raises(TrainingError, match="2 class weights for 3 outputs"):
        CrossEntropy(class_weights=(1.0, 2.0))(np.zeros((1, 3)), np.array([0]))


@pytest.mark.torch
@given(cases())
def test_equal_to_torch(case):
    import torch
    from torch.nn import functional

    loss, outputs, targets = case
    x = torch.tensor(outputs, requires_grad=True)
    soft = targets.dtype.kind == "f"
    weight = torch.tensor(loss.class_weights) if loss.class_weights else None
    value = loss(outputs, targets)
    if isinstance(loss, CrossEntropy):
        assume(not soft or weight is None)  # torch divides by the images there, not by their weights
        there = functional.cross_entropy(
            x, torch.tensor(targets), weight=weight.double() if weight is not None else None,
            label_smoothing=loss.smoothing,
        )  # fmt: skip
    else:
        goal = torch.tensor(loss.dense(targets, outputs))
        if isinstance(loss, BinaryCrossEntropy):
            goal = goal * (1 - loss.smoothing) + loss.smoothing / 2
            terms = functional.binary_cross_entropy_with_logits(x, goal, reduction="none")
        else:
            terms = functional.mse_loss(x, goal, reduction="none")
        scale = torch.ones(outputs.shape, dtype=torch.float64)
        if weight is not None:
            scale = scale * weight.reshape(1, -1, *(1 for _ in outputs.shape[2:]))
        there = (terms * scale).sum() / scale.sum()
    there.backward()
    assert math.isclose(value.mean, there.item(), rel_tol=1e-6)
    np.testing.assert_allclose(value.gradient / value.weight, x.grad.numpy(), atol=1e-8, rtol=1e-6)
