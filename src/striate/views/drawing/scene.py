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
from striate.views.json_records import analysis_record, show_record

if TYPE_CHECKING:
    from striate.analysis import Analysis
    from striate.diagnostics import Diagnostic
    from striate.network import Network
    from striate.views.schemas.scene import ResultScene, Scene

KINDS = {
    "blocks": "the volumes as blocks, what makes them on the arrows",
    "graph": "every layer as a box, branches next to each other",
    "pixels": "how often each input pixel is used",
    "field": "what a unit sees, through all layers",
    "layer": "one layer: its input, its filter, where the window stands, its output, the formula",
    "filters": "the learned filters of a convolution as images",
    "maps": "the feature maps that a layer computes from an image",
    "fc": "a convolution next to the fully connected layer that would do its step",
}
"""Kind of picture of a network to what it shows. A kind is the file of its name in `kinds/`."""
RESULTS = {
    "training": "loss and accuracy of runs, epoch by epoch",
    "confusion": "true classes against predicted ones",
    "calibration": "confidence against accuracy",
}
"""The same for pictures of results."""


def scene(
    net: Network,
    kind: str = "",
    request: Request | None = None,
    findings: Iterable[Diagnostic] = (),
    analysis: Analysis | None = None,
) -> Scene:
    """Schema striate.scene/1. kind: one of KINDS; empty: `maps` of an image, `graph` where the network has
    branches and no bars are asked for, else `blocks`.

    findings: those of a check; analysis: of the network, where there is one.
    Raises UnknownNameError for an unknown kind or node, and what the kind raises.
    """
    request = request or Request()
    show = (
        analysis_record(analysis, findings) if analysis is not None else show_record(net, findings=findings)
    )
    for name in request.nodes:
        net.node(name)
    if not kind:
        kind = "graph" if branched(net) and not request.cost else "blocks"
        kind = "maps" if request.image is not None else kind
    if kind not in KINDS:
        error = unknown_key("striate draw", "kind", kind, [*KINDS, *RESULTS])
        error.why = f"its kinds are {', '.join([*KINDS, *RESULTS])}"
        raise error
    fitting(kind, request)
    module: Any = importlib.import_module(f"striate.views.drawing.kinds.{kind}")
    record: Any = {**show, "schema": "striate.scene/1", "facts": module.facts(net, show, request)}
    record["drawing"] = module.drawing(record, request)
    return record  # type: ignore[no-any-return]


def fitting(kind: str, request: Request) -> None:
    """Raises OpError for an option that means nothing in pictures of this kind."""
    for given, only, what, option, why in (
        (request.animate, ["layer"], "does not move", "--animate",
         "a window slides in pictures of the kind layer"),
        (request.image is not None, ["maps"], "shows no image", "--image", "maps are computed from an image"),
        (len(request.nodes) > 1, ["maps"], "is of one node", "--node", "maps take several nodes"),
        (request.nodes, [*KINDS], "has no nodes", "--node", "nodes are those of a network"),
        (request.compare, ["pixels"], "compares nothing", "--compare", "padding modes differ in the use of pixels"),
        (request.unit, ["field"], "is of all units", "--unit", "one unit has a receptive field"),
        (request.cost, ["blocks"], "has no bars", "--cost", "parameters and MACs stand below the blocks"),
        (request.own_scale, ["filters", "maps"], "has no scales", "--own-scale",
         "filters and maps have scales of colors"),
        (request.numbers, ["pixels", "layer", "filters", "maps"], "has no cells", "--numbers",
         "numbers are written into cells"),
    ):  # fmt: skip
        if given and kind not in only:
            raise OpError(
                f"the picture {kind} {what}", where=f"striate draw {option}", why=why, fix=f"--kind {only[0]}"
            )


def result_scene(kind: str, name: str, results: Any, request: Request | None = None) -> ResultScene:
    """Schema striate.scene/1 of a picture of results. kind: one of RESULTS; name: its title; results: what the kind
    takes, the histories of runs or the record of an evaluation. Raises what the kind raises.
    """
    module: Any = importlib.import_module(f"striate.views.drawing.kinds.{kind}")
    record: Any = {"schema": "striate.scene/1", "name": name, "facts": module.facts(results)}
    record["drawing"] = module.drawing(record, request or Request())
    return record  # type: ignore[no-any-return]


def branched(net: Network) -> bool:
    """Whether a value is read twice, or a node reads several."""
    read = [value for node in net.nodes for value in node.inputs]
    return len(set(read)) < len(read) or any(len(node.inputs) > 1 for node in net.nodes)
