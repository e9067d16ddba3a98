"""Histories and evaluations that are made up, for pictures and displays."""

import math
from pathlib import Path

import numpy as np

from striate.train.evaluation import Evaluation
from striate.train.history import History
from striate.train.metrics import Tally


def history(
    epochs=12,
    name="run",
    *,
    validation=True,
    seed=0,
    best=True,
    stopped="done",
    planned=0,
    lr=None,
    resumed=(),
):
    """A run whose losses fall. lr: one rate for all epochs; None: a falling one."""
    rng = np.random.default_rng(seed)
    rows = []
    for epoch in range(1, epochs + 1):
        loss = 2 * math.exp(-epoch / 6) + 0.02 + 0.05 * float(rng.random())
        row = {"epoch": epoch, "updates": 10 * epoch, "lr": lr or 0.1 / epoch, "train_loss": loss}
        row["train_accuracy"] = 1 - loss / 3
        if validation:
            row |= {"validation_loss": loss * 1.2, "validation_accuracy": 1 - loss / 2.5}
        rows.append(row | {"seconds": 1.5, "images_per_second": 100.0})
    chosen = max(epochs - 2, 1) if validation and best and epochs else None
    return History(tuple(rows), chosen, stopped, Path(name) if name else None, planned or epochs, resumed)


def evaluation(names=("cat", "dog", "mouse"), each=40, right=0.8, seed=0, source="120 images of a test"):
    """An evaluation with this share of right predictions."""
    rng, count = np.random.default_rng(seed), len(names)
    labels = np.repeat(np.arange(count), each)
    logits = rng.normal(size=(len(labels), count))
    hit = rng.random(len(labels)) < right
    logits[hit, labels[hit]] += 6
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tally = Tally(count)
    tally.add(probabilities, labels, np.zeros(len(labels)), np.arange(len(labels)))
    return Evaluation(0.5, tally, tuple(names), len(labels), 1.0, source=source)


HOSTILE = (
    "<script>alert(1)</script>",
    'a "quoted" & <b>',
    "\u202eright to left",
    "x" * 300,
    "tab\tand\nline",
    "日本語の名前",
)
