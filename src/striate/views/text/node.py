"""One node in full, as a teacher would write it on the board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.node_record import SYMBOLS
from striate.views.text.number_format import count, per_axis, shape, short, size
from striate.views.text.page import Column, Page, Row, Text

if TYPE_CHECKING:
    from striate.views.schemas.networks import Detail, DetailAxis, Filters

AXES = {
    "h": ("height", "row"),
    "w": ("width", "column"),
    "d": ("depth", "slice"),
    "l": ("length", "position"),
}
SIGNS = {
    SYMBOLS["window"]: "N input · F reach of the filter · P both paddings · S stride",
    SYMBOLS["transposed"]: "N input · S stride · F reach of the filter · P both croppings",
}


def draw(page: Page, record: Detail) -> None:
    """record: striate.node/1."""
    reads = " and ".join(f"{name} {sizes}" for name, sizes in record["reads"].items())
    page.line([(record["name"], "bold"), f" = {record['text']} after {reads}"], 0, 2)
    page.line()
    page.fields(_fields(record))
    if record["fully_connected"]:
        page.line()
        side_by_side(page, record)
    for finding in record["findings"]:
        page.line()
        style = (
            "red"
            if finding["severity"] == "error"
            else "yellow"
            if finding["severity"] == "warning"
            else "dim"
        )
        page.line([(finding["code"], style), f"  {finding['message']}"], 2, 8)
        page.line(finding["why"], 8)


def _fields(record: Detail) -> Iterator[tuple[str, Text]]:
    yield "output", [(", ".join(record["sizes"]), "bold")]
    axes = record["axes"]
    if axes:
        yield "size", axes[0]["symbols"]
        yield "", [(SIGNS[axes[0]["symbols"]], "dim")]
    for axis in axes:
        yield AXES[axis["axis"]][0], size_sum(axis)
    filters = record["filters"]
    if filters:
        yield "filters", _filters(filters)
    weights = [
        f"{p['name']} {'x'.join(map(str, p['shape']))}" for p in record["parameters"] if p["trainable"]
    ]
    constants = [
        f"{p['name']} {'x'.join(map(str, p['shape']))}" for p in record["parameters"] if not p["trainable"]
    ]
    if weights:
        yield "weights", ", ".join(weights)
    if constants:
        yield "kept", ", ".join(constants) + " (not trained)"
    sums = record["arithmetic"]
    if record["params"]:
        yield "params", f"{sums['params']} = {count(record['params'])}"
    if record["macs"]:
        yield "MACs", f"{sums['macs']} = {count(record['macs'])}" if sums["macs"] else count(record["macs"])
    yield from _field(record)
    yield "memory", f"{size(record['activation_bytes'])} of activations"
    if record["place"]:
        yield "defined at", record["place"]


def size_sum(axis: DetailAxis) -> Text:
    """`(7 + 0 - 3)/3 + 1 = 2.33 -> 2!  row 6 is never read`."""
    if axis["exact"] and not axis.get("overhang"):
        return str(axis["formula"])
    words = AXES[axis["axis"]][1]
    notes = []
    if axis["unread"]:
        notes.append(f"{words} {_runs(axis['unread'])} never read")
    if axis["wasted_after"] or axis["wasted_before"]:
        side = "end" if axis["wasted_after"] else "start"
        notes.append(
            f"{plural(axis['wasted_after'] + axis['wasted_before'], f'padding {words}')} at the {side} unused"
        )
    if axis["overhang"]:
        notes.append(f"the last window extends {axis['overhang']} past the end")
    mark = "red" if axis["lost"] else "yellow"
    return [axis["formula"], (f" -> {axis['output']}!", mark), f"  {', '.join(notes)}" if notes else ""]


def _runs(runs: Sequence[Sequence[int]]) -> str:
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    return ", ".join(texts) if len(texts) <= 4 else f"{', '.join(texts[:3])} … {texts[-1]}"


def _filters(filters: Filters) -> Text:
    volume = [(shape(filters["shape"]), "bold")]
    depth, channels, groups = filters["shape"][0], filters["input_channels"], filters["groups"]
    if groups == 1:
        reach = f" = {filters['numbers']} numbers, through the full depth of the input ({plural(channels, 'channel')})"
    elif depth == 1:
        reach = f": depthwise, each filter reads 1 of {channels} input channels"
    else:
        reach = f": {groups} groups, each filter reads {depth} of {channels} input channels"
    return [f"{plural(filters['count'], 'filter')} of ", *volume, reach]


def _field(record: Detail) -> Iterator[tuple[str, Text]]:
    fields = list(record["receptive_field"].values())
    if not fields:
        yield "field", "a unit sees the whole input"
        return
    sees = per_axis([field["size"] for field in fields])
    jump = per_axis([field["jump"] for field in fields])
    start = per_axis([field["start"] for field in fields], ", ")
    square = f"{sees}x{sees}" if len(fields) > 1 and "x" not in sees else sees
    units = f"units {jump} apart, the first begins at {start}" if jump != "0" else "the same for every unit"
    yield "field", f"{square} input pixels; {units}"


def side_by_side(page: Page, record: Detail) -> None:
    """The convolution and the fully connected layer for the same step, side by side."""
    full = record["fully_connected"]
    assert full is not None
    reads = next(iter(record["reads"].values()))
    columns = (Column(""), Column("params", "right"), Column("MACs", "right"), Column("weights", fold=True))
    rows = [
        Row(("convolution", count(record["params"]), count(record["macs"]), "shared by all positions")),
        Row(("fully connected", count(full["params"]), count(full["macs"]), "one for each pair")),
    ]
    if record["params"] and record["macs"]:
        times = full["params"] / record["params"], full["macs"] / record["macs"]
        rows.append(
            Row(("", f"x {short(round(times[0], 1))}", f"x {short(round(times[1], 1))}", ""), style="dim")
        )
    page.line(f"for the same step, {reads} -> {record['sizes'][0]}:", 2)
    page.table(columns, rows, indent=2)
