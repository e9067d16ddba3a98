"""Which epoch is the best so far, and whether waiting for a better one still makes sense."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class Watch:
    """Scores, larger is better. patience: epochs without progress until `tired` (0: never); min_delta: what counts."""

    patience: int = 0
    min_delta: float = 0.0
    best: list[float] | None = None
    best_epoch: int | None = None
    mark: float | None = None
    waited: int = 0

    def epoch_done(self, epoch: int, score: float, tie: float = 0.0) -> bool:
        """Hear an epoch's score; says whether it is the best so far. `tie` decides between equal scores, then age."""
        if self.mark is None or score > self.mark + self.min_delta:
            self.mark, self.waited = score, 0
        else:
            self.waited += 1
        better = self.best is None or [score, tie] > self.best
        if better:
            self.best, self.best_epoch = [score, tie], epoch
        return better

    @property
    def tired(self) -> bool:
        return 0 < self.patience <= self.waited

    @property
    def memory(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name) for name in ("best", "best_epoch", "mark", "waited")}

    @memory.setter
    def memory(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)
