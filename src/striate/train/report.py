"""report.json: the results of a run."""

from __future__ import annotations

from typing import Any

from striate.train.environment import environment
from striate.train.evaluation import Evaluation
from striate.train.plan import Plan
from striate.train.state import State

SCHEMA = "striate.report/1"


def report(plan: Plan, state: State, found: Evaluation | None, engine: str, epoch: int) -> dict[str, Any]:
    """Plain values. `found` is the validation of the kept weights, of epoch `epoch`; None without validation data."""
    rows = [dict(row) for row in state.rows]
    return {
        "schema": SCHEMA,
        "network": plan.net.name,
        "parameters": sum(p.elements for p in plan.net.parameters.values() if p.trainable),
        "kept_epoch": epoch,
        "epochs": state.epoch,
        "stopped": state.stopped,
        "seconds": state.seconds,
        "seed": plan.settings.seed,
        "data": {
            "train": plan.train.data.source,
            "validation": plan.validation.data.source if plan.validation else None,
            "notes": list(plan.train.data.notes()),
            "transform": plan.train.transform.describe(),
        },
        "validation": found.to_dict() if found else None,
        "last_epoch": rows[-1] if rows else {},
        "settings": plan.settings.to_dict(),
        "environment": environment(engine),
    }
