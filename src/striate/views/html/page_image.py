"""Images inside a page: as data, one pixel for each cell, enlarged where they are shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from striate.views.drawing import numbers
from striate.views.drawing.svg import png_uri

MAX_SIDE_CELLS = 160
"""Cells along a side of an image; larger ones are reduced to the means of blocks."""


@dataclasses.dataclass(frozen=True)
class PageImage:
    """uri: the image as data; width, height: pixels at which it is shown."""

    uri: str
    width: int
    height: int

    @classmethod
    def of(cls, pixels: Any, side: int) -> PageImage:
        """pixels: (C, H, W) from 0 to 1; side: of the longer one as it is shown."""
        return cls.of_levels(*numbers.image_levels(pixels, MAX_SIDE_CELLS), side)

    @classmethod
    def of_levels(cls, levels: Sequence[Sequence[int | None]], palette: str, side: int) -> PageImage:
        """levels: rows of levels of a palette; side: of the longer one as it is shown."""
        high, wide = len(levels), len(levels[0])
        scale = side / max(high, wide)
        return cls(png_uri(levels, palette), max(1, round(wide * scale)), max(1, round(high * scale)))
