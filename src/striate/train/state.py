"""The mutable state of training: exactly what a checkpoint holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from striate.formats.folder import AVERAGE, CURRENT
from striate.train.early_stopping import EarlyStopping
from striate.train.ema import MovingAverage
from striate.train.history import Row
from striate.train.losses import Array
from striate.train.optimizers import Optimizer
from striate.train.schedules import Schedule
from striate.train.setup import TrainingSetup
from striate.weights import checksum


@dataclasses.dataclass
class Meter:
    """Sums over the training batches of an epoch; means are read from them. Exact in JSON."""

    loss: float = 0.0
    weight: float = 0.0
    correct: int = 0
    answers: int = 0
    images: int = 0
    updates: int = 0
    grad_norm: float = 0.0
    seconds: float = 0.0

    @property
    def mean_loss(self) -> float:
        return self.loss / self.weight if self.weight else 0.0

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.answers if self.answers else None


@dataclasses.dataclass
class State:
    """epoch: epochs done; batch: batches done of the next one. Weights are changed in place, never replaced.

    best: a copy of the best epoch's weights, None before there is one; loss_scale: of 16-bit gradients, 0 without;
    best_sum: the checksum of `best`; first_loss: of the first update, None before it; resumed: epochs in which
    training was continued after a stop.
    """

    weights: dict[str, Array]
    optimizer: Optimizer
    schedule: Schedule
    early_stopping: EarlyStopping
    average: MovingAverage | None = None
    epoch: int = 0
    batch: int = 0
    meter: Meter = dataclasses.field(default_factory=Meter)
    rows: list[Row] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    stopped: str = ""
    best: dict[str, Array] | None = None
    best_sum: int | None = None
    loss_scale: float = 0.0
    first_loss: float | None = None
    resumed: list[int] = dataclasses.field(default_factory=list)

    @classmethod
    def fresh(cls, setup: TrainingSetup, weights: dict[str, Array]) -> State:
        """The state before the first update."""
        settings = setup.settings
        still = [name for name, parameter in setup.net.parameters.items() if parameter.constant]
        average = MovingAverage(weights, settings.ema, still) if settings.ema else None
        early_stopping = EarlyStopping(settings.patience, settings.min_delta)
        return cls(weights, setup.optimizer(), setup.schedule(), early_stopping, average)

    @property
    def evaluated_weights(self) -> dict[str, Array]:
        """The weights that are validated and kept: the moving average if there is one."""
        return self.average.weights if self.average else self.weights

    @property
    def place(self) -> str:
        """Current position in training, in words."""
        if self.batch:
            return f"epoch {self.epoch + 1}, batch {self.batch}"
        return f"the end of epoch {self.epoch}" if self.epoch else "the start"

    def keep_best(self) -> None:
        """Keep a copy of the evaluated weights."""
        self.best = {name: array.copy() for name, array in self.evaluated_weights.items()}
        self.best_sum = checksum(self.best)

    # ------------------------------------------------------------ to and from a checkpoint
    def arrays(self) -> dict[str, Array]:
        """All arrays by full name."""
        arrays = {f"{CURRENT}{name}": array for name, array in self.weights.items()}
        for kind, moments in self.optimizer.moments.items():
            arrays |= {f"moments/{kind}/{name}": array for name, array in moments.items()}
        if self.average:
            arrays |= {f"{AVERAGE}{name}": array for name, array in self.average.weights.items()}
        return arrays

    def record(self) -> dict[str, Any]:
        """Everything that is not an array, as plain values."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "updates": self.optimizer.steps,
            "meter": dataclasses.asdict(self.meter),
            "watch": self.early_stopping.saved_state,
            "schedule": self.schedule.saved_state,
            "rows": [dict(row) for row in self.rows],
            "seconds": self.seconds,
            "stopped": self.stopped,
            "loss_scale": self.loss_scale,
            "first_loss": self.first_loss,
            "best_sum": self.best_sum,
            "resumed": self.resumed,
        }

    def restore(self, arrays: Mapping[str, Array], record: Mapping[str, Any]) -> None:
        """Restore the state from `arrays` and `record`. Raises KeyError, ValueError, TypeError when they
        are not of this network and these settings.
        """
        for name, array in self.weights.items():
            _copy(array, arrays[f"{CURRENT}{name}"])
        for kind in self.optimizer.moments:
            prefix = f"moments/{kind}/"
            self.optimizer.moments[kind] = {
                name.removeprefix(prefix): array.copy()
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
        if self.average:
            for name, array in self.average.weights.items():
                _copy(array, arrays[f"{AVERAGE}{name}"])
        self.epoch, self.batch = int(record["epoch"]), int(record["batch"])
        self.optimizer.steps = int(record["updates"])
        self.meter = Meter(**record["meter"])
        self.early_stopping.saved_state = record["watch"]
        if record["schedule"]:
            self.schedule.saved_state = record["schedule"]
        self.rows = list(record["rows"])
        self.seconds, self.stopped = float(record["seconds"]), str(record["stopped"])
        self.loss_scale = float(record.get("loss_scale", 0.0))
        self.best_sum = record.get("best_sum")
        self.resumed = [int(epoch) for epoch in record.get("resumed", ())]
        first = record.get("first_loss")
        self.first_loss = None if first is None else float(first)


def _copy(target: Array, source: Array) -> None:
    if target.shape != source.shape:
        raise ValueError(f"shape {source.shape}, expected {target.shape}")
    target[...] = source
