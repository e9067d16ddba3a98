"""Properties of an op that hold for every input: declared in the class of the op, verified by a test.

`tests/registry/test_traits.py` computes each trait from the op's statements, so that a wrong or missing one is found. A
trait that follows from another one is part of it: ``Trait.KEEPS_SIGN in Trait.NOT_NEGATIVE``. Test with ``in``.
"""

from __future__ import annotations

import enum


class Trait(enum.Flag):
    """Properties of an op, as it acts at inference unless it says otherwise; x is its input, y its output."""

    NONE = 0
    LINEAR = 1
    """Affine: f(x) + f(z) = f(x + z) + f(0)."""
    KEEPS_SIGN = 2
    """y >= 0 if all inputs are >= 0."""
    CHANNELWISE = 4
    """A channel of the output reads only the same channel of the one input."""
    ACTIVATION = 8 | CHANNELWISE
    """An elementwise nonlinear function that is used between linear layers."""
    FUNCTION = 16 | CHANNELWISE
    """An elementwise nonlinear function that is arithmetic, not an activation."""
    NOT_NEGATIVE = 32 | KEEPS_SIGN
    """y >= 0 for every x."""
    KEEPS_POSITIVE = 64 | KEEPS_SIGN
    """y = x for every x >= 0."""
    VIEW = 128 | LINEAR | KEEPS_SIGN
    """The same elements in the same memory order, possibly with another shape (a view)."""
    TRANSPARENT = 256 | VIEW | KEEPS_POSITIVE | CHANNELWISE
    """y = x."""
    WEIGHTED_SUM = 512 | LINEAR
    """Each output is a sum of inputs times learned weights: convolutions and fully connected layers."""
    CONVOLUTION = 1024 | WEIGHTED_SUM
    """A weighted sum under a window that slides over the input."""
    NORMALIZATION = 2048
    """Subtracts the mean of its input and divides by the standard deviation, in training; `Op.averaged` gives the axes.
    """
    WHOLE_BATCH = 4096
    """In training an image's output depends on the other images of its batch."""
    RANDOM = 65536
    """Draws random numbers in training."""
    DISTRIBUTION = 8192 | NOT_NEGATIVE
    """y sums to 1 along one axis; log(y) is x plus a constant along that axis."""
    LOG_DISTRIBUTION = 16384
    """The logarithm of a distribution."""
    LOGISTIC = 32768 | NOT_NEGATIVE
    """An independent probability: log(y / (1 - y)) = x."""
