"""A drawing as PNG: its SVG, drawn by resvg with the font that comes with reportlab, whatever fonts the system has.

resvg renders SVG as browsers do, and its wheel needs no system library (cairosvg needs cairo).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from striate.diagnostics import LimitError
from striate.views.drawing.extra import font_files, needed, replaced
from striate.views.drawing.svg import svg

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing

PIXELS = 200_000_000
"""The largest image that is made."""
FAMILY = "Bitstream Vera Sans"
FINE = 2.0
"""Pixels of an image for one of the drawing, both ways, at scale 1: sharp on dense screens and on slides."""


def png(drawing: Drawing, theme: str = "light", scale: float = 1.0) -> bytes:
    """The bytes of a PNG file. theme: "dark", or light for all others; scale: of two pixels for one of the drawing.

    Raises MissingExtraError without resvg and reportlab, LimitError for an image of more than 200 million pixels.
    """
    with needed():
        import resvg_py
    fonts = [str(path) for path in font_files()]
    zoom = FINE * scale
    wide, high = drawing["width"] * zoom, drawing["height"] * zoom
    if wide * high > PIXELS:
        raise LimitError(
            f"the image would have {round(wide)} x {round(high)} pixels",
            why=f"the limit is {PIXELS:,}",
            fix=f"--scale {scale * (PIXELS / (wide * high)) ** 0.5:.2g}, or an .svg file, which has no pixels",
        )
    if min(wide, high) < 1:
        raise LimitError(
            "the image would be smaller than a pixel",
            why=f"the drawing has {drawing['width']} x {drawing['height']}",
            fix=f"--scale {math.ceil(1000 / FINE / min(drawing['width'], drawing['height'])) / 1000}",
        )
    text = svg(replaced(drawing), "dark" if theme == "dark" else "light")
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=text,
            zoom=zoom,
            skip_system_fonts=True,
            font_files=fonts,
            font_family=FAMILY,
            sans_serif_family=FAMILY,
        )
    )
