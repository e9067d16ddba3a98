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
        "centre": use.center,
        "most": use.most,
        "total": use.total,
        "corner_to_centre": _ratio(use.corner_to_center),
        "border_to_centre": _ratio(use.border_to_center),
        "uniform": use.uniform,
        "vectors": [list(vector) for vector in use.terms[0]] if len(use.terms) == 1 else None,
        "counts": use.counts if use.cells <= MAX_WRITTEN_PIXELS else None,
    }


def shares(use: PixelUse, side: int) -> list[list[float | None]]:
    """Rows of the map's (middle) plane as shares of the most used pixel; None for what is never read.

    side: where an axis is longer, pixels are averaged over blocks, as long on all axes; a map of one axis is one row.
    """
    plane = use.middle
    factor = -(-max(plane.shape) // side)
    small = plane.reduced(*(-(-n // factor) for n in plane.shape))
    *across, along = ([block(n, m, k) for k in range(m)] for n, m in zip(plane.shape, small.shape))
    rows = across[0] if across else [1]
    most = use.most or 1
    return [
        [
            None if not n else n * 10**6 // (most * high * wide) / 10**6
            for n, wide in zip(row, along, strict=True)
        ]
        for row, high in zip(small.rows(), rows, strict=True)
    ]


def block(n: int, m: int, k: int) -> int:
    """Pixels of block k, where an axis of n is cut into m."""
    return (k + 1) * n // m - k * n // m


def _ratio(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def compare_record(net: Network, node: str | None = None, input: str | None = None) -> ComparedPixels:
    """Schema striate.pixels-compare/1: the same network with each padding mode in all its convolutions.

    If a mode leaves some node without output, `problem` says so. input: which of several inputs; the record names it.
    """
    record: ComparedPixels = {
        "schema": "striate.pixels-compare/1",
        "name": net.name,
        "modes": [_mode_record(*compared) for compared in modes(net, node, input)],
    }
    if input is not None:
        record["input"] = input
    return record


def comparison_by_input(records: Sequence[ComparedPixels]) -> ComparedByInput:
    """The same for several inputs: `inputs` holds the modes of each image by name."""
    first = records[0]
    inputs: dict[str, ModesOfInput] = {one["input"]: {"modes": one["modes"]} for one in records}
    return {"schema": first["schema"], "name": first["name"], "inputs": inputs}


def modes(
    net: Network, node: str | None, input: str | None = None
) -> Iterator[tuple[str, Network, str, PixelUse | str]]:
    """Each padding mode, the network with it, the value that paths are counted to, and the map or why there is none."""
    from striate.analysis import pixels

    for mode in MODES:
        variant = net
        use: PixelUse | str
        try:
            variant = _with_mode(net, mode)
            use = pixels(variant, node, input)
        except (ShapeError, StriateError) as error:
            use = f"{error.node}: {error.what}" if error.node else error.what
        yield mode, variant, node or variant.outputs[0], use


def _mode_record(mode: str, net: Network, target: str, use: PixelUse | str) -> Mode | FailedMode:
    if isinstance(use, str):
        return {"mode": mode, "problem": use}
    return {"mode": mode, "output": list(net.specs[target].without_batch), **use_record(use)}


def _with_mode(net: Network, mode: str) -> Network:
    """The network with a padding mode in all convolutions, changed at once: each change costs as much as all nodes."""
    nodes = [
        dataclasses.replace(node, op=dataclasses.replace(node.op, **MODES[mode]))
        if Trait.CONVOLUTION in node.op.traits
        else node
        for node in net.nodes
    ]
    return dataclasses.replace(net, nodes=tuple(nodes))
