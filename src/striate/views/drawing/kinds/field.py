"""Kind `field`: the receptive field of a unit as a fan through all layers, and on the image.

All rows of the fan have one scale, pixels of the input: a unit stands at the center of its field, as wide as the jump
to its neighbor. What the unit reads of a layer is colored; padding is dashed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from striate.diagnostics import OpError, plural
from striate.views.drawing.fan import Row, branches, fan, planes
from striate.views.drawing.frame import MIN_WIDTH, framed, numbered
from striate.views.drawing.known import feature_map, known
from striate.views.drawing.parts import Part, failed_facts, label, parts_of, size_text
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, SIZE, Sheet

if TYPE_CHECKING:
    from striate.analysis.fields import AxisField, Reads
    from striate.network import Network
    from striate.views.schemas.facts import Branch, FieldFacts, Misaligned, SeenAxis, SeenInput
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

OPTIONS = ("nodes", "unit", "fold")
MOST_ROWS = 26
"""Every layer has a row of its own in networks of up to this many; in others modules are closed."""
MERGES = 3
"""Misaligned merges that are drawn; the others are counted."""


def facts(net: Network, show: Show, request: Request) -> FieldFacts:
    """What the unit reads of each node and input. Raises OpError for a node without height and width and for a unit
    that reads no pixel, ShapeError for a unit that there is not.
    """
    from striate.analysis.fields import fields_by_input, principal, reads

    value = feature_map(net, request.node)
    net = known(net)
    spec = net.specs[value]
    unit = request.unit or tuple(n // 2 for n in spec.spatial_sizes)
    if len(unit) != len(spec.spatial):
        raise OpError(
            f"the unit {', '.join(map(str, unit))} does not name one index per axis",
            why=f"{value} is {spec}",
            fix=f"--unit {','.join(str(n // 2) for n in spec.spatial_sizes)}",
        )
    place = dict(zip(spec.spatial_axes, unit, strict=True))
    positions = reads(net, value, unit, context=False)
    wide = reads(net, value, unit)
    every = fields_by_input(net)
    first = principal(every)
    nodes: dict[str, dict[str, SeenAxis]] = {}
    for node in net.nodes:
        for output in node.outputs:
            if output in positions and node.name not in nodes:
                sizes = {axis: net.specs[output].size(axis) for axis in net.specs[output].spatial_axes}
                nodes[node.name] = {
                    axis.lower(): _seen_axis(field, positions[output], sizes)
                    for axis, field in every[first[output]][output].items()
                }
    images = {
        name: {
            axis.lower(): _seen_input(
                net.inputs[name].size(axis),
                positions[name][axis],
                wide[name][axis],
                every[name][value].get(axis),
                place,
            )
            for axis in net.inputs[name].spatial_axes
        }
        for name in net.inputs
        if name in positions and net.inputs[name].spatial
    }
    if not images:
        raise OpError(
            f"unit {', '.join(map(str, unit))} of {value} reads no pixel",
            why="its windows touch padding alone, zeros between pixels, or an input without height and width",
            fix=f"another unit: --unit {','.join('0' * len(unit))}",
        )
    return {
        "to": value,
        "shape": list(spec.without_batch),
        "unit": list(unit),
        "nodes": nodes,
        "inputs": images,
        "misaligned": list(_misaligned_merges(net, positions, every)),
        "failed": failed_facts(net),
    }


def _seen_axis(axis_field: AxisField, reads_: Mapping[str, Reads], sizes: Mapping[str, int]) -> SeenAxis:
    """known: the field of the value's units along one axis of the input."""
    field = axis_field.field
    axis = axis_field.axis or ""
    moving = axis in reads_ and field.step != 0
    span = reads_.get(axis)
    return {
        "units": sizes.get(axis, 0),
        "runs": _runs(span.rows) if span else [],
        "span": list(span.span) if span else [],
        "size": field.size,
        "jump": float(field.jump) if moving else 0.0,
        "center": float(field.offset),
    }


def _seen_input(
    size: int, exact: Reads, wide: Reads, field: AxisField | None, place: Mapping[str, int]
) -> SeenInput:
    """field: that of the unit's value along one axis of an input; wide: reads with the context."""
    span = (exact.rows[0], exact.rows[-1])
    if field is not None and field.axis is not None and field.field.step:
        span = field.field.span(place[field.axis])
    more = len(wide.rows) > len(exact.rows)
    reach = list(exact.span)
    return {"size": size, "runs": _runs(exact.rows), "touched": reach, "span": list(span), "context": more}


def _runs(rows: Sequence[int]) -> list[list[int]]:
    """First and last of each run of neighbors."""
    cuts = [k + 1 for k, (a, b) in enumerate(pairwise(rows)) if b != a + 1]
    return [[rows[a], rows[b - 1]] for a, b in pairwise([0, *cuts, len(rows)])] if rows else []


def _misaligned_merges(
    net: Network, spans: Mapping[str, Mapping[str, Reads]], every: Mapping[str, Any]
) -> Iterator[Misaligned]:
    """The merges on the unit's way whose branches look at different places."""
    from striate.analysis.fields import branch_fields, misalignments

    for fault in misalignments(net, every):
        node = net.node(fault.node)
        value = next((value for value in node.outputs if value in spans), "")
        if not value:
            continue
        fields = branch_fields(net, node, every[fault.input])[fault.axis]
        local = [(name, branch) for name, branch in fields if branch.axis is not None and branch.field.step]
        axis = local[0][1].axis
        if axis is None or axis not in spans[value]:
            continue
        rows = spans[value][axis].rows
        unit = rows[len(rows) // 2]
        branches: list[Branch] = [
            {
                "value": name,
                "span": list(branch.field.span(unit)),
                "center": float(branch.field.offset + unit * branch.field.jump),
                "jump": float(branch.field.jump),
            }
            for name, branch in local
        ]
        yield {
            "node": fault.node,
            "axis": fault.axis.lower(),
            "input": fault.input,
            "unit": unit,
            "apart": None if fault.pixels is None else float(fault.pixels),
            "branches": branches,
        }


# -- the picture --------------------------------------------------------------------------------------------------


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    field: FieldFacts = record["facts"]  # type: ignore[assignment]
    rows = _rows(record, field, request)
    unit = ", ".join(map(str, field["unit"]))
    body = Sheet()
    body.text(0, ASCENT * SIZE, f"what unit ({unit}) of {field['to']} reads", anchor="start")
    for axes in _axes_with_one_fan(rows, field):
        body.put(fan(rows, axes, field), 0, body.bottom + 18)
    if (plane := planes(field)) is not None:
        body.put(plane, 0, body.bottom + 26)
    faults = _faults(field)
    for fault, along in faults[:MERGES]:
        body.put(branches(fault, along), 0, body.bottom + 22)
    body.right = max(body.right, MIN_WIDTH)
    notes = list(_notes(field, rows, len(faults) - MERGES))
    marks = numbered(record, []) if record["problems"] else {}
    if record["problems"]:
        notes.insert(0, f"the network has no output: its last feature map is that of {field['to']}")
    return framed("field", record, body, marks, notes, "; ".join(_words(rows, field)))


def _rows(record: Scene, field: FieldFacts, request: Request) -> list[Row]:
    """The rows of the fan, the unit first: parts of the network that it reads, and inputs before what reads them."""
    nodes = field["nodes"]
    members = [part for part in parts_of(record, fold=False) if _last(part, nodes)]
    if request.fold and len(members) > MOST_ROWS:
        members = [part for part in parts_of(record, most=MOST_ROWS) if _last(part, nodes)]
    rows: list[Row] = []
    names: set[str] = set()
    for part in members:
        for name in part.reads:
            if name in field["inputs"] and name not in names:
                names.add(name)
                rows.append(Row(name, name, size_text(record["inputs"][name]), "input", (), {}))
        last = _last(part, nodes)
        times = f" x {part.times}" if part.times > 1 else ""
        texts = label(part)[1:] if part.scope else label(part)
        text = f"{size_text(last['output'])} · {', '.join(texts)}{times}"
        rows.append(Row(part.key, part.names, text, part.family, part.reads, nodes[last["name"]]))
    if not members:
        name = field["to"]
        rows.append(Row(name, name, size_text(record["inputs"][name]), "input", (), {}))
    return rows[::-1]


def _last(part: Part, nodes: Mapping[str, Any]) -> Any:
    """The last node of a part that the unit reads."""
    return next((node for node in reversed(part.nodes) if node["name"] in nodes), None)


def _axes_with_one_fan(rows: Sequence[Row], field: FieldFacts) -> list[list[str]]:
    """Axes in groups: those of one group have the same fan."""
    groups: dict[str, list[str]] = {}
    for axis in dict.fromkeys(axis for image in field["inputs"].values() for axis in image):
        kind = str(([row.seen.get(axis) for row in rows], [s.get(axis) for s in field["inputs"].values()]))
        groups.setdefault(kind, []).append(axis)
    return list(groups.values())


def _faults(field: FieldFacts) -> list[tuple[Misaligned, list[str]]]:
    """Misaligned merges with the axes along which they are so in the same way."""
    groups: dict[str, tuple[Misaligned, list[str]]] = {}
    for fault in field["misaligned"]:
        kind = str([fault["node"], fault["input"], fault["unit"], fault["branches"]])
        groups.setdefault(kind, (fault, []))[1].append(fault["axis"])
    return list(groups.values())


def _notes(field: FieldFacts, rows: Sequence[Row], more: int) -> Iterator[str]:
    """more: misaligned merges that are not drawn."""
    yield "the fan is drawn in pixels of the input: a unit stands at the center of its field, as wide as the jump"
    padded = any(
        axis["span"] and (axis["span"][0] < 0 or axis["span"][1] >= axis["units"] > 0)
        for row in rows
        for axis in row.seen.values()
    )
    outside = any(
        axis["span"][0] < 0 or axis["span"][1] >= axis["size"]
        for axis_fields in field["inputs"].values()
        for axis in axis_fields.values()
    )
    if padded or outside:
        yield "dashed: padding, of a layer and, around the image, of all layers together"
    spans = {
        axis: axis_fields["span"][1] - axis_fields["span"][0] + 1
        for image in field["inputs"].values()
        for axis, axis_fields in image.items()
    }
    if rows and any(
        axis_fields["jump"] and axis_fields["size"] > spans[axis]
        for axis, axis_fields in rows[0].seen.items()
    ):
        yield "units of a layer see different numbers of pixels: the most is written"
    if any(axis["context"] for axis_fields in field["inputs"].values() for axis in axis_fields.values()):
        yield "besides, a gate or a norm's statistics read the whole image: left out here"
    if more > 0:
        yield f"{plural(more, 'more merge')} with branches that are not aligned: striate check"


def _words(rows: Sequence[Row], field: FieldFacts) -> Iterator[str]:
    yield f"What unit {tuple(field['unit'])} of {field['to']} reads"
    for row in rows:
        for axis, axis_field in row.seen.items():
            spans = ", ".join(f"{a} to {b}" for a, b in axis_field["runs"])
            yield f"{row.name} {axis}: units {spans or 'all'}, a unit sees {axis_field['size']} pixels"
    for name, image in field["inputs"].items():
        for axis, pixel in image.items():
            yield f"{name} {axis}: pixels {', '.join(f'{a} to {b}' for a, b in pixel['runs'])} of {pixel['size']}"
    for fault in field["misaligned"]:
        centers = ", ".join(
            f"{b['value']} {Fraction(b['center']).limit_denominator(1000)}" for b in fault["branches"]
        )
        yield f"{fault['node']} {fault['axis']}: centers of its branches {centers}"
