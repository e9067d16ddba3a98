"""Attributions of one image as an HTML page without a script: the methods next to each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from striate.views.drawing import numbers
from striate.views.html.document import still
from striate.views.html.page_image import MAX_SIDE_CELLS, PageImage

SIDE_PX = 224
"""Pixels of the longer side of an image on the page."""
FOR, AGAINST = (232, 119, 34), (38, 122, 224)
"""Red, green and blue of what is laid over the image."""


@dataclasses.dataclass(frozen=True)
class MethodPart:
    """A method on the page: its attribution, the map over the image and alone, and facts: label and text."""

    found: Any
    over: PageImage
    alone: PageImage
    facts: Sequence[tuple[str, str]]


def attribution_page(found: Sequence[Any], left_out: Mapping[str, str] | None = None) -> str:
    """The text of the HTML file. found: attributions of one image; left_out: method to the reason why it is missing."""
    first = found[0]
    return still(
        "attribution.html",
        first.network,
        first=first,
        image=PageImage.of(numbers.unit_range(first.image), SIDE_PX),
        facts=list(_facts(first)),
        methods=[method_part(one) for one in found],
        left_out=left_out or {},
    )


def method_part(found: Any) -> MethodPart:
    """The pictures and the facts of an attribution."""
    heat, signed = found.heat, bool((found.heat < 0).any())
    most = numbers.largest(heat)
    small, block = numbers.coarse(heat, MAX_SIDE_CELLS)
    levels = (numbers.signed_levels if signed else numbers.share_levels)(small, most)
    alone = PageImage.of_levels(levels, "signed" if signed else "counts", SIDE_PX)
    return MethodPart(
        found, over(found.image, heat, SIDE_PX), alone, list(_numbers(found, most, signed, block))
    )


def over(image: Any, heat: Any, side: int) -> PageImage:
    """An attribution laid over the gray image: orange for the score, blue against it; the stronger, the more opaque."""
    gray = numbers.coarse(numbers.unit_range(image).mean(0), MAX_SIDE_CELLS)[0]
    heat = numbers.coarse(heat, MAX_SIDE_CELLS)[0]
    share = (np.abs(heat) / (numbers.largest(heat) or 1.0))[..., None]
    color = np.where(heat[..., None] < 0, AGAINST, FOR)
    mixed = np.rint(255 * gray[..., None] * (1 - share) + color * share).astype(int)
    levels = (mixed[..., 0] << 16 | mixed[..., 1] << 8 | mixed[..., 2]).tolist()
    return PageImage.of_levels(levels, "rgb", side)


def _facts(found: Any) -> Iterator[tuple[str, str]]:
    """What is explained, in rows: label and text."""
    yield "image", found.name
    yield "explained", str(found.target)
    if found.probability is not None:
        yield "probability", f"{found.probability:.2%}"
    yield "score", f"{found.score:.4g}"
    height, width = found.image.shape[1:]
    yield "shown as", f"{height} x {width} pixels, as the network reads it"


def _numbers(found: Any, most: float, signed: bool, block: int) -> Iterator[tuple[str, str]]:
    """What a method found, in rows: label and text."""
    if found.node:
        yield "map of", found.node
    for name, value in found.settings.items():
        yield name, f"{value:g}"
    yield (
        "colors",
        f"from {-most:.3g} (blue) to {most:.3g} (orange)"
        if signed
        else f"from 0 (pale) to {most:.3g} (dark)",
    )
    if found.baseline_score is not None:
        yield "sum", f"{found.total:.4g}"
        yield (
            "score - baseline",
            f"{found.score - found.baseline_score:.4g}; a complete attribution has this sum",
        )
    if block > 1:
        yield "cells", f"means of {block} x {block} pixels"
    for note in found.notes:
        yield "note", note
