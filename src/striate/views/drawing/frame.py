"""The frame of every picture: the title, the numbered findings, the margin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.drawing.parts import Part
from striate.views.drawing.sheet import ASCENT, LINE, MARGIN, SIZE, SMALL_FONT_SIZE, TITLE_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened, width
from striate.views.text.number_format import short, unknown

if TYPE_CHECKING:
    from striate.views.schemas.networks import DiffSide, Finding, Show
    from striate.views.schemas.scene import Drawing

Numbered = Mapping[str, Sequence[tuple[int, "Finding"]]]
"""Key of a part to the findings on it, each with the number that the picture shows."""

MIN_WIDTH = 360.0
"""A picture is at least this wide, so that its title and its legend have room."""
RADIUS = 7.0
SHOWN = 12
"""Findings that the legend explains; the others are counted."""


def numbered(record: Show, parts: Sequence[Part]) -> dict[str, list[tuple[int, Finding]]]:
    """Errors and warnings by the part that holds their node, numbered in the order of the network."""
    owner = {node["name"]: part.key for part in parts for node in part.nodes}
    marks: dict[str, list[tuple[int, Finding]]] = {}
    number = 0
    for finding in (*_by_node(record, owner), *record["problems"]):
        key = owner.get(finding["node"] or "", "")
        if finding["severity"] == "info" or number == SHOWN:
            continue
        number += 1
        marks.setdefault(key, []).append((number, finding))
    return marks


def failures(record: Show) -> dict[str, list[tuple[int, Finding]]]:
    """Layers without an output, numbered, for pictures of other layers: why the network ends there."""
    return {"": [*enumerate(record["problems"][:SHOWN], 1)]}


def _by_node(record: Show, owner: Mapping[str, str]) -> list[Finding]:
    order = {name: k for k, name in enumerate(owner)}
    return sorted(record["findings"], key=lambda finding: order.get(finding["node"] or "", -1))


def disc(sheet: Sheet, x: float, y: float, number: int, severity: str) -> float:
    """A number inside a circle, its left end at x, its middle at y. Returns how wide it is."""
    wide = max(2 * RADIUS, width(str(number), 9, True) + 4)
    sheet.rect(x, y - RADIUS, wide, 2 * RADIUS, f"{severity}-fill", severity, round=RADIUS)
    sheet.text(x + wide / 2, y + 3.4, str(number), 9, severity, bold=True)
    return wide


DISCS = 4
"""Findings in one row of discs."""
DISC_ROW = 2 * RADIUS + 3


def discs(sheet: Sheet, middle: float, y: float, marks: Sequence[tuple[int, Finding]]) -> None:
    """The numbers of findings in rows, the first one's top at y."""
    for start in range(0, len(marks), DISCS):
        row = marks[start : start + DISCS]
        x = middle - (len(row) * (2 * RADIUS + 5) - 5) / 2
        for number, finding in row:
            x += disc(sheet, x, y + RADIUS, number, finding["severity"]) + 4
        y += DISC_ROW


def discs_high(count: int) -> float:
    """The height of `count` findings in rows."""
    return DISC_ROW * -(-count // DISCS)


def framed(
    kind: str, record: Show, body: Sheet, marks: Numbered, notes: Sequence[str] = (), words: str = ""
) -> Drawing:
    """The drawing: title and totals over the body, notes and findings under it.

    notes: lines that explain the picture; words: the picture in words.
    """
    sheet = Sheet()
    room = max(body.right - body.left, MIN_WIDTH)
    y = _head(sheet, record, room) + 16
    sheet.put(body, max(0.0, (room - (body.right - body.left)) / 2), y)
    y = sheet.bottom + 14
    for note in (*notes, *_not_drawn(len(record["unreached"]))):
        for line in lines(note, SMALL_FONT_SIZE, room):
            sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    _legend(sheet, y + 4, marks, record, room)
    return finished(kind, sheet, record["name"], f"{record['name']}. {words}")


def _not_drawn(count: int) -> Iterator[str]:
    if count:
        yield f"not drawn: {plural(count, 'more node')} after the failing layer"


def finished(kind: str, sheet: Sheet, title: str, words: str) -> Drawing:
    """The drawing of a sheet, with its margin."""
    page = Sheet()
    page.put(sheet, MARGIN, MARGIN)
    return {
        "kind": kind,
        "title": title,
        "description": words,
        "width": round(page.right + MARGIN),
        "height": round(page.bottom + MARGIN),
        "marks": page.marks,
    }


def titled(sheet: Sheet, title: str, said: Sequence[str], room: float) -> float:
    """A title, and lines under it. Returns the y below them."""
    size = TITLE_FONT_SIZE
    sheet.text(0, ASCENT * size, shortened(title, size, room, True), size, anchor="start", bold=True)
    y = LINE * size
    for text in said:
        for line in lines(text, SIZE, room):
            sheet.text(0, y + ASCENT * SIZE, line, SIZE, "muted", anchor="start")
            y += LINE * SIZE
    return y


def _head(sheet: Sheet, record: Show, room: float) -> float:
    return titled(sheet, record["name"], [", ".join(counted(record))], room)


def counted(record: Show | DiffSide) -> Iterator[str]:
    """Parameters and MACs of a network: `25.6M params`, or `at least …` where some are unknown."""
    for what, word in (("params", "params"), ("macs", "MACs")):
        least = "at least " if unknown(record, what) else ""
        yield f"{least}{short(record['totals'][what])} {word}"  # type: ignore[literal-required]


def _legend(sheet: Sheet, y: float, marks: Numbered, record: Show, room: float) -> None:
    entries = (
        sorted((number, finding) for group in marks.values() for number, finding in group) if marks else []
    )
    for number, finding in entries:
        disc(sheet, 0, y + 7, number, finding["severity"])
        heading = f"{finding['code']} {finding['node'] or ''}: {finding['message']}".replace(" :", ":")
        for text, fill in ((heading, "ink"), (_sums(record, finding), "muted")):
            for line in lines(text, SIZE, room - 24) if text else ():
                sheet.text(2 * RADIUS + 8, y + ASCENT * SIZE + 1, line, SIZE, fill, anchor="start")
                y += LINE * SIZE
        y += 5
    every = [f for f in (*record["findings"], *record["problems"]) if f["severity"] != "info"]
    if len(every) > len(entries):
        more = "more finding" if entries else "finding"
        text = f"{plural(len(every) - len(entries), more)}: striate check"
        sheet.text(0, y + ASCENT * SIZE, shortened(text, SIZE, room), SIZE, "muted", anchor="start")


def _sums(record: Show, finding: Finding) -> str:
    """The numbers behind a finding, and its first fix."""
    texts = [finding["why"]] if re.search(r"\d", finding["why"]) else []
    texts += [f"fix: {finding['fixes'][0]['text']}"] if finding["fixes"] else []
    return "; ".join(texts)
