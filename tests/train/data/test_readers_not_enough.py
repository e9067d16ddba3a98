"""Data with too little in it, in words that fit what it has."""

import numpy as np
import pytest

import striate
from striate.diagnostics import FormatError, TrainingError

NET = striate.parse("8x8x3 -> gap -> flatten -> fc 3")
X, Y = np.zeros((1, 3, 8, 8), np.uint8), np.array([2])


def test_one_image():
    with pytest.raises(TrainingError, match="the only image is of one class"):
        striate.Model(NET).fit(X, Y)


def test_arrays_of_several_inputs_by_bare_names(tmp_path):
    np.savez(tmp_path / "two.npz", left=X, right=X, y=Y)
    with pytest.raises(FormatError, match="no images with labels") as error:
        striate.Model(NET).fit(tmp_path / "two.npz")
    assert "x_left, x_right and y" in error.value.fix
