"""Argument records of step kernels: 64-bit slots that hold addresses, byte strides, counts, or two float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def record(
    size: int, numbers: Mapping[int, int], floats: Mapping[int, float] | None = None
) -> NDArray[np.int64]:
    """A record of `size` bytes with whole numbers and float32 at these byte offsets."""
    fields = np.zeros(size // 8, np.int64)
    for offset, number in numbers.items():
        fields[offset // 8] = number
    for offset, value in (floats or {}).items():
        fields.view(np.float32)[offset // 4] = value
    return fields
