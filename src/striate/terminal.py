"""What a terminal can show, and a progress bar in its last line.

A bar appears only if the terminal can move its cursor and NO_COLOR is not set.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO, TypeGuard

from striate.units import duration

REDRAW_S = 0.125
"""Minimum seconds between two updates of a bar, so that it does not slow down the work."""
MIN_BAR_COLUMNS = 4
"""Minimum columns of a bar."""

_ASCII = str.maketrans(
    {
        "·": "*", "×": "x", "−": "-", "–": "-", "—": "-", "→": "->", "←": "<-", "≥": ">=", "≤": "<=", "≡": "=",
        "≠": "!=", "≈": "~", "…": "...", "’": "'", "“": '"', "”": '"', "─": "-", "│": "|", "█": "#", "▓": "#",
        "▒": "+", "░": ".", "▀": "#", "▄": "#", "▁": ".", "▂": ".", "▃": "-", "▅": "+", "▆": "+", "▇": "#",
        "■": "#", "✓": "ok", "✗": "x", "½": "1/2",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Terminal:
    """What the reader's screen can show: width in columns, color, characters outside ASCII.

    `folds`: whether messages are wrapped. For a pipe or a file they are not (each stays on its line, for grep);
    tables keep to `width` everywhere. `program`: what the reader types to start Striate.
    """

    width: int = 80
    color: bool = False
    unicode: bool = True
    folds: bool = True
    program: str = "striate"

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Terminal:
        """The terminal behind `stream`; a pipe or file reads as 80 plain columns.

        Color follows https://no-color.org and FORCE_COLOR; COLUMNS overrides the width.
        """
        interactive = is_terminal(stream)
        color = (interactive and environ.get("TERM") != "dumb") or bool(environ.get("FORCE_COLOR"))
        try:
            "·×−→≥█".encode(getattr(stream, "encoding", "") or "ascii")
            wide = True
        except (UnicodeEncodeError, LookupError):
            wide = False
        columns = environ.get("COLUMNS", "")
        width = int(columns) if columns.isdecimal() and len(columns) < 6 else 0
        if not width and interactive:
            import shutil  # start-up counts

            width = shutil.get_terminal_size((80, 24)).columns
        return cls(max(width or 80, 20), color and not environ.get("NO_COLOR"), wide, interactive)


def in_ascii(text: str) -> str:
    """`text` spelled in ASCII: signs by similar characters, everything else as escapes."""
    return text.replace(" · ", " | ").translate(_ASCII).encode("ascii", "backslashreplace").decode()


def width_of(text: str) -> int:
    """Columns that `text` takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    import unicodedata  # start-up counts

    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


class Bar:
    """A progress bar on a stream (standard error), if `wants_bar`; otherwise every call does nothing.

    patience: seconds before the bar appears. Ordinary lines are written while it is `aside`.

    >>> with Bar() as bar:
    ...     for done in range(3):
    ...         bar.count("reading", done, 3)
    """

    def __init__(self, stream: TextIO | None = None, patience: float = 0.0) -> None:
        self.stream = stream or sys.stderr
        self.enabled = wants_bar(self.stream)
        self.visible = False
        self._began = time.monotonic()
        self._due = self._began + patience
        self._what = ""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def update(self, what: str, done: int, total: int, note: str = "", short: str = "") -> None:
        """Show `done` of `total`, the activity `what`, and a note (`short` on a narrow screen)."""
        now = time.monotonic()
        if not self.enabled or (now < self._due and not (self.visible and what != self._what)):
            return
        self._due, self._what, self.visible = now + REDRAW_S, what, True
        terminal = Terminal.of(self.stream)
        self._write("\r" + _bar_line(terminal, what, done / max(total, 1), note, short))

    def count(self, what: str, done: int, total: int) -> None:
        """The same with the count and the estimated time left."""
        remaining = duration((time.monotonic() - self._began) * (total - done) / done) if done else ""
        self.update(what, done, total, f"{done:,}/{total:,}  {remaining} left", f"{done:,}/{total:,}")

    def stop(self) -> None:
        """Remove the bar; the next update draws it again."""
        if self.visible:
            self._write("\r" + " " * (Terminal.of(self.stream).width - 1) + "\r")
            self.visible, self._due = False, 0.0

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the bar so that lines can be written; the next update draws it again."""
        self.stop()
        yield

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the stream was closed
            self.enabled = self.visible = False


def wants_bar(stream: TextIO | None) -> bool:
    """Whether a bar can be drawn on `stream`, and may be: a notebook's output, or a terminal that shows colors."""
    return _is_notebook(stream) or (is_terminal(stream) and Terminal.of(stream).color)


def is_terminal(stream: TextIO | None) -> TypeGuard[TextIO]:
    """Whether a person reads what is written to `stream`."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _is_notebook(stream: TextIO | None) -> bool:
    return type(stream).__module__.partition(".")[0] == "ipykernel"


def _bar_line(terminal: Terminal, what: str, share: float, note: str, short: str) -> str:
    """One line, a column shorter than the terminal, so that no terminal breaks it."""
    room = terminal.width - 1
    note = note if len(what) + len(note) + 16 <= terminal.width else short
    if not terminal.unicode:
        what, note = in_ascii(what), in_ascii(note)
    length = room - width_of(what) - width_of(note) - 2
    if length < MIN_BAR_COLUMNS:
        line = _cut(f"{_cut(what, room - width_of(note) - 1)} {note}", room)
        return line + " " * (room - width_of(line))
    full = round(length * min(max(share, 0.0), 1.0))
    full_sign, empty_sign = "━━" if terminal.unicode else "#."
    return f"{what} \x1b[36m{full_sign * full}\x1b[0m\x1b[2m{empty_sign * (length - full)}\x1b[0m {note}"


def _cut(text: str, columns: int) -> str:
    while text and width_of(text) > columns:
        text = text[:-1]
    return text
