"""report.json: the results of a run."""

from __future__ import annotations

from typing import Any

from striate.train.environment import environment
from striate.train.evaluation import Evaluation
from striate.train.setup import TrainingSetup
from striate.train.state import State

SCHEMA = "striate.report/1"


def report(
    setup: TrainingSetup, state: State, validation: Evaluation | None, engine: str, epoch: int
) -> dict[str, Any]:
    """The record. validation: that of the kept weights, of epoch `epoch`; None without validation data."""
    rows = [dict(row) for row in state.rows]
    return {
        "schema": SCHEMA,
        "network": setup.net.name,
        "parameters": sum(p.elements for p in setup.net.parameters.values() if p.trainable),
        "kept_epoch": epoch,
        "epochs": state.epoch,
        "stopped": state.stopped,
        "resumed": state.resumed,
        "seconds": state.seconds,
        "seed": setup.settings.seed,
        "data": {
            "train": setup.train.data.source,
            "validation": setup.validation.data.source if setup.validation else None,
            "notes": list(setup.train.data.notes()),
            "transform": setup.train.transform.describe(),
        },
        "validation": validation.to_dict() if validation else None,
        "last_epoch": rows[-1] if rows else {},
        "settings": setup.settings.to_dict(),
        "environment": environment(engine),
    }
