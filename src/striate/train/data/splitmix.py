"""Random numbers that depend only on a key: the same words give the same order and the same draws, on any thread.

A counter-based generator (splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014),
so that a sample's draws depend neither on the samples before it nor on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError

Keys = NDArray[np.uint64]
Seed = np.random.Generator | int | Sequence[int] | None

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key_of(seed: Seed) -> int:
    """One 64-bit key: drawn from a generator, or mixed from an int or several ((seed, epoch)). None is 0."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    words: Sequence[int] = () if seed is None else (seed,) if isinstance(seed, int | np.integer) else seed
    key = np.zeros(1, np.uint64)
    for word in words:
        if not isinstance(word, int | np.integer):
            raise UsageError(
                f"a seed consists of whole numbers (got {word!r})",
                where="rng",
                fix="such as rng=(seed, epoch)",
            )
        key = _mix(key, np.array([int(word) % 2**64], np.uint64))
    return int(key[0])


def keys(key: int, ids: NDArray[Any]) -> Keys:
    """One key per sample. ids: (N,)."""
    return _mix(np.full(len(ids), key, np.uint64), np.asarray(ids).astype(np.uint64))


def uniform(sample_keys: Keys, place: int, count: int) -> NDArray[np.float64]:
    """(N, count) numbers in [0, 1): each sample's own draws for the transformation step at `place`."""
    counters = np.arange(count, dtype=np.uint64) + np.uint64(place << 16)
    bits = _mix(sample_keys[:, None], counters[None, :])
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53, np.float64)


def order(key: int, count: int) -> NDArray[np.int64]:
    """A permutation of `count` samples."""
    return np.argsort(keys(key, np.arange(count)), kind="stable").astype(np.int64)


def _mix(state: Keys, word: Keys) -> Keys:
    """Mix a word into a state; arrays wrap around at 64 bits without a warning."""
    z = _scramble(state + _GOLDEN) ^ word
    return _scramble(z + _GOLDEN)


def _scramble(z: Keys) -> Keys:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
