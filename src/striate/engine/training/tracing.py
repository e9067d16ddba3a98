"""Permutation from a unit's parameters to its packed constants, traced from the function that packs them.

Such functions move numbers and never compute with them. Each is run on arrays whose numbers are their own indices.

Only constants that no kernel packs come here: depthwise, grouped and planar weights, and biases. Their functions are a
few lines of numpy (reshape, transpose, pad), which this reads as they stand. A mapping that inference evaluates would
be the same lines on arrays of indices, and a gather instead of one copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.plan.units import Unit

Array = NDArray[Any]

MAX_TRACED_NUMBERS = 1 << 23
"""Integers up to twice this are exact in float32."""


def trace_permutation(unit: Unit, names: list[str], make: Callable[[], Array]) -> dict[str, Array]:
    """The pairs (from, to), int32, of the numbers of each parameter of a unit in a packed constant.

    Raises OverflowError if the parameters have too many numbers.
    """
    weights, places, end = unit.weights, {}, 1
    for name in names:
        places[name] = end
        end += weights[name].size
    if end > MAX_TRACED_NUMBERS:
        raise OverflowError(f"{end} numbers")
    once, twice = (_pack_indices(unit, weights, places, factor, make) for factor in (1, 2))
    (to,) = np.nonzero(once != twice)  # the others come from no parameter
    source = once[to].astype(np.int64)
    pairs = {}
    for name, first in places.items():
        inside = (source >= first) & (source < first + weights[name].size)
        pairs[name] = np.stack([source[inside] - first, to[inside]], 1).astype(np.int32)
    return pairs


def _pack_indices(
    unit: Unit, weights: dict[str, Array], places: dict[str, int], factor: int, make: Callable[[], Array]
) -> Array:
    numbered = {
        name: (factor * np.arange(first, first + weights[name].size))
        .astype(np.float32)
        .reshape(weights[name].shape)
        for name, first in places.items()
    }
    try:
        unit.weights = weights | numbered
        return np.array(make(), np.float32).reshape(-1)
    finally:
        unit.weights = weights
