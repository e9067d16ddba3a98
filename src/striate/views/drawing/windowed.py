"""The facts of one layer with a window, whether or not it fits: what the pictures `layer` and `fc` show.

Along each axis the window slides over one side: the input of a convolution or pool, the output of a transposed
convolution. Positions are counted from the first real one, so that padding before it is negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from striate.diagnostics import OpError, few
from striate.geometry import TransposedWindow, Window
from striate.op import Op, Trait, Windowed
from striate.views.node_record import axis_record, detail_record, runs_of

if TYPE_CHECKING:
    from striate.network import Network, Node
    from striate.op import Declaration
    from striate.tensor import TensorSpec
    from striate.views.schemas.networks import Filters, Finding, Show
    from striate.views.schemas.scene import Layer, LayerAxis

MAX_LISTED_POSITIONS = 10**6
"""Positions along an axis up to which those that no window reads are told."""


def layer_of(net: Network, name: str, kind: str) -> Node:
    """The node of that name, or the first with a window; an error where it has none. kind: of the picture."""
    windowed = [node for node in net.nodes if _slides(net, node)]
    if name:
        node = net.node(name)
        if node in windowed:
            return node
    elif windowed:
        return windowed[0]
    raise OpError(
        f"{name} has no window" if name else f"{net.name} has no layer with a window",
        where=f"striate draw --kind {kind}",
        why=f"it is {net.node(name).op}" if name else "no window slides over an axis of space",
        fix=f"one of the layers with a window: {few([node.name for node in windowed])}"
        if windowed
        else "another kind of picture: blocks, graph",
    )


def _slides(net: Network, node: Node) -> bool:
    declaration = net.inference.declarations.get(node.name)
    return isinstance(node.op, Windowed) if declaration is None else bool(declaration.windows)


def layer_record(net: Network, node: Node, show: Show) -> Layer:
    """One layer with its windows. Raises the ShapeError of an earlier node that leaves this one without an input."""
    problem = next((p for p in net.inference.problems if p.node == node.name), None)
    if problem is None:
        detail = detail_record(net, node.name, show)
        declaration = net.inference.declarations[node.name]
        windows = declaration.windows
        return {
            "name": node.name,
            "text": node.op.phrase(len(declaration.inputs[0].spatial)),
            "op": node.op.word,
            "network": net.name,
            "input": list(declaration.inputs[0].without_batch),
            "output": list(declaration.outputs[0].without_batch),
            "state": "fits" if all(axis["exact"] for axis in detail["axes"]) else "remainder",
            "axes": [_axis(axis, window) for axis, window in windows.items()],
            "filters": detail["filters"] or _transposed_filters(declaration),
            "reduces": _reduces(declaration),
            "arithmetic": detail["arithmetic"],
            "params": detail["params"],
            "macs": detail["macs"],
            "findings": detail["findings"],
        }
    x = net.inference.specs[node.inputs[0]]
    return {
        "name": node.name,
        "text": node.op.phrase(len(x.spatial)),
        "op": node.op.word,
        "network": net.name,
        "input": list(x.without_batch),
        "output": [],
        "state": "impossible",
        "axes": _axes_without_output(node, x),
        "filters": _requested_filters(node, x),
        "reduces": "sum" if Trait.WEIGHTED_SUM in node.op.traits else "",
        "arithmetic": {"params": "", "macs": ""},
        "params": 0,
        "macs": 0,
        "findings": [cast("Finding", problem.diagnostic.to_dict())],
    }


def _axis(name: str, window: Window | TransposedWindow) -> LayerAxis:
    """One axis: its record as in striate.node/1, and where its windows stand."""
    axis = axis_record(name.lower(), window)
    sliding = isinstance(window, Window)
    unread = axis["unread"] if window.output else []
    if not sliding and window.output <= MAX_LISTED_POSITIONS:
        reads = {
            i * window.stride + u * window.dilation for i in range(window.input) for u in range(window.kernel)
        }
        unread = runs_of([x for x in range(window.output) if x + window.before not in reads])
    return {
        **axis,
        "kernel": window.kernel,
        "stride": window.stride,
        "dilation": window.dilation,
        "pad": [window.before, window.after],
        "remainder": window.remainder if isinstance(window, Window) else 0,
        "unread": unread,
        "extent": window.extent,
        "over": window.input if sliding else window.output,
        "positions": window.output if sliding else window.input,
        "transposed": not sliding,
        "mode": window.mode if isinstance(window, Window) else "zeros",
    }


def _axes_without_output(node: Node, x: TensorSpec) -> list[LayerAxis]:
    """The windows of a layer that has no output; none where its options do not suit the axes."""
    if not isinstance(node.op, Windowed) or not x.spatial:
        return []
    op: Any = node.op
    try:
        windows = op.maps_over(x) if _spreads(op) else op.windows_over(x)
    except OpError:
        return []
    return [_axis(axis, window) for axis, window in zip(x.spatial_axes, windows, strict=True)]


def _spreads(op: Op) -> bool:
    """Whether an op with a window is a transposed convolution."""
    return Trait.WEIGHTED_SUM in op.traits and Trait.CONVOLUTION not in op.traits


def _requested_filters(node: Node, x: TensorSpec) -> Filters | None:
    """The filters that a convolution without an output asks for."""
    op: Any = node.op
    if Trait.WEIGHTED_SUM not in op.traits or not x.spatial:
        return None
    groups = x.channels if op.groups == "depthwise" else op.groups
    depth = (op.filters if _spreads(op) else op.in_channels or x.channels) // groups
    shape = [max(depth, 1), *op.per_axis("kernel", len(x.spatial))]
    return {
        "count": x.channels if _spreads(op) else op.filters or x.channels,
        "shape": shape,
        "numbers": math.prod(shape),
        "groups": groups,
        "input_channels": x.channels,
    }


def _transposed_filters(declaration: Declaration) -> Filters | None:
    """The filters of a transposed convolution: one for each channel of the input, as deep as its group's output."""
    if Trait.WEIGHTED_SUM not in declaration.op.traits:
        return None
    count, *shape = next(p.shape for p in declaration.parameters if p.name == "weight")
    groups = declaration.outputs[0].channels // shape[0]
    return {
        "count": count,
        "shape": shape,
        "numbers": math.prod(shape),
        "groups": groups,
        "input_channels": declaration.inputs[0].channels,
    }


def _reduces(declaration: Declaration) -> str:
    """What becomes of the numbers under a window; empty where they are not summed or pooled."""
    if Trait.WEIGHTED_SUM in declaration.op.traits:
        return "sum"
    first = declaration.statements[0].reduce if declaration.statements else ""
    if Trait.LINEAR in declaration.op.traits and first == "sum":
        return "mean" if getattr(declaration.op, "count_include_pad", True) else "mean inside"
    return "max" if first == "max" else ""


def never(axes: Sequence[LayerAxis]) -> tuple[int, int]:
    """Positions of the plane that no window reaches, and all of them."""
    total = math.prod(axis["over"] for axis in axes)
    lost = [sum(last - first + 1 for first, last in axis["unread"]) for axis in axes]
    return total - math.prod(axis["over"] - n for axis, n in zip(axes, lost, strict=True)), total
