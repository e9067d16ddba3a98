"""The record of an evaluation, striate.eval/1, and what pictures show of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.train.evaluation import Evaluation as Evaluated
    from striate.views.schemas.facts import CalibrationFacts, Confusion, ConfusionFacts, Judged
    from striate.views.schemas.training import Evaluation

MAX_MATRIX_CLASSES = 20
"""Maximum number of classes of a matrix that is shown; of more, those with the most frequent confusions are."""
MAX_CONFUSIONS = 10
"""Confusions that are listed."""


def evaluation_record(evaluation: Evaluated, model: str = "") -> Evaluation:
    """Schema striate.eval/1. model: what was evaluated."""
    record: Any = {
        "schema": "striate.eval/1",
        "model": model,
        "data": evaluation.source,
        **evaluation.to_dict(),
    }
    return record  # type: ignore[no-any-return]


def confusions(matrix: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Wrong predictions (count, true class, predicted class), the most frequent first."""
    pairs = [
        (count, true, predicted)
        for true, row in enumerate(matrix)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))


def _judged(record: Evaluation) -> Judged:
    return {
        "model": record["model"],
        "data": record["data"],
        "epoch": record.get("epoch"),
        "images": record["images"],
        "predictions": sum(map(sum, record["confusion_matrix"])),
        "accuracy": record["accuracy"],
    }


def confusion_facts(record: Evaluation) -> ConfusionFacts:
    """What the confusion matrix shows. record: striate.eval/1."""
    matrix, names = record["confusion_matrix"], record["classes"]
    totals, predicted = [sum(row) for row in matrix], [sum(column) for column in zip(*matrix)]
    pairs = confusions(matrix)
    shown = _shown(pairs, totals)
    largest: list[Confusion] = [
        {"label": names[k], "predicted": names[j], "count": count, "share": count / totals[k]}
        for count, k, j in pairs[:MAX_CONFUSIONS]
    ]
    rows = [[matrix[k][j] for j in shown] for k in shown]
    return {
        **_judged(record),
        "number_of_classes": len(names),
        "classes": [names[k] for k in shown],
        "positions": shown,
        "counts": rows,
        "shares": [[_share(n, totals[k]) for n in row] for k, row in zip(shown, rows, strict=True)],
        "others": [totals[k] - sum(row) for k, row in zip(shown, rows, strict=True)],
        "totals": [totals[k] for k in shown],
        "recall": [_share(matrix[k][k], totals[k]) for k in shown],
        "precision": [_share(matrix[k][k], predicted[k]) for k in shown],
        "largest": largest,
        "more": len(pairs) - len(largest),
    }


def _shown(pairs: Sequence[tuple[int, int, int]], totals: Sequence[int]) -> list[int]:
    """The classes of the matrix: all, or those of the most frequent confusions, in their order."""
    if len(totals) <= MAX_MATRIX_CLASSES:
        return list(range(len(totals)))
    kept: dict[int, None] = {}
    for _, true, predicted in pairs:
        if len({*kept, true, predicted}) > MAX_MATRIX_CLASSES:
            break
        kept |= {true: None, predicted: None}
    for name in sorted(range(len(totals)), key=lambda k: -totals[k]):  # where few are confused
        if len(kept) == MAX_MATRIX_CLASSES:
            break
        kept[name] = None
    return sorted(kept)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def calibration_facts(record: Evaluation) -> CalibrationFacts:
    """What the reliability diagram shows. record: striate.eval/1."""
    return {**_judged(record), **record["calibration"]}
