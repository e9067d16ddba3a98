"""The best epoch so far, and early stopping."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from striate.train.history import Row


@dataclasses.dataclass
class EarlyStopping:
    """Early stopping on a score, larger is better.

    patience: epochs without progress until `should_stop`, 0 = never. min_delta: the smallest change that is progress.
    """

    patience: int = 0
    min_delta: float = 0.0
    best: list[float] | None = None
    best_epoch: int | None = None
    mark: float | None = None
    waited: int = 0

    def epoch_done(self, epoch: int, score: float, tie: float = 0.0) -> bool:
        """Record an epoch's score; return True if it is the best so far. Of equal scores `tie` decides, then age."""
        if self.mark is None or score > self.mark + self.min_delta:
            self.mark, self.waited = score, 0
        else:
            self.waited += 1
        better = self.best is None or [score, tie] > self.best
        if better:
            self.best, self.best_epoch = [score, tie], epoch
        return better

    @property
    def should_stop(self) -> bool:
        return 0 < self.patience <= self.waited

    @property
    def saved_state(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {name: getattr(self, name) for name in ("best", "best_epoch", "mark", "waited")}

    @saved_state.setter
    def saved_state(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)


def best_epoch(rows: Iterable[Row], monitors_accuracy: bool) -> int | None:
    """The best of these epochs, as a run has found it; None without validation data."""
    stopping = EarlyStopping()
    for row in rows:
        if "validation_loss" in row:
            loss = -row["validation_loss"]
            score = row["validation_accuracy"] if monitors_accuracy else loss
            stopping.epoch_done(int(row["epoch"]), score, loss)
    return stopping.best_epoch
