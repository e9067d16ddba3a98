"""Counter-based random numbers: Philox4x32-10. A number depends only on a key and its position.

Any thread may therefore draw any part, and all engines draw the same noise: the numpy engine here, the compiled one in
`kernels/dropout_mask.py`. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
2011, https://doi.org/10.1145/2063384.2063405.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels.dropout_mask import (
    GROUP_COUNTERS,
    GROUP_NUMBERS,
    KEY_STEPS,
    MULTIPLIERS,
    PHILOX_ROUNDS,
    factor,
    threshold,
)
from striate.op import Noise

Array = NDArray[Any]

WORD = 0xFFFFFFFF


def philox(counter: Sequence[Any], key: tuple[int, int]) -> list[Array]:
    """Four random words per counter of four words. All are arrays of 32-bit numbers, stored as uint64."""
    low = np.uint64(WORD)
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    first, second = key
    for _ in range(PHILOX_ROUNDS):
        p, q = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b, c, d = (
            (q >> np.uint64(32)) ^ b ^ np.uint64(first), q & low,
            (p >> np.uint64(32)) ^ d ^ np.uint64(second), p & low,
        )  # fmt: skip
        first, second = (first + KEY_STEPS[0]) & WORD, (second + KEY_STEPS[1]) & WORD
    return [a, b, c, d]


def draw_key(rng: np.random.Generator) -> tuple[int, int]:
    """Draw the key of one forward pass."""
    first, second = rng.integers(1 << 32, size=2).tolist()
    return first, second


def noise(spec: Noise, key: tuple[int, int], place: int) -> NDArray[np.float32]:
    """Draw a noise tensor. place: number of noise tensors drawn before it in this pass, in the nodes' order."""
    count = math.prod(spec.shape)
    groups = -(-count // GROUP_NUMBERS)
    counter = np.arange(groups * GROUP_COUNTERS, dtype=np.uint64)
    words = philox((counter & np.uint64(WORD), counter >> np.uint64(32), np.uint64(place), np.uint64(0)), key)
    values = np.stack([word.reshape(groups, GROUP_COUNTERS) for word in words], 1).reshape(-1)[:count]
    keep = (values >> np.uint64(8)) >= np.uint64(threshold(spec.rate))
    return np.where(keep, np.float32(factor(spec.rate)), np.float32(0)).reshape(spec.shape)
