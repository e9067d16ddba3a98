"""Noise by counting: Philox4x32-10, whose numbers depend on a key and on their own place, and on nothing before them.

So any thread may draw any part, and all engines that draw by this rule see the same noise: the numpy engine here, the
compiled one in `kernels/chance.py`. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
3", SC 2011, https://doi.org/10.1145/2063384.2063405.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.kernels.chance import COUNTERS, GROUP, MULTIPLIERS, ROUNDS, STEPS, factor, threshold
from striate.op import Noise

Array = NDArray[Any]

WORD = 0xFFFFFFFF


def philox(counter: Sequence[Any], key: tuple[int, int]) -> list[Array]:
    """Four random words for every counter of four words; all are arrays of 32-bit numbers, as uint64."""
    low = np.uint64(WORD)
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    first, second = key
    for _ in range(ROUNDS):
        p, q = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b, c, d = (
            (q >> np.uint64(32)) ^ b ^ np.uint64(first), q & low,
            (p >> np.uint64(32)) ^ d ^ np.uint64(second), p & low,
        )  # fmt: skip
        first, second = (first + STEPS[0]) & WORD, (second + STEPS[1]) & WORD
    return [a, b, c, d]


def key(rng: np.random.Generator) -> tuple[int, int]:
    """The key of one forward run."""
    first, second = rng.integers(1 << 32, size=2).tolist()
    return first, second


def noise(wanted: Noise, key: tuple[int, int], place: int) -> NDArray[np.float32]:
    """The tensor, in its shape. place: how many were drawn before it in the same run, in the nodes' order."""
    count = math.prod(wanted.shape)
    groups = -(-count // GROUP)
    counter = np.arange(groups * COUNTERS, dtype=np.uint64)
    words = philox((counter & np.uint64(WORD), counter >> np.uint64(32), np.uint64(place), np.uint64(0)), key)
    drawn = np.stack([word.reshape(groups, COUNTERS) for word in words], 1).reshape(-1)[:count]
    kept = (drawn >> np.uint64(8)) >= np.uint64(threshold(wanted.rate))
    return np.where(kept, np.float32(factor(wanted.rate)), np.float32(0)).reshape(wanted.shape)
