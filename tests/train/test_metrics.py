"""Metrics: counted by hand on small sets, and by brute force on generated ones."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from striate.train.early_stopping import EarlyStopping
from striate.train.metrics import BINS, Tally, correct, top_k
from striate.train.mixing import Mixing

NAMES = ("cat", "dog")


def tally(probabilities, labels, losses=None, worst=0):
    made = Tally(np.shape(probabilities)[1], worst)
    labels = np.asarray(labels)
    losses = np.zeros(len(labels)) if losses is None else np.asarray(losses)
    made.add(np.asarray(probabilities), labels, losses, np.arange(len(labels)))
    return made


def test_two_classes_on_paper():
    made = tally([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [0, 0, 1, 1])
    assert made.confusion.tolist() == [[2, 0], [1, 1]]
    assert made.accuracy == 0.75
    cat, dog = made.per_class(NAMES)
    assert (cat.precision, cat.recall, cat.images, cat.predicted) == (2 / 3, 1.0, 2, 3)
    assert (dog.precision, dog.recall) == (1.0, 0.5) and math.isclose(dog.f1, 2 / 3)


def test_calibration_on_paper():
    sure_and_half_right = tally([[1.0, 0.0]] * 4, [0, 0, 1, 1])
    assert sure_and_half_right.calibration_error() == 0.5
    (only,) = sure_and_half_right.calibration()
    assert (only.images, only.confidence, only.accuracy) == (4, 1.0, 0.5)
    assert tally([[1.0, 0.0]] * 4, [0] * 4).calibration_error() == 0.0


def test_nothing_seen_is_zero_not_an_error():
    made = Tally(2, worst=3)
    assert (made.accuracy, made.top5_accuracy, made.calibration_error(), made.worst()) == (0, 0, 0, ())
    assert made.per_class(NAMES)[0].f1 == 0


def test_the_worst_images_first_and_ties_by_number():
    made = tally([[0.5, 0.5]] * 4, [0] * 4, losses=[1.0, 3.0, 2.0, 3.0], worst=3)
    assert [wrong.id for wrong in made.worst()] == [1, 3, 2]


@st.composite
def answers(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, classes = draw(st.integers(1, 40)), draw(st.integers(2, 9))
    probabilities = rng.dirichlet(np.ones(classes), count)
    return probabilities, rng.integers(0, classes, count), rng.random(count)


@given(answers(), st.integers(1, 40))
def test_batches_add_up(case, size):
    probabilities, labels, losses = case
    whole, parts = tally(*case, worst=5), Tally(probabilities.shape[1], worst=5)
    for start in range(0, len(labels), size):
        cut = slice(start, start + size)
        parts.add(probabilities[cut], labels[cut], losses[cut], np.arange(len(labels))[cut])
    assert (parts.confusion == whole.confusion).all()
    assert (parts.top5, parts.worst()) == (whole.top5, whole.worst())
    assert math.isclose(parts.calibration_error(), whole.calibration_error(), abs_tol=1e-12)


@given(answers())
def test_against_brute_force(case):
    probabilities, labels, losses = case
    made = tally(*case, worst=5)
    predicted = probabilities.argmax(1)
    assert made.accuracy == np.mean(predicted == labels)
    assert correct(probabilities, labels) == (predicted == labels).sum()
    ranks = [(row > row[label]).sum() for row, label in zip(probabilities, labels)]
    assert made.top5 == sum(rank < 5 for rank in ranks) == top_k(probabilities, labels, 5)
    assert [wrong.id for wrong in made.worst()] == np.argsort(-losses, kind="stable")[:5].tolist()
    for k, score in enumerate(made.per_class(tuple(map(str, range(probabilities.shape[1]))))):
        hits = ((predicted == k) & (labels == k)).sum()
        assert score.precision == (hits / (predicted == k).sum() if (predicted == k).any() else 0)
        assert score.recall == (hits / (labels == k).sum() if (labels == k).any() else 0)
    confidence, gap = probabilities.max(1), 0.0
    for k in range(BINS):
        inside = (confidence > k / BINS) & (confidence <= (k + 1) / BINS)
        if inside.any():
            gap += inside.mean() * abs(confidence[inside].mean() - (predicted == labels)[inside].mean())
    assert math.isclose(made.calibration_error(), gap, abs_tol=1e-9)


@given(st.integers(0, 2**32), st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.4, 0.4)]))
def test_mixing_keeps_shares_and_shapes(seed, strengths):
    rng = np.random.default_rng(seed)
    x = rng.random((6, 2, 5, 7)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    mixed, soft = Mixing(*strengths)(x, targets, np.random.default_rng(seed))
    again, _ = Mixing(*strengths)(x, targets, np.random.default_rng(seed))
    assert mixed.shape == x.shape and mixed.dtype == np.float32 and (mixed == again).all()
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
    assert mixed.min() >= x.min() - 1e-6 and mixed.max() <= x.max() + 1e-6
    np.testing.assert_allclose(soft.sum(0), targets.sum(0), rtol=1e-5)  # partners are a permutation


@given(st.integers(0, 2**32))
def test_cutmix_shares_are_those_of_the_pixels(seed):
    marked = np.zeros((4, 1, 9, 6), np.float32)
    marked += np.arange(4, dtype=np.float32)[:, None, None, None]
    mixed, soft = Mixing(cutmix=1.0)(marked, np.eye(4, dtype=np.float32), np.random.default_rng(seed))
    for image, row in zip(mixed, soft):
        shares = [(image == k).mean() for k in range(4)]
        np.testing.assert_allclose(row, shares, atol=1e-6)


def test_watch_finds_the_best_and_tires():
    watch = EarlyStopping(patience=2, min_delta=0.1)
    assert [watch.epoch_done(k + 1, score) for k, score in enumerate([0.5, 0.55, 0.7])] == [True, True, True]
    assert not watch.should_stop
    assert not watch.epoch_done(4, 0.7, tie=-1.0) and not watch.epoch_done(5, 0.1)
    assert watch.should_stop and watch.best_epoch == 3
    assert watch.epoch_done(6, 0.7, tie=1.0)  # equal score, better second measure
    other = EarlyStopping(patience=2, min_delta=0.1)
    other.saved_state = watch.saved_state
    assert other == watch
