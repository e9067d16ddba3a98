"""The learning-rate finder: a short training with a growing rate shows where the loss falls fastest.

Works on a copy of the weights. Source: Smith, arXiv 1506.01186, section 3.3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np

from striate.engine.interface import Engine
from striate.engine.process_group import SINGLE_PROCESS
from striate.engine.registry import get_engine
from striate.network import Network
from striate.train.array_learner import make_learner
from striate.train.data import Batch, Dataset, Transform
from striate.train.data_source import Source, make_transforms, sources
from striate.train.losses import Array
from striate.train.schedules import Schedule, Span
from striate.train.settings import Settings
from striate.train.setup import TrainingSetup, set_up_training
from striate.train.state import State
from striate.train.update import NotFinite, groups, update

SMOOTHING = 0.9
"""Decay of the moving average of the losses (bias corrected)."""
DIVERGED_LOSS_RATIO = 4.0
"""The search ends when the smoothed loss exceeds this multiple of the best."""


@dataclasses.dataclass(frozen=True)
class RateCurve:
    """rates and losses of the updates; smoothed: the losses' moving average; suggestion: None if the loss did not fall.

    steepest: where the smoothed loss falls fastest; lowest: where it is smallest.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    lowest: float

    @property
    def suggestion(self) -> float | None:
        """The rate of the steepest fall, with two significant digits; at most a third of that with the lowest loss."""
        if self.steepest is None:
            return None
        return float(f"{min(self.steepest, self.lowest / 3):.2g}")


class _Growing(Schedule):
    """From lr to final_lr by equal factors."""

    word = "growing"

    def _rate(self, update: int) -> float:
        share = update / max(self.span.updates - 1, 1)
        return self.lr * float((self.final_lr / self.lr) ** share)


def find_rate(
    net: Network,
    weights: Mapping[str, Array],
    train: Dataset,
    settings: Settings | None = None,
    *,
    engine: str | Engine = "auto",
    transforms: tuple[Transform, Transform] | None = None,
    low: float = 1e-6,
    high: float = 1.0,
    updates: int = 100,
) -> RateCurve:
    """The curve of loss by learning rate, from `low` to `high` in `updates` steps. The weights do not change."""
    settings = (settings or Settings()).resolved
    source, _ = sources(train, None, transforms or make_transforms(net, train, settings), settings)
    setup = set_up_training(net, settings, source, None)
    state = State.fresh(setup, {name: array.copy() for name, array in weights.items()})
    state.schedule = _Growing(Span(1, updates), low, high)
    learner = make_learner(setup, state, get_engine(engine), SINGLE_PROCESS)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    for group in groups(_endless(setup, source, state), settings.accumulate):
        try:
            step = update(setup, state, learner, group)
        except NotFinite:
            break
        rates.append(step.lr)
        losses.append(step.loss)
        average = SMOOTHING * average + (1 - SMOOTHING) * step.loss
        smoothed.append(average / (1 - SMOOTHING ** len(losses)))
        if len(losses) == updates or smoothed[-1] > DIVERGED_LOSS_RATIO * min(smoothed):
            break
    return RateCurve(tuple(rates), tuple(losses), tuple(smoothed), *_read(rates, smoothed))


def _endless(setup: TrainingSetup, source: Source, state: State) -> Iterator[Batch]:
    while True:
        yield from source.epoch(state.epoch)
        state.epoch += 1


def _read(rates: list[float], smoothed: list[float]) -> tuple[float | None, float]:
    """Rates of the steepest fall and of the smallest loss."""
    if len(rates) < 3:
        return None, rates[-1] if rates else math.nan
    lowest = int(np.argmin(smoothed))
    slopes = np.gradient(smoothed, np.log(rates))[: lowest + 1]
    steepest = int(np.argmin(slopes))
    return (rates[steepest] if slopes[steepest] < 0 else None), rates[lowest]
