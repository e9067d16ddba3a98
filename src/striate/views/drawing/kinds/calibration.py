"""Kind `calibration`: the reliability diagram. Of predictions with 90 % confidence, 90 % should be right.

Source: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, arXiv 1706.04599.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.drawing.chart import Axis, panel
from striate.views.drawing.frame import finished, titled
from striate.views.drawing.kinds.confusion import judged, percent
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines
from striate.views.evaluation_record import calibration_facts
from striate.views.text.number_format import count, short

if TYPE_CHECKING:
    from striate.views.schemas.facts import CalibrationFacts
    from striate.views.schemas.scene import Drawing, ResultScene
    from striate.views.schemas.training import Evaluation

OPTIONS: tuple[str, ...] = ()
WIDTH, HEIGHT, COUNTS_HEIGHT = 600.0, 320.0, 90.0
"""Of the diagram and of the bars of counts under it, in pixels."""
FEW_IMAGES = 10
"""Bins with fewer predictions have no outlines: their accuracy is an accident."""
TICKS = tuple((k / 5, f"{20 * k} %") for k in range(6))


def facts(record: Evaluation) -> CalibrationFacts:
    """The bins and the expected calibration error. record: striate.eval/1."""
    return calibration_facts(record)


def drawing(record: ResultScene, request: Request) -> Drawing:
    """The picture of a scene."""
    found: CalibrationFacts = record["facts"]  # type: ignore[assignment]
    body = Sheet()
    across = Axis(0.0, 1.0, 0.0, WIDTH, False, TICKS)
    top = LINE * SIZE + 4
    _diagram(body, found, across, top)
    _counts(body, found, across, top + HEIGHT + 16)
    sheet = Sheet()
    room = body.right - body.left
    y = titled(sheet, record["name"], list(_head(found)), room)
    sheet.put(body, 0.0, y + 12)
    y = sheet.bottom + 12
    for text in _notes(found):
        for line in lines(text, SMALL_FONT_SIZE, room):
            sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    return finished("calibration", sheet, record["name"], " ".join(_described(found)))


def _head(found: CalibrationFacts) -> Iterator[str]:
    error = percent(found["expected_calibration_error"], 2)
    yield f"calibration: expected calibration error {error}, accuracy {percent(found['accuracy'], 2)}"
    yield judged(found["data"], found["epoch"], found["images"])


def _diagram(sheet: Sheet, found: CalibrationFacts, across: Axis, top: float) -> None:
    """Accuracy of each bin as a bar, its mean confidence as a line, the gap, and where both are equal."""
    down = Axis(0.0, 1.0, top + HEIGHT, top, False, TICKS)
    sheet.text(0, ASCENT * SIZE, "accuracy", SIZE, anchor="start", bold=True)
    panel(sheet, across, down, numbered=False)
    for entry in found["bins"]:
        few = entry["images"] < FEW_IMAGES
        left, right = across.at(entry["low"]) + 1, across.at(entry["high"]) - 1
        top = down.at(entry["accuracy"])
        fill, stroke = ("conv-tint", "") if few else ("conv", "filter")
        sheet.rect(left, top, right - left, down.start - top, fill, stroke)
    sheet.path([(across.start, down.start), (across.end, down.end)], "", "muted", thick=1.2, dash=True)
    for entry in found["bins"]:  # nothing may hide the top of a bar
        left, right = across.at(entry["low"]) + 1, across.at(entry["high"]) - 1
        middle, sure = (left + right) / 2, down.at(entry["confidence"])
        sheet.path([(middle, sure), (middle, down.at(entry["accuracy"]))], "", "window", thick=4)
        sheet.path([(left, sure), (right, sure)], "", "window", thick=2.5)


def _counts(sheet: Sheet, found: CalibrationFacts, across: Axis, y: float) -> None:
    """How many predictions there are in each bin."""
    sheet.text(0, y + ASCENT * SIZE, "predictions", SIZE, anchor="start", bold=True)
    top = y + LINE * SIZE + 4 + LINE * SMALL_FONT_SIZE
    base = top + COUNTS_HEIGHT
    most = max((entry["images"] for entry in found["bins"]), default=1)
    panel(sheet, across, Axis(0.0, 1.0, base, top - LINE * SMALL_FONT_SIZE, False, ()))
    for entry in found["bins"]:
        left, right = across.at(entry["low"]) + 1, across.at(entry["high"]) - 1
        high = COUNTS_HEIGHT * entry["images"] / most
        sheet.rect(left, base - high, right - left, high, "other-mark")
        number = count(entry["images"]) if entry["images"] < 10_000 else short(entry["images"])
        sheet.text((left + right) / 2, base - high - 3, number, SMALL_FONT_SIZE, "ink")
    below = base + 6 + LINE * SMALL_FONT_SIZE
    sheet.text(
        WIDTH / 2, below + ASCENT * SIZE, "confidence: probability of the predicted class", SIZE, "muted"
    )


def _notes(found: CalibrationFacts) -> Iterator[str]:
    yield (
        "blue: the share of right predictions of a bin; orange: their mean confidence, and an upright line for the gap "
        "between both. On the dashed diagonal they are equal."
    )
    yield "expected calibration error: the mean gap, each bin weighted by its predictions"
    if all(entry["images"] < FEW_IMAGES for entry in found["bins"]):
        yield f"no bin has {FEW_IMAGES} predictions: this error is mostly chance"
    if any(entry["images"] < FEW_IMAGES for entry in found["bins"]):
        yield f"bars without outlines: fewer than {FEW_IMAGES} predictions"


def _described(found: CalibrationFacts) -> Iterator[str]:
    """The picture in words."""
    yield f"Reliability diagram, {judged(found['data'], found['epoch'], found['images'])}:"
    yield f"expected calibration error {percent(found['expected_calibration_error'], 2)}."
    for entry in found["bins"]:
        yield (
            f"Confidence {percent(entry['low'])} to {percent(entry['high'])}: "
            f"{plural(entry['images'], 'prediction')}, mean confidence {percent(entry['confidence'], 1)}, "
            f"right {percent(entry['accuracy'], 1)}."
        )
