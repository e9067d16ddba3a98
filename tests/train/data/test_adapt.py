"""Data for a trained model: the same classes under the same numbers, and the recorded transformation."""

import numpy as np
import pytest

from striate.diagnostics import FormatError
from striate.train.data import ArrayData, Transform, adapt_data, open_data
from striate.train.data.image_transforms import Fit, Normalize
from train.data.makers import encoded, five_parts, image_folder, picture

PLAIN = Transform((Normalize((0.5,) * 3, (0.2,) * 3),))


def test_what_fits_stays():
    data = ArrayData(np.zeros((4, 3, 8, 8)), [0, 1, 0, 1], ["cat", "dog"])
    for classes in ((), ("cat", "dog")):
        suited = adapt_data(data, PLAIN, (3, 8, 8), classes)
        assert suited.data is data and suited.transform == PLAIN and suited.notes == ()


def test_fewer_classes_get_the_models_numbers():
    data = ArrayData(np.arange(4 * 3 * 4).reshape(4, 3, 2, 2).astype(np.uint8), [0, 1, 1, 0], ["dog", "ant"])
    suited = adapt_data(data, PLAIN, (3, 2, 2), ("ant", "cat", "dog"))
    assert suited.data.labels.tolist() == [2, 0, 0, 2] and suited.data.classes == ("ant", "cat", "dog")
    assert next(suited.data.batches(4)).y.tolist() == [2, 0, 0, 2]
    assert np.array_equal(suited.data.image(3), data.image(3))
    assert suited.notes == ("2 classes numbered like the model's 3",)


def test_a_class_the_model_does_not_know():
    data = ArrayData(np.zeros((2, 3, 2, 2)), [0, 1], ["cats", "dog"])
    with pytest.raises(FormatError, match="has no class 'cats'") as caught:
        adapt_data(data, PLAIN, (3, 2, 2), ("cat", "dog"))
    assert "did you mean cat?" in five_parts(caught.value)


def test_images_of_several_sizes_are_resized_and_said(tmp_path):
    image_folder(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "wide.png").write_bytes(encoded(picture(1, (5, 20))))
    data = open_data(tmp_path, "all")
    suited = adapt_data(data, PLAIN, (3, 8, 8), ("a", "b"))
    assert suited.transform.steps[0] == Fit((8, 8))
    assert suited.notes == ("images of several sizes resized to 8x8",)
    assert sum(len(batch.y) for batch in suited.data.batches(3, transform=suited.transform)) == 7
    own = Transform((Fit((8, 8)), *PLAIN.steps))
    assert adapt_data(data, own, (3, 8, 8)).notes == ()


def test_missing_mean_and_std():
    with pytest.raises(FormatError, match="no mean and std") as caught:
        adapt_data(ArrayData(np.zeros((2, 3, 2, 2)), [0, 1]), Transform(), (3, 2, 2))
    five_parts(caught.value)
