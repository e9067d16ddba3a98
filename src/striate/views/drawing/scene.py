"""The record of a picture, striate.scene/1: the facts of a network, and where every mark is on the canvas.

Facts come from the records that the other views read; a kind of picture lays them out. Every format (SVG, TikZ, an
image) is written from the marks, so that all of them show the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from striate.diagnostics import OpError, unknown_key
from striate.views.drawing.request import Request
from striate.views.json_records import show_record

if TYPE_CHECKING:
    from striate.diagnostics import Diagnostic
    from striate.network import Network
    from striate.views.schemas.scene import Scene

KINDS = {
    "blocks": "the volumes as blocks, what makes them on the arrows",
    "graph": "every layer as a box, branches next to each other",
    "pixels": "how often each input pixel is used",
    "field": "what a unit sees, through all layers",
    "layer": "one layer: its input, its filter, where the window stands, its output, the formula",
    "fc": "a convolution next to the fully connected layer that would do its step",
}
"""Kind of picture to what it shows. A kind is the file of its name in `kinds/`."""


def scene(
    net: Network, kind: str = "", request: Request | None = None, findings: Iterable[Diagnostic] = ()
) -> Scene:
    """Schema striate.scene/1. kind: one of KINDS; empty: `graph` where the network has branches, else `blocks`.

    findings: those of a check. Raises UnknownNameError for an unknown kind or node, and what the kind raises.
    """
    request = request or Request()
    show = show_record(net, findings=findings)
    if request.node:
        net.node(request.node)
    if not kind:
        kind = "graph" if branched(net) else "blocks"
    if kind not in KINDS:
        raise unknown_key("striate draw", "kind", kind, KINDS)
    module: Any = importlib.import_module(f"striate.views.drawing.kinds.{kind}")
    record: Any = {**show, "schema": "striate.scene/1", "facts": module.facts(net, show, request)}
    record["drawing"] = module.drawing(record, request)
    if request.animate and kind != "layer":
        raise OpError(
            f"the picture {kind} does not move",
            where="striate draw --animate",
            why="a window slides in pictures of the kind layer",
            fix="--kind layer",
        )
    return record  # type: ignore[no-any-return]


def branched(net: Network) -> bool:
    """Whether a value is read twice, or a node reads several."""
    read = [value for node in net.nodes for value in node.inputs]
    return len(set(read)) < len(read) or any(len(node.inputs) > 1 for node in net.nodes)
