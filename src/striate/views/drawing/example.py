"""Small numbers for a layer, so that a reader can follow one channel and one filter by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import OpError
from striate.geometry import fold

if TYPE_CHECKING:
    from striate.views.schemas.scene import Example, Layer, LayerAxis

MAX_NUMBERED_POSITIONS = 16
"""Positions along an axis up to which numbers are written."""

Rows = list[list[float]]


def example(layer: Layer) -> Example:
    """An input, a filter and what the layer makes of them: one channel, one filter, no bias.

    Raises OpError for a layer without an output or too large, and for one whose windows are not summed or pooled.
    """
    axes = layer["axes"]
    if layer["state"] == "impossible" or not layer["reduces"] or not 1 <= len(axes) <= 2:
        raise _refusal(
            layer, "they are written for convolutions and pools with one or two axes that have an output"
        )
    sizes = [max(axis["input"], axis["output"]) for axis in axes]
    if max(sizes) > MAX_NUMBERED_POSITIONS:
        raise _refusal(
            layer,
            f"the axis of {max(sizes)} is longer than {MAX_NUMBERED_POSITIONS}, and its cells are too small",
        )
    flat = len(axes) == 1
    column = axes[-1]
    row = None if flat else axes[0]
    high = 1 if row is None else row["input"]
    plane: Rows = [[float(input_number(i, j)) for j in range(column["input"])] for i in range(high)]
    tall = 1 if row is None else row["kernel"]
    weights: Rows = [[float(weight(u, v)) for v in range(column["kernel"])] for u in range(tall)]
    spreads = column["transposed"]
    result: Sequence[Sequence[float | None]] = (
        _spread_filter(plane, weights, row, column)
        if spreads
        else _slide_windows(layer, plane, weights, row, column)
    )
    return {
        "input": plane,
        "padded": [] if spreads or layer["reduces"] != "sum" else _padded_input(plane, row, column),
        "filter": weights if layer["filters"] else [],
        "output": [[*line] for line in result],
    }


def input_number(i: int, j: int, channel: int = 0) -> int:
    """The number of an input at row i and column j, 0 to 3. The live page has the same (web/src/views/layer)."""
    return (3 * i + 5 * j + i * j + channel * (2 * i + 3 * j + 1)) % 7 % 4


def weight(u: int, v: int, channel: int = 0, filter: int = 0) -> int:
    """The weight of a filter's tap at row u and column v, -1 to 1."""
    mixed = channel * (1 + u) + filter * (1 + v + channel) + filter // 3 * (u * v + 1)
    return (u + 2 * v + 2 + mixed) % 3 - 1


def bias(filter: int) -> int:
    """The bias of a filter on the live page, -1 to 1."""
    return 1 - filter % 3


def _refusal(layer: Layer, why: str) -> OpError:
    return OpError(
        f"no numbers can be written for {layer['name']}",
        where="striate draw --kind layer --numbers",
        why=why,
        fix="leave out --numbers",
    )


def _slide_windows(
    layer: Layer, plane: Rows, weights: Rows, row: LayerAxis | None, column: LayerAxis
) -> Sequence[Sequence[float | None]]:
    """What a convolution or a pool makes."""
    result: list[list[float | None]] = []
    for i in range(1 if row is None else row["output"]):
        line: list[float | None] = []
        for j in range(column["output"]):
            read: list[float] = []
            for u, weighted in enumerate(weights):
                for v, weight in enumerate(weighted):
                    y = 0 if row is None else _place(row, i, u)
                    x = _place(column, j, v)
                    if y is not None and x is not None:
                        read.append(plane[y][x] * (weight if layer["reduces"] == "sum" else 1))
                    elif (
                        layer["reduces"] == "mean"
                        and _on_padded_input(row, i, u)
                        and _on_padded_input(column, j, v)
                    ):
                        read.append(0.0)
            line.append(_reduce(layer["reduces"], read))
        result.append(line)
    return result


def _padded_input(plane: Rows, row: LayerAxis | None, column: LayerAxis) -> Rows:
    """The input with what a convolution reads in its padding."""

    def places(axis: LayerAxis) -> list[int | None]:
        before, after = axis["pad"]
        return [fold(x, axis["input"], axis["mode"]) for x in range(-before, axis["input"] + after)]

    lines = [0] if row is None else places(row)
    return [[0.0 if y is None or x is None else plane[y][x] for x in places(column)] for y in lines]


def _raw(axis: LayerAxis, i: int, u: int) -> int:
    return i * axis["stride"] + u * axis["dilation"] - axis["pad"][0]


def _place(axis: LayerAxis, i: int, u: int) -> int | None:
    return fold(_raw(axis, i, u), axis["input"], axis["mode"])


def _on_padded_input(axis: LayerAxis | None, i: int, u: int) -> bool:
    """Whether a tap lies on the padded input: what hangs over its end is not counted in a mean."""
    return axis is None or _raw(axis, i, u) < axis["input"] + axis["pad"][1]


def _reduce(how: str, read: list[float]) -> float | None:
    """None where a pool's window lies on padding alone: it has no number to choose or to average."""
    if not read and how != "sum":
        return None
    return max(read) if how == "max" else sum(read) / (1 if how == "sum" else len(read))


def _spread_filter(plane: Rows, weights: Rows, row: LayerAxis | None, column: LayerAxis) -> Rows:
    """What a transposed convolution makes: every number spreads the filter, times itself."""
    high = 1 if row is None else row["output"]
    result: Rows = [[0.0] * column["output"] for _ in range(high)]
    for i, line in enumerate(plane):
        for j, value in enumerate(line):
            for u, weighted in enumerate(weights):
                for v, weight in enumerate(weighted):
                    y = i if row is None else i * row["stride"] + u * row["dilation"] - row["pad"][0]
                    x = j * column["stride"] + v * column["dilation"] - column["pad"][0]
                    if 0 <= y < high and 0 <= x < column["output"]:
                        result[y][x] += value * weight
    return result
