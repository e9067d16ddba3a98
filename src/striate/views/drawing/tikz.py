"""A drawing as TikZ: a document for plain pdflatex, and a picture to copy into a paper.

Texts are set in the sans-serif font of the document; they are narrower than the space that is reserved for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from striate.diagnostics import warn
from striate.views.drawing import theme as themes
from striate.views.drawing.extra import in_letters
from striate.views.drawing.svg import DASH, HEAD, arrowhead, number, segments, shortened_end

if TYPE_CHECKING:
    from striate.views.schemas.scene import CellsMark, Drawing, Mark, PathMark, RectMark, TextMark

_Item = TypeVar("_Item")
POINT = 0.75
MAX_LENGTH_POINTS = 14_000.0
"""TeX knows lengths of up to 16,383 points, readers of PDF pages of up to 14,400."""
SPELLED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "·": r"$\cdot$", "→": r"$\rightarrow$", "←": r"$\leftarrow$",
    "…": r"\ldots{}", "−": r"$-$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$",
    "µ": r"$\mu$", "σ": r"$\sigma$", "π": r"$\pi$", "°": r"$^\circ$", "²": r"$^2$", "³": r"$^3$", "½": r"$\frac12$",
    "–": "--", "—": "---", "\u00a0": "~",
}  # fmt: skip
"""Signs that LaTeX does not take as they are."""
MAX_CELLS = 20_000
"""Cells of all grids that are written, equal neighbors as one; more take LaTeX minutes."""
LATIN = "äöüÄÖÜßàáâãåæçèéêëìíîïñòóôõøùúûýÿÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛÝ"


def tikz(drawing: Drawing, theme: str = "light", scale: float = 1.0) -> str:
    """The text of a .tex file. theme: "dark", or light for all others; a page that would be too long is shrunk."""
    colors = themes.DARK if theme == "dark" else themes.LIGHT
    wide, high = drawing["width"], drawing["height"]
    unit = min(POINT * scale, MAX_LENGTH_POINTS / max(wide, high))
    drawing = in_letters(drawing, spelled, "LaTeX")
    marks = _fewer_cells(drawing["marks"])
    names = {"paper", "error"}
    for mark in marks:
        names |= {str(mark.get("fill", "")), str(mark.get("stroke", ""))} - {""}
    across, down = number(wide * unit), number(high * unit)
    return "\n".join(
        [
            r"\RequirePackage{fix-cm}",
            r"\documentclass{article}",
            r"\usepackage{textcomp}",
            r"\usepackage{tikz}",
            rf"\usepackage[paperwidth={across}bp,paperheight={down}bp,margin=0bp]{{geometry}}",
            r"\pagestyle{empty}",
            r"\setlength{\parindent}{0pt}\setlength{\topskip}{0pt}",
            r"\begin{document}%",
            "% To paste into a paper, which needs \\usepackage{tikz}: from here ...",
            *(
                rf"\definecolor{{striate-{name}}}{{HTML}}{{{colors[name][1:].upper()}}}"
                for name in sorted(names)
            ),
            rf"\begin{{tikzpicture}}[x={number(unit, 4)}bp,y=-{number(unit, 4)}bp,line width={number(unit)}bp,"
            r"line join=round,inner sep=0pt,outer sep=0pt,every node/.style={anchor=base}]",
            rf"\useasboundingbox (0,0) rectangle ({number(wide)},{number(high)});",
            rf"\fill[striate-paper] (0,0) rectangle ({number(wide)},{number(high)});",
            *(line for mark in marks for line in _element(mark, unit)),
            r"\end{tikzpicture}%",
            "% ... to here.",
            r"\end{document}",
            "",
        ]
    )


def _fewer_cells(marks: Sequence[Mark]) -> Sequence[Mark]:
    """The same marks; where their grids have too many cells, every second, third … of them, and a warning."""
    grids = [mark["levels"] for mark in marks if mark["mark"] == "cells"]
    step = 1
    while step < 256 and sum(_runs(levels, step) for levels in grids) > MAX_CELLS:
        step += 1
    if step == 1:
        return marks
    warn(f"the grids have too many cells for LaTeX: one of {step} x {step} is drawn; .pdf holds all")
    found: list[Mark] = []
    for mark in marks:
        if mark["mark"] == "cells" and len(mark["levels"]) >= step:
            few = mark.copy()
            few["levels"] = [_every(row, step) for row in _every(mark["levels"], step)]
            few["side"] = mark["side"] * min(
                len(mark["levels"]) / len(few["levels"]), len(mark["levels"][0]) / len(few["levels"][0])
            )
            found.append(few)
        else:
            found.append(mark)
    return found


def _runs(levels: Sequence[Sequence[int | None]], step: int) -> int:
    return sum(1 for row in _every(levels, step) for _ in groupby(_every(row, step)))


def _every(items: Sequence[_Item], step: int) -> list[_Item]:
    """One of each `step` items, from the middle of them."""
    return list(items[step // 2 :: step])[: max(len(items) // step, 1)] or list(items[:1])


def spelled(character: str) -> str:
    """How LaTeX writes a character; "?" for one that it cannot set without further packages."""
    if character in SPELLED:
        return SPELLED[character]
    return character if " " <= character <= "~" or character in LATIN else "?"


def _element(mark: Mark, unit: float) -> Iterator[str]:
    if mark["mark"] == "rect":
        yield _rect(mark, unit)
    elif mark["mark"] == "path":
        yield from _path(mark, unit)
    elif mark["mark"] == "text":
        yield _text(mark, unit)
    else:
        yield from _cells(mark)


def _options(mark: RectMark | PathMark, unit: float) -> list[str]:
    options = [f"fill=striate-{mark['fill']}"] if mark["fill"] else []
    if mark["stroke"]:
        options.append(f"draw=striate-{mark['stroke']}")
        if mark.get("thick", 1) != 1:
            options.append(f"line width={number(mark['thick'] * unit)}bp")
        if mark.get("dash"):
            on, off = (number(float(n) * unit) for n in DASH.split())
            options.append(f"dash pattern=on {on}bp off {off}bp")
    return options


def _rect(mark: RectMark, unit: float) -> str:
    options = _options(mark, unit)
    if mark.get("round"):
        options.append(
            f"rounded corners={number(min(mark['round'], mark['width'] / 2, mark['height'] / 2) * unit)}bp"
        )
    left, top = mark["x"], mark["y"]
    right, bottom = left + mark["width"], top + mark["height"]
    return rf"\path[{','.join(options)}] ({number(left)},{number(top)}) rectangle ({number(right)},{number(bottom)});"


def _path(mark: PathMark, unit: float) -> Iterator[str]:
    points = [(x, y) for x, y in mark["points"]]
    line = shortened_end(points, HEAD - 1) if mark.get("arrow") else points
    parts = []
    for step in segments(line, mark.get("bend", 0.0)):
        places = [f"({number(x)},{number(y)})" for x, y in step.points]
        if step.letter == "C":
            parts.append(f" .. controls {places[0]} and {places[1]} .. {places[2]}")
        else:
            parts.append(places[0] if step.letter == "M" else f" -- {places[0]}")
    yield rf"\path[{','.join(_options(mark, unit))}] {''.join(parts)}{' -- cycle' if mark.get('closed') else ''};"
    if mark.get("arrow"):
        corners = " -- ".join(f"({number(x)},{number(y)})" for x, y in arrowhead(points))
        yield rf"\path[fill=striate-{mark['stroke']}] {corners} -- cycle;"


def _text(mark: TextMark, unit: float) -> str:
    anchor = {"start": "base west", "middle": "base", "end": "base east"}[mark["anchor"]]
    size = number(mark["size"] * unit)
    bold = r"\bfseries" if mark.get("bold") else ""
    font = rf"\fontsize{{{size}bp}}{{{size}bp}}\sffamily{bold}\selectfont"
    place = f"({number(mark['x'])},{number(mark['y'])})"
    return (
        rf"\node[anchor={anchor},text=striate-{mark['fill']},font={{{font}}}] at {place} {{{mark['text']}}};"
    )


def _cells(mark: CellsMark) -> Iterator[str]:
    side = mark["side"]
    for k, row in enumerate(mark["levels"]):
        x, y = mark["x"], mark["y"] + k * side
        for level, run in groupby(row):
            span = side * len(list(run))
            corners = f"({number(x)},{number(y)}) rectangle ({number(x + span)},{number(y + side)})"
            if level is None:
                yield rf"\draw[striate-error] {corners};"
                yield rf"\draw[striate-error] ({number(x)},{number(y + side)}) -- ({number(x + span)},{number(y)});"
            else:
                red, green, blue = themes.rgb(themes.mapped(mark["palette"], level))
                yield rf"\fill[fill={{rgb,255:red,{red};green,{green};blue,{blue}}}] {corners};"
            x += span
