"""Results that a run folder holds: the history of its epochs, and the evaluation of its weights.

A run that is going on, that was interrupted or continued has them too: files are replaced whole, and each says how far
it goes.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, SourceError, UsageError, by_reader, plural, setting
from striate.files import read_bytes
from striate.train.config import Config
from striate.train.early_stopping import best_epoch
from striate.train.history import COLUMNS, History, Row
from striate.train.report import SCHEMA
from striate.train.run import CONFIG, LINES, REPORT, must_hold, resume_command
from striate.train.run_files import read_json

EVALUATION = "striate.eval/1"
UNFINISHED = "unfinished"
"""Why a run ended that has not: it is going on, or was interrupted."""


def history_of(run: str | Path) -> History:
    """The history of a run folder, as `fit` has returned it; `stopped` is "unfinished" for a run that has no end yet.

    Raises SourceError for a folder without a run or without a finished epoch, FormatError for damaged files.
    """
    path = Path(os.path.expanduser(run))
    must_hold(path, CONFIG)
    settings = Config.read(path / CONFIG).settings
    rows = _rows(path)
    report = _report(path) if (path / REPORT).is_file() else {}
    if report and report["epochs"] > len(rows):
        raise _damaged(path, LINES, f"it holds {len(rows)} of {plural(report['epochs'], 'epoch')}")
    stopped = str(report["stopped"]) if report.get("epochs") == len(rows) else UNFINISHED
    try:
        best = best_epoch(rows, settings.monitors_accuracy)
    except KeyError as error:
        raise _damaged(path, LINES, f"it lacks {error}") from None
    return History(rows, best, stopped, Path(run), max(settings.resolved.epochs, len(rows)))


def _rows(path: Path) -> tuple[Row, ...]:
    """The lines of metrics.jsonl: every epoch from the first, each with its training loss."""
    if not (path / LINES).is_file():
        raise SourceError(
            f"the run in {path} has no finished epoch",
            where=str(path / LINES),
            why=f"there is no {LINES}",
            fix=f"continue it: {resume_command(path)}",
        )
    rows: list[Row] = []
    for number, line in enumerate(read_bytes(path / LINES).splitlines(), 1):
        try:
            values = json.loads(line)
            row = {name: float(values[name]) for name in COLUMNS if name in values}
            if row["epoch"] != number or "train_loss" not in row:
                raise ValueError(f"epoch {number} with its train_loss is expected")
            if unfit := next((name for name in row if not _fits(name, row[name])), ""):
                raise ValueError(f"{unfit} is {row[unfit]}")
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise _damaged(path, LINES, f"line {number}: {error}") from None
        rows.append(row)
    if not rows:
        raise _damaged(path, LINES, "it is empty")
    return tuple(rows)


def _fits(name: str, value: float) -> bool:
    """Whether a column may have this value; losses and the norm of gradients may overflow."""
    if name.endswith("accuracy"):
        return 0 <= value <= 1
    return name.endswith(("loss", "norm")) or math.isfinite(value)


def evaluation_of(source: str | Path) -> dict[str, Any]:
    """The evaluation, striate.eval/1, in a run folder or in a file that `striate eval --json` has written.

    That of a run is of its kept weights on its validation data; `epoch` says which they are. Raises SourceError and
    UsageError for what holds none, FormatError for damaged files.
    """
    path = Path(os.path.expanduser(source))
    if path.is_dir():
        record = _of_run(path, str(source))
    elif path.suffix.lower() == ".json":
        record = read_json(path)
        if not isinstance(record, dict) or record.get("schema") != EVALUATION:
            raise FormatError(
                f"{path.name} holds no evaluation",
                where=str(path),
                why=f"its schema is not {EVALUATION}",
                fix=_evaluate("MODEL"),
            )
    else:
        raise UsageError(
            f"{source} holds no evaluation",
            where=str(source),
            why="evaluations are read from run folders and from what striate eval --json has written",
            fix=_evaluate(str(source)),
        )
    try:
        _verify(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = path / REPORT if path.is_dir() else path
        if path.is_dir():
            raise _damaged(path, REPORT, f"evaluation: {error}") from None
        raise FormatError(
            f"{where.name} holds a damaged evaluation",
            where=str(where),
            why=str(error),
            fix=_evaluate("MODEL"),
        ) from None
    return record


def _of_run(path: Path, name: str) -> dict[str, Any]:
    must_hold(path, CONFIG)
    if not (path / REPORT).is_file():
        raise SourceError(
            f"the run in {path} has no evaluation yet",
            where=str(path / REPORT),
            why=f"{REPORT} is written when a run ends",
            fix=f"continue it: {resume_command(path)}; or {_evaluate(str(path))}",
        )
    report = _report(path)
    found = report.get("validation")
    if not found:
        raise SourceError(
            f"the run in {path} has no evaluation",
            where=str(path / REPORT),
            why="it was trained without validation data",
            fix=_evaluate(str(path), f" {setting('data', 'PATH')}"),
        )
    try:
        data = f"validation data of the run: {report['data']['validation']}"
        return {
            "schema": EVALUATION,
            "model": name,
            "data": data,
            **found,
            "epoch": int(report["kept_epoch"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, REPORT, f"{error}") from None


def _report(path: Path) -> dict[str, Any]:
    try:
        report = read_json(path / REPORT)
    except FormatError as error:
        raise _damaged(path, REPORT, error.why) from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise _damaged(path, REPORT, f"it is not {SCHEMA}")
    if type(report.get("epochs")) is not int or "stopped" not in report:
        raise _damaged(path, REPORT, "epochs or stopped is missing")
    return report


def _verify(record: dict[str, Any]) -> None:
    """Raises unless an evaluation has what pictures show."""
    names, matrix = record["classes"], record["confusion_matrix"]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("classes are not texts")
    if len(matrix) != len(names) or any(len(row) != len(names) for row in matrix):
        raise ValueError(f"the confusion matrix is not one of {plural(len(names), 'class', 'classes')}")
    if not all(type(count) is int and count >= 0 for row in matrix for count in row):
        raise ValueError("the confusion matrix does not hold counts")
    shares = [record["accuracy"], record["calibration"]["expected_calibration_error"]]
    counts = [record["images"]]
    for entry in record["calibration"]["bins"]:
        shares += [entry[name] for name in ("low", "high", "confidence", "accuracy")]
        counts.append(entry["images"])
    if not all(type(number) in (int, float) for number in (*shares, record["loss"])):
        raise TypeError("a measure is not a number")
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError("accuracy or a bin of the calibration has shares outside of 0 to 1")
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("images are not counted")


def _damaged(path: Path, name: str, why: str) -> FormatError:
    return FormatError(
        f"{name} is damaged",
        where=str(path / name),
        why=why,
        fix=f"remove it, and write it again from the checkpoint: {resume_command(path)}",
    )


def _evaluate(model: str, data: str = "") -> str:
    """What evaluates, as its reader does it."""
    return by_reader(
        'st.draw(model.evaluate(x, y), "confusion")',
        f"striate eval {model}{data} --json -o eval.json, and draw eval.json",
    )
