"""Kind `confusion`: true classes against predicted ones, as counts and as shares of the true class.

Of many classes those of the most frequent confusions are drawn; the others are counted in a column of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from striate.diagnostics import plural, printable
from striate.views.drawing.frame import finished, titled
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.theme import on_cell
from striate.views.drawing.widths import shortened, width
from striate.views.evaluation_record import confusion_facts
from striate.views.text.number_format import count, short

if TYPE_CHECKING:
    from striate.views.schemas.facts import ConfusionFacts
    from striate.views.schemas.scene import Drawing, ResultScene
    from striate.views.schemas.training import Evaluation

OPTIONS: tuple[str, ...] = ()
ROOM = 300.0
"""A matrix of few classes has about this side, in pixels."""
MIN_SIDE, MAX_SIDE = 40.0, 88.0
"""Of a cell."""
NAME = 160.0
"""Widest name of a class at the side."""
SHARE_SIZE = 9.5
"""Font size of a share in its cell."""
GAP = 8.0
"""Between the matrix and what stands around it."""
LEGEND_STEPS, LEGEND_SIDE = 24, 10.0
PALETTE = "counts"
MIN_WIDTH = 460.0


def facts(record: Evaluation) -> ConfusionFacts:
    """The matrix, and the most frequent confusions. record: striate.eval/1."""
    return confusion_facts(record)


def drawing(record: ResultScene, request: Request) -> Drawing:
    """The picture of a scene."""
    found: ConfusionFacts = record["facts"]  # type: ignore[assignment]
    body = Sheet()
    _matrix(body, found)
    _legend(body, body.left, body.bottom + 16)
    sheet = Sheet()
    room = max(body.right - body.left, MIN_WIDTH)
    top = titled(sheet, record["name"], list(_head(found)), room)
    sheet.put(body, 0.0, top + 14)
    _largest(sheet, sheet.bottom + 16, found, room)
    return finished("confusion", sheet, record["name"], " ".join(_described(found)))


def percent(share: float | None, digits: int = 0) -> str:
    """A share as text; "none" where it is a share of nothing."""
    return "none" if share is None else f"{share * 100:.{digits}f} %"


def judged(data: str, epoch: int | None, images: int) -> str:
    """What was evaluated on which data."""
    weights = f"; weights of epoch {epoch:,}" if epoch else ""
    return f"{data or plural(images, 'image')}{weights}"


def _head(found: ConfusionFacts) -> Iterator[str]:
    total = found["predictions"]
    right = count(round(found["accuracy"] * total))
    yield f"confusion matrix: {percent(found['accuracy'], 2)} right, {right} of {count(total)}"
    yield judged(found["data"], found["epoch"], found["images"])
    if len(found["classes"]) < found["number_of_classes"]:
        shown, every = len(found["classes"]), count(found["number_of_classes"])
        yield f"{shown} of {every} classes: those of the most frequent confusions"


# -- the matrix -----------------------------------------------------------------------------------------------


def _matrix(sheet: Sheet, found: ConfusionFacts) -> None:
    """Cells, and around them the names of classes, recall and precision."""
    names, counts, size = (
        [_named(name) for name in found["classes"]],
        found["counts"],
        len(found["classes"]),
    )
    numbers = [n for row in counts for n in row] + found["others"]
    side = max(min(ROOM / size, MAX_SIDE), MIN_SIDE, max(width(_number(n), SIZE) for n in numbers) + 8)
    heads = names
    if any(width(name, SIZE) > side - 6 for name in names):
        heads = [str(position) for position in found["positions"]]
    keys = 0.0 if heads is names else max(width(head, SIZE) for head in heads) + GAP
    top = 2 * LINE * SIZE + 2
    levels = [[0 if share is None else round(share * 255) for share in row] for row in found["shares"]]
    sheet.cells(0, top, side, levels, PALETTE)
    for k in range(1, size):
        sheet.path([(0, top + k * side), (size * side, top + k * side)], "", "paper")
        sheet.path([(k * side, top), (k * side, top + size * side)], "", "paper")
    sheet.text(size * side / 2, ASCENT * SIZE, "predicted class", SIZE, "muted")
    sheet.text(-GAP, top - 6, "true class", SIZE, "muted", anchor="end")
    for k, (name, head) in enumerate(zip(names, heads, strict=True)):
        sheet.text((k + 0.5) * side, top - 6, head, SIZE)
        if heads is not names:
            sheet.text(-GAP, _middle(top, k, side), head, SIZE, "muted", anchor="end")
        sheet.text(-GAP - keys, _middle(top, k, side), shortened(name, SIZE, NAME), SIZE, anchor="end")
        sheet.rect(k * side, top + k * side, side, side, "", "ink", thick=1.5)
        for j, n in enumerate(counts[k]):
            if n:
                _cell(sheet, j * side, top + k * side, side, n, found["shares"][k][j], levels[k][j])
    right = size * side + GAP
    if size < found["number_of_classes"]:
        right = _column(sheet, right, top, side, "others", [_number(n) if n else "" for n in found["others"]])
    right = _column(sheet, right, top, side, "total", [_number(n) for n in found["totals"]])
    _column(sheet, right, top, side, "recall", [percent(share) for share in found["recall"]])
    y = top + size * side + 6 + ASCENT * SMALL_FONT_SIZE
    sheet.text(-GAP, y, "precision", SMALL_FONT_SIZE, "muted", anchor="end")
    for k, share in enumerate(found["precision"]):
        sheet.text((k + 0.5) * side, y, percent(share), SMALL_FONT_SIZE, "muted")


def _middle(top: float, row: int, side: float) -> float:
    """The baseline of a text next to a row."""
    return top + (row + 0.5) * side + ASCENT * SIZE / 2 - 1


def _column(sheet: Sheet, left: float, top: float, side: float, title: str, texts: list[str]) -> float:
    """Texts next to the rows, under a title. Returns where the next column begins."""
    size = SMALL_FONT_SIZE
    right = left + max(width(text, size) for text in (title, *texts))
    for k, text in enumerate(texts):
        if text:
            sheet.text(right, _middle(top, k, side), text, size, "muted", anchor="end")
    sheet.text(right, top - 6, title, size, "muted", anchor="end")
    return right + GAP + 4


def _cell(sheet: Sheet, x: float, y: float, side: float, n: int, share: float | None, level: int) -> None:
    """A count, and under it its share of the row."""
    ink, middle = on_cell(PALETTE, level), y + side / 2
    sheet.text(x + side / 2, middle, _number(n), SIZE, ink)
    sheet.text(x + side / 2, middle + LINE * SHARE_SIZE, _fine(share), SHARE_SIZE, ink)


def _named(name: str) -> str:
    """A class in one line; quotes show that a name is empty."""
    return printable(name).strip() or repr(name)


def _fine(share: float | None) -> str:
    """The share of a count that is not 0."""
    return "< 1 %" if share is not None and share < 0.005 else percent(share)


def _number(n: int) -> str:
    return count(n) if n < 100_000 else short(n)


# -- under it -------------------------------------------------------------------------------------------------


def _legend(sheet: Sheet, x: float, y: float) -> None:
    """What colors stand for."""
    size = SMALL_FONT_SIZE
    base = y + LEGEND_SIDE - 1
    x += sheet.text(x, base, "0 %", size, "muted", anchor="start") + 6
    levels = [round(255 * k / (LEGEND_STEPS - 1)) for k in range(LEGEND_STEPS)]
    sheet.cells(x, y, LEGEND_SIDE, [levels], PALETTE)
    text = "100 % of the row: of the images of the true class"
    sheet.text(x + LEGEND_STEPS * LEGEND_SIDE + 6, base, text, size, "muted", anchor="start")


def _largest(sheet: Sheet, y: float, found: ConfusionFacts, room: float) -> None:
    """The most frequent confusions in words."""
    pairs = found["largest"]
    title = "most frequent confusions, as shares of the true class" if pairs else "no prediction is wrong"
    sheet.text(0, y + ASCENT * SIZE, title, SIZE, anchor="start", bold=True)
    y += LINE * SIZE + 2
    numbers = [f"{_number(pair['count'])} ({_fine(pair['share'])})" for pair in pairs]
    words = max((width(text, SIZE) for text in numbers), default=0.0) + 10
    for pair, text in zip(pairs, numbers, strict=True):
        sheet.text(words - 10, y + ASCENT * SIZE, text, SIZE, "muted", anchor="end")
        half = (room - words - width(" predicted as ", SIZE)) / 2
        label, predicted = (shortened(_named(pair[key]), SIZE, half) for key in ("label", "predicted"))
        sheet.text(words, y + ASCENT * SIZE, f"{label} predicted as {predicted}", SIZE, anchor="start")
        y += LINE * SIZE
    if found["more"]:
        text = f"and {plural(found['more'], 'other pair')}"
        sheet.text(words, y + ASCENT * SIZE, text, SIZE, "muted", anchor="start")


def _described(found: ConfusionFacts) -> Iterator[str]:
    """The picture in words."""
    yield f"Confusion matrix, {judged(found['data'], found['epoch'], found['images'])}:"
    yield f"{percent(found['accuracy'], 2)} of {plural(found['predictions'], 'prediction')} are right."
    for pair in found["largest"]:
        yield f"{pair['label']} predicted as {pair['predicted']}: {count(pair['count'])}."
