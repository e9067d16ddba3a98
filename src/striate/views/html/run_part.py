"""What the page says of a training run: the records of its folder, the pictures drawn from them, its worst images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from striate.diagnostics import SourceError
from striate.train.history import COLUMNS, History
from striate.train.run import REPORT
from striate.train.run_results import RunResults, damaged
from striate.units import duration
from striate.views.drawing.scene import result_scene
from striate.views.history_record import resumes
from striate.views.html.figure import Figure, Missing
from striate.views.html.run_records import verify
from striate.views.html.worst_images import Thumbnail, worst_images

if TYPE_CHECKING:
    from striate.views.schemas.training import Evaluation, WorstImage

T = TypeVar("T")
CAPTIONS = {
    "training": "Loss and accuracy, epoch by epoch.",
    "confusion": "True classes against predicted ones.",
    "calibration": "Confidence against accuracy: of a calibrated model both are equal.",
}
MAX_MATRIX_CLASSES = 50
"""Classes up to which the confusion matrix is printed."""


@dataclasses.dataclass(frozen=True)
class RunPart:
    """Records and pictures of a run.

    name: of its folder; facts: how it was trained, in rows; history, evaluation: records, or why there are none;
    figures: pictures of them by kind; worst: pictures of the evaluation's worst images.
    """

    name: str
    facts: Sequence[tuple[str, str]]
    history: History | Missing
    evaluation: Evaluation | Missing
    figures: Mapping[str, Figure]
    worst: Sequence[Thumbnail | Missing]

    @property
    def max_classes(self) -> int:
        """Classes up to which the confusion matrix is printed."""
        return MAX_MATRIX_CLASSES

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Its sections: id and title."""
        parts = [("epochs", "Training"), ("evaluation", "Evaluation"), ("worst", "Worst images")]
        return parts if self.worst else parts[:-1]

    @property
    def tiles(self) -> Iterator[tuple[str, str]]:
        """The numbers that are read first: label and text."""
        if not isinstance(self.evaluation, Missing):
            yield "accuracy", f"{self.evaluation['accuracy']:.2%}"
            yield "loss", f"{self.evaluation['loss']:.4f}"
        if not isinstance(self.history, Missing):
            yield "epochs", f"{len(self.history):,}"

    @property
    def images(self) -> Iterator[tuple[WorstImage, Thumbnail | Missing]]:
        """Each of the worst images: its entry and its picture."""
        if not isinstance(self.evaluation, Missing):
            yield from zip(self.evaluation["worst"], self.worst, strict=True)

    @property
    def columns(self) -> list[str]:
        """Columns of the history that it has."""
        rows = [] if isinstance(self.history, Missing) else self.history.rows
        return [name for name in COLUMNS if any(name in row for row in rows)]

    @property
    def measures(self) -> Iterator[tuple[str, str]]:
        """What the evaluation measured, in rows: label and text."""
        found: Any = self.evaluation
        yield "data", found["data"]
        yield "images", f"{found['images']:,}"
        yield "accuracy", f"{found['accuracy']:.2%}"
        yield "loss", f"{found['loss']:.4f}"
        if len(found["classes"]) > 5:
            yield "top 5", f"{found['top5_accuracy']:.2%} have the true class among the top five"
        yield "macro F1", f"{found['macro_f1']:.4f}"
        error = found["calibration"]["expected_calibration_error"]
        yield "calibration", f"confidence and accuracy differ by {error:.2%} on average"
        for note in found["notes"]:
            yield "note", note


def run_part(folder: str) -> RunPart:
    """Gather it. Raises FormatError where files of the run are damaged."""
    run = RunResults(Path(folder).expanduser())
    history, evaluation = _or_missing(lambda: run.history), _or_missing(lambda: _evaluation(run))
    figures: dict[str, Figure] = {}
    worst: Sequence[Thumbnail | Missing] = []
    if not isinstance(history, Missing):
        figures["training"] = _drawn("training", run.path, [history])
    if not isinstance(evaluation, Missing):
        figures |= {kind: _drawn(kind, run.path, evaluation) for kind in ("confusion", "calibration")}
        worst = worst_images(run.config, evaluation["worst"])
    return RunPart(run.path.resolve().name, list(_facts(run, history)), history, evaluation, figures, worst)


def _evaluation(run: RunResults) -> Evaluation:
    record: Any = run.evaluation
    verify(run.path, record)
    return record  # type: ignore[no-any-return]


def _drawn(kind: str, path: Path, results: Any) -> Figure:
    return Figure(kind, result_scene(kind, path.name, results), CAPTIONS[kind])


def _or_missing(read: Callable[[], T]) -> T | Missing:
    """What is read, or why there is none; a damaged file is an error."""
    try:
        return read()
    except SourceError as error:
        return Missing(error.reason)


def _facts(run: RunResults, history: History | Missing) -> Iterator[tuple[str, str]]:
    """How a run was trained, from its configuration and its report."""
    report = run.report
    try:
        if not isinstance(history, Missing) and history.resumed:
            yield "continued", resumes(history.resumed)
        if report is None:
            yield "state", "unfinished: there is no report yet"
            yield "data", run.config.job.data or "arrays"
            return
        yield "trained on", report["data"]["train"]
        yield "validated on", report["data"]["validation"] or "nothing"
        for note in report["data"]["notes"]:
            yield "note", note
        yield "input", report["data"]["transform"]
        yield (
            "epochs",
            f"{report['epochs']} ({report['stopped']}), the weights are those of epoch {report['kept_epoch']}",
        )
        yield "time", duration(report["seconds"])
        yield "seed", str(report["seed"])
        settings: Mapping[str, Any] = report["settings"]
        yield "settings", ", ".join(f"{name} {settings[name]}" for name in SETTINGS if name in settings)
        environment = report["environment"]
        yield (
            "environment",
            f"Striate {environment['striate']}, {environment['engine']} engine, {environment['system']}",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(
            run.path, REPORT, f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        ) from None


SETTINGS = ("optimizer", "lr", "schedule", "batch_size", "loss", "weight_decay")
"""Settings that the page names; the run's config.toml holds all."""
