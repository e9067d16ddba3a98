"""A part of the page that is a picture, and one that there is not."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from striate.diagnostics import StriateError
from striate.views.drawing.svg import svg

if TYPE_CHECKING:
    from striate.views.schemas.live import PagePicture
    from striate.views.schemas.scene import ResultScene, Scene

T = TypeVar("T")
MAX_PICTURE_BYTES = 500_000
"""Pictures inside the page are smaller than this: one of some hundred parts is longer than anyone scrolls."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture inside the page.

    key: its name, unlike those of the others on the page; scene: its record; caption: what it shows.
    """

    key: str
    scene: Scene | ResultScene
    caption: str

    @property
    def record(self) -> PagePicture:
        """As the live page has it."""
        return {"kind": self.key, "caption": self.caption, "svg": self.svg}

    @functools.cached_property
    def svg(self) -> str:
        """Its SVG element."""
        return svg(self.scene["drawing"], ids=f"{self.key}-").rstrip("\n")

    def small(self, command: str) -> Figure | Missing:
        """The same, or that it is too large for a page. command: draws it into a file."""
        size = len(self.svg.encode())
        if size <= MAX_PICTURE_BYTES:
            return self
        return Missing(f"this picture has {size / 1e6:.1f} MB, more than a page should hold: {command}")


@dataclasses.dataclass(frozen=True)
class Missing:
    """Why a part of the page is not there."""

    missing: str


def told(make: Callable[[], T]) -> T | Missing:
    """What `make` returns; where it raises a StriateError, what that says."""
    try:
        return make()
    except StriateError as error:
        where = f"{error.node}: " if error.node else ""
        return Missing(where + error.reason)
