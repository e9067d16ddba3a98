"""The moving average of the weights: often better than the weights themselves, for one copy in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.update_rules import MOVING_AVERAGE

Array = NDArray[Any]


class MovingAverage:
    """a ← d·a + (1-d)·w after every step, running statistics included. still: names of constants.

    The decay grows as (1 + step)/(10 + step) up to `decay`, so that the first weights are soon forgotten.
    Source: Polyak & Juditsky, SIAM J. Control Optim. 1992; Tan & Le, arXiv 1905.11946 (the ramp is TensorFlow's).
    """

    def __init__(self, weights: Mapping[str, Array], decay: float, still: Collection[str] = ()) -> None:
        self.ema = decay
        self.weights = {name: array.copy() for name, array in weights.items()}
        self._still = frozenset(still)

    @property
    def moving(self) -> dict[str, Array]:
        """The averages that change."""
        return {name: array for name, array in self.weights.items() if name not in self._still}

    def update(self, weights: Mapping[str, Array], step: int) -> None:
        """Update the average with the weights after update number `step` (from 1)."""
        settings = MOVING_AVERAGE.settings(self, step=step)
        for name, average in self.moving.items():
            if np.issubdtype(average.dtype, np.floating):
                arrays = {"average": average, "weight": weights[name]}
                average[...] = MOVING_AVERAGE.evaluate(arrays, settings)["average"]
            else:
                average[...] = weights[name]
