"""A drawing as PDF: lines and text, not pixels, one page of the size of the picture, with its font inside."""

from __future__ import annotations

import io
from itertools import groupby
from typing import TYPE_CHECKING, Any

from striate.diagnostics import printable
from striate.views.drawing import theme as themes
from striate.views.drawing.extra import font_files, needed, replaced
from striate.views.drawing.svg import (
    DASH,
    HEAD,
    arrowhead,
    has_gaps,
    is_image,
    png,
    segments,
    shortened_end,
)

if TYPE_CHECKING:
    from striate.views.schemas.scene import CellsMark, Drawing, Mark, PathMark, RectMark, TextMark

POINT = 0.75
"""Points for a pixel: 72 and 96 in an inch."""
MAX_PAGE_POINTS = 14_000.0
"""Readers of PDF show pages of up to 14,400 points (ISO 32000-1, annex C)."""
PLAIN, BOLD = "Vera", "VeraBd"


def pdf(drawing: Drawing, theme: str = "light", scale: float = 1.0) -> bytes:
    """The bytes of a PDF file. theme: "dark", or light for all others; a page that would be too long is shrunk.

    Raises MissingExtraError without reportlab.
    """
    with needed():
        from reportlab.pdfbase.pdfmetrics import registerFont
        from reportlab.pdfbase.ttfonts import TTFont
        from reportlab.pdfgen.canvas import Canvas
    for name, file in zip((PLAIN, BOLD), font_files(), strict=True):
        registerFont(TTFont(name, str(file)))
    wide, high = drawing["width"], drawing["height"]
    unit = min(POINT * scale, MAX_PAGE_POINTS / max(wide, high))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(wide * unit, high * unit), invariant=1, initialFontName=PLAIN)
    canvas.setTitle(printable(drawing["title"]))
    canvas.setSubject(printable(drawing["description"]))
    canvas.scale(unit, unit)
    canvas.translate(0, high)
    page = _Page(canvas, themes.DARK if theme == "dark" else themes.LIGHT)
    page.fill("paper")
    canvas.rect(0, -high, wide, high, stroke=0, fill=1)
    for mark in replaced(drawing)["marks"]:
        page.draw(mark)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


class _Page:
    """A canvas whose y axis points up: all heights are written with their sign turned."""

    def __init__(self, canvas: Any, colors: dict[str, str]) -> None:
        self.canvas = canvas
        self.colors = colors

    def fill(self, name: str) -> None:
        self.canvas.setFillColor(self.colors[name])

    def draw(self, mark: Mark) -> None:
        if mark["mark"] == "rect":
            self.rect(mark)
        elif mark["mark"] == "path":
            self.path(mark)
        elif mark["mark"] == "text":
            self.text(mark)
        else:
            self.cells(mark)

    def paint(self, mark: RectMark | PathMark) -> dict[str, int]:
        if mark["fill"]:
            self.fill(mark["fill"])
        if mark["stroke"]:
            self.canvas.setStrokeColor(self.colors[mark["stroke"]])
            self.canvas.setLineWidth(mark.get("thick", 1.0))
            self.canvas.setDash(*([[float(n) for n in DASH.split()]] if mark.get("dash") else [[]]))
        return {"fill": int(bool(mark["fill"])), "stroke": int(bool(mark["stroke"]))}

    def rect(self, mark: RectMark) -> None:
        painted = self.paint(mark)
        corner = mark["x"], -mark["y"] - mark["height"], mark["width"], mark["height"]
        if mark.get("round"):
            round = min(mark["round"], mark["width"] / 2, mark["height"] / 2)
            self.canvas.roundRect(*corner, round, **painted)
        else:
            self.canvas.rect(*corner, **painted)

    def path(self, mark: PathMark) -> None:
        points = [(x, y) for x, y in mark["points"]]
        painted = self.paint(mark)
        line = self.canvas.beginPath()
        for step in segments(
            shortened_end(points, HEAD - 1) if mark.get("arrow") else points, mark.get("bend", 0.0)
        ):
            numbers = [
                n if k % 2 == 0 else -n for k, n in enumerate(n for point in step.points for n in point)
            ]
            {"M": line.moveTo, "L": line.lineTo, "C": line.curveTo}[step.letter](*numbers)
        if mark.get("closed"):
            line.close()
        self.canvas.setLineJoin(1)
        self.canvas.drawPath(line, **painted)
        if mark.get("arrow"):
            head = self.canvas.beginPath()
            (first, *rest) = arrowhead(points)
            head.moveTo(first[0], -first[1])
            for x, y in rest:
                head.lineTo(x, -y)
            head.close()
            self.fill(mark["stroke"])
            self.canvas.drawPath(head, fill=1, stroke=0)

    def text(self, mark: TextMark) -> None:
        self.fill(mark["fill"])
        self.canvas.setFont(BOLD if mark.get("bold") else PLAIN, mark["size"])
        draw = {
            "start": self.canvas.drawString,
            "middle": self.canvas.drawCentredString,
            "end": self.canvas.drawRightString,
        }
        draw[mark["anchor"]](mark["x"], -mark["y"], mark["text"])

    def cells(self, mark: CellsMark) -> None:
        if is_image(mark):
            self.image(mark)
            return
        side = mark["side"]
        for k, row in enumerate(mark["levels"]):
            x, y = mark["x"], -mark["y"] - (k + 1) * side
            for level, run in groupby(row):
                span = side * len(list(run))
                if level is None:
                    self.hatch(x, y, span, side)
                else:
                    self.canvas.setFillColor(themes.mapped(mark["palette"], level))
                    self.canvas.rect(x, y, span, side, stroke=0, fill=1)
                x += span

    def image(self, mark: CellsMark) -> None:
        from reportlab.lib.utils import ImageReader

        rows = mark["levels"]
        wide, high = max(map(len, rows)) * mark["side"], len(rows) * mark["side"]
        corner = mark["x"], -mark["y"] - high, wide, high
        if has_gaps(mark):
            self.hatch(*corner)
        self.canvas.drawImage(ImageReader(io.BytesIO(png(rows, mark["palette"]))), *corner, mask="auto")

    def hatch(self, x: float, y: float, wide: float, high: float) -> None:
        """Slanted lines over a rectangle."""
        self.canvas.saveState()
        box = self.canvas.beginPath()
        box.rect(x, y, wide, high)
        self.canvas.clipPath(box, stroke=0, fill=0)
        self.canvas.setStrokeColor(self.colors["error"])
        self.canvas.setLineWidth(1)
        self.canvas.setDash([])
        at = -high
        while at < wide:
            self.canvas.line(x + at, y, x + at + high, y + high)
            at += 6
        self.canvas.restoreState()
