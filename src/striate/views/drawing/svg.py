"""A drawing as SVG: text as text, no script, the same bytes every time.

Colors are written as attributes, for the light theme unless another is asked for, so that every program that reads SVG
shows them. With the theme "auto" a style sheet adds the colors of the dark theme for readers who prefer it.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from striate.diagnostics import OpError, printable, suggest
from striate.views.drawing import motion as motions
from striate.views.drawing import theme as themes
from striate.views.drawing.sheet import SIZE

if TYPE_CHECKING:
    from striate.views.schemas.scene import CellsMark, Drawing, Mark, Motion, PathMark, RectMark, TextMark

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Verdana, sans-serif"
THEMES = ("auto", "light", "dark")
HEAD = 7.0
"""Length of an arrowhead."""
SEPARATE = 1024
"""Grids of up to this many cells are written as squares unless they say otherwise, larger ones as an image."""
DASH = "4 3"


def known_word(name: str, value: str, known: Sequence[str] = THEMES) -> str:
    """The value of an option that takes words, by default that of a theme. Raises OpError for another one."""
    if value not in known:
        raise OpError(
            f"{name} is {value!r}",
            why=f"it is one of {', '.join(filter(None, known))}",
            fix=f"write {suggest(value, known) or known[-1]!r}",
        )
    return value


def svg(drawing: Drawing, theme: str = "auto", scale: float = 1.0, ids: str = "") -> str:
    """The text of an SVG file. theme: "auto", "light" or "dark"; scale: of the size at which it is shown.

    ids: what the names of its definitions begin with, where several drawings stand in one page.
    """
    colors = themes.DARK if theme == "dark" else themes.LIGHT
    writer = _Writer(colors, theme == "auto", drawing.get("motion"), ids)
    body = list(writer.groups(drawing["marks"]))
    wide, high = drawing["width"], drawing["height"]
    title = escape(printable(drawing["title"]))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="striate" role="img" width="{number(wide * scale)}" '
            f'height="{number(high * scale)}" viewBox="0 0 {number(wide)} {number(high)}" font-family="{FONTS}">',
            f"<title>{title}</title>",
            f"<desc>{escape(printable(drawing['description']))}</desc>",
            *writer.style(),
            *writer.definitions(),
            f'<rect {writer.color("fill", "paper")} width="{number(wide)}" height="{number(high)}"/>',
            f'<g {writer.color("fill", "ink")} font-size="{number(SIZE)}" text-anchor="middle" '
            'stroke-linejoin="round">',
            *body,
            "</g>",
            "</svg>\n",
        ]
    )


class _Writer:
    """Elements of one file, and the colors that they use."""

    def __init__(self, colors: dict[str, str], adaptive: bool, motion: Motion | None, ids: str) -> None:
        self.colors = colors
        self.adaptive = adaptive
        self.motion = motion
        self.spans: set[tuple[int, int]] = set()
        self.used: set[tuple[str, str]] = {("fill", "paper"), ("fill", "ink")}
        self.hatched = False
        self.unread = f"{ids}unread"

    def color(self, what: str, name: str) -> str:
        """The attributes that give fill or stroke a color of the theme."""
        if not name:
            return f'{what}="none"' if what == "fill" else ""
        if not self.adaptive or themes.LIGHT[name] == themes.DARK[name]:
            return f'{what}="{self.colors[name]}"'
        self.used.add((what, name))
        return f'{what}="{self.colors[name]}" class="{what[0]}-{name}"'

    def style(self) -> Iterator[str]:
        if self.adaptive:
            rules = "".join(
                f".striate .{what[0]}-{name}{{{what}:{themes.DARK[name]}}}"
                for what, name in sorted(self.used)
            )
            yield f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
        if self.motion:
            yield from motions.style(self.motion, self.spans)

    def definitions(self) -> Iterator[str]:
        if self.hatched:
            line = f'<path d="M0 6 6 0M-1 1 1-1M5 7 7 5" {self.color("stroke", "error")}/>'
            yield f'<defs><pattern id="{self.unread}" width="6" height="6" patternUnits="userSpaceOnUse">{line}'
            yield "</pattern></defs>"

    # -- elements ---------------------------------------------------------------------------------------------

    def groups(self, marks: Iterable[Mark]) -> Iterator[str]:
        """Marks in order; those of one node in a group that says its name."""
        for name, run in groupby(marks, key=lambda mark: mark.get("about", "")):
            elements = list(self.steps(run))
            if name:
                title = printable(name)
                yield f"<g data-node={quoteattr(title)}><title>{escape(title)}</title>"
                yield from elements
                yield "</g>"
            else:
                yield from elements

    def steps(self, marks: Iterable[Mark]) -> Iterator[str]:
        """Marks in order; those that are seen in some steps of a moving picture only, in groups."""
        for steps, run in groupby(marks, key=lambda mark: mark.get("steps")):
            elements = self.elements(run)
            if not steps or not self.motion:
                yield from elements
                continue
            span = (steps[0], steps[1])
            self.spans.add(span)
            hidden = "" if span[1] == self.motion["steps"] - 1 else ' opacity="0"'
            yield f'<g class="{motions.key(self.motion, span)}"{hidden}>'
            yield from elements
            yield "</g>"

    def elements(self, marks: Iterable[Mark]) -> Iterator[str]:
        """Marks in order; lines after each other that look the same are one path."""
        for line, run in groupby(marks, key=_line):
            if line:
                yield from self.paths(list(run))  # type: ignore[arg-type]
            else:
                for mark in run:
                    yield from self.element(mark)

    def element(self, mark: Mark) -> Iterator[str]:
        if mark["mark"] == "rect":
            yield self.rect(mark)
        elif mark["mark"] == "path":
            yield from self.paths([mark])
        elif mark["mark"] == "text":
            yield self.text(mark)
        else:
            yield from self.cells(mark)

    def paint(self, mark: RectMark | PathMark) -> str:
        """Fill and stroke of a mark. Two classes become one attribute."""
        parts = [self.color("fill", mark["fill"]), self.color("stroke", mark["stroke"])]
        classes = [part.split(' class="')[1][:-1] for part in parts if ' class="' in part]
        plain = [part.split(' class="')[0] for part in parts if part]
        if classes:
            plain.append(f'class="{" ".join(classes)}"')
        if mark["stroke"] and mark.get("thick", 1) != 1:
            plain.append(f'stroke-width="{number(mark["thick"])}"')
        if mark.get("dash"):
            plain.append(f'stroke-dasharray="{DASH}"')
        return " ".join(plain)

    def rect(self, mark: RectMark) -> str:
        round = f' rx="{number(mark["round"])}"' if mark.get("round") else ""
        return f"<rect {_corner(mark['x'], mark['y'], mark['width'], mark['height'])}{round} {self.paint(mark)}/>"

    def paths(self, marks: Sequence[PathMark]) -> Iterator[str]:
        """One path, or several lines that look the same; the heads of arrows come after the lines."""
        lines, heads = [], []
        for mark in marks:
            points = [(x, y) for x, y in mark["points"]]
            line = shortened_end(points, HEAD - 1) if mark.get("arrow") else points
            lines.append(trace(line, mark.get("bend", 0.0), mark.get("closed", False)))
            if mark.get("arrow"):
                heads.append(trace(arrowhead(points), 0, True))
        yield f'<path d="{"".join(lines)}" {self.paint(marks[0])}/>'
        if heads:
            yield f'<path d="{"".join(heads)}" {self.color("fill", marks[0]["stroke"])}/>'

    def text(self, mark: TextMark) -> str:
        """What is not written is that of the group around all: medium size, in the middle, ink."""
        size = f' font-size="{number(mark["size"])}"' if mark["size"] != SIZE else ""
        anchor = f' text-anchor="{mark["anchor"]}"' if mark["anchor"] != "middle" else ""
        bold = ' font-weight="bold"' if mark.get("bold") else ""
        fill = f" {self.color('fill', mark['fill'])}" if mark["fill"] != "ink" else ""
        return (
            f'<text x="{number(mark["x"])}" y="{number(mark["y"])}"{size}{anchor}{bold}{fill}>'
            f"{escape(printable(mark['text']))}</text>"
        )

    def cells(self, mark: CellsMark) -> Iterator[str]:
        rows, side = mark["levels"], mark["side"]
        if is_image(mark):
            wide, high = max(map(len, rows)), len(rows)
            uri = png_uri(rows, mark["palette"])
            if has_gaps(mark):  # transparent in the image: hatched under it
                self.hatched = True
                yield f'<rect {_corner(mark["x"], mark["y"], wide * side, high * side)} fill="url(#{self.unread})"/>'
            yield (
                f"<image {_corner(mark['x'], mark['y'], wide * side, high * side)} "
                f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{uri}"/>'
            )
            return
        for k, row in enumerate(rows):
            x: float = mark["x"]
            for level, run in groupby(row):
                span = side * len(list(run))
                fill = (
                    f'fill="{themes.mapped(mark["palette"], level)}"'
                    if level is not None
                    else f'fill="url(#{self.unread})"'
                )
                self.hatched |= level is None
                yield f'<rect {_corner(x, mark["y"] + k * side, span, side)} {fill} shape-rendering="crispEdges"/>'
                x += span


def _line(mark: Mark) -> tuple[object, ...]:
    """How a line looks; empty for other marks."""
    if mark["mark"] != "path" or mark["fill"] or mark.get("closed"):
        return ()
    return mark["stroke"], mark.get("thick", 1), mark.get("dash"), mark.get("arrow")


def _corner(x: float, y: float, width: float, height: float) -> str:
    return f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'


# -- geometry of lines ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Segment:
    """A piece of a path: M begins it, L is a straight line, C a curve with two points of control."""

    letter: str
    points: tuple[tuple[float, float], ...]


def segments(points: Sequence[tuple[float, float]], bend: float) -> Iterator[Segment]:
    """The pieces of a line through points; bend: radius by which its corners are rounded."""
    yield Segment("M", (points[0],))
    for k, point in enumerate(points[1:], 1):
        if not bend or k == len(points) - 1:
            yield Segment("L", (point,))
            continue
        before, after = points[k - 1], points[k + 1]
        start = toward(point, before, min(bend, _distance(point, before) / 2))
        end = toward(point, after, min(bend, _distance(point, after) / 2))
        yield Segment("L", (start,))
        # A quadratic curve with the corner as its point of control, written as a cubic one.
        yield Segment("C", (_between(start, point, 2 / 3), _between(end, point, 2 / 3), end))


def trace(points: Sequence[tuple[float, float]], bend: float, closed: bool) -> str:
    """The `d` of a path."""
    parts = []
    x = y = ""
    for step in segments(points, bend):
        texts = [(number(a), number(b)) for a, b in step.points]
        (before, above), (x, y) = (x, y), texts[-1]
        if step.letter == "L" and y == above:
            parts.append(f"H{x}")
        elif step.letter == "L" and x == before:
            parts.append(f"V{y}")
        else:
            parts.append(step.letter + " ".join(f"{a} {b}" for a, b in texts))
    return "".join(parts) + ("Z" if closed else "")


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def arrowhead(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The triangle at the end of a line."""
    tip = points[-1]
    before = next((p for p in reversed(points[:-1]) if p != tip), (tip[0] - 1, tip[1]))
    x, y = toward(tip, before, HEAD)
    dx, dy = (tip[0] - x) / HEAD, (tip[1] - y) / HEAD
    half = HEAD * 0.45
    return [tip, (x - dy * half, y + dx * half), (x + dy * half, y - dx * half)]


def shortened_end(points: Sequence[tuple[float, float]], by: float) -> list[tuple[float, float]]:
    """A line without its last pixels, which an arrowhead covers."""
    *rest, tip = points
    return [*rest, toward(tip, rest[-1], min(by, _distance(tip, rest[-1])))]


def toward(start: tuple[float, float], end: tuple[float, float], by: float) -> tuple[float, float]:
    """The point `by` pixels from start in the direction of end."""
    length = _distance(start, end) or 1.0
    return start[0] + (end[0] - start[0]) * by / length, start[1] + (end[1] - start[1]) * by / length


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return math.sqrt(
        (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    )  # the last digit of hypot differs between systems


def number(value: float, digits: int = 2) -> str:
    """A number without zeros at its end.

    >>> number(2.5), number(-0.001), number(10.0)
    ('2.5', '0', '10')
    """
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


# -- images ---------------------------------------------------------------------------------------------------


def is_image(mark: CellsMark) -> bool:
    """Whether a grid is written as an image."""
    return mark.get("image", False) or sum(map(len, mark["levels"])) > SEPARATE


def has_gaps(mark: CellsMark) -> bool:
    """Whether cells of a grid are hatched."""
    return any(level is None for row in mark["levels"] for level in row)


def png_uri(rows: Sequence[Sequence[int | None]], palette: str) -> str:
    """The same as `png`, as data in a page."""
    return f"data:image/png;base64,{base64.b64encode(png(rows, palette)).decode()}"


def png(rows: Sequence[Sequence[int | None]], palette: str) -> bytes:
    """A PNG of levels with its palette, one pixel for each; None is transparent (PNG, third edition, 11.2)."""
    wide = max(map(len, rows))
    full = [[*row, *[None] * (wide - len(row))] for row in rows]
    missing = any(level is None for row in full for level in row)
    chunks = []
    if palette == "rgb":
        depth = 6 if missing else 2  # with and without transparency
        solid = b"\xff" if missing else b""
        lines = [
            b"".join(b"\0" * 4 if v is None else v.to_bytes(3, "big") + solid for v in row) for row in full
        ]
    else:
        depth = 3
        levels = {v for row in full for v in row if v is not None}
        if missing and len(levels) > 255:
            levels.discard(255)  # which the level under it stands for
        places = {level: k for k, level in enumerate(sorted(levels))}
        colors = b"".join(bytes(themes.rgb(themes.mapped(palette, level))) for level in places)
        chunks = [_chunk(b"PLTE", colors + b"\0\0\0" * missing)]
        if missing:
            chunks.append(_chunk(b"tRNS", b"\xff" * len(places) + b"\0"))
        lines = [
            bytes(len(places) if v is None else places.get(v, len(places) - 1) for v in row) for row in full
        ]
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", wide, len(rows), 8, depth, 0, 0, 0)),
            *chunks,
            _chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
