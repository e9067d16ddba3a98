"""The images to which units respond, as one HTML page without a script."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from striate.views.drawing import numbers
from striate.views.html.document import still
from striate.views.html.page_image import PageImage

MAX_UNITS = 64
"""Units of a page of all units."""
KINDS = {"most": "Responds most", "least": "Responds least"}
SMALL_PX, LARGE_PX = 72, 112
"""Pixels of the longer side of an image on the page: of all units, and of one."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """An image of a unit: whole, with the frame (left, top, width, height, as shares), and what the unit sees of it."""

    image: Any
    whole: PageImage | None
    frame: Sequence[float]
    cut: PageImage | None

    @property
    def alt(self) -> str:
        """The image in words."""
        label = f", class {self.image.label}" if self.image.label is not None else ""
        return f"{self.image.name}{label}"


@dataclasses.dataclass(frozen=True)
class UnitPart:
    """A unit on the page: its channel, notes, and the images of each kind."""

    unit: int
    notes: Sequence[str]
    kinds: Sequence[tuple[str, Sequence[Tile]]]


def nearest_page(found: Any, unit: int | None = None) -> str:
    """The text of the HTML file of a `Nearest`: of all units, or of one."""
    one = unit is not None
    units = [found[unit]] if one else found.units[:MAX_UNITS]
    parts = [
        UnitPart(
            each.unit,
            each.notes,
            [
                (title, [_tile(found, image, one) for image in getattr(each, kind)])
                for kind, title in KINDS.items()
            ],
        )
        for each in units
    ]
    facts = list(_facts(found, one))
    return still("nearest.html", found.network, found=found, units=parts, one=one, facts=facts)


def _tile(found: Any, image: Any, whole: bool) -> Tile:
    pixels = numbers.unit_range(found.pixels(image))
    high, wide = pixels.shape[1:]
    field = image.field or {"h": (0, high - 1), "w": (0, wide - 1)}
    (top, bottom), (left, right) = field["h"], field["w"]
    rows, columns = bottom + 1 - top, right + 1 - left
    seen = pixels[:, top : bottom + 1, left : right + 1]
    if not whole:
        return Tile(image, None, (), PageImage.of(seen, SMALL_PX))
    part = (rows, columns) != (high, wide)
    return Tile(
        image,
        PageImage.of(pixels, LARGE_PX),
        (left / wide, top / high, columns / wide, rows / high) if part else (),
        PageImage.of(seen, LARGE_PX) if part else None,
    )


def _facts(found: Any, one: bool) -> Iterator[tuple[str, str]]:
    """What was looked at, in rows: label and text."""
    yield "node", found.node
    if found.value != found.node:
        yield "read at", found.value
    if found.weights != "as given":
        yield "weights", found.weights
    yield "data", found.data
    yield "images", f"{found.images:,}"
    height, width = found.size
    yield "shown as", f"{height} x {width} pixels, as the network reads them"
    for note in found.notes:
        yield "note", note
    if not one and len(found.units) > MAX_UNITS:
        yield "units", f"the first {MAX_UNITS} of {len(found.units)}; --unit K shows another one"
