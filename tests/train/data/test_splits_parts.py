"""One scale and one list of classes for a set, whatever its parts are: on paper, and over generated sets."""

import numpy as np
import pytest

import striate as st
from generators import parts
from striate.diagnostics import FormatError
from striate.train.data import open_data
from train.data.makers import five_parts


def test_a_dark_part_is_read_as_dark():
    train = np.full((6, 4, 4), 60_000, np.uint16)
    test = np.full((2, 4, 4), 199, np.uint16)
    data = open_data({"train": (train, [0, 1] * 3), "test": (test, [0, 1])}, holdout=0)
    assert data.train.image(0).max() == np.float32(60_000 / 65_535)
    assert data.test.image(0).max() == np.float32(199 / 65_535)
    assert data.train.white == data.test.white == 65_535


def test_a_class_that_one_part_lacks_is_told_of():
    x = np.zeros((4, 3, 3), np.uint8)
    data = open_data({"train": (x, [0, 1, 2, 9]), "test": (x, [0, 1, 2, 2])}, holdout=0)
    assert data.train.classes == data.test.classes == tuple("0123456789")


@pytest.mark.parametrize("seed", range(40))
def test_parts_are_those_of_the_whole_set(seed):
    assert parts.trial(seed) is None


@pytest.mark.parametrize(
    ("train", "test", "why"),
    [
        (np.full((2, 3, 3), 200, np.uint8), np.full((2, 3, 3), 1000, np.uint16), "one part is uint8"),
        (np.full((2, 3, 3), 200.0), np.full((2, 3, 3), 200, np.uint8), "fractions up to 200"),
    ],
)
def test_parts_on_different_scales_are_refused(train, test, why):
    with pytest.raises(FormatError, match="different scales") as caught:
        open_data({"train": (train, [0, 1]), "test": (test, [0, 1])}, holdout=0)
    assert why in five_parts(caught.value)


def test_fractions_and_bytes_are_one_scale():
    data = open_data({"train": (np.ones((2, 3, 3)), [0, 1]), "test": (np.full((2, 3, 3), 255, np.uint8), [0, 1])},
                     holdout=0)  # fmt: skip
    assert [next(part.batches(1)).x.max() for part in (data.train, data.test)] == [1, 1]


def dark_and_bright():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    bright = (rng.integers(0, 60_000, (40, 1, 8, 8)) // (1 + 3 * y[:, None, None, None])).astype(np.uint16)
    return bright, y, bright[:10] // 300


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_data_that_comes_later_is_read_as_the_training_data(dtype):
    """Validation and test arrays of their own, darker than 255: as the fractions that they stand for."""
    bright, y, dark = dark_and_bright()
    shares = (dark / np.float32(65_535)).astype(np.float32)
    losses = []
    for validation in ((dark.astype(dtype), y[:10]), (shares, y[:10])):
        model = st.Model(st.parse("8x8x1 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2"), engine="numpy")
        history = model.fit((bright, y), validation, epochs=1, batch_size=20)
        losses.append(history["loss"])
        judged = [model.evaluate((x, y[:10])).loss for x in (dark.astype(dtype), shares)]
        assert judged[0] == judged[1]
    assert losses[0] == losses[1]


def test_later_data_beyond_the_scale_of_the_training_is_refused():
    bright, y, dark = dark_and_bright()
    with pytest.raises(FormatError, match="pixels above 255") as caught:
        open_data((bright, y), "all", white=255)
    five_parts(caught.value)
    assert open_data((dark.astype(np.uint8), y[:10]), "all", white=65_535).image(0).dtype == np.uint8
