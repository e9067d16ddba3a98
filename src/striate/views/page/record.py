"""The record of the live page: what the other views know of a network, and nothing of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.version import __version__
from striate.views.drawing.theme import PALETTES
from striate.views.page.course import COURSE

if TYPE_CHECKING:
    from striate.views.schemas.live import LivePage
    from striate.views.schemas.networks import Show


def live_record(show: Show) -> LivePage:
    """The record of a network. show: its `striate.show/1`."""
    return {
        "schema": "striate.page/1",
        "version": __version__,
        "course": [*COURSE],
        "palettes": {name: [*colors] for name, colors in PALETTES.items()},
        "show": show,
    }
