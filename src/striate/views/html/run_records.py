"""The records that a run folder holds: the history of its epochs, the evaluation of its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from striate.diagnostics import FormatError, SourceError
from striate.files import read_bytes
from striate.train.history import COLUMNS, History
from striate.train.report import SCHEMA
from striate.train.run import LINES, REPORT
from striate.train.run_files import read_json

if TYPE_CHECKING:
    from striate.views.schemas.training import Evaluation

TEXTS = {"": ("data",), "per_class": ("name",), "worst": ("name", "label", "predicted")}
NUMBERS = {
    "": ("images", "loss", "accuracy", "top5_accuracy", "macro_f1"),
    "per_class": ("precision", "recall", "f1", "images", "predicted"),
    "bins": ("low", "high", "images", "confidence", "accuracy"),
    "worst": ("id", "confidence", "loss"),
}
"""Keys of the evaluation and of its rows that a page shows."""


def report_of(path: Path) -> dict[str, Any] | None:
    """The record of report.json; None if the run has not ended. Raises FormatError for a damaged file."""
    if not (path / REPORT).is_file():
        return None
    record = read_json(path / REPORT)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise damaged(path, REPORT, f"it is not {SCHEMA}")
    return record


def history_of(path: Path, report: dict[str, Any] | None) -> History:
    """The epochs in metrics.jsonl. Raises SourceError if there is none, FormatError for a damaged file."""
    if not (path / LINES).is_file():
        raise SourceError(f"the run has no finished epoch: there is no {LINES}", where=str(path / LINES))
    rows = []
    for number, line in enumerate(read_bytes(path / LINES).splitlines(), 1):
        try:
            values = json.loads(line)
            rows.append({name: float(values[name]) for name in COLUMNS if name in values})
            if rows[-1]["epoch"] != number:
                raise ValueError(f"epoch {number} is expected")
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(path, LINES, f"line {number}: {error}") from None
    return History(tuple(rows), report.get("kept_epoch") if report else None)


def evaluation_of(path: Path, report: dict[str, Any] | None) -> Evaluation:
    """The evaluation of the kept weights on the validation data. Raises SourceError if there is none."""
    if report is None:
        raise SourceError(f"the run has not ended: there is no {REPORT}", where=str(path / REPORT))
    found = report.get("validation")
    if not found:
        raise SourceError("the run has no evaluation: it was trained without validation data")
    try:
        record = cast("Evaluation", {"model": str(path), "data": report["data"]["validation"], **found})
    except (KeyError, TypeError) as error:
        raise damaged(path, REPORT, f"evaluation: {error}") from None
    verify(path, record)
    return record


def verify(path: Path, evaluation: Evaluation) -> None:
    """Raises FormatError where an evaluation lacks what a page shows."""
    found: Any = evaluation
    try:
        rows = {"": [found], "bins": found["calibration"]["bins"]}
        rows |= {name: found[name] for name in ("per_class", "worst")}
        texts = [row[key] for name, keys in TEXTS.items() for row in rows[name] for key in keys]
        numbers = [row[key] for name, keys in NUMBERS.items() for row in rows[name] for key in keys]
        numbers.append(found["calibration"]["expected_calibration_error"])
        numbers += [count for row in found["confusion_matrix"] for count in row]
        if not all(isinstance(text, str) for text in (*texts, *found["classes"], *found["notes"])):
            raise TypeError("a name is not text")
        if not all(type(number) in (int, float) for number in numbers):
            raise TypeError("a measure is not a number")
        size = len(found["classes"])
        if [len(row) for row in found["confusion_matrix"]] != [size] * size:
            raise ValueError(f"the confusion matrix is not one of {size} classes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"the evaluation has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise damaged(path, REPORT, why) from None


def damaged(path: Path, name: str, why: str) -> FormatError:
    """The error for a file of a run."""
    return FormatError(
        f"{name} is damaged", where=str(path / name), why=why, fix="restore the file of this run"
    )
