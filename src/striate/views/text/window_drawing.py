"""Windows along one axis, one line each: padding, every position, and the cells that no window reads."""

from __future__ import annotations

from striate.geometry import Window
from striate.views.text.page import Page

MAX_DRAWN_WINDOWS = 8
"""Windows drawn; of more, only the number is written."""
MAX_DRAWN_CELLS = 24


def draw(page: Page, window: Window, indent: int = 4) -> None:
    """One line for the axis, then one for each window; nothing for an axis too long to draw."""
    if window.padded > MAX_DRAWN_CELLS:
        return
    cells = range(-window.before, window.input + window.after)
    width = max(len(str(window.input - 1)), 1) + 1
    _line(page, indent, [(str(x) if 0 <= x < window.input else "p", "dim") for x in cells], width)
    for i in range(min(window.output, MAX_DRAWN_WINDOWS)):
        taps = {window.raw(i, u) for u in range(window.kernel)}
        _line(page, indent, [("■" if x in taps else " ", "cyan") for x in cells], width)
    if window.output > MAX_DRAWN_WINDOWS:
        page.line([(f"… {window.output} in all", "dim")], indent)
    unread = set(window.unread)
    if unread:
        _line(page, indent, [("×" if x in unread else " ", "red") for x in cells], width, "never read")


def _line(page: Page, indent: int, cells: list[tuple[str, str]], width: int, note: str = "") -> None:
    padded = [(text.rjust(width - 1) + " ", style) for text, style in cells]
    page.line([*padded, (note, cells[0][1])], indent)
