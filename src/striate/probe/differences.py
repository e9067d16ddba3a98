"""Is one group of units larger in a measure than its controls? A difference of medians, and its interval.

A single number of a trained network says little: filters without any training have some selectivity too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SAMPLES = 4000
"""Draws behind an interval."""
SHARE = 0.95
"""Of the draws that the interval holds."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Median of a network's units minus that of its controls, which is the mean over the control networks.

    low, high: its 95 % interval, which holds 0 if the network may be one of its controls.
    """

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the interval lies above or below 0, else 0: no difference is shown."""
        return int(self.low > 0) - int(self.high < 0)


def differences(
    nodes: Sequence[tuple[Array, Sequence[Array]]], seed: int = 0
) -> tuple[Difference | None, list[Difference | None]]:
    """The mean difference over the nodes, and that of each node; None where a group has no number.

    nodes: for each the numbers of a network's units (n,), and those of each control network. The question is whether
    the network may be one of its controls: units of one network are no independent draws, so the interval is that in
    which a further control would lie (Student's t over the control networks that have a number). A single control has
    no spread; its units and those of the network are drawn again instead (Efron 1979).
    """
    draw = np.random.default_rng(seed)
    networks = max((len(controls) for _, controls in nodes), default=0)
    turns = draw.standard_normal((SAMPLES, networks))
    roots: dict[int, Array] = {}  # of chi-squares by their degrees of freedom
    values, draws = [], []
    for own, controls in nodes:
        medians = np.array([_median(units) for units in controls])
        held = np.flatnonzero(np.isfinite(medians))  # a silent control says nothing about the spread
        if not len(own) or not len(held):
            values.append(np.nan)
            draws.append(np.full(SAMPLES, np.nan))
            continue
        freedom, mean = len(held) - 1, float(medians[held].mean())
        values.append(_median(own) - mean)
        if freedom > 0:
            if freedom not in roots:
                roots[freedom] = np.sqrt(draw.chisquare(freedom, (SAMPLES, 1)))
            spread = turns[:, held] / roots[freedom] @ (medians[held] - mean) * math.sqrt(1 + 1 / len(held))
        else:
            spread = _resampled(own, draw) - _median(own) - (_resampled(controls[held[0]], draw) - mean)
        draws.append(values[-1] + spread)
    found = [_interval(value, some) for value, some in zip(values, draws)]
    known = [k for k, one in enumerate(found) if one is not None]
    if not known:
        return None, found
    return _interval(
        float(np.mean([values[k] for k in known])), np.mean([draws[k] for k in known], axis=0)
    ), found


def _median(units: Array) -> float:
    return float(np.median(units)) if len(units) else float("nan")


def _resampled(units: Array, draw: np.random.Generator) -> Array:
    """Medians of units that were drawn again, as often as there are samples."""
    if not len(units):
        return np.full(SAMPLES, np.nan)
    medians: Array = np.median(units[draw.integers(len(units), size=(SAMPLES, len(units)))], axis=1)
    return medians


def _interval(value: float, draws: Array) -> Difference | None:
    if not np.isfinite(value):
        return None
    low, high = np.quantile(draws, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Difference(float(value), float(low), float(high))
