"""What the page shows of an evaluation in a run's report.json and pictures do not, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.train.run import REPORT
from striate.train.run_results import damaged

if TYPE_CHECKING:
    from striate.views.schemas.training import Evaluation

TEXTS = {"": ("data",), "per_class": ("name",), "worst": ("name", "label", "predicted")}
NUMBERS = {"worst": ("id", "loss")}
SHARES = {
    "": ("top5_accuracy", "macro_f1"),
    "per_class": ("precision", "recall", "f1"),
    "worst": ("confidence",),
}
COUNTS = {"per_class": ("images", "predicted")}
"""Keys of the evaluation and of its rows that a page shows and pictures do not."""


def verify(path: Path, evaluation: Evaluation) -> None:
    """Raises FormatError where an evaluation lacks what a page shows.

    evaluation: of `run_results.evaluation_of`, which has verified what pictures show.
    """
    found: Any = evaluation
    try:
        rows = {"": [found], **{name: found[name] for name in ("per_class", "worst")}}
        texts = [row[key] for name, keys in TEXTS.items() for row in rows[name] for key in keys]
        numbers, shares, counts = (
            [row[key] for name, keys in table.items() for row in rows[name] for key in keys]
            for table in (NUMBERS, SHARES, COUNTS)
        )
        if not all(isinstance(text, str) for text in (*texts, *found["notes"])):
            raise TypeError("a name is not text")
        if not all(type(number) in (int, float) for number in (*numbers, *shares, *counts)):
            raise TypeError("a measure is not a number")
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("a share is outside of 0 to 1")
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("images are not counted")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"the evaluation has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise damaged(path, REPORT, why) from None
