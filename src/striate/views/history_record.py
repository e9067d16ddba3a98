"""What the picture of training shows of the histories of runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import leading

if TYPE_CHECKING:
    from striate.train.history import History
    from striate.views.schemas.facts import RunCurves, TrainingFacts

MEASURES = ("lr", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
"""Columns of a history that are drawn."""
MAX_NAMED_RESUMES = 6
"""Epochs that the words about resumes name."""


def training_facts(histories: Sequence[History]) -> TrainingFacts:
    """The curves of runs, each with a name of its own."""
    return {
        "runs": [_curves(history, name) for history, name in zip(histories, _names(histories), strict=True)]
    }


def _curves(history: History, name: str) -> RunCurves:
    best = history.best
    return {
        "name": name,
        "epochs": [int(row["epoch"]) for row in history],
        "measures": {
            measure: [_finite(row.get(measure)) for row in history]
            for measure in MEASURES
            if any(measure in row for row in history)
        },
        "best_epoch": history.best_epoch,
        "best": {measure: value for measure in MEASURES if (value := _finite(best.get(measure))) is not None},
        "stopped": history.stopped,
        "planned": history.planned,
        "resumed": [*history.resumed],
        "seconds": sum(row.get("seconds", 0.0) for row in history),
    }


def resumes(epochs: Sequence[int]) -> str:
    """Epochs in which a run was continued, in words.

    >>> resumes([4]), resumes([4, 9])
    ('in epoch 4', 'in epochs 4, 9')
    """
    words = leading([f"{epoch:,}" for epoch in epochs], MAX_NAMED_RESUMES)
    return f"{'in epochs' if len(epochs) > 1 else 'in epoch'} {words}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _names(histories: Sequence[History]) -> list[str]:
    """The last parts of the folders, as many as tell them apart; a number for a history without a folder."""
    parts = [history.out.absolute().parts if history.out else () for history in histories]
    names: list[str] = []
    for number, path in enumerate(parts, 1):
        if not path:
            names.append(f"run {number}")
            continue
        for length in range(1, len(path) + 1):
            tail = path[-length:]
            if sum(other[-length:] == tail for other in parts) == 1:
                break
        else:
            tail = path[-1:]
        names.append("/".join(tail))
    twice = {name for name in names if names.count(name) > 1}
    return [f"{name} ({number})" if name in twice else name for number, name in enumerate(names, 1)]
