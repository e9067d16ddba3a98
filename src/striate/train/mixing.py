"""Mixup and cutmix: two images in one, and a target with the share of each.

One generator draws all random numbers, so that a batch is mixed the same way when it is read again.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Strength of each (0: off), the parameter of a Beta distribution. If both are on, one is drawn for each batch.

    Sources: Zhang et al., arXiv 1710.09412 (mixup); Yun et al., arXiv 1905.04899 (cutmix).
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, x: Array, targets: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """x: (N, C, H, W); targets: (N, C) soft. Returns new arrays of the same shapes."""
        cut = self.cutmix > 0 and (self.mixup <= 0 or bool(rng.random() < 0.5))
        share = float(rng.beta(self.cutmix, self.cutmix) if cut else rng.beta(self.mixup, self.mixup))
        partner = rng.permutation(len(x))
        if cut:
            mixed, share = _paste(x, x[partner], share, rng)
        else:
            mixed = (share * x + (1 - share) * x[partner]).astype(x.dtype, copy=False)
        return mixed, (share * targets + (1 - share) * targets[partner]).astype(targets.dtype, copy=False)


def _paste(x: Array, other: Array, share: float, rng: np.random.Generator) -> tuple[Array, float]:
    """A box of the other image over each; returns the share of the first image that is left."""
    height, width = x.shape[-2:]
    side = math.sqrt(1 - share)
    y0, y1 = _span(height, side, rng)
    x0, x1 = _span(width, side, rng)
    mixed = x.copy()
    mixed[..., y0:y1, x0:x1] = other[..., y0:y1, x0:x1]
    return mixed, 1 - (y1 - y0) * (x1 - x0) / (height * width)


def _span(size: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """A range around a random center, clipped at the border."""
    center, half = int(rng.integers(size)), int(size * share) / 2
    return max(0, math.floor(center - half)), min(size, math.floor(center + half))
