"""The record of one node in full: its formula with its numbers, one filter's volume, the arithmetic of its cost, and
the fully connected layer that would do the same step. Schema striate.node/1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.geometry import TransposedWindow, Window
from striate.op import Trait
from striate.views.json_records import filter_shape

if TYPE_CHECKING:
    from striate.network import Network
    from striate.op import Declaration
    from striate.tensor import TensorSpec
    from striate.views.schemas.networks import Arithmetic, Detail, DetailAxis, Filters, FullyConnected, Show

SYMBOLS = {
    "window": "(N + P - F)/S + 1",
    "transposed": "(N - 1)·S + F - P + extra",
}
"""N input, F reach of the filter, P both paddings, S stride; the sizes that `formula` fills in."""


def detail_record(net: Network, name: str, record: Show) -> Detail:
    """Everything about one node. record: the network's striate.show/1.

    Raises UnknownNameError, and the ShapeError of a node that has no output.
    """
    node = net.node(name)
    for problem in net.inference.problems:
        if problem.node == name or name in net.inference.unknown:
            raise problem
    declaration = net.inference.declarations[name]
    specs = net.inference.specs
    row = next(row for row in record["nodes"] if row["name"] == name)
    return {
        "schema": "striate.node/1",
        **row,
        "network": net.name,
        "reads": {value: str(specs[value]) for value in node.inputs},
        "place": str(node.place) if node.place else None,
        "axes": [axis_record(axis.lower(), window) for axis, window in declaration.windows.items()],
        "parameters": [
            {"name": p.name, "shape": list(p.shape), "elements": p.elements, "trainable": p.trainable}
            for p in declaration.parameters
        ],
        "filters": _filter(declaration),
        "arithmetic": _arithmetic(declaration),
        "fully_connected": _fully_connected(declaration),
        "findings": [finding for finding in record["findings"] if finding["node"] == name],
        "convention": record["convention"],
    }


def axis_record(axis: str, window: Window | TransposedWindow) -> DetailAxis:
    """One axis of a window: the formula with its numbers, and the positions that no window reads."""
    record: DetailAxis = {
        "axis": axis,
        "symbols": SYMBOLS["window" if isinstance(window, Window) else "transposed"],
        "formula": window.formula,
        "input": window.input,
        "output": window.output,
        "exact": not isinstance(window, Window) or not window.remainder,
        "unread": runs_of(window.unread) if isinstance(window, Window) and window.input <= 10**6 else [],
    }
    if isinstance(window, Window):
        record |= {
            "lost": window.lost,
            "wasted_before": window.wasted_before,
            "wasted_after": window.wasted_after,
            "overhang": window.overhang,
        }
    return record


def runs_of(indices: Sequence[int]) -> list[list[int]]:
    """Indices as [first, last] runs."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return runs


def _weight(declaration: Declaration) -> tuple[int, ...] | None:
    return next((p.shape for p in declaration.parameters if p.name == "weight" and len(p.shape) > 2), None)


def _filter(declaration: Declaration) -> Filters | None:
    """One filter of a convolution: height x width x depth, and how many there are."""
    shape = filter_shape(declaration)
    if shape is None:
        return None
    channels = declaration.inputs[0].channels
    return {
        "count": declaration.outputs[0].channels,
        "shape": shape,
        "numbers": math.prod(shape),
        "groups": channels // shape[0],
        "input_channels": channels,
    }


def _arithmetic(declaration: Declaration) -> Arithmetic:
    """How params and MACs are computed, as text; empty if there is nothing to count."""
    x, y = declaration.inputs[0], declaration.outputs[0]
    params = macs = ""
    weight = _weight(declaration)
    bias = next((p.elements for p in declaration.parameters if p.name == "bias"), 0)
    weighted = Trait.WEIGHTED_SUM in declaration.op.traits
    if weighted and weight is not None:
        volume = "·".join(str(n) for n in (*weight[2:], weight[1]))
        params = f"{weight[0]}·({volume})" + (f" + {bias}" if bias else "")
        slides = Trait.CONVOLUTION in declaration.op.traits
        places = f"{_places(y)} positions" if slides else f"{_places(x)} input positions"
        channels = plural(weight[0], "filter" if slides else "channel")
        macs = f"{places} · {channels} · {math.prod(weight[1:])} products"
    elif weighted:
        (rows, columns) = next(p.shape for p in declaration.parameters if p.name == "weight")
        params = f"{columns}·{rows}" + (f" + {bias}" if bias else "")
        macs = f"{plural(columns, 'input')} · {plural(rows, 'output')}"
    elif declaration.params:
        shapes = [p for p in declaration.parameters if p.trainable]
        params = " + ".join(f"{p.elements} {p.name}" for p in shapes)
    return {"params": params, "macs": macs}


def _places(spec: TensorSpec) -> str:
    return "·".join(str(n) for n in spec.spatial)


def _fully_connected(declaration: Declaration) -> FullyConnected | None:
    """The fully connected layer between the same input and output, to compare with a convolution."""
    if Trait.CONVOLUTION not in declaration.op.traits:
        return None
    inputs, outputs = declaration.inputs[0].elements, declaration.outputs[0].elements
    bias = outputs if any(p.name == "bias" for p in declaration.parameters) else 0
    return {
        "inputs": inputs,
        "outputs": outputs,
        "params": inputs * outputs + bias,
        "macs": inputs * outputs,
        "arithmetic": f"{inputs}·{outputs}" + (f" + {bias}" if bias else ""),
    }
