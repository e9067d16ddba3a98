"""Receptive fields of every value, through branches, and whether merged branches look at the same place.

Fields are local: a path that collapses an axis (global pooling in a squeeze-and-excitation gate, a norm's statistics)
is context next to the local path and does not widen its field. Behind a layer that reads the whole axis with nothing
local next to it, a unit's field is the whole axis.
After Araujo, Norris & Sim, Distill 2019: branches are aligned when their jumps and the centers of their fields agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction

from striate.diagnostics import OpError, ShapeError
from striate.geometry import ReceptiveField, Window
from striate.network import Network, Node
from striate.op import Op, Reading
from striate.tensor import TensorSpec


@dataclasses.dataclass(frozen=True, slots=True)
class AxisField:
    """Field along one axis of the network's input: `axis` is the value's axis that carries it, None when none does."""

    field: ReceptiveField
    axis: str | None


Fields = Mapping[str, AxisField]
"""Axis of the network's input -> receptive field."""


def receptive_fields(net: Network, input: str | None = None) -> dict[str, Fields]:
    """Value -> fields on an input, for every value whose shape is known; empty where the input does not lead to it.

    input: of several inputs the one that is meant; by default, for each value, the first that leads to it.
    """
    if input is None and len(net.inputs) > 1:
        every = fields_by_input(net)
        return {value: every[source][value] for value, source in principal(every).items()}
    return _fields(net, net.input_name(input))


def fields_by_input(net: Network) -> dict[str, dict[str, Fields]]:
    """Input -> value -> fields on that input."""
    return {name: _fields(net, name) for name in net.inputs}


def principal(every: Mapping[str, Mapping[str, Fields]]) -> dict[str, str]:
    """Value -> the first input that leads to it along some axis; the first of all where none does."""
    first = next(iter(every))
    return {
        value: next((name for name, fields in every.items() if fields[value]), first)
        for value in every[first]
    }


def _fields(net: Network, source: str) -> dict[str, Fields]:
    inference = net.inference
    fields: dict[str, Fields] = {name: {} for name in net.inputs}
    fields[source] = {axis: AxisField(ReceptiveField(), axis) for axis in net.inputs[source].spatial_axes}
    for node in net.nodes:
        if node.name in inference.declarations:
            for port, value in enumerate(node.outputs):
                by_axis = branch_fields(net, node, fields, port)
                fields[value] = {axis: _merge([b for _, b in branches]) for axis, branches in by_axis.items()}
    return fields


def branch_fields(
    net: Network, node: Node, fields: Mapping[str, Fields], output: int = 0
) -> dict[str, list[tuple[str, AxisField]]]:
    """Per axis of the network's input, the values that a node reads and the field that each would give its output by
    itself; values to which that input does not lead are left out.
    """
    declaration = net.inference.declarations[node.name]
    readings = declaration.readings_of(output) if output else declaration.readings
    by_axis: dict[str, list[tuple[str, AxisField]]] = {}
    for value, reading in zip(node.inputs, readings, strict=True):
        for axis, axis_field in fields[value].items():
            passed = axis_field
            if axis_field.axis is not None:
                read = reading[axis_field.axis]
                field = axis_field.field.through(read.map) if read.map is not None else axis_field.field
                passed = AxisField(field, read.axis)
            by_axis.setdefault(axis, []).append((value, passed))
    return by_axis


def _merge(branches: Sequence[AxisField]) -> AxisField:
    if len(branches) == 1:
        return branches[0]
    local = [branch for branch in branches if branch.axis is not None] or branches
    return AxisField(ReceptiveField.union([branch.field for branch in local]), local[0].axis)


@dataclasses.dataclass(frozen=True, slots=True)
class Cure:
    """The smallest shift of padding that aligns a merge again: `change` replaces the padding of `node`."""

    node: str
    axis: str
    before: tuple[int, int]
    after: tuple[int, int]
    op: Op

    @property
    def rows(self) -> int:
        """Rows moved from one side to the other."""
        return abs(self.after[0] - self.before[0])

    @property
    def rank(self) -> tuple[int, int]:
        """Few rows first; among equals the padding that is even: it is the other branch that sits off center."""
        return self.rows, abs(self.after[0] - self.after[1])


@dataclasses.dataclass(frozen=True, slots=True)
class Misalignment:
    """A merge whose branches look at different places.

    offsets: per local branch, the center of unit 0's field (mean over a period) in input pixels;
    jumps: input pixels per unit. They must agree. input: the network's input that the pixels are of.
    """

    node: str
    axis: str
    branches: tuple[str, ...]
    jumps: tuple[Fraction, ...]
    offsets: tuple[Fraction, ...]
    input: str = "input"

    @property
    def pixels(self) -> Fraction | None:
        """Input pixels between the branches; None when their jumps differ and the distance grows along the axis."""
        return max(self.offsets) - min(self.offsets) if len(set(self.jumps)) == 1 else None


def misalignments(
    net: Network, every: Mapping[str, Mapping[str, Fields]] | None = None
) -> tuple[Misalignment, ...]:
    """Every merge and axis whose branches are not aligned, in the network's order.

    Branches are compared on one input at a time: images of two inputs may show different things, or the same in
    different sizes. every: what `fields_by_input` gives.
    """
    every = fields_by_input(net) if every is None else every
    faults = []
    for node in net.nodes:
        if len(node.inputs) < 2 or node.name not in net.inference.declarations:
            continue
        for source, fields in every.items():
            for axis, branches in branch_fields(net, node, fields).items():
                local = [(value, b.field) for value, b in branches if b.axis is not None and b.field.step]
                jumps = tuple(field.jump for _, field in local)
                offsets = tuple(field.offset for _, field in local)
                if len(set(jumps)) > 1 or len(set(offsets)) > 1:
                    values = tuple(value for value, _ in local)
                    faults.append(Misalignment(node.name, axis, values, jumps, offsets, source))
    return tuple(faults)


def cure(net: Network, fault: Misalignment) -> Cure | None:
    """The smallest change of one padding that aligns the merge and keeps every size, found by trying.

    Candidates are windows on one branch only whose jump divides the distance; each is verified on the changed network.
    """
    if fault.pixels is None:
        return None
    fields = receptive_fields(net, fault.input)
    private = _private_ancestors(net, fault)
    best: Cure | None = None
    for branch, offset in zip(fault.branches, fault.offsets, strict=True):
        for other in {o for o in fault.offsets if o != offset}:
            for name in private[branch]:
                candidate = _shift_padding(net, fields, name, fault.axis, other - offset)
                if candidate and (best is None or candidate.rank < best.rank):
                    variant = net.replace(candidate.node, candidate.op)
                    sizes = {value: spec.shape for value, spec in net.inference.specs.items()}
                    try:
                        same = sizes == {value: spec.shape for value, spec in variant.inference.specs.items()}
                    except OpError:  # more padding than the op takes on this input
                        continue
                    open_faults = {(f.node, f.axis, f.input) for f in misalignments(variant)}
                    if same and (fault.node, fault.axis, fault.input) not in open_faults:
                        best = candidate
    return best


def _private_ancestors(net: Network, fault: Misalignment) -> dict[str, list[str]]:
    """Per branch of a merge, the nodes that only this branch comes from."""
    above = {value: ancestors(net, value) for value in fault.branches}
    return {
        value: [n for n in nodes if not any(n in above[other] for other in fault.branches if other != value)]
        for value, nodes in above.items()
    }


def ancestors(net: Network, value: str) -> dict[str, None]:
    """Names of the nodes that a value comes from, nearest first."""
    names: dict[str, None] = {}
    waiting = [value]
    while waiting:
        node = net.producers.get(waiting.pop(0))
        if node is not None and node.name not in names:
            names[node.name] = None
            waiting.extend(node.inputs)
    return names


def _shift_padding(
    net: Network, fields: Mapping[str, Fields], name: str, axis: str, by: Fraction
) -> Cure | None:
    """The node's padding moved so that its field moves by that many input pixels."""
    node = net.node(name)
    window = net.inference.declarations[name].windows.get(axis)
    axis_field = fields[node.inputs[0]].get(axis)
    if not isinstance(window, Window) or axis_field is None or not axis_field.field.step:
        return None
    rows = -by / axis_field.field.jump
    # Rows that the stride leaves over make up for what cannot be taken away after.
    before, after = window.before + rows, max(window.after - rows, Fraction(0))
    if rows.denominator != 1 or before < 0:
        return None
    windows = net.inference.declarations[name].windows
    pads = tuple((int(before), int(after)) if a == axis else (w.before, w.after) for a, w in windows.items())
    try:
        op = dataclasses.replace(node.op, padding=pads)  # type: ignore[call-arg]
    except OpError:
        return None
    return Cure(name, axis, (window.before, window.after), (int(before), int(after)), op)


@dataclasses.dataclass(frozen=True, slots=True)
class Reads:
    """What a unit reads of a value along one axis.

    rows: indices, ascending; span: first and last coordinate that its windows touch, padding counted.
    """

    rows: tuple[int, ...]
    span: tuple[int, int]


def reads(
    net: Network, value: str, position: Sequence[int], *, context: bool = True
) -> dict[str, dict[str, Reads]]:
    """Value -> axis -> what a unit reads of it, for all values that the unit depends on, the unit itself among them.

    position: index along each spatial axis of `value`; context: follow every path, so that a row is named if its change
    could change the unit. Without it, statistics and values that are read whole next to a local one are left out, as
    they are from receptive fields. Raises ShapeError when the position lies outside.

    >>> import striate as st
    >>> reads(st.parse("7x7x1 -> conv 3x3 pad 1 -> conv 3x3"), "conv2", (0, 2))["input"]["H"]
    Reads(rows=(0, 1, 2, 3), span=(-1, 3))
    """
    spec = net.specs[value]
    if len(position) != len(spec.spatial) or any(not 0 <= p < n for p, n in zip(position, spec.spatial)):
        raise ShapeError(
            f"{value} has no unit at {tuple(position)}",
            why=f"it is {spec}",
            fix="count from 0, one index per axis",
        )
    indices: dict[str, dict[str, set[int]]] = {
        value: {axis: {p} for axis, p in zip(spec.spatial_axes, position, strict=True)}
    }
    end_positions: dict[str, dict[str, set[int]]] = {}
    for node in reversed(net.nodes):
        for port, name in enumerate(node.outputs):
            if name in indices:
                declaration = net.declarations[node.name]
                readings = declaration.readings_of(port)
                near = [_local(net.specs[v], r) for v, r in zip(node.inputs, readings, strict=True)]
                for source, reading, local in zip(node.inputs, readings, near, strict=True):
                    if not context:
                        if any(near) and not local:
                            continue
                        reading = {axis: dataclasses.replace(r, context=False) for axis, r in reading.items()}
                    rows = _rows(reading, indices[name], net.specs[source])
                    # A window that lies in the padding along one axis reads nothing along the others either.
                    if all(rows.values()):
                        source_indices, ends = (
                            indices.setdefault(source, {}),
                            end_positions.setdefault(source, {}),
                        )
                        for axis, axis_rows in rows.items():
                            source_indices.setdefault(axis, set()).update(axis_rows)
                            ends.setdefault(axis, set()).update(
                                _ends(reading[axis], indices[name], axis_rows)
                            )
    return {
        name: {
            axis: Reads(tuple(sorted(rows)), _hull(end_positions.get(name, {}).get(axis, rows)))
            for axis, rows in axes.items()
        }
        for name, axes in indices.items()
    }


def exact_field(
    net: Network, value: str, position: Sequence[int], input: str | None = None
) -> dict[str, tuple[int, ...]]:
    """Input indices that a unit really reads, per axis of the network's input, borders and all.

    position: index along each spatial axis of the value; input: of several inputs the one that is meant. Follows every
    path, context included: what a change of an input row could change. Raises ShapeError when the position lies
    outside.
    """
    name = net.input_name(input)
    axes = reads(net, value, position).get(name, {})
    return {axis: axes[axis].rows if axis in axes else () for axis in net.inputs[name].spatial_axes}


def _local(spec: TensorSpec, reading: Mapping[str, Reading]) -> bool:
    """Whether each position of an output reads its own part of an input."""
    return bool(spec.spatial) and all(reading[axis].axis is not None for axis in spec.spatial_axes)


def _hull(rows: set[int]) -> tuple[int, int]:
    return min(rows), max(rows)


def _ends(reading: Reading, indices: Mapping[str, set[int]], rows: set[int]) -> tuple[int, int]:
    """First and last coordinate that the windows of the given rows touch; rows: those that they read."""
    if reading.axis is None or reading.context or reading.axis not in indices or reading.map is None:
        return _hull(rows)
    window = reading.map
    raw = {
        x for i in indices[reading.axis] for u in range(window.taps) if (x := window.raw(i, u)) is not None
    }
    return _hull(raw or rows)


def _rows(
    reading: Mapping[str, Reading], rows: Mapping[str, set[int]], spec: TensorSpec
) -> dict[str, set[int]]:
    """The rows of one input that the given rows of an output read."""
    positions: dict[str, set[int]] = {}
    for axis in spec.spatial_axes:
        read = reading[axis]
        if read.axis is None and read.map is None:
            positions[axis] = set()
        elif read.axis is None or read.context or read.axis not in rows:
            positions[axis] = set(range(spec.size(axis)))
        elif read.map is None:
            positions[axis] = set(rows[read.axis])
        else:
            positions[axis] = {x for i in rows[read.axis] for x in read.map.reads(i)}
    return positions
