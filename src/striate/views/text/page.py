"""Plain text pages: lines, wrapped paragraphs and tables that fit the terminal.

A page knows three things about its reader (`Terminal`: width, color, Unicode) and nothing about networks. Text is
a string, or a sequence of strings and `(string, style)` pairs; styles are written only for a terminal with
color, and characters outside ASCII are spelled in ASCII if the stream cannot encode them, *before* widths are measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from striate.diagnostics import printable
from striate.terminal import Terminal, in_ascii, width_of

HOLD = "\u00a0"
"""A space at which no line is broken; written as a plain one."""

Text = str | Sequence[str | tuple[str, str]]
"""A string, or pieces: plain strings and (string, style) pairs."""

_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True)
class Column:
    """One column: its heading, its side, and whether its cells may be folded when space is short."""

    title: str
    align: Literal["left", "right"] = "left"
    fold: bool = False


@dataclass
class Row:
    """Cells of one row, lines that hang under it (indented, across the table), and a style for the whole row.

    A row without cells is a heading: its notes stand at the margin.
    """

    cells: Sequence[Text] = ()
    notes: Sequence[Text] = ()
    style: str = ""


@dataclass
class Page:
    """Collects lines for one terminal; `str(page)` is the text, ending in a newline."""

    terminal: Terminal = field(default_factory=Terminal)
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n" if self.lines else ""

    # -- paragraphs -------------------------------------------------------------------------------------------

    def line(self, text: Text = "", indent: int = 0, hang: int | None = None) -> None:
        """One paragraph, wrapped to the width; lines after the first begin at column `hang` (default `indent`)."""
        hang = indent if hang is None else hang
        hang = min(hang, self.terminal.width // 2)
        pieces = self._pieces(text)
        rest = self.terminal.width
        for number, piece in enumerate(_wrap(pieces, rest - indent, rest - hang)):
            self.lines.append((" " * (hang if number else indent) + self._paint(piece)).rstrip())

    def message(self, text: str, style: str = "bold") -> None:
        """A rendered finding or error: painted head, labeled lines that hang under their own text."""
        for number, line in enumerate(text.splitlines()):
            body = line.lstrip()
            indent = len(line) - len(body)
            code, gap, rest = ("", "", body) if number else body.partition(" ")
            pieces: list[str | tuple[str, str]] = [(code, style), gap, rest] if code else [rest]
            if self.terminal.folds:
                self.line(pieces, indent, 10 if number else 2)
            else:
                self.lines.append(" " * indent + self._paint(self._pieces(pieces)))

    def command(self, text: str, indent: int = 2) -> None:
        """A command `striate …` to paste into a shell: long ones continue after a backslash, never inside quotes."""
        words = re.findall(
            r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", text.replace("striate", self.terminal.program, 1)
        )
        lines = [words[0]]
        for word in words[1:]:
            if width_of(f"{lines[-1]} {word}") + indent + len(" \\") > self.terminal.width:
                lines[-1] += " \\"
                lines.append(f"  {word}")
            else:
                lines[-1] += f" {word}"
        for line in lines:
            self.lines.append(" " * indent + self._paint(self._pieces([(line, "cyan")])))

    def title(self, text: str) -> None:
        """A heading with a rule under it."""
        self.line([(text, "bold")])
        rule = "─" if self.terminal.unicode else "-"
        self.lines.append(self._paint([(rule * min(width_of(text), self.terminal.width), "dim")]))

    def fields(self, rows: Iterable[tuple[str, Text]], indent: int = 2) -> None:
        """`label  text` lines with the texts under each other, wrapped."""
        pairs = list(rows)
        column = indent + max((width_of(label) for label, _ in pairs), default=0) + 2
        for label, text in pairs:
            pieces: list[str | tuple[str, str]] = [(label.ljust(column - indent), "dim")]
            pieces += [text] if isinstance(text, str) else list(text)
            self.line(pieces, indent, column)

    # -- tables -----------------------------------------------------------------------------------------------

    def table(
        self, columns: Sequence[Column], rows: Iterable[Row], gap: int = 2, head: bool = True, indent: int = 0
    ) -> None:
        """A table: every column as wide as its widest cell; foldable columns shrink if the table is too wide.

        If even that would break short words, every row becomes a paragraph instead.
        """
        body = list(rows)
        grid = [[self._pieces(cell) for cell in row.cells] for row in body]
        titles = [self._pieces([(column.title, "bold")]) for column in columns]
        lines = [titles, *grid] if head else grid
        natural = [max((_length(row[k]) for row in lines if row), default=0) for k in range(len(columns))]
        room = self.terminal.width - indent - gap * (len(columns) - 1)
        widths = _fit_widths(columns, natural, room)
        squeezed = any(now < wish and now < 12 for now, wish in zip(widths, natural))
        if squeezed or sum(widths) > room:
            self._stack(columns, zip(body, grid, strict=True), indent)
            return
        if head:
            self._row(columns, titles, widths, gap, "bold", indent)
        for row, cells in zip(body, grid, strict=True):
            if cells:
                self._row(columns, cells, widths, gap, row.style, indent)
            self._notes(row, indent)

    def _notes(self, row: Row, indent: int) -> None:
        for note in row.notes:
            self.line(note, indent + 4 if row.cells else indent, indent + 6)

    def _stack(
        self, columns: Sequence[Column], rows: Iterable[tuple[Row, list[_Pieces]]], indent: int
    ) -> None:
        """Each row as a paragraph: the first cell, and under it the others with their titles."""
        for row, cells in rows:
            if cells:
                first = [(text.lstrip(), style or row.style) for text, style in cells[0]]
                if _length(first):
                    self.line(first, indent, indent + 2)
                facts: list[str | tuple[str, str]] = []
                for column, cell in zip(columns[1:], cells[1:]):
                    if _length(cell):
                        facts += [" · "] if facts else []
                        facts += [(f"{column.title}{HOLD}", "dim")] if column.title else []
                        facts += [(text.replace(" ", HOLD), style or row.style) for text, style in cell]
                if facts:
                    self.line(facts, indent + 4)
            self._notes(row, indent)

    def fits(self, columns: Sequence[Column], rows: Iterable[Row], gap: int = 2) -> bool:
        """True if the table fits the width without folding a cell."""
        widths = [width_of(column.title) for column in columns]
        for row in rows:
            for k, cell in enumerate(row.cells):
                widths[k] = max(widths[k], _length(self._pieces(cell)))
        return sum(widths) + gap * (len(widths) - 1) <= self.terminal.width

    def _row(
        self,
        columns: Sequence[Column],
        cells: list[_Pieces],
        widths: list[int],
        gap: int,
        style: str,
        indent: int,
    ) -> None:
        wrapped = [list(_wrap(cell, width, width)) for cell, width in zip(cells, widths, strict=True)]
        for k in range(max((len(parts) for parts in wrapped), default=0)):
            line = " " * indent
            for column, width, parts in zip(columns, widths, wrapped, strict=True):
                piece = parts[k] if k < len(parts) else []
                blank = " " * (width - _length(piece))
                text = self._paint([(part, mark or style) for part, mark in piece])
                line += (blank + text if column.align == "right" else text + blank) + " " * gap
            self.lines.append(line.rstrip())

    # -- characters -------------------------------------------------------------------------------------------

    def spell(self, text: str) -> str:
        """`text` in characters that this terminal shows; control characters are written as escapes."""
        text = printable(text, keep=f"\n{HOLD}")
        if not self.terminal.unicode and not text.isascii():
            text = HOLD.join(map(in_ascii, text.split(HOLD)))
        return text

    def _pieces(self, text: Text) -> _Pieces:
        if isinstance(text, str):
            return [(self.spell(text), "")]
        return [(self.spell(p), "") if isinstance(p, str) else (self.spell(p[0]), p[1]) for p in text]

    def _paint(self, pieces: _Pieces) -> str:
        pieces = [(text.replace(HOLD, " "), style) for text, style in pieces]
        if not self.terminal.color:
            return "".join(text for text, _ in pieces)
        return "".join(
            f"\x1b[{';'.join(_SGR[word] for word in style.split())}m{text}\x1b[0m" if style and text else text
            for text, style in pieces
        )


_Pieces = list[tuple[str, str]]


def _fit_widths(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    """Widths that sum to at most `room` if foldable columns allow it; the widest shrinks first."""
    widths = list(natural)
    while sum(widths) > room:
        able = [k for k, column in enumerate(columns) if column.fold and widths[k] > 8]
        if not able:
            break
        widths[max(able, key=lambda k: widths[k])] -= 1
    return widths


def _length(pieces: _Pieces) -> int:
    return sum(width_of(text) for text, _ in pieces)


def _wrap(pieces: _Pieces, first: int, rest: int) -> Iterator[_Pieces]:
    """Lines of at most `first`, then `rest` columns: broken at spaces, or inside a word that is longer than a line."""
    room = max(first, 1)
    if _length(pieces) <= room and not any("\n" in text for text, _ in pieces):
        yield pieces
        return
    marked = [(c, style) for text, style in pieces for c in text]
    start = 0
    while start < len(marked):
        width, end, space = 0, start, None
        while end < len(marked) and marked[end][0] != "\n":
            width += width_of(marked[end][0])
            if width > room:
                break
            if marked[end][0] == " " and end > start:
                space = end
            end += 1
        if end < len(marked) and marked[end][0] not in " \n":
            end = _inside(marked, (space or start - 1) + 1, end, rest) or space or max(end, start + 1)
        last = end
        while last > start and marked[last - 1][0] == " " and end < len(marked):
            last -= 1
        yield _join(marked[start:last])
        start = end
        if start < len(marked) and marked[start][0] == "\n":
            start += 1
        else:
            while start < len(marked) and marked[start][0] == " ":
                start += 1
        room = max(rest, 1)


def _inside(marked: list[tuple[str, str]], start: int, end: int, room: int) -> int:
    """Where to break a word that no line can hold: after its last dot or slash before `end`; 0 for other words."""
    stop = start
    while stop < len(marked) and marked[stop][0] not in " \n":
        stop += 1
    if stop - start <= room:
        return 0
    return max((k + 1 for k in range(start, end) if marked[k][0] in "./"), default=0)


def _join(marked: list[tuple[str, str]]) -> _Pieces:
    pieces: _Pieces = []
    for c, style in marked:
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + c, style)
        else:
            pieces.append((c, style))
    return pieces
