"""Learning-rate schedules. One class per curve; time is counted in updates, so that curves are smooth.

A schedule is a function of the update's number, except Plateau, which also depends on the epochs' scores; its state
(`saved_state`) is part of a checkpoint.
"""

from __future__ import annotations

import abc
import bisect
import dataclasses
import math
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True)
class Span:
    """Length of training: epochs, updates per epoch, and updates of the warm-up."""

    epochs: int
    updates_per_epoch: int
    warmup: int = 0

    @property
    def updates(self) -> int:
        return self.epochs * self.updates_per_epoch


class Schedule(abc.ABC):
    """Base of the curves. lr: the highest rate; final_lr: where a falling curve ends."""

    word: ClassVar[str]

    def __init__(self, span: Span, lr: float, final_lr: float = 0.0) -> None:
        self.span, self.lr, self.final_lr = span, lr, final_lr

    def rate(self, update: int) -> float:
        """Learning rate of an update, counted from 0: a straight rise during the warm-up, then the curve."""
        if update < self.span.warmup:
            return self.lr * (update + 1) / self.span.warmup
        return self._rate(update)

    @abc.abstractmethod
    def _rate(self, update: int) -> float:
        """The curve after its warm-up."""

    def momentum(self, update: int) -> float | None:
        """Momentum of an update; None if the schedule does not change it."""
        return None

    def epoch_done(self, score: float) -> None:
        """Record the score of an epoch; larger is better."""
        return

    @property
    def saved_state(self) -> dict[str, Any]:
        """State that does not follow from the update's number, in plain values."""
        return {}

    @saved_state.setter
    def saved_state(self, values: dict[str, Any]) -> None:
        """Restore a saved state."""
        return

    def _progress(self, update: int) -> float:
        """Share of the updates after the warm-up that are done, 0 to 1."""
        length = self.span.updates - self.span.warmup
        return min((update - self.span.warmup) / length, 1.0) if length > 0 else 1.0


class Constant(Schedule):
    """The same rate throughout."""

    word = "constant"

    def _rate(self, update: int) -> float:
        return self.lr


class StepDecay(Schedule):
    """The rate times `gamma` at every milestone, given in epochs; without milestones at 50 % and 75 % of the epochs.

    Source: He et al., arXiv 1512.03385, section 4.2.
    """

    word = "step"

    def __init__(
        self,
        span: Span,
        lr: float,
        final_lr: float = 0.0,
        gamma: float = 0.1,
        milestones: tuple[float, ...] = (),
    ) -> None:
        super().__init__(span, lr, final_lr)
        self.gamma = gamma
        epochs = sorted(milestones) or [span.epochs * 0.5, span.epochs * 0.75]
        self.milestones = [round(epoch * span.updates_per_epoch) for epoch in epochs]

    def _rate(self, update: int) -> float:
        return self.lr * float(self.gamma ** bisect.bisect_right(self.milestones, update))


class Cosine(Schedule):
    """Half a cosine from the rate down to `final_lr`. Source: Loshchilov & Hutter, arXiv 1608.03983."""

    word = "cosine"

    def _rate(self, update: int) -> float:
        return _glide(self.lr, self.final_lr, self._progress(update))


class OneCycle(Schedule):
    """Up from lr/25 for 30 % of the updates, down to lr/250,000 for the rest, in half cosines; momentum mirrors it.

    Source: Smith & Topin, arXiv 1708.07120, with the numbers of torch.optim.lr_scheduler.OneCycleLR. Has its own
    warm-up.
    """

    word = "onecycle"
    START, END, RISE = 1 / 25, 1 / 250_000, 0.3
    MOMENTA = (0.95, 0.85)

    def __init__(self, span: Span, lr: float, final_lr: float = 0.0) -> None:
        super().__init__(dataclasses.replace(span, warmup=0), lr, final_lr)

    def _phase(self, update: int) -> tuple[bool, float]:
        """Whether the rate still rises, and the share of that phase."""
        top, last = self.RISE * self.span.updates - 1, self.span.updates - 1
        if update <= top:
            return True, update / top if top > 0 else 1.0
        return False, min((update - top) / (last - top), 1.0) if last > top else 1.0

    def _rate(self, update: int) -> float:
        rising, share = self._phase(update)
        start, end = self.lr * self.START, self.final_lr or self.lr * self.END
        return _glide(start, self.lr, share) if rising else _glide(self.lr, end, share)

    def momentum(self, update: int) -> float | None:
        rising, share = self._phase(update)
        high, low = self.MOMENTA
        return _glide(high, low, share) if rising else _glide(low, high, share)


class Plateau(Schedule):
    """The rate times `gamma` whenever `patience` epochs in a row were no better than the best so far."""

    word = "plateau"

    def __init__(
        self, span: Span, lr: float, final_lr: float = 0.0, gamma: float = 0.1, patience: int = 5
    ) -> None:
        super().__init__(span, lr, final_lr)
        self.gamma, self.patience = gamma, patience
        self.factor, self.best, self.waited = 1.0, -math.inf, 0

    def _rate(self, update: int) -> float:
        return max(self.lr * self.factor, self.final_lr)

    def epoch_done(self, score: float) -> None:
        if score > self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.factor, self.waited = self.factor * self.gamma, 0

    @property
    def saved_state(self) -> dict[str, Any]:
        best = self.best if math.isfinite(self.best) else None
        return {"factor": self.factor, "best": best, "waited": self.waited}

    @saved_state.setter
    def saved_state(self, values: dict[str, Any]) -> None:
        self.factor, self.waited = float(values["factor"]), int(values["waited"])
        self.best = -math.inf if values["best"] is None else float(values["best"])


SCHEDULES: dict[str, type[Schedule]] = {
    cls.word: cls for cls in (Constant, StepDecay, Cosine, OneCycle, Plateau)
}


def _glide(start: float, end: float, share: float) -> float:
    """Half a cosine from start (share 0) to end (share 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
