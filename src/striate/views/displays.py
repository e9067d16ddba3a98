"""How Python and notebooks show a network: its table with the findings of the default rules."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from striate.checks import check
from striate.network import Network
from striate.terminal import Terminal
from striate.views import table_formats
from striate.views.json_records import show_record
from striate.views.text import show
from striate.views.text.page import Page

if TYPE_CHECKING:
    from striate.views.schemas.networks import Show


def table(net: Network) -> str:
    """The table of `striate show`, without color, as wide as the terminal: what `str(net)` gives."""
    page = Page(replace(Terminal.of(sys.stdout), color=False) if sys.stdout else Terminal())
    show.draw(page, _record(net))
    return str(page).rstrip("\n")


def html(net: Network) -> str:
    """What a notebook shows of a network: its picture, and its table under it."""
    from striate.views.drawing.scene import scene
    from striate.views.drawing.svg import svg

    record = scene(net, findings=check(net).findings)
    return f'<div style="overflow-x: auto">{svg(record["drawing"])}</div>{table_formats.html_text(record)}'


def _record(net: Network) -> Show:
    return show_record(net, findings=check(net).findings)
