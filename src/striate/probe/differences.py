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

    low, high: its 95 % interval, which holds 0 if the network may be one of its controls. It ends
    where the measure does.
    """

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the interval lies above or below 0, else 0: no difference is shown."""
        return int(self.low > 0) - int(self.high < 0)


def differences(
    nodes: Sequence[tuple[Array, Sequence[Array]]],
    seed: int = 0,
    least: float = -math.inf,
    most: float = math.inf,
) -> tuple[Difference | None, list[Difference | None]]:
    """The mean difference over the nodes, and that of each node; None where a group has no number.

    nodes: for each the numbers of a network's units (n,), and those of each control network. The question is whether
    the network may be one of its controls: units of one network are no independent draws, so the interval is that in
    which a further control would lie (Student's t over the control networks that have a number), as far as a number
    from `least` to `most` can. A single control says nothing about the spread: its interval is all that is possible.
    """
    draw = np.random.default_rng(seed)
    networks = max((len(controls) for _, controls in nodes), default=0)
    turns = draw.standard_normal((SAMPLES, networks))
    roots: dict[int, Array] = {}  # of chi-squares by their degrees of freedom
    values, draws, limits = [], [], []
    for own, controls in nodes:
        medians = np.array([_median(units) for units in controls])
        held = np.flatnonzero(np.isfinite(medians))  # a silent control says nothing about the spread
        if not len(own) or not len(held):
            values.append(np.nan)
            draws.append(np.full(SAMPLES, np.nan))
            limits.append((np.nan, np.nan))
            continue
        freedom, mean = len(held) - 1, float(medians[held].mean())
        values.append(_median(own) - mean)
        limits.append((_median(own) - most, _median(own) - least))
        if not freedom:
            draws.append(np.full(SAMPLES, np.nan))
            continue
        if freedom not in roots:
            roots[freedom] = np.sqrt(draw.chisquare(freedom, (SAMPLES, 1)))
        spread = turns[:, held] / roots[freedom] @ (medians[held] - mean) * math.sqrt(1 + 1 / len(held))
        draws.append(values[-1] + spread)
    found = [_interval(*one) for one in zip(values, draws, limits)]
    known = [k for k, one in enumerate(found) if one is not None]
    if not known:
        return None, found
    value, some, ends = (np.array(of)[known].mean(axis=0) for of in (values, draws, limits))
    return _interval(float(value), some, ends), found


def _median(units: Array) -> float:
    return float(np.median(units)) if len(units) else float("nan")


def _interval(value: float, draws: Array, limits: Sequence[float] | Array) -> Difference | None:
    """draws: nan where the spread is unknown; limits: the least and the largest difference that is possible."""
    if not np.isfinite(value):
        return None
    low, high = limits
    if np.isfinite(draws).all():
        low, high = np.clip(np.quantile(draws, [(1 - SHARE) / 2, (1 + SHARE) / 2]), low, high)
    return Difference(float(value), float(low), float(high))
