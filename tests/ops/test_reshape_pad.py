"""Padding adds channels as well as rows and columns; numpy's pad is the second opinion."""

import numpy as np

from striate.engine.numpy_ import reference
from striate.network import Builder
from striate.ops.reshape import Pad


def test_new_channels_are_zeros_around_the_old_ones():
    b = Builder("padded", input=(2, 3, 3))
    net = b.build(b(Pad(1, channels=(1, 2)), b.input, name="pad"))
    x = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3)
    y = reference.predict(net, x, {})["pad"]
    assert np.array_equal(y, np.pad(x, ((0, 0), (1, 2), (1, 1), (1, 1))))
