"""A part of the page that is a picture, and one that there is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from striate.diagnostics import StriateError
from striate.views.drawing.svg import svg

if TYPE_CHECKING:
    from striate.views.schemas.scene import ResultScene, Scene

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture inside the page.

    key: its name, unlike those of the others on the page; scene: its record; caption: what it shows.
    """

    key: str
    scene: Scene | ResultScene
    caption: str

    @property
    def svg(self) -> str:
        """Its SVG element."""
        return svg(self.scene["drawing"], ids=f"{self.key}-").rstrip("\n")


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
        return Missing(where + "; ".join(filter(None, (error.what, error.why))))
