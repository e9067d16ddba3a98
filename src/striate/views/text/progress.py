"""A bar at the foot of a terminal, and nothing anywhere else.

Decides who sees a bar: a terminal that can move its cursor and whose reader has not asked for plain text (NO_COLOR).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from striate.views.text.page import Terminal

PER_SECOND = 8
"""Redraws; more would be work taken from the training."""


def wants_bar(stream: TextIO) -> bool:
    """Whether a bar can be drawn on `stream`, and may be."""
    try:
        return stream.isatty() and Terminal.of(stream).color
    except ValueError:  # closed
        return False


class Bar:
    """A bar on standard error. Ordinary lines are written while it is `aside`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.shown = wants_bar(self.stream)
        self._live: Any = None
        self._task: Any = None
        self._began = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def update(self, what: str, done: int, total: int, said: str = "", short: str = "") -> None:
        """Show `done` of `total`, what is being done, and something said about it (`short`: on a narrow screen)."""
        if not self.shown:
            return
        width = Terminal.of(self.stream).width
        text = said if len(what) + len(said) + 16 <= width else short
        shown = {"description": what, "completed": done, "total": max(total, 1), "said": text}
        if self._live is None:
            self._start(shown)
        else:
            self._live.update(self._task, **shown)

    def count(self, what: str, done: int, total: int) -> None:
        """The same with the count, and the time that is left at the speed so far."""
        left = duration((time.monotonic() - self._began) * (total - done) / done) if done else ""
        self.update(what, done, total, f"{done:,}/{total:,}  {left} left", f"{done:,}/{total:,}")

    def stop(self) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Without the bar, so that lines can be written; the next update brings it back."""
        self.stop()
        yield

    def _start(self, shown: dict[str, Any]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._live = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[said]}", markup=False),
            console=Console(file=self.stream, force_terminal=True, highlight=False),
            refresh_per_second=PER_SECOND,
            expand=True,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._live.add_task(**shown)
        self._live.start()


def duration(seconds: float) -> str:
    """0.3 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(seconds: float) -> str:
    """0.3 s, 12 s, 3:05, 2:10:00: never longer than 8 characters below 100 hours."""
    if seconds < 59.5:
        return duration(seconds)
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
