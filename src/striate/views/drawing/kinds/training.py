"""Kind `training`: curves of loss and accuracy of one or several runs, one panel below the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.diagnostics import UsageError, plural
from striate.units import duration
from striate.views.drawing.chart import LOG_MIN_RATIO, Axis, apart, count_axis, panel, thinned, value_axis
from striate.views.drawing.frame import finished, titled
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.theme import SERIES
from striate.views.drawing.widths import lines, shortened, width
from striate.views.history_record import resumes, training_facts

if TYPE_CHECKING:
    from striate.train.history import History
    from striate.views.schemas.facts import RunCurves, TrainingFacts
    from striate.views.schemas.scene import Drawing, ResultScene

OPTIONS: tuple[str, ...] = ()
WIDTH, HEIGHT = 540.0, 200.0
"""Of a panel, in pixels."""
RATE_HEIGHT = 70.0
"""Of the panel of learning rates."""
SIDE = 230.0
"""Widest text at the end of a curve."""
LEADER = 16.0
"""Length of the line from a curve's end to its text."""
DOT = 3.5
"""Radius of the mark of a best epoch."""
WEDGE = 4.0
"""Half of the width of the mark of a resume."""
MAX_WHOLE_RUNS = 4
"""Of more runs, training curves are left out where there are validation curves."""
MAX_NAME = 110.0
"""Pixels for the name of a run at the end of a curve; longer names are numbers there."""


@dataclass(frozen=True)
class _Curve:
    run: RunCurves
    measure: str
    color: str
    run_color: str
    name: str

    @property
    def points(self) -> list[tuple[int, float]]:
        values = zip(self.run["epochs"], self.run["measures"][self.measure], strict=True)
        return [(epoch, value) for epoch, value in values if value is not None]

    @property
    def pieces(self) -> Iterator[list[tuple[int, float]]]:
        """The points between epochs without a finite number."""
        values = zip(self.run["epochs"], self.run["measures"][self.measure], strict=True)
        for there, piece in itertools.groupby(values, lambda pair: pair[1] is not None):
            if there:
                yield [(epoch, value) for epoch, value in piece if value is not None]

    @property
    def trains(self) -> bool:
        return self.measure.startswith("train")


def facts(histories: Sequence[History]) -> TrainingFacts:
    """The curves of runs. Raises UsageError for a run without an epoch, or without a finite number in any."""
    for history in histories:
        if not len(history):
            raise UsageError(
                "the run has no finished epoch",
                where=str(history.out or "history"),
                why="a curve needs at least one",
                fix="train for one epoch or more",
            )
    found = training_facts(histories)
    for run, history in zip(found["runs"], histories, strict=True):
        measures = [values for name, values in run["measures"].items() if name != "lr"]
        if all(value is None for values in measures for value in values):
            raise UsageError(
                "the run has no finite loss",
                where=str(history.out or "history"),
                why=f"every loss of its {plural(len(history), 'epoch')} is infinite or not a number",
                fix="train with a lower lr, warmup_epochs, or clip_norm = 1.0",
            )
    return found


def drawing(record: ResultScene, request: Request) -> Drawing:
    """The picture of a scene."""
    found: TrainingFacts = record["facts"]  # type: ignore[assignment]
    runs = found["runs"]
    colors = [[*SERIES][k % len(SERIES)] for k in range(len(runs))]
    labels = _labels(runs)
    body = Sheet()
    count = max(run["epochs"][-1] for run in runs)
    across = count_axis(count, 0.0, WIDTH)
    y = 0.0
    panels = [list(_curves(runs, labels, colors, measure)) for measure in ("loss", "accuracy", "lr")]
    panels = [curves for curves in panels if curves]
    for curves in panels:
        y = _panel(body, y, across, curves, last=curves is panels[-1])
    sheet = Sheet()
    titles = [_title(curves) for curves in panels if curves[0].measure != "lr"]
    said = [f"{' and '.join(titles)} after each epoch", *_styles(runs, panels)]
    top = titled(sheet, record["name"], said, body.right - body.left)
    sheet.put(body, 0.0, top + 10)
    _summaries(sheet, sheet.bottom + 12, runs, labels, colors)
    return finished("training", sheet, record["name"], " ".join(_described(runs)))


def _labels(runs: Sequence[RunCurves]) -> list[str]:
    """What runs are called at the ends of their curves: their names, or numbers where one is too long."""
    names = [run["name"] for run in runs]
    if all(width(name, SMALL_FONT_SIZE) <= MAX_NAME for name in names):
        return names
    return [f"run {number}" for number in range(1, len(runs) + 1)]


def _curves(
    runs: Sequence[RunCurves], labels: Sequence[str], colors: Sequence[str], measure: str
) -> Iterator[_Curve]:
    """What one panel shows; learning rates where they change. The two curves of a single run have two colors."""
    single = len(runs) == 1
    if measure == "lr" and all(len({*run["measures"].get("lr", ())} - {None}) < 2 for run in runs):
        return
    names = (
        {"lr": ""}
        if measure == "lr"
        else {f"validation_{measure}": "validation", f"train_{measure}": "training"}
    )
    for run, label, color in zip(runs, labels, colors, strict=True):
        validated = len(runs) > MAX_WHOLE_RUNS and f"validation_{measure}" in run["measures"]
        for name, word in names.items():
            if validated and word == "training":
                continue
            shade = [*SERIES][1] if single and word == "training" else color
            told = word if single else ", ".join(filter(None, (label, word)))
            curve = _Curve(run, name, shade, color, told)
            if name in run["measures"] and curve.points:
                yield curve


def _title(curves: Sequence[_Curve]) -> str:
    """What a panel shows."""
    measure = curves[0].measure
    return {"lr": "learning rate"}.get(measure, measure.rpartition("_")[2])


def _panel(sheet: Sheet, y: float, across: Axis, curves: Sequence[_Curve], *, last: bool) -> float:
    """One panel with its title above. Returns the y below it."""
    measure = curves[0].measure
    share = measure.endswith("accuracy")
    title = _title(curves)
    height = RATE_HEIGHT if measure == "lr" else HEIGHT
    told = measure != "lr" or len(curves) <= MAX_WHOLE_RUNS
    if told:
        height = max(height, (LINE * SMALL_FONT_SIZE) * len(curves))
    top = y + LINE * SIZE + 4
    values = [value for curve in curves for _, value in curve.points]
    if measure == "lr":
        peaks = [max(value for _, value in curve.points) for curve in curves]
        log = min(values) > 0 and max(peaks) / min(peaks) >= LOG_MIN_RATIO
        down = value_axis(values, top + height, top, log=log, steps=2)
    else:
        down = value_axis(values, top + height, top, share=share)
    sheet.text(
        0, y + ASCENT * SIZE, f"{title}{', log scale' if down.log else ''}", SIZE, anchor="start", bold=True
    )
    best = _best(curves)
    if best is not None and across.low < best:
        x = across.at(best)
        sheet.path([(x, top), (x, top + height)], "", "muted", thick=1, dash=True)
        if y == 0:
            text = f"best: epoch {best:,}"
            half = width(text, SMALL_FONT_SIZE) / 2
            middle = min(max(x, width(title, SIZE, True) + 70 + half), WIDTH - half)
            sheet.text(middle, y + ASCENT * SIZE, text, SMALL_FONT_SIZE, "muted")
    panel(sheet, across, down, numbered=last)
    for color, epoch in {(curve.run_color, epoch): 0 for curve in curves for epoch in curve.run["resumed"]}:
        x = across.at(max(epoch - 0.5, across.low))  # between the measures of two epochs
        sheet.path([(x - WEDGE, top), (x + WEDGE, top), (x, top + 2 * WEDGE)], color, "paper", closed=True)
    for curve in curves if told else ():  # from the end of a shorter run to its text
        epoch, value = curve.points[-1]
        if across.at(epoch) < WIDTH - 1:
            sheet.path([(across.at(epoch), down.at(value)), (WIDTH, down.at(value))], "", "faint")
    for curve in reversed(curves):
        for piece in curve.pieces:
            points = [(across.at(epoch), down.at(value)) for epoch, value in piece]
            if len(points) > 1:
                thick = 1.6 if curve.trains else 2.2
                sheet.path(thinned(points), "", curve.color, thick=thick, dash=curve.trains)
            else:
                _dot(sheet, *points[0], curve.color, curve.color)
        for epoch, value in curve.points:
            if epoch == curve.run["best_epoch"] and curve.measure.startswith("validation"):
                _dot(sheet, across.at(epoch), down.at(value), "paper", curve.color)
    if told:
        _ends(sheet, across, down, curves, share)
    bottom = top + height
    if last:
        bottom += 6 + LINE * SMALL_FONT_SIZE
        sheet.text(WIDTH / 2, bottom + ASCENT * SIZE, "epoch", SIZE, "muted")
        bottom += LINE * SIZE
    return bottom + 12


def _best(curves: Sequence[_Curve]) -> int | None:
    """The best epoch of the only run."""
    runs = {id(curve.run): curve.run for curve in curves}
    return next(iter(runs.values()))["best_epoch"] if len(runs) == 1 else None


def _dot(sheet: Sheet, x: float, y: float, fill: str, stroke: str) -> None:
    sheet.rect(x - DOT, y - DOT, 2 * DOT, 2 * DOT, fill, stroke, thick=2, round=DOT)


def _ends(sheet: Sheet, across: Axis, down: Axis, curves: Sequence[_Curve], share: bool) -> None:
    """The name and the last value of each curve, at its end."""
    ends = [down.at(curve.points[-1][1]) for curve in curves]
    half = LINE * SMALL_FONT_SIZE / 2
    heights = apart(ends, down.end + half, down.start - half)
    for curve, y, height in zip(curves, ends, heights, strict=True):
        edge = across.end + 4
        sheet.path([(across.end, y), (edge, y), (edge + LEADER - 4, height)], "", curve.color, thick=0.8)
        epoch, value = curve.points[-1]
        number = _shown(value, share)
        if epoch < curve.run["epochs"][-1]:
            number += f" (epoch {epoch:,})"
        name = shortened(curve.name, SMALL_FONT_SIZE, SIDE - width(number, SMALL_FONT_SIZE))
        middle = height + ASCENT * SMALL_FONT_SIZE / 2 - 0.5
        sheet.text(
            edge + LEADER, middle, f"{name} {number}".strip(), SMALL_FONT_SIZE, curve.color, anchor="start"
        )


def _shown(value: float, share: bool) -> str:
    return f"{value:.1%}".replace("%", " %") if share else f"{value:.4g}"


def _styles(runs: Sequence[RunCurves], panels: Sequence[Sequence[_Curve]]) -> Iterator[str]:
    curves = [curve for panel in panels for curve in panel]
    if any(curve.measure.startswith("validation") for curve in curves):
        if any(curve.trains for curve in curves):
            yield "solid: validation, dashed: training (measured during the updates)"
        if len(runs) > MAX_WHOLE_RUNS:
            yield f"validation; training curves of more than {MAX_WHOLE_RUNS} runs are left out"
    if any(run["best_epoch"] for run in runs):
        yield "ring: the best epoch, whose weights are kept" if len(runs) == 1 else "rings: best epochs"
    if any(run["resumed"] for run in runs):
        yield "wedge: continued after a stop"


def _summaries(
    sheet: Sheet, y: float, runs: Sequence[RunCurves], labels: Sequence[str], colors: Sequence[str]
) -> None:
    """A line for each run: how far it went, and its best epoch."""
    room = sheet.right - sheet.left
    for run, label, color in zip(runs, labels, colors, strict=True):
        left = 0.0
        text = summary(run)
        if len(runs) > 1:
            sheet.path([(0, y + LINE * SIZE / 2), (18, y + LINE * SIZE / 2)], "", color, thick=3)
            name = run["name"] if label == run["name"] else f"{label}, {run['name']}"
            left, text = 26.0, f"{name}: {text}"
        for line in lines(text, SIZE, room - left):
            sheet.text(left, y + ASCENT * SIZE, line, SIZE, anchor="start")
            y += LINE * SIZE


def summary(run: RunCurves) -> str:
    """How far a run went, and its best epoch, in words."""
    done, planned, best = run["epochs"][-1], run["planned"], run["best"]
    count = f"{done:,} of {plural(planned, 'epoch')}" if planned > done else plural(done, "epoch")
    text = f"{count}, {run['stopped']}, {duration(run['seconds'])}"
    if run["resumed"]:
        text += f", continued {resumes(run['resumed'])}"
    text = "; ".join((text, *_not_finite(run)))
    if run["best_epoch"] is None:
        return text
    said = [f"validation accuracy {best['validation_accuracy']:.2%}"] if "validation_accuracy" in best else []
    said += [f"loss {best['validation_loss']:.4g}"] if "validation_loss" in best else []
    return f"{text}; best epoch {run['best_epoch']:,}: {', '.join(said)}".replace("%", " %")


def _not_finite(run: RunCurves) -> Iterator[str]:
    """Losses that are infinite or not a number, and in which epochs."""
    for measure, word in (("train_loss", "training loss"), ("validation_loss", "validation loss")):
        values = run["measures"].get(measure, ())
        epochs = [epoch for epoch, value in zip(run["epochs"], values, strict=False) if value is None]
        if epochs:
            since = epochs == [*range(epochs[0], run["epochs"][-1] + 1)]
            when = f"from epoch {epochs[0]:,}" if since else f"in {plural(len(epochs), 'epoch')}"
            yield f"{word} not finite {when}"


def _described(runs: Sequence[RunCurves]) -> Iterator[str]:
    """The picture in words."""
    for run in runs:
        yield f"{run['name']}: {summary(run)}."
