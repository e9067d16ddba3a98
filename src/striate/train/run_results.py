"""Results that a run folder holds: the history of its epochs, and the evaluation of its weights.

A run that is going on, that was interrupted or continued has them too: files are replaced whole, and each says how far
it goes.
"""

from __future__ import annotations

import functools
import json
import math
import os
from pathlib import Path
from typing import Any

from striate.diagnostics import (
    FormatError,
    SourceError,
    StriateError,
    UsageError,
    by_reader,
    plural,
    setting,
    warn,
)
from striate.files import read_bytes
from striate.formats import safetensors
from striate.formats.folder import read_record
from striate.train.config import Config
from striate.train.early_stopping import best_epoch
from striate.train.history import COLUMNS, History, Row
from striate.train.report import SCHEMA
from striate.train.run import CONFIG, LINES, REPORT, STATE, must_hold, resume_command
from striate.train.run_files import read_json

EVALUATION = "striate.eval/1"
UNFINISHED = "unfinished"
"""Why a run ended that has not: it is going on, or was interrupted."""


class RunResults:
    """The results in a run folder; each of its files is read once.

    growing: a last line of the metrics that is not whole is still being written, and left out.

    Raises SourceError for a folder without a run. Everything else raises when it is asked for: SourceError where there
    is nothing yet, FormatError for a damaged file.
    """

    def __init__(self, run: str | Path, *, growing: bool = False) -> None:
        self.name, self.path, self._growing = str(run), Path(os.path.expanduser(run)), growing
        must_hold(self.path, CONFIG)

    @functools.cached_property
    def config(self) -> Config:
        """The configuration of the run."""
        return Config.read(self.path / CONFIG)

    @functools.cached_property
    def report(self) -> dict[str, Any] | None:
        """The record of report.json; None while the run has not ended."""
        if not (self.path / REPORT).is_file():
            return None
        try:
            report = read_json(self.path / REPORT)
        except FormatError as error:
            raise damaged(self.path, REPORT, error.why) from None
        if not isinstance(report, dict) or report.get("schema") != SCHEMA:
            raise damaged(self.path, REPORT, f"it is not {SCHEMA}")
        if type(report.get("epochs")) is not int or "stopped" not in report:
            raise damaged(self.path, REPORT, "epochs or stopped is missing")
        return report

    @functools.cached_property
    def history(self) -> History:
        """The history, as `fit` has returned it; `stopped` is "unfinished" for a run that has no end yet."""
        settings = self.config.settings
        rows = _rows(self.path, self._growing)
        report = self.report or {}
        if report and report["epochs"] > len(rows):
            raise damaged(self.path, LINES, f"it holds {len(rows)} of {plural(report['epochs'], 'epoch')}")
        ended = report.get("epochs") == len(rows)
        try:
            best = best_epoch(rows, settings.monitors_accuracy)
        except KeyError as error:
            raise damaged(self.path, LINES, f"it lacks {error}") from None
        resumed = self._resumed(len(rows), report if ended else None)
        stopped, planned = str(report["stopped"]) if ended else UNFINISHED, settings.resolved.epochs
        return History(rows, best, stopped, Path(self.name), max(planned, len(rows)), resumed)

    def _resumed(self, epochs: int, report: dict[str, Any] | None) -> tuple[int, ...]:
        """Epochs in which the run was continued: of the report, or of the checkpoint of a run without an end."""
        record: Any = report or {}
        if report is None and (self.path / STATE).is_file():
            try:
                record = read_record(self.path / STATE, safetensors.read_metadata(self.path / STATE)) or {}
            except StriateError as error:
                warn(f"{error.what}: epochs in which the run was continued are unknown")
        found = record.get("resumed", [])
        if not (isinstance(found, list) and all(type(epoch) is int and epoch > 0 for epoch in found)):
            raise damaged(self.path, REPORT, "resumed does not hold numbers of epochs")
        return tuple(epoch for epoch in found if epoch <= epochs)

    @functools.cached_property
    def evaluation(self) -> dict[str, Any]:
        """The evaluation, striate.eval/1, of the kept weights on the validation data of the run."""
        record = _of_run(self)
        try:
            _verify(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(self.path, REPORT, f"evaluation: {error}") from None
        return record


def history_of(run: str | Path) -> History:
    """The history of a run folder. Raises as `RunResults` does."""
    return RunResults(run).history


def _rows(path: Path, growing: bool) -> tuple[Row, ...]:
    """The lines of metrics.jsonl: every epoch from the first, each with its training loss."""
    content = read_bytes(path / LINES) if (path / LINES).is_file() else None
    if growing and content is not None:
        content = content[: content.rfind(b"\n") + 1] or None
    if content is None:
        raise SourceError(
            f"the run in {path} has no finished epoch",
            where=str(path / LINES),
            why=f"there is no {LINES}",
            fix=f"continue it: {resume_command(path)}",
        )
    rows: list[Row] = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values = json.loads(line)
            row = {name: float(values[name]) for name in COLUMNS if name in values}
            if row["epoch"] != number or "train_loss" not in row:
                raise ValueError(f"epoch {number} with its train_loss is expected")
            if unfit := next((name for name in row if not _fits(name, row[name])), ""):
                raise ValueError(f"{unfit} is {row[unfit]}")
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise damaged(path, LINES, f"line {number}: {error}") from None
        rows.append(row)
    if not rows:
        raise damaged(path, LINES, "it is empty")
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
        return RunResults(source).evaluation
    if path.suffix.lower() == ".json":
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
        raise FormatError(
            f"{path.name} holds a damaged evaluation",
            where=str(path),
            why=str(error),
            fix=_evaluate("MODEL"),
        ) from None
    return record


def _of_run(run: RunResults) -> dict[str, Any]:
    path, report = run.path, run.report
    if report is None:
        raise SourceError(
            f"the run in {path} has no evaluation yet",
            where=str(path / REPORT),
            why=f"{REPORT} is written when a run ends",
            fix=f"continue it: {resume_command(path)}; or {_evaluate(str(path))}",
        )
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
            "model": run.name,
            "data": data,
            **found,
            "epoch": int(report["kept_epoch"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, REPORT, f"{error}") from None


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


def damaged(path: Path, name: str, why: str) -> FormatError:
    """The error for a file of results, which the run writes again."""
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
