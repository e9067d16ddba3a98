"""The record of pixel use, striate.pixels/1, and the comparison of padding modes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from striate.diagnostics import ShapeError, StriateError
from striate.op import Trait

if TYPE_CHECKING:
    from striate.analysis import PixelUse
    from striate.network import Network
    from striate.views.schemas.networks import (
        ComparedByInput,
        ComparedPixels,
        FailedMode,
        Mode,
        ModesOfInput,
        PixelMap,
        Pixels,
        PixelsByInput,
        PixelsHead,
    )

MAX_WRITTEN_PIXELS = 1_000_000
"""Counts are written out up to this many pixels; of a larger map only its vectors, if it is one outer product."""

MODES: dict[str, dict[str, Any]] = {
    "valid": {"padding": "valid", "mode": "zeros"},
    "zero same": {"padding": "same", "mode": "zeros"},
    "full": {"padding": "full", "mode": "zeros"},
    "circular": {"padding": "same", "mode": "circular"},
    "reflect": {"padding": "same", "mode": "reflect"},
}
"""Padding modes that `compare_record` applies to every convolution in turn."""


def pixels_record(net: Network, use: PixelUse, node: str | None = None) -> Pixels:
    """Schema striate.pixels/1: `use` counts paths from each pixel to `node`, or to the outputs."""
    return {**_head(net, node), **use_record(use)}


def pixels_by_input(net: Network, uses: Mapping[str, PixelUse], node: str | None = None) -> PixelsByInput:
    """The same for several inputs: `inputs` holds the map of each image by name."""
    return {**_head(net, node), "inputs": {name: use_record(use) for name, use in uses.items()}}


def _head(net: Network, node: str | None) -> PixelsHead:
    return {"schema": "striate.pixels/1", "name": net.name, "to": node or ", ".join(net.outputs)}


def use_record(use: PixelUse) -> PixelMap:
    """The map and its summary; ratios are null if the center pixel is never used."""
    return {
        "axes": [axis.lower() for axis in use.axes],
        "shape": list(use.shape),
        "pixels": use.cells,
        "unread": use.unread,
        "corner": use.corner,
        "centre": use.centre,
        "most": use.most,
        "total": use.total,
        "corner_to_centre": _ratio(use.corner_to_centre),
        "border_to_centre": _ratio(use.border_to_centre),
        "uniform": use.uniform,
        "vectors": [list(vector) for vector in use.terms[0]] if len(use.terms) == 1 else None,
        "counts": use.counts if use.cells <= MAX_WRITTEN_PIXELS else None,
    }


def _ratio(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def compare_record(net: Network, node: str | None = None, input: str | None = None) -> ComparedPixels:
    """Schema striate.pixels-compare/1: the same network with each padding mode in all its convolutions.

    If a mode leaves some node without output, `problem` says so. input: which of several inputs; the record names it.
    """
    record: ComparedPixels = {
        "schema": "striate.pixels-compare/1",
        "name": net.name,
        "modes": [_mode_record(net, node, mode, input) for mode in MODES],
    }
    if input is not None:
        record["input"] = input
    return record


def comparison_by_input(records: Sequence[ComparedPixels]) -> ComparedByInput:
    """The same for several inputs: `inputs` holds the modes of each image by name."""
    first = records[0]
    inputs: dict[str, ModesOfInput] = {one["input"]: {"modes": one["modes"]} for one in records}
    return {"schema": first["schema"], "name": first["name"], "inputs": inputs}


def _mode_record(net: Network, node: str | None, mode: str, input: str | None) -> Mode | FailedMode:
    from striate.analysis import pixels

    try:
        variant = net
        for name, op in _changes(net, mode):
            variant = variant.replace(name, op)
        use = pixels(variant, node, input)
    except (ShapeError, StriateError) as error:
        return {"mode": mode, "problem": f"{error.node}: {error.what}" if error.node else error.what}
    target = node or variant.outputs[0]
    return {"mode": mode, "output": list(variant.specs[target].without_batch), **use_record(use)}


def _changes(net: Network, mode: str) -> Iterator[tuple[str, Any]]:
    for node in net.nodes:
        if Trait.CONVOLUTION in node.op.traits:
            yield node.name, dataclasses.replace(node.op, **MODES[mode])
