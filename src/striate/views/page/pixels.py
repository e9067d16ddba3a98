"""Maps of pixel use for the live page: exact where they are short, else shades of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.diagnostics import LimitError, StriateError
from striate.views.drawing.known import known
from striate.views.json_records import images
from striate.views.pixel_record import modes, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.analysis import PixelUse
    from striate.network import Network
    from striate.views.schemas.live_views import LivePixels, PixelCounts

MAX_DIGITS, MAX_MODE_DIGITS = 250_000, 12_000
"""Characters that the vectors of a map may take: of the network's own, and with each padding mode."""
MAX_CELLS_PER_SIDE, MAX_CELLS_IN_A_ROW = 56, 512
"""Cells along a side of a map that is told as shades, and of one with one axis."""


def pixels_part(net: Network) -> LivePixels:
    """The maps of all inputs with axes of space, to the outputs or to the last value that there is."""
    from striate.analysis import pixels

    net = known(net)
    part: LivePixels = {"to": ", ".join(net.outputs), "inputs": {}, "missing": ""}
    try:
        names = images(net)
    except StriateError as error:
        return {**part, "missing": error.reason}
    for name in names:
        maps: list[PixelCounts] = []
        try:
            size = net.specs[net.outputs[0]].without_batch
            maps.append(_counts("", pixels(net, None, name), size, MAX_DIGITS))
        except StriateError as error:
            maps.append({"mode": "", "problem": error.reason})
        for mode, variant, target, use in modes(net, None, name):
            if isinstance(use, str):
                maps.append({"mode": mode, "problem": use})
                continue
            try:
                size = variant.specs[target].without_batch
                maps.append(_counts(mode, use, size, MAX_MODE_DIGITS))
            except LimitError as error:
                maps.append({"mode": mode, "problem": error.what})
        part["inputs"][name] = maps
    return part


def _counts(mode: str, use: PixelUse, output: Sequence[int], room: int) -> PixelCounts:
    """One map. Raises LimitError for one that is too large."""
    corner, border = use.corner_to_center, use.border_to_center
    vectors: dict[tuple[int, ...], int] = {}
    terms = [[vectors.setdefault(vector, len(vectors)) for vector in term] for term in use.terms]
    texts = [" ".join(map(str, vector)) for vector in vectors]
    record: PixelCounts = {
        "mode": mode,
        "output": list(output),
        "axes": [axis.lower() for axis in use.axes],
        "shape": list(use.shape),
        "pixels": str(use.cells),
        "unread": str(use.unread),
        "corner": str(use.corner),
        "center": str(use.center),
        "most": str(use.most),
        "corner_to_center": None if corner is None else float(corner),
        "border_to_center": None if border is None else float(border),
        "uniform": use.uniform,
        "vectors": texts,
        "terms": terms,
    }
    if sum(map(len, texts)) > room:
        side = MAX_CELLS_IN_A_ROW if len(use.shape) == 1 else MAX_CELLS_PER_SIDE
        record["vectors"], record["terms"] = [], []
        record["levels"] = [
            [None if share is None else round(share * 255) for share in row] for row in shares(use, side)
        ]
    return record
