"""Kind `training`: curves of loss and accuracy of one or several runs, one panel below the other."""

from __future__ import annotations

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
    def trains(self) -> bool:
        return self.measure.startswith("train")


def facts(histories: Sequence[History]) -> TrainingFacts:
    """The curves of runs. Raises UsageError for a run without an epoch."""
    for history in histories:
        if not len(history):
            raise UsageError(
                "the run has no finished epoch",
                where=str(history.out or "history"),
                why="a curve needs at least one",
                fix="train for one epoch or more",
            )
    return training_facts(histories)


def drawing(record: ResultScene, request: Request) -> Drawing:
    """The picture of a scene."""
    found: TrainingFacts = record["facts"]  # type: ignore[assignment]
    runs = found["runs"]
    colors = [[*SERIES][k % len(SERIES)] for k in range(len(runs))]
    body = Sheet()
    count = max(run["epochs"][-1] for run in runs)
    across = count_axis(count, 0.0, WIDTH)
    y = 0.0
    panels = [list(_curves(runs, colors, measure)) for measure in ("loss", "accuracy", "lr")]
    panels = [curves for curves in panels if curves]
    for curves in panels:
        y = _panel(body, y, across, curves, last=curves is panels[-1])
    sheet = Sheet()
    said = ["loss and accuracy after each epoch" if len(panels) > 1 else "loss after each epoch"]
    said += [text for text in _styles(runs) if text]
    top = titled(sheet, record["name"], said, body.right - body.left)
    sheet.put(body, 0.0, top + 10)
    _summaries(sheet, sheet.bottom + 12, runs, colors)
    return finished("training", sheet, record["name"], " ".join(_described(runs)))


def _curves(runs: Sequence[RunCurves], colors: Sequence[str], measure: str) -> Iterator[_Curve]:
    """What one panel shows; learning rates where they change. The two curves of a single run have two colors."""
    single = len(runs) == 1
    if measure == "lr" and all(len({*run["measures"].get("lr", ())} - {None}) < 2 for run in runs):
        return
    names = (
        {"lr": ""}
        if measure == "lr"
        else {f"validation_{measure}": "validation", f"train_{measure}": "training"}
    )
    for run, color in zip(runs, colors, strict=True):
        for name, word in names.items():
            shade = [*SERIES][1] if single and word == "training" else color
            told = word if single else ", ".join(filter(None, (run["name"], word)))
            curve = _Curve(run, name, shade, color, told)
            if name in run["measures"] and curve.points:
                yield curve


def _panel(sheet: Sheet, y: float, across: Axis, curves: Sequence[_Curve], *, last: bool) -> float:
    """One panel with its title above. Returns the y below it."""
    measure = curves[0].measure
    share = measure.endswith("accuracy")
    title = {"lr": "learning rate"}.get(measure, measure.rpartition("_")[2])
    height = RATE_HEIGHT if measure == "lr" else HEIGHT
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
    for curve in curves:  # from the end of a shorter run to its text
        epoch, value = curve.points[-1]
        if across.at(epoch) < WIDTH - 1:
            sheet.path([(across.at(epoch), down.at(value)), (WIDTH, down.at(value))], "", "faint")
    for curve in reversed(curves):
        points = [(across.at(epoch), down.at(value)) for epoch, value in curve.points]
        if len(points) > 1:
            sheet.path(
                thinned(points), "", curve.color, thick=1.6 if curve.trains else 2.2, dash=curve.trains
            )
        else:
            _dot(sheet, *points[0], curve.color, curve.color)
        for epoch, value in curve.points:
            if epoch == curve.run["best_epoch"] and curve.measure.startswith("validation"):
                _dot(sheet, across.at(epoch), down.at(value), "paper", curve.color)
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
        value = curve.points[-1][1]
        number = _shown(value, share)
        name = shortened(curve.name, SMALL_FONT_SIZE, SIDE - width(number, SMALL_FONT_SIZE))
        middle = height + ASCENT * SMALL_FONT_SIZE / 2 - 0.5
        sheet.text(
            edge + LEADER, middle, f"{name} {number}".strip(), SMALL_FONT_SIZE, curve.color, anchor="start"
        )


def _shown(value: float, share: bool) -> str:
    return f"{value:.1%}".replace("%", " %") if share else f"{value:.4g}"


def _styles(runs: Sequence[RunCurves]) -> Iterator[str]:
    if any(name.startswith("validation") for run in runs for name in run["measures"]):
        yield "solid: validation, dashed: training (measured during the updates)"
    if any(run["best_epoch"] for run in runs):
        yield "ring: the best epoch, whose weights are kept" if len(runs) == 1 else "rings: best epochs"
    if any(run["resumed"] for run in runs):
        yield "wedge: continued after a stop"


def _summaries(sheet: Sheet, y: float, runs: Sequence[RunCurves], colors: Sequence[str]) -> None:
    """A line for each run: how far it went, and its best epoch."""
    room = sheet.right - sheet.left
    for run, color in zip(runs, colors, strict=True):
        left = 0.0
        text = summary(run)
        if len(runs) > 1:
            sheet.path([(0, y + LINE * SIZE / 2), (18, y + LINE * SIZE / 2)], "", color, thick=3)
            left, text = 26.0, f"{run['name']}: {text}"
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
    if run["best_epoch"] is None:
        return text
    said = [f"validation accuracy {best['validation_accuracy']:.2%}"] if "validation_accuracy" in best else []
    said += [f"loss {best['validation_loss']:.4g}"] if "validation_loss" in best else []
    return f"{text}; best epoch {run['best_epoch']:,}: {', '.join(said)}".replace("%", " %")


def _described(runs: Sequence[RunCurves]) -> Iterator[str]:
    """The picture in words."""
    for run in runs:
        yield f"{run['name']}: {summary(run)}."
