"""Numbers of a network that are no numbers: refused before anything is derived from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import OpError

Array = NDArray[Any]


def finite(responses: Array, value: str) -> Array:
    """Responses of a value. Raises OpError if they are not finite.

    >>> finite(np.ones(2), "conv1")
    array([1., 1.])
    """
    if not np.isfinite(responses).all():
        raise OpError(
            f"{value} responds with numbers that are not finite",
            why="weights of the network are not finite, or too large",
            fix="take a network with other weights",
        )
    return responses
