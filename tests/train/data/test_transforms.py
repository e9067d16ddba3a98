"""Transformations: laws on generated ones, cases to check on paper, and what a recorded one says that does not fit."""

import dataclasses
import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.diagnostics import FormatError, StriateError, UnknownNameError
from striate.train.data import Transform, image_transforms, splitmix
from striate.train.data.image_transforms import (
    CenterCrop,
    Channels,
    ColorJitter,
    Fit,
    Flip,
    Normalize,
    PadCrop,
    RandomErasing,
    RandomResizedCrop,
    Resize,
    resample,
    window,
)
from striate.train.data.transforms import STEPS
from train.data.makers import five_parts

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
share = st.floats(0, 1, allow_subnormal=False)
interval = st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(lambda pair: tuple(sorted(pair)))
STEP = st.one_of(
    st.builds(Resize, sizes),
    st.builds(Fit, sizes),
    st.builds(CenterCrop, st.tuples(st.integers(1, 3), st.integers(1, 3))),
    st.builds(PadCrop, st.integers(0, 4)),
    st.builds(Flip, share, st.sampled_from("hw")),
    st.builds(RandomResizedCrop, sizes, interval, interval),
    st.builds(ColorJitter, share, share, share, st.floats(0, 0.5)),
    st.builds(RandomErasing, share, interval, interval, st.floats(-1, 1)),
    st.builds(Channels, st.sampled_from([1, 3])),
    st.integers(1, 3).flatmap(
        lambda n: st.builds(
            Normalize,
            st.tuples(*[st.floats(-1, 1)] * n),
            st.tuples(*[st.floats(0.1, 2)] * n),
        )
    ),
)
transforms = st.lists(STEP, max_size=4).map(lambda steps: Transform(tuple(steps)))


def images(count, shape, seed=0, dtype=np.uint8):
    x = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return x if dtype == np.uint8 else (x / 255).astype(np.float32)


@given(transforms, st.integers(1, 4), st.sampled_from([1, 3]), sizes, st.booleans())
def test_a_transformation_gives_what_it_says_or_refuses(transform, count, channels, size, whole):
    x = images(count, (channels, *size), dtype=np.uint8 if whole else np.float32)
    before, keys = x.copy(), splitmix.keys(5, np.arange(count))
    try:
        shape = transform.output((channels, *size))
    except FormatError as error:
        five_parts(error)
        with pytest.raises(FormatError):
            transform(x, keys)
        return
    y = transform(x, keys)
    assert y.shape == (count, *shape) and y.dtype == np.float32 and np.isfinite(y).all()
    assert np.array_equal(x, before)  # never in place
    assert np.array_equal(y, np.concatenate([transform(x[n : n + 1], keys[n : n + 1]) for n in range(count)]))
    assert np.array_equal(y, transform(list(x), keys))
    assert transform.random or np.array_equal(y, transform(x))


@given(transforms)
def test_what_is_recorded_comes_back(transform):
    again = Transform.from_dict(json.loads(json.dumps(transform.to_dict())))
    assert again == transform
    assert transform.describe()


def test_every_step_is_tested_here():
    assert {type(step) for step in [Resize((1, 1)), Fit((1, 1)), CenterCrop((1, 1)), PadCrop(), Flip()]} | {
        RandomResizedCrop,
        ColorJitter,
        RandomErasing,
        Channels,
        Normalize,
    } == set(STEPS.values())


# ---------------------------------------------------------------- cases on paper
def run(step, x, *draws):
    return step(np.asarray(x), np.array([draws], np.float64))


def test_flip():
    x = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    assert run(Flip(0.5), x, 0.4).ravel().tolist() == [1, 0, 3, 2]
    assert run(Flip(0.5), x, 0.5).ravel().tolist() == [0, 1, 2, 3]
    assert run(Flip(0.5, "h"), x, 0.4).ravel().tolist() == [2, 3, 0, 1]


def test_pad_crop_shifts_by_up_to_its_padding():
    x = np.arange(1, 5, dtype=np.uint8).reshape(1, 1, 2, 2)
    assert run(PadCrop(1), x, 0, 0).ravel().tolist() == [0, 0, 0, 1]
    assert run(PadCrop(1), x, 0.5, 0.5).ravel().tolist() == [1, 2, 3, 4]
    assert run(PadCrop(1), x, 0.99, 0.99).ravel().tolist() == [4, 0, 0, 0]


def test_normalize_reads_pixels_from_0_to_1():
    x = np.array([0, 255], np.uint8).reshape(1, 1, 1, 2)
    assert run(Normalize((0.5,), (0.25,)), x).ravel().tolist() == [-2, 2]


def test_channels():
    gray = np.full((1, 1, 1, 1), 7, np.uint8)
    assert run(Channels(3), gray).ravel().tolist() == [7, 7, 7]
    color = np.array([255, 0, 0], np.uint8).reshape(1, 3, 1, 1)
    assert run(Channels(1), color).ravel().tolist() == [76]  # 0.299 x 255, as Pillow's "L"
    x = images(1, (3, 9, 7))
    pillow = np.asarray(Image.fromarray(x[0].transpose(1, 2, 0)).convert("L"), int)
    assert np.abs(run(Channels(1), x)[0, 0].astype(int) - pillow).max() <= 1


def test_center_crop_and_fit():
    x = np.arange(20, dtype=np.uint8).reshape(1, 1, 4, 5)
    assert run(CenterCrop((2, 3)), x).ravel().tolist() == [6, 7, 8, 11, 12, 13]
    assert run(Fit((4, 4)), x).shape == (1, 1, 4, 4)
    assert np.array_equal(
        run(Fit((4, 4)), x), x[:, :, :, :4]
    )  # 5 columns, one too many: nothing is resampled


SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(
    SIDES,
    SIDES,
    st.sampled_from([np.uint8, np.float32]),
    st.sampled_from([1, 500, image_transforms.CHUNK_PIXELS]),
)
def test_resize_is_pillows_of_every_image_alone(old, new, kind, together):
    """Pillow may do rows before columns, which rounds bytes elsewhere."""
    x = images(3, (2, *old)).astype(kind)
    with mock.patch.object(image_transforms, "CHUNK_PIXELS", together):
        found = resample(x, new)
    assert found.dtype == kind
    rounding = 1 if kind == np.uint8 else 1e-4
    for n, c in np.ndindex(3, 2):
        alone = Image.fromarray(x[n, c]).resize(new[::-1], Image.Resampling.BILINEAR)
        assert np.abs(found[n, c] - np.asarray(alone, float)).max() <= rounding
        assert np.array_equal(found[n], resample(x[n : n + 1], new)[0])


def test_resize_of_float64_and_of_nothing():
    assert resample(np.zeros((1, 3, 4, 4)), (3, 3)).dtype == np.float32
    assert resample(np.zeros((0, 3, 4, 4), np.uint8), (3, 5)).shape == (0, 3, 3, 5)


def test_color_jitter_in_the_middle_changes_nothing():
    x = images(2, (3, 5, 5))
    y = ColorJitter(1, 1, 1, 0.5)(x, np.full((2, 4), 0.5))
    assert y == pytest.approx(x / 255, abs=1e-5)


def test_color_jitter_by_its_parts():
    x = np.array([0.2, 0.4, 0.6], np.float32).reshape(1, 3, 1, 1)
    assert run(ColorJitter(brightness=0.5), x, 1, 0.5, 0.5, 0.5).ravel() == pytest.approx([0.3, 0.6, 0.9])
    flat = run(ColorJitter(contrast=1), x, 0.5, 0, 0.5, 0.5)
    gray = float(0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6)
    assert flat.ravel() == pytest.approx([gray] * 3)
    assert run(ColorJitter(saturation=1), x, 0.5, 0.5, 0, 0.5).ravel() == pytest.approx([gray] * 3)
    turned = run(ColorJitter(hue=0.5), x, 0.5, 0.5, 0.5, 1).ravel()  # half a turn: the opposite color
    assert turned == pytest.approx(2 * gray - x.ravel(), abs=1e-4)


def test_random_erasing():
    x = np.ones((1, 2, 4, 4), np.float32)
    whole = RandomErasing(1.0, (1.0, 1.0), (1.0, 1.0), value=-1)
    assert (run(whole, x, 0, 0.5, 0, 0, 0) == -1).all()
    quarter = run(RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0)), x, 0, 0.5, 0.99, 0, 0)
    assert np.argwhere(quarter[0, 0] == 0).tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]
    assert (run(RandomErasing(0.5), x, 0, 0, 0, 0, 0.5) == 1).all()


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    interval,
    interval,
    st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
)
def test_a_window_lies_inside(height, width, scale, ratio, u):
    y0, y1, x0, x1 = window(height, width, scale, ratio, np.array(u))
    assert 0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width


# ---------------------------------------------------------------- the usual ones
def test_standard_takes_stored_images_to_the_network():
    train = Transform.standard(
        (3, 40, 30),
        (3, 32, 32),
        [0.5] * 3,
        [0.2] * 3,
        train=True,
        pad_crop=4,
        flip=0.5,
        jitter=0.2,
        erasing=0.1,
    )
    assert [step.word for step in train.steps] == [
        "fit",
        "pad_crop",
        "flip",
        "color_jitter",
        "normalize",
        "random_erasing",
    ]
    assert train.output((3, 40, 30)) == (3, 32, 32)
    plain = Transform.standard((3, 40, 30), (3, 32, 32), [0.5] * 3, [0.2] * 3, pad_crop=4, flip=0.5)
    assert [step.word for step in plain.steps] == ["fit", "normalize"] and not plain.random
    exact = Transform.standard((1, 32, 32), (1, 32, 32), [0.5], [0.2])
    assert [step.word for step in exact.steps] == ["normalize"]
    mixed = Transform.standard((1, 32, 32), (3, 32, 32), [0.5], [0.2], uniform=False)
    assert [step.word for step in mixed.steps] == ["fit", "normalize", "channels"]
    crop = Transform.standard(
        (3, 40, 30), (3, 8, 9), [0.5] * 3, [0.2] * 3, train=True, resized_crop=True, uniform=False
    )
    assert crop.steps[0] == RandomResizedCrop((8, 9))


@pytest.mark.parametrize(
    ("shape", "target", "mean"), [((3, 8, 8), (5, 8, 8), [0.5] * 3), ((3, 8, 8), (3, 8, 8), [0.5])]
)
def test_standard_refuses_channels_without_meaning(shape, target, mean):
    with pytest.raises(FormatError) as caught:
        Transform.standard(shape, target, mean, [0.2] * len(mean))
    five_parts(caught.value)


def test_images_of_several_sizes():
    mixed = [images(1, (3, 5, 9))[0], images(1, (3, 12, 4))[0]]
    transform = Transform.standard((3, 8, 8), (3, 8, 8), [0.5] * 3, [0.2] * 3, uniform=False)
    assert transform(mixed).shape == (2, 3, 8, 8)
    with pytest.raises(FormatError, match="differ in size") as caught:
        Transform((Normalize((0.5,) * 3, (0.2,) * 3),))(mixed)
    five_parts(caught.value)


# ---------------------------------------------------------------- at prediction
EVALUATION = Transform((Fit((8, 8)), Normalize((0.5,) * 3, (0.2,) * 3)))


@pytest.mark.parametrize(
    ("transform", "shape", "target", "said"),
    [
        (EVALUATION, (3, 8, 8), (3, 8, 8), ()),
        (EVALUATION, (3, 90, 70), (3, 8, 8), ()),  # its own resize
        (EVALUATION, (1, 8, 8), (3, 8, 8), ("gray repeated to every channel",)),
        (Transform((Normalize((0.5,), (0.2,)),)), (1, 30, 20), (1, 8, 8), ("30x20 resized to 8x8",)),
        (Transform((Normalize((0.5,), (0.2,)),)), (3, 8, 8), (1, 8, 8), ("color converted to gray",)),
        (
            Transform((CenterCrop((8, 8)), Normalize((0.5,), (0.2,)))),
            (1, 4, 4),
            (1, 8, 8),
            ("4x4 resized to 8x8",),
        ),
        (Transform((Normalize((0.5,), (0.2,)), Channels(3))), (1, 8, 8), (3, 8, 8), ()),
        (
            Transform((Normalize((0.5,), (0.2,)), Channels(3))),
            (3, 8, 8),
            (3, 8, 8),
            ("color converted to gray",),
        ),
    ],
)
def test_fit_to_says_what_it_adds(transform, shape, target, said):
    whole, notes = transform.fit_to(shape, target)
    assert whole.output(shape) == target
    assert whole(images(2, shape)).shape == (2, *target)
    assert notes == said


@pytest.mark.parametrize(
    ("transform", "shape", "target", "message"),
    [
        (Transform((Fit((8, 8)),)), (3, 8, 8), (3, 8, 8), "no mean and std"),
        (Transform(), (1, 8, 8), (1, 8, 8), "no mean and std"),
        (EVALUATION, (5, 8, 8), (3, 8, 8), "5 channels cannot become 3"),
        (EVALUATION, (3, 8, 8), (5, 8, 8), "channels"),
        (EVALUATION, (3, 8, 8), (3, 16, 12), "gives 8x8x3, but the network takes 16x12x3"),
    ],
)
def test_fit_to_refuses_what_nobody_recorded(transform, shape, target, message):
    with pytest.raises(FormatError, match=message) as caught:
        transform.fit_to(shape, target)
    five_parts(caught.value)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (None, FormatError, "no transformation is recorded"),
        ({}, FormatError, "no transformation is recorded"),
        (
            {"steps": [{"step": "normalyze", "mean": [0], "std": [1]}]},
            UnknownNameError,
            "no step 'normalyze'",
        ),
        ({"steps": [7]}, UnknownNameError, "no step None"),
        ({"steps": [{"step": ["flip"]}]}, UnknownNameError, "no step"),
        ({"steps": [{"step": "normalize", "mean": [0.5]}]}, FormatError, "normalize needs std"),
        ({"steps": [{"step": "normalize", "mean": [0.5], "std": [0.0]}]}, FormatError, "normalize by mean"),
        ({"steps": [{"step": "normalize", "mean": [], "std": []}]}, FormatError, "normalize by mean"),
        (
            {"steps": [{"step": "normalize", "mean": [float("nan")], "std": [1.0]}]},
            FormatError,
            "normalize by mean",
        ),
        ({"steps": [{"step": "flip", "probabilty": 0.5}]}, UnknownNameError, "no setting 'probabilty'"),
        ({"steps": [{"step": "flip", "probability": "often"}]}, FormatError, "'often' is not a float"),
        ({"steps": [{"step": "flip", "probability": 2}]}, FormatError, "flip with probability 2"),
        ({"steps": [{"step": "resize", "size": [8]}]}, FormatError, "is not a tuple"),
        ({"steps": [{"step": "resize", "size": [8, 0]}]}, FormatError, "resize to"),
        ({"steps": [{"step": "fit", "size": [True, 8]}]}, FormatError, "True is not an int"),
    ],
)
def test_a_record_that_does_not_hold_together(data, kind, message):
    with pytest.raises(StriateError, match=message) as caught:
        Transform.from_dict(data)
    assert type(caught.value) is kind
    five_parts(caught.value)


def test_steps_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Flip().probability = 1


@pytest.mark.parametrize("depth", [2, 3, 5000])
def test_inputs_have_no_inputs_of_their_own(depth):
    data = {"steps": []}
    for _ in range(depth):
        data = {"inputs": {"a": data}}
    with pytest.raises(FormatError, match="no transformation is recorded"):
        Transform.from_dict(data)
