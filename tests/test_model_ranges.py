"""Arrays on another scale than those of the training."""

import warnings

import numpy as np
import pytest

from test_model_inputs import images, trained  # noqa: F401 (a fixture)


def test_numbers_of_another_range_are_warned_of(trained):  # noqa: F811
    """0..255 as fractions of 1 gives sure and wrong answers; dark, bright and constant images are answered quietly."""
    x, y = images(12, 3)
    for ask in (trained.predict, trained.classify, lambda batch: trained.evaluate((batch, y))):
        with pytest.warns(UserWarning, match="of the training|of its training"):
            ask(x.astype(np.float32))
    quiet = [x / np.float32(255), x, np.zeros((1, 3, 8, 8), np.float32), np.ones((2, 3, 8, 8), np.float32)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for batch in quiet:
            trained.predict(batch)
