"""Metrics of a training run: one row per epoch, and why it stopped."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from striate import elsewhere, hooks
from striate.diagnostics import UnknownNameError, plural, suggest

Row = Mapping[str, float]

COLUMNS = {
    "epoch": "number of the epoch, from 1",
    "updates": "number of updates so far",
    "lr": "learning rate of the last update",
    "train_loss": "mean training loss over the epoch, measured during the updates",
    "train_accuracy": "training accuracy over the epoch, measured during the updates",
    "grad_norm": "mean norm of the gradient before clipping",
    "validation_loss": "mean loss on the validation set",
    "validation_accuracy": "accuracy on the validation set",
    "seconds": "duration of training and validation",
    "images_per_second": "training images per second, including reading",
}
"""Columns of metrics.csv; those without a value in a run are left out."""


@dataclasses.dataclass(frozen=True, repr=False)
class History(hooks.Displayed, elsewhere.Teaching):
    """What a run has measured in every epoch.

    rows: one per epoch, keys as in COLUMNS; best_epoch: whose weights are kept; stopped: why it ended; out: its folder;
    planned: epochs that were asked for, 0 if unknown; resumed: epochs in which it was continued after a stop.

    ``history["accuracy"]`` is the validation accuracy of every epoch, ``history["loss"]`` the validation loss, and
    ``history["train_accuracy"]`` that of the training; every column has its name.
    """

    rows: tuple[Row, ...] = ()
    best_epoch: int | None = None
    stopped: str = "done"
    out: Path | None = None
    planned: int = 0
    resumed: tuple[int, ...] = ()
    drawn_as: ClassVar[str] = "training"
    """Kind of picture that shows it."""

    def plot(self) -> Any:
        """The curves of loss and accuracy, the `Picture` of `striate.draw`. Raises UsageError without epochs."""
        return hooks.ask("draw", self)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def best(self) -> Row:
        """The row of the best epoch; empty if there is none."""
        return next((row for row in self.rows if row["epoch"] == self.best_epoch), {})

    @property
    def last(self) -> Row:
        return self.rows[-1] if self.rows else {}

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> list[float]:
        """One measure, a number for each epoch. Raises UnknownNameError for one that this run does not have."""
        full = ALIASES.get(name, name)
        if full in COLUMNS and all(full in row for row in self.rows):
            return self.column(full)
        there = [column for column in COLUMNS if any(column in row for row in self.rows)]
        near = suggest(str(name), [*there, *ALIASES]) if full not in COLUMNS else ""
        raise UnknownNameError(
            f"this run has no {name}",
            why="it had no validation data"
            if full in COLUMNS
            else f"it has {', '.join(there) or 'no epochs'}",
            fix=f"did you mean {near}?"
            if near
            else "fit(…, validation=(x, y))"
            if full in COLUMNS
            else "use one of these",
        )

    def column(self, name: str) -> list[float]:
        """One measure over the epochs; rows without it are left out."""
        return [row[name] for row in self.rows if name in row]

    def csv(self) -> str:
        """The rows as comma-separated values with a header."""
        names = [name for name in COLUMNS if any(name in row for row in self.rows)]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: row.get(name, "") for name in names} for row in self.rows)
        return text.getvalue()

    def jsonl(self) -> str:
        """The rows as one JSON object per line."""
        return "".join(json.dumps(dict(row)) + "\n" for row in self.rows)

    def __repr__(self) -> str:
        return f"History({self})"

    def __str__(self) -> str:
        parts = [f"{plural(len(self), 'epoch')} ({self.stopped})"]
        parts += [f"best {self.best_epoch}"] if self.best_epoch else []
        parts += [
            f"{name.replace('_', ' ')} {value:.4f}" for name, value in self.best.items() if name in SHOWN
        ]
        return ", ".join(parts)


ALIASES = {
    "accuracy": "validation_accuracy", "loss": "validation_loss",
    "val_accuracy": "validation_accuracy", "val_loss": "validation_loss", "learning_rate": "lr",
}  # fmt: skip
"""Other names of metrics."""
SHOWN = ("validation_loss", "validation_accuracy")
